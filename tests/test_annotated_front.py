"""The first sheet of an annotated workbook, and how the clerk's sheet behind it is to work in."""

from __future__ import annotations

from typing import Any

import openpyxl
import pytest

from exchanged.standard.fields import BY_NAME
from tests.support import books
from tests.support.checks import checks
from tests.support.marked import ROWS, lines, marked, opened, reasons, sheet
from tests.support.records import csv_text


def words(made: bytes) -> list[str]:
    """Every text of the first sheet, from the top."""
    return [str(cell.value) for row in opened(made).worksheets[0].iter_rows() for cell in row if cell.value is not None]


def at(text: str, said: list[str]) -> int:
    return next(place for place, each in enumerate(said) if text in each)


def test_it_says_what_to_do_first_then_counts_by_rule_then_places() -> None:
    said = words(marked(sheet(B3="?", B4="?", G5="110000199003070019", A9="李")))
    assert said[0] == "数据校验结果" and "一月.xlsx · Sheet1 · 12 行" in said[1]
    assert said[2] == "不通过：3 处错误，1 处提醒"
    order = [at(text, said) for text in ("这批数据没有报送", "先做这几件事", "标记", "按问题分类", "问题位置")]
    assert order == sorted(order)
    first = said[at("先做这几件事", said) :]
    assert first[1].startswith("1. 不在代码表中（2 处）") and first[2].startswith("2. 身份证校验码错误（1 处）")
    table = said[at("按问题分类", said) :]
    assert table[table.index("不在代码表中（bad-code）") - 4 :][:4] == ["错误", "2", "性别", "B3"]


def test_links_lead_to_the_cells_that_are_wrong() -> None:
    book = opened(marked(sheet(B3="?", G5="110000199003070019", E7=None)))
    front, page = book.worksheets
    places = [cell for row in front.iter_rows(max_col=1) for cell in row if cell.hyperlink]
    assert [cell.value for cell in places] == ["B3", "G5", "E7"]
    for cell in places:
        assert cell.hyperlink.location == f"'{page.title}'!{cell.value}" or cell.hyperlink.location.endswith(
            f"!{cell.value}"
        )
        assert page[cell.value].comment is not None


def test_the_sheet_named_in_a_link_is_quoted_where_it_must_be() -> None:
    made = marked(books.by_openpyxl([*lines(), ["合计", 1]], sheet="一月's 数据"))
    front = opened(made).worksheets[0]
    links = {cell.hyperlink.location for row in front.iter_rows() for cell in row if cell.hyperlink}
    assert links == {"'一月''s 数据'!A14"}


def test_the_counts_are_those_of_the_check_whatever_its_limit() -> None:
    said = words(marked(csv_text([{**row, "性别": "?"} for row in ROWS]).encode(), "a.csv", depends=checks(limit=2)))
    assert said[2] == "不通过：12 处错误"


def test_a_spreadsheet_in_which_nothing_is_wrong_says_where_the_trouble_is() -> None:
    said = words(marked(sheet()))
    assert "见同一文件夹里的 report.html" in said[2] and not any("先做这几件事" in text for text in said)
    said = words(marked(sheet(), given_back=False))
    assert said[2] == "这份表格没有发现错误"


def test_it_never_holds_a_row_that_could_be_a_header() -> None:
    wrong = {f"{column}{row}": "?" for column in "ABCDEFGHIJ" for row in range(2, 14)}
    for row in opened(marked(sheet(**wrong))).worksheets[0].iter_rows():
        assert sum(cell.value in BY_NAME for cell in row) <= 1


def test_no_value_of_a_cell_stands_in_it() -> None:
    secret = "甲乙丙丁@测试"
    said = " ".join(words(marked(sheet(A3=secret, H3=secret, K5=secret, L6="=" + secret))))
    assert secret not in said and ROWS[0]["证件号码"] not in said


# The clerk's sheet


def test_the_header_stays_in_sight_and_every_column_can_be_filtered() -> None:
    rows = [["采集表"], ["单位"], *lines()]
    page = opened(marked(books.by_openpyxl(rows))).worksheets[1]
    assert page.freeze_panes == "A4"
    assert page.auto_filter.ref == "A3:M15"
    assert page.print_title_rows == "$3:$3" and page.page_setup.orientation == "landscape"


def test_the_filter_reaches_to_the_last_row_also_past_empty_ones_and_totals() -> None:
    rows = [*lines(), [], [], ["合计", 12]]
    assert opened(marked(books.by_openpyxl(rows))).worksheets[1].auto_filter.ref == "A1:M16"


@pytest.mark.parametrize("place", ["G3", "E4", "B2", "G9"])
def test_what_is_typed_over_a_cell_stays_text(place: str) -> None:
    page = opened(marked(sheet(G3=110101199001011234, B2=5, G9=None))).worksheets[1]
    assert page[place].number_format == "@"
    column = openpyxl.utils.cell.coordinate_from_string(place)[0]
    assert page.column_dimensions[column].width > 1


def test_dates_and_numbers_of_other_columns_keep_their_formats() -> None:
    def change(page: Any) -> None:
        page["A2"], page["B2"] = 123456789012345, 1.5

    rows = [["单号", "金额", *line] if n == 0 else [None, None, *line] for n, line in enumerate(lines())]
    page = opened(marked(books.by_openpyxl(rows, change=change))).worksheets[1]
    assert (page["A2"].value, page["A2"].number_format) == (123456789012345, "0")
    assert (page["B2"].value, page["B2"].number_format) == (1.5, "General")


def test_reasons_are_coloured_by_the_gravest() -> None:
    page = opened(marked(sheet(A3="李", A4="李", B4="?"))).worksheets[1]
    assert reasons(page).keys() == {3, 4}
    assert (page["M3"].font.bold, page["M4"].font.bold) == (False, True)
