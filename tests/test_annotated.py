"""The annotated workbook: the clerk's own sheet as it was, every wrong cell marked, a reason for every wrong row."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from exchanged.report.formats import GRAVE
from tests.support import books
from tests.support.checks import TODAY, checks
from tests.support.marked import ROWS, annotated, data, found, lines, marked, opened, reasons, sheet
from tests.support.records import HEADERS, csv_text, records

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", '=HYPERLINK("http://x")']


def official(change: Any = None) -> bytes:
    """A sheet as offices make them: titles, running numbers, a column of their own, typed cells, an empty row."""
    book = openpyxl.Workbook()
    page = book.active
    assert isinstance(page, Worksheet)
    page.title = "证书 数据"
    page["A1"] = "某某省职业资格证书数据采集表"
    page.merge_cells("A1:N1")
    page["L2"], page["M2"] = "填报日期", dt.date(2026, 11, 20)
    page.append(["序号", *HEADERS, "备注"])
    for number, row in enumerate(ROWS, 1):
        line: list[Any] = [number, *(row[header] for header in HEADERS), f"备{number}"]
        line[3] = dt.date.fromisoformat(line[3])
        line[4] = dt.datetime.fromisoformat(f"{line[4]} 00:00:00")
        line[6] = int(line[6])
        page.append(line)
        if number == 5:
            page.append([])
    page.insert_rows(9)  # the empty row: what is below moves down
    page.column_dimensions["B"].width, page.column_dimensions["H"].width = 9.5, 24
    if change:
        change(page)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rows_of(page: Worksheet, width: int) -> list[list[Any]]:
    return [[cell.value for cell in row[:width]] for row in page.iter_rows()]


def width_of(page: Worksheet, column: str) -> float:
    """Columns of equal width stand together, under the first."""
    index = openpyxl.utils.column_index_from_string(column)
    return next(one.width for one in page.column_dimensions.values() if one.min <= index <= one.max)


# The clerk's own sheet


def test_the_sheet_is_the_clerks_own_with_all_columns_in_order_and_rows_where_they_were() -> None:
    source = official(lambda page: page.__setitem__("H6", "110000199003070011"))
    before = openpyxl.load_workbook(io.BytesIO(source)).worksheets[0]
    after = data(marked(source))
    assert after.title == "证书 数据"
    assert rows_of(after, 14) == rows_of(before, 14)


def test_date_cells_stay_dates_numbers_numbers_and_texts_texts() -> None:
    page = data(marked(official()))
    assert page["D4"].is_date and page["D4"].value == dt.datetime.fromisoformat(ROWS[0]["出生日期"])
    assert page["M2"].is_date
    assert (page["A4"].value, page["A4"].data_type) == (1, "n")
    assert (page["G4"].value, page["G4"].data_type) == (201, "n")
    assert (page["F4"].value, page["F4"].data_type) == (ROWS[0]["证书编号"], "s")
    assert (page["H4"].value, page["H4"].data_type) == (ROWS[0]["证件号码"], "s")


def test_dates_of_both_calendars_and_with_a_time_of_day_are_the_same_dates() -> None:
    moment, early, leap = dt.datetime(2018, 5, 11, 8, 30, 15), dt.datetime(1900, 1, 5), dt.datetime(1900, 3, 1)
    rows = [["时刻", *line] if n == 0 else [None, *line] for n, line in enumerate(lines())]
    rows[1][0], rows[2][0], rows[3][0] = moment, early, leap
    for source in (books.by_openpyxl(rows), books.by_xlsxwriter(rows[:2], date_1904=True)):
        page = data(marked(source))
        assert page["A2"].value == moment and page["A2"].number_format == "yyyy-mm-dd hh:mm:ss"
    page = data(marked(books.by_openpyxl(rows)))
    assert (page["A3"].value, page["A4"].value) == (early, leap)


def test_a_date_before_the_calendar_of_an_xlsx_begins_is_text() -> None:
    date = 'office:value-type="date" office:date-value="1850-01-02"'
    day = f"<table:table-cell {date}><text:p>x</text:p></table:table-cell>"
    body = "".join(books.ods_row(line) for line in [[*lines()[0], "生"], *lines()[1:3]])
    cells = books.ods_row(lines()[3], extra=day)
    page = data(marked(books.ods(body + cells), "a.ods"))
    assert (page["M4"].value, page["M4"].data_type) == ("1850-01-02", "s")


def test_columns_keep_their_widths() -> None:
    page = data(marked(official()))
    assert width_of(page, "B") == pytest.approx(9.5, abs=0.15)
    assert width_of(page, "H") == pytest.approx(24, abs=0.15)


def test_columns_keep_their_widths_in_an_old_workbook(tmp_path: Path) -> None:
    page = data(marked(books.by_soffice(official(), "xls", tmp_path), "a.xls"))
    assert width_of(page, "B") == pytest.approx(9.5, abs=0.4)
    assert width_of(page, "H") == pytest.approx(24, abs=0.6)


def test_columns_keep_their_widths_in_an_ods() -> None:
    styles = "".join(
        f'<style:style style:name="co{n}" style:family="table-column"><style:table-column-properties '
        f'style:column-width="{width}"/></style:style>'
        for n, width in enumerate(("1in", "5.08cm"))
    )
    columns = '<table:table-column table:style-name="co0" table:number-columns-repeated="2"/>' + (
        '<table:table-column table:style-name="co1"/><table:table-column table:number-columns-repeated="16381"/>'
    )
    rows = "".join(books.ods_row(line) for line in lines())
    source = books.patched(
        books.ods(columns + rows),
        "content.xml",
        lambda xml: xml.replace(
            b"<office:body>", f"<office:automatic-styles>{styles}</office:automatic-styles><office:body>".encode()
        ),
    )
    page = data(marked(source, "a.ods"))
    assert width_of(page, "B") == pytest.approx(96 / 7, abs=0.15)
    assert width_of(page, "C") == pytest.approx(192 / 7, abs=0.15)
    assert width_of(page, "G") > 18  # not set: as wide as its numbers


@pytest.mark.parametrize("ending", ["xls", "ods", "xlsx"])
def test_what_another_program_saved_is_the_same_sheet(ending: str, tmp_path: Path) -> None:
    wrong = official(lambda page: page.__setitem__("H6", "110000199003070011"))
    page = data(marked(books.by_soffice(wrong, ending, tmp_path), f"a.{ending}"))
    expected = data(marked(wrong))
    assert rows_of(page, 14) == rows_of(expected, 14)
    assert reasons(page) == reasons(expected)
    assert page["D4"].is_date and page["A4"].data_type == "n"


def test_a_csv_has_columns_wide_enough_to_be_read() -> None:
    page = data(marked(csv_text(ROWS).encode(), "一月.csv"))
    assert page.title == "一月"
    assert width_of(page, "G") > 18 and width_of(page, "K") > 2 * len(ROWS[0]["鉴定中心"])
    assert page["E2"].data_type == "s" and page["C2"].data_type == "s"


def test_rows_of_a_csv_that_are_longer_than_its_header_lose_nothing() -> None:
    text = csv_text(ROWS).replace("\r\n", ",多\r\n", 5).replace(",多", "", 1)
    page = data(marked(text.encode(), "a.csv"))
    assert [page.cell(row, 13).value for row in range(2, 7)] == ["多", "多", "多", "多", None]
    assert page["M2"].comment is not None and "M 列" in page["M2"].comment.text


def test_blank_lines_of_a_csv_keep_their_row() -> None:
    text = csv_text(ROWS).replace("\r\n", "\r\n\r\n", 3)
    page = data(marked(text.encode(), "a.csv"))
    assert page["A2"].value is None and page["A3"].value == ROWS[0]["姓名"]


def test_of_several_sheets_the_one_with_the_data_is_annotated() -> None:
    book = openpyxl.Workbook()
    guide, page = book.worksheets[0], book.create_sheet("数据表")
    guide.append(["性别", "1 男 2 女"])
    for line in lines():
        page.append(line)
    page["B3"] = "?"
    out = io.BytesIO()
    book.save(out)
    made = opened(marked(out.getvalue()))
    assert made.sheetnames == ["校验结果", "数据表"]
    assert reasons(made["数据表"]).keys() == {3}


@pytest.mark.parametrize("name", ["校验结果", "History", "a/b", "'x'", "很" * 60, "\U00020bb7" * 20])
def test_any_sheet_name_of_the_clerks_becomes_one_that_xlsx_allows(name: str) -> None:
    made = opened(marked(csv_text(ROWS).encode(), f"{name}.csv"))
    assert len({title.casefold() for title in made.sheetnames}) == 2
    assert all(len(title) <= 31 and not set(title) & set("[]:*?/\\") for title in made.sheetnames)


def test_columns_past_z_keep_their_place() -> None:
    wide = [[f"说明{n}" for n in range(30)] + lines()[0]] + [["x"] * 30 + line for line in lines()[1:]]
    wide[3][30 + 1] = "?"
    page = data(marked(books.by_openpyxl(wide)))
    assert page["AF4"].value == "?" and page["AF4"].comment is not None
    assert "性别" in reasons(page)[4]


def test_a_sheet_with_nothing_but_its_header_can_be_filled_in() -> None:
    made = opened(marked(books.by_openpyxl([list(HEADERS)])))
    assert [cell.value for cell in made.worksheets[1][1]][:12] == list(HEADERS)
    assert any("表中没有数据行" in str(cell.value) for row in made.worksheets[0].iter_rows() for cell in row)


# What is marked


def test_every_wrong_cell_is_coloured_and_says_why_and_what_to_do() -> None:
    page = data(marked(sheet(B3="?", G5="110000199003070019", E7=None)))
    for place, words in (("B3", "不在代码表中"), ("G5", "身份证校验码错误"), ("E7", "必填字段为空")):
        cell = page[place]
        assert cell.fill.fgColor.rgb.endswith(GRAVE[3]["bg_color"][1:])
        assert cell.comment is not None and cell.comment.text.startswith(f"【错误】{words}")
        assert "处理：" in cell.comment.text
    assert reasons(page).keys() == {3, 5, 7}
    assert reasons(page)[3] == "【错误】性别：不在代码表中"
    plain = page["B4"]
    assert plain.comment is None and plain.fill.fill_type is None


def test_marks_are_where_the_check_found_something_and_nowhere_else() -> None:
    content = sheet(B3="?", A4="李", D5="2018-02-30", I6="", J7="9", H9="无此职业", E12="123")
    wrong = {(row, HEADERS.index(column)) for _, row, column in found(content) if column}
    page = data(marked(content))
    coloured = {
        (cell.row, cell.column - 1)
        for row in page.iter_rows(min_row=2, max_col=12)
        for cell in row
        if cell.fill.fill_type is not None
    }
    commented = {(cell.row, cell.column - 1) for row in page.iter_rows(min_row=2) for cell in row if cell.comment}
    assert coloured == commented == wrong
    assert set(reasons(page)) == {row for row, _ in wrong}


def test_errors_and_warnings_differ_by_more_than_colour() -> None:
    page = data(marked(sheet(B3="?", A4="李")))
    error, warning = page["B3"], page["A4"]
    assert (error.font.bold, warning.font.bold) == (True, False)
    assert (error.font.italic, warning.font.italic) == (False, True)
    assert error.border.left.style != warning.border.left.style
    assert warning.comment.text.startswith("【提醒】") and reasons(page)[4].startswith("【提醒】")


def test_what_waits_for_a_person_is_marked_as_such() -> None:
    page = data(marked(sheet(A4="李"), depends=checks(severity={"name-suspicious": "hold"})))
    assert page["A4"].comment.text.startswith("【待确认】")
    assert page["A4"].border.left.style == "double"


def test_a_row_with_several_problems_names_them_all_the_gravest_first() -> None:
    page = data(marked(sheet(A3="李", B3="?", G3="1", J3="十")))
    assert re.findall(r"【(..)】(..)", reasons(page)[3]) == [
        ("错误", "性别"),
        ("错误", "证件"),
        ("错误", "技能"),
        ("提醒", "姓名"),
    ]


def test_a_cell_with_several_problems_has_one_comment_with_all() -> None:
    rows = records(12, today=TODAY)
    rows[3] = {**rows[3], "证书编号": rows[1]["证书编号"]}
    page = data(marked(csv_text(rows).encode(), "a.csv"))
    text = page["E5"].comment.text
    assert text.count("【") >= 2 and "与第 3 行相同" in text


def test_a_row_that_is_wrong_as_a_whole_is_marked_as_a_whole() -> None:
    page = data(marked(books.by_openpyxl([*lines(), lines()[2], ["合计", 12]])))
    for row, words in ((14, "批内记录完全重复，与第 3 行相同"), (15, "合计或备注行")):
        assert words in reasons(page)[row]
        assert all(page.cell(row, column).fill.fill_type for column in range(1, 13))
        assert words in page.cell(row, 1).comment.text


def test_wrong_columns_are_marked_in_the_header() -> None:
    rows = [[*line, "x"] for line in lines()]
    rows[0][4], rows[0][12] = "证书号", "备注"
    made = opened(marked(books.by_openpyxl(rows)))
    page = made.worksheets[1]
    assert "缺少字段“证书编号”" in page["E1"].comment.text
    assert "存在采集标准以外的列（M 列）" in page["M1"].comment.text
    assert page["E1"].fill.fgColor.rgb.endswith(GRAVE[3]["bg_color"][1:])


def test_a_missing_column_is_said_at_the_header_of_the_reasons() -> None:
    page = data(marked(books.by_openpyxl([line[:11] for line in lines()])))
    assert "[exchanged]" in page["L1"].value
    assert "缺少字段“发证机关”" in page["L1"].comment.text


def test_data_in_a_column_without_a_header_is_marked_where_it_begins() -> None:
    page = data(marked(sheet(N5="什么")))
    assert page["N5"].value == "什么" and "N 列" in page["N5"].comment.text
    assert "存在采集标准以外的列" in reasons(page)[5]
    assert "[exchanged]" in page["O1"].value


def test_findings_across_files_name_the_other_file() -> None:
    first, second = csv_text(ROWS[:6]).encode(), csv_text([*ROWS[6:], ROWS[0]]).encode()
    made = annotated(("a.csv", first), ("b.csv", second), at=1)
    assert made is not None
    assert "与“a.csv”第 2 行相同" in reasons(data(made))[8]
    made = annotated(("a.csv", first), ("b.csv", second), at=0)
    assert made is not None and reasons(data(made)) == {}


def test_what_no_check_of_the_sheet_found_is_marked_too() -> None:
    known = {
        "rule": "already-reported",
        "severity": "error",
        "file": 0,
        "column": "证书编号",
        "facts": {},
        "rows": [4, 9],
    }
    scan = {
        "rule": "confirmation-blank",
        "severity": "error",
        "file": None,
        "column": None,
        "facts": {},
        "rows": [None],
    }
    made = opened(marked(sheet(), more=[known, scan]))
    assert reasons(made.worksheets[1]) == {4: "【错误】证书编号：该证书已上报过", 9: "【错误】证书编号：该证书已上报过"}
    assert made.worksheets[1]["E9"].comment is not None
    assert any("扫描件为空白" in str(cell.value) for row in made.worksheets[0].iter_rows() for cell in row)


def test_the_words_are_in_the_language_asked_for() -> None:
    made = opened(marked(sheet(B3="?"), language="en"))
    assert made.worksheets[1]["B3"].comment.text.startswith("(error) not in the code list")
    assert reasons(made.worksheets[1])[3] == "(error) 性别: not in the code list"
    assert made.sheetnames[0] == "Check result"


# Formulas


def test_text_that_begins_like_a_formula_is_text_and_no_link() -> None:
    changed = {f"A{row}": text for row, text in enumerate(FORMULAS, 2)}
    rows = lines()
    for row, text in enumerate(FORMULAS, 1):
        rows[row][0] = text
    made = marked(books.by_xlsxwriter(rows, strings_to_formulas=False))
    page = data(made)
    for place, text in changed.items():
        assert (page[place].value, page[place].data_type, page[place].hyperlink) == (text, "s", None)
        assert page[place].quotePrefix
        assert text == "\tx" or "内容会被当作公式执行" in page[place].comment.text
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        xml = archive.read("xl/worksheets/sheet2.xml")
        assert b"<f>" not in xml and b"<f " not in xml and b"<hyperlink" not in xml


def test_formulas_of_the_clerks_become_their_values() -> None:
    def change(page: Any) -> None:
        page["A3"] = "=1/0"

    page = data(marked(books.by_openpyxl(lines(), change=change)))
    assert (page["A3"].value, page["A3"].data_type) == ("#N/A", "e")
    assert "单元格是公式错误" in page["A3"].comment.text


@pytest.mark.parametrize(
    "text", ["a\x01b", "_x0041_", " 两边 ", "a\nb", "a\r\nb", "<b>&amp;\"'", "\ufffe", "😀" * 9, "张\u3000三"]
)
def test_odd_characters_come_through_as_they_are(text: str) -> None:
    content = csv_text([*ROWS[:2], {**ROWS[2], "姓名": text}], HEADERS)
    made = marked(content.encode(), "a.csv")
    again = marked(made)  # read by our own reader, written once more
    for each in (made, again):
        with zipfile.ZipFile(io.BytesIO(each)) as archive:
            openpyxl.load_workbook(io.BytesIO(each))
            assert b"<is><t" in archive.read("xl/worksheets/sheet2.xml")
    assert found(made) == found(content.encode(), "a.csv")


def test_a_text_longer_than_a_cell_may_be_is_cut() -> None:
    rows = [*ROWS[:2], {**ROWS[2], "鉴定中心": "很😀" * 20_000}]
    value = data(marked(csv_text(rows).encode(), "a.csv"))["K4"].value
    assert len(value.encode("utf-16-le")) // 2 <= 32_767 and value.startswith("很😀很")
