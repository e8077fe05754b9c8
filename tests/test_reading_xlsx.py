"""xlsx workbooks of many writers: the fast scan and the exact reader must agree cell by cell."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanged.batch import Kind
from exchanged.reading import scan, xlsx
from exchanged.reading.bytescan import Unusual
from tests.support import books
from tests.support.books import HEADERS, row, table
from tests.support.taken import Taken, take

DATE = dt.date(1990, 3, 7)


class NoScan(scan.Scanner):
    def blocks(self, blocks: Iterable[bytes]) -> Iterator[scan.Block]:
        raise Unusual


class OnlyScan(scan.Scanner):
    def blocks(self, blocks: Iterable[bytes]) -> Iterator[scan.Block]:
        try:
            yield from super().blocks(blocks)
        except Unusual as error:
            raise AssertionError("the scan gave up") from error


def both(data: bytes, fast: bool = True) -> Taken:
    """Reads by the scan (which must not give up where `fast`) and exactly, and asserts that nothing differs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xlsx, "Scanner", NoScan)
        exactly = take(data)
        patch.setattr(xlsx, "Scanner", OnlyScan if fast else scan.Scanner)
        scanned = take(data)
    assert scanned == exactly
    return scanned


def with_row(values: dict[int, Any]) -> list[list[Any]]:
    """Header and one row with some values replaced."""
    line: list[Any] = row(1)
    for index, value in values.items():
        line[index] = value
    return [list(HEADERS), line]


@pytest.mark.parametrize(
    "write", [books.by_openpyxl, books.by_xlsxwriter, lambda r: books.by_xlsxwriter(r, inline=True)]
)
def test_every_writer_gives_the_same_rows(write: Any) -> None:
    got = both(write(table(300)))
    assert got.findings == ()
    assert got.numbers == list(range(2, 302))
    assert [got.texts[key][6] for key in got.texts] == row(7)


def test_kinds_of_cells_are_told_apart() -> None:
    moment = dt.datetime(2018, 5, 11, 8, 30)
    line = with_row({1: None, 2: DATE, 3: moment, 4: 1864010000200001, 5: 201, 6: 1.1e17, 9: 0.5})
    line[1][7], line[1][8] = True, "#N/A"
    got = both(books.by_openpyxl(line))
    assert got.cell(2, "name") == (Kind.TEXT, "测试1")
    assert got.cell(2, "gender") == (Kind.EMPTY, None)
    assert got.cell(2, "birth_date") == (Kind.DATE, "1990-03-07")
    assert got.cell(2, "issue_date") == (Kind.DATE, "2018-05-11 08:30:00")
    assert got.cell(2, "certificate_number") == (Kind.NUMBER, "1864010000200001")
    assert got.cell(2, "id_type") == (Kind.NUMBER, "201")
    assert got.cell(2, "id_number") == (Kind.NUMBER, "1.1e+17")
    assert got.cell(2, "qualification") == (Kind.BOOL, "TRUE")
    assert got.cell(2, "direction") == (Kind.ERROR, None)
    assert got.cell(2, "level") == (Kind.NUMBER, "0.5")


def test_a_formula_is_its_stored_value_and_an_uncomputed_one_is_told() -> None:
    got = both(books.by_openpyxl(with_row({8: "=A1", 9: "=1+3"})))
    assert got.cell(2, "direction") == (Kind.FORMULA, None)
    book = books.by_xlsxwriter(with_row({}))
    cell = b'<c r="J2" t="str"><f>"4"</f><v>4</v></c>'
    stored = books.patched(book, "xl/worksheets/sheet1.xml", lambda x: replace_cell(x, b"J2", cell))
    assert both(stored).cell(2, "level") == (Kind.TEXT, "4")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b'<c r="J2"><f>NOW()</f></c>', (Kind.FORMULA, None)),
        (b'<c r="J2"><f>NOW()</f><v/></c>', (Kind.FORMULA, None)),
        (b'<c r="J2"><f>X</f><v>0</v></c>', (Kind.FORMULA, "0")),
        (b'<c r="J2" s="1" t="n"><f>X</f><v>-0.0</v></c>', (Kind.FORMULA, "0")),
        (b'<c r="J2"><f t="shared" si="0"/><v>0E5</v></c>', (Kind.FORMULA, "0")),
        (b'<c r="J2" t="str"><f>X</f><v>0</v></c>', (Kind.TEXT, "0")),
        (b'<c r="J2" t="b"><f>X</f><v>0</v></c>', (Kind.BOOL, "FALSE")),
        (b'<c r="J2"><v>0</v></c>', (Kind.NUMBER, "0")),
        (b'<c r="J2"><f>NOW()</f><v></v></c>', (Kind.FORMULA, None)),
        (b'<c r="J2" t="str"><f>X</f><v></v></c>', (Kind.EMPTY, None)),
        (b'<c r="J2" t="str"><f>X</f></c>', (Kind.FORMULA, None)),
        (b'<c r="J2" t="e"><f>X</f><v>#REF!</v></c>', (Kind.ERROR, None)),
        (b'<c r="J2" t="e"><v>#N/A</v></c>', (Kind.ERROR, None)),
        (b'<c r="J2" t="b"><v>0</v></c>', (Kind.BOOL, "FALSE")),
        (b'<c r="J2" t="d"><v>2018-05-11T00:00:00</v></c>', (Kind.DATE, "2018-05-11")),
        (b'<c r="J2"><v>3.0</v></c>', (Kind.NUMBER, "3")),
        (b'<c r="J2" t="n"><v>1.8640100002E15</v></c>', (Kind.NUMBER, "1864010000200000")),
        (b'<c r="J2"><f t="shared" si="0"/><v>4</v></c>', (Kind.NUMBER, "4")),
        (b'<c r="J2" cm="1"><v>4</v></c>', (Kind.NUMBER, "4")),
        (b'<c r="J2" t="inlineStr"><is><t>a&amp;b&#10;c&#x4e00;</t></is></c>', (Kind.TEXT, "a&b\nc一")),
        (b'<c r="J2" t="inlineStr"><is><t xml:space="preserve"> 4 </t></is></c>', (Kind.TEXT, " 4 ")),
        (b'<c r="J2" t="inlineStr"><is><t>_x000D_4_x005F_</t></is></c>', (Kind.TEXT, "\r4_")),
        (b'<c r="J2" t="inlineStr"><is><t></t></is></c>', (Kind.EMPTY, None)),
        (b'<c r="J2" t="inlineStr"/>', (Kind.EMPTY, None)),
        (b'<c r="J2"/>', (Kind.EMPTY, None)),
        (b'<c r="J2"></c>', (Kind.EMPTY, None)),
    ],
)
def test_a_cell_may_be_written_like_this(cell: bytes, value: tuple[Kind, str | None]) -> None:
    book = books.patched(
        books.by_xlsxwriter(with_row({})), "xl/worksheets/sheet1.xml", lambda x: replace_cell(x, b"J2", cell)
    )
    assert both(book).cell(2, "level") == value


@pytest.mark.parametrize(
    "cell",
    [
        b'<c t="str"><v>4</v></c>',
        b"<c r='J2' t='str'><v>4</v></c>",
        b'<c t="str" r="J2"><v>4</v></c>',
        b'<c r="J2" t="str">\n  <v>4</v>\n</c>',
        b'<c r="J2" t="str"><v xml:space="preserve">4</v></c>',
        b'<c r="J2" t="str"><v><![CDATA[4]]></v></c>',
        b'<c r="J2" t="inlineStr"><is><r><t>4</t></r></is></c>',
        b'<c r="J2" t="inlineStr"><is><t>4</t><rPh sb="0" eb="1"><t>si</t></rPh></is></c>',
        b'<c r="J2" t="str" \n><v>4</v></c>',
    ],
)
def test_what_the_scan_does_not_know_is_read_exactly(cell: bytes) -> None:
    book = books.patched(
        books.by_xlsxwriter(with_row({})), "xl/worksheets/sheet1.xml", lambda x: replace_cell(x, b"J2", cell)
    )
    assert both(book, fast=False).cell(2, "level") == (Kind.TEXT, "4")


def replace_cell(xml: bytes, place: bytes, cell: bytes) -> bytes:
    start = xml.index(b'<c r="' + place + b'"')
    return xml[:start] + cell + xml[xml.index(b"</c>", start) + 4 :]


def test_empty_rows_and_columns_keep_their_numbers() -> None:
    def change(page: Any) -> None:
        page.insert_rows(1, 4)
        page.insert_rows(8, 3)
        page.insert_cols(1, 2)
        page.row_dimensions[7].hidden = True
        page.column_dimensions["D"].hidden = True

    got = both(books.by_openpyxl(table(5), change=change))
    assert (got.header_row, got.numbers, got.findings) == (5, [6, 7, 11, 12, 13], ())
    assert got.texts["gender"] == ["男"] * 5


def test_formatted_empty_cells_to_the_end_of_the_sheet_are_no_data() -> None:
    far = "".join(f'<row r="{n}" s="1" customFormat="1"><c r="XFD{n}" s="1"/></row>' for n in (3, 500_000, 1_048_576))
    rows = books.inline_row(1, HEADERS) + books.inline_row(2, row(1)) + far
    got = both(books.raw_xlsx(books.sheet_xml(rows)))
    assert (got.numbers, got.findings) == ([2], ())


def test_rows_without_numbers_are_counted() -> None:
    rows = (books.inline_row(1, HEADERS) + books.inline_row(2, row(1))).replace(' r="', ' q="')
    rows = rows.replace('<row q="1"', "<row").replace('<row q="2"', "<row/><row")
    got = both(books.raw_xlsx(books.sheet_xml(rows)), fast=False)
    assert got.numbers == [3]


def test_prefixed_element_names_are_understood() -> None:
    sheet = books.sheet_xml(books.inline_row(1, HEADERS) + books.inline_row(2, row(1)))
    for name in ("worksheet", "sheetData", "row", "c", "is", "t"):
        sheet = (
            sheet.replace(f"<{name}>", f"<x:{name}>")
            .replace(f"<{name} ", f"<x:{name} ")
            .replace(f"</{name}>", f"</x:{name}>")
        )
    sheet = sheet.replace("xmlns=", "xmlns:x=")
    got = both(books.raw_xlsx(sheet), fast=False)
    assert (got.numbers, got.cell(2, "name")) == ([2], (Kind.TEXT, "测试1"))


def test_rich_text_is_joined_and_phonetic_guides_are_left_out() -> None:
    strings = "".join(f"<si><t>{name}</t></si>" for name in HEADERS)
    strings += (
        "<si><r><rPr><b/></rPr><t>测</t></r><r><t>试</t></r><rPh sb='0' eb='1'><t>ce</t></rPh></si><si/><si><t/></si>"
    )
    cells = "".join(f'<c r="{books.column(i)}1" t="s"><v>{i}</v></c>' for i in range(12))
    rows = f'<row r="1">{cells}</row><row r="2"><c r="A2" t="s"><v>12</v></c><c r="B2" t="s"><v>13</v></c>'
    rows += '<c r="C2" t="s"><v>14</v></c><c r="D2" t="s"><v>0</v></c></row>'
    sst = f'<sst xmlns="{books.MAIN}">{strings}</sst>'
    got = both(books.raw_xlsx(books.sheet_xml(rows), strings=sst))
    assert [got.cell(2, key) for key in ("name", "gender", "birth_date", "issue_date")] == [
        (Kind.TEXT, "测试"), (Kind.EMPTY, None), (Kind.EMPTY, None), (Kind.TEXT, "姓名")]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "shown"),
    [("yyyy-mm-dd", True), ('yyyy"年"m"月"d"日";@', True), ("[$-804]aaaa", True), ("[DBNum1]yyyy", True),
     ("h:mm", True), ("mmm d", True), ("[h]:mm", True), ("0", False), ("General", False), ('"day"0', False),
     ("[Red]0.00", False), ("0.00E+00", False), ("@", False), ("#,##0_);[Red](#,##0)", False),
     ("G/通用格式", False), ("\\d0", False)],
)  # fmt: skip
def test_a_number_is_a_date_when_its_format_shows_one(code: str, shown: bool) -> None:
    def change(page: Any) -> None:
        page["C2"].value = 32939
        page["C2"].number_format = code

    got = both(books.by_openpyxl(table(1), change=change))
    assert got.cell(2, "birth_date") == ((Kind.DATE, "1990-03-07") if shown else (Kind.NUMBER, "32939"))


@pytest.mark.parametrize("number", [14, 31, 57])
def test_built_in_date_formats_of_chinese_office_are_dates(number: int) -> None:
    styles = (
        f'<styleSheet xmlns="{books.MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="{number}"/></cellXfs></styleSheet>'
    )
    rows = (
        books.inline_row(1, HEADERS)
        + '<row r="2"><c r="C2" s="1"><v>32939</v></c><c r="D2" s="0"><v>32939</v></c></row>'
    )
    got = both(books.raw_xlsx(books.sheet_xml(rows), styles=styles))
    assert got.cell(2, "birth_date") == (Kind.DATE, "1990-03-07")
    assert got.cell(2, "issue_date") == (Kind.NUMBER, "32939")


@pytest.mark.parametrize(
    ("serial", "epoch_1904", "text"),
    [("1", False, "1900-01-01"), ("59", False, "1900-02-28"), ("60", False, "1900-02-29"), ("61", False, "1900-03-01"),
     ("43231.354166666664", False, "2018-05-11 08:30:00"), ("43231.9999999999", False, "2018-05-12"),
     ("41769", True, "2018-05-11"), ("0", True, "1904-01-01"), ("2958465", False, "9999-12-31")],
)  # fmt: skip
def test_serials_of_both_calendars(serial: str, epoch_1904: bool, text: str) -> None:
    styles = f'<styleSheet xmlns="{books.MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
    rows = books.inline_row(1, HEADERS) + f'<row r="2"><c r="C2" s="1"><v>{serial}</v></c></row>'
    properties = '<workbookPr date1904="1"/>' if epoch_1904 else ""
    got = both(books.raw_xlsx(books.sheet_xml(rows), styles=styles, properties=properties))
    assert got.epoch_1904 is epoch_1904
    assert got.cell(2, "birth_date") == (Kind.DATE, text)


@pytest.mark.parametrize("serial", ["-5", "0.5", "3000000", "1e300"])
def test_a_serial_of_no_day_stays_a_number(serial: str) -> None:
    styles = f'<styleSheet xmlns="{books.MAIN}"><cellXfs><xf numFmtId="14"/></cellXfs></styleSheet>'
    rows = books.inline_row(1, HEADERS) + f'<row r="2"><c r="C2"><v>{serial}</v></c></row>'
    assert both(books.raw_xlsx(books.sheet_xml(rows), styles=styles)).cell(2, "birth_date")[0] == Kind.NUMBER


def test_the_one_sheet_with_a_header_is_read_hidden_or_not() -> None:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.append(["说明", "请按要求填写"])
    second = book.create_sheet("数据")
    second.sheet_state = "hidden"
    for line in table(2):
        second.append(line)
    book.create_chartsheet("图")
    out = io.BytesIO()
    book.save(out)
    got = both(out.getvalue())
    assert (got.sheet, got.numbers) == ("数据", [2, 3])
    third = book.create_sheet("再")
    third.append(list(HEADERS))
    again = io.BytesIO()
    book.save(again)
    assert take(again.getvalue()).rules == ["sheet-ambiguous"]


def test_data_beside_and_below_the_named_columns() -> None:
    def change(page: Any) -> None:
        page["N3"] = "x"
        page["P2"] = "  "
        page["N4"] = 5

    got = both(books.by_openpyxl(table(3), change=change))
    assert [(f.rule, f.row, dict(f.facts)) for f in got.findings] == [("column-unknown", 3, {"position": "N"})]


def test_rows_with_nothing_in_the_fields_are_dropped() -> None:
    rows = [["序号", *HEADERS, "备注"], ["1", *row(1), None], ["2"], [None] * 14]
    got = both(books.by_openpyxl(rows))
    assert (got.numbers, got.texts[""], got.rules) == ([2, 3], ["1", "2"], ["column-unknown"])


def test_limits_of_rows_and_columns_hold() -> None:
    assert both(books.by_openpyxl(table(10))).findings == ()
    assert take(books.by_openpyxl(table(10)), rows=10).findings == ()
    got = take(books.by_openpyxl(table(11)), rows=10)
    assert (got.rules, dict(got.findings[0].facts)) == (["file-too-large"], {"what": "rows", "limit": 10})
    assert take(books.by_openpyxl([[*HEADERS, *["x"] * 190], row(1)])).rules == ["file-too-large"]


@pytest.mark.parametrize("block", [200, 1000, 4097])
def test_the_size_of_a_block_changes_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[list[Any]] = [list(line) for line in table(50)]
    for line in rows[3::7]:
        line[2], line[4], line[9] = DATE, 1864010000200001, None
    data = books.by_xlsxwriter(rows)
    whole = both(data)
    original = xlsx.Archive.xml
    monkeypatch.setattr(xlsx.Archive, "xml", lambda self, name, size=block: original(self, name, block))
    assert both(data) == whole


VALUES = st.one_of(
    st.none(), st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12), st.booleans(),
    st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False), st.dates(dt.date(1900, 3, 1)),
    st.sampled_from(["=1", "a&b<c>", " x ", "_x000D_", "&#65;", "]]>", "\n", "1e5", "#N/A", "\t", "𠮷", "'"]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=12, max_size=13), max_size=6), st.booleans())
def test_the_scan_and_the_exact_reader_agree_on_anything(lines: list[list[Any]], inline: bool) -> None:
    both(books.by_xlsxwriter([list(HEADERS), *lines], inline=inline))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=9), min_size=12, max_size=12
    )
)
def test_text_comes_back_as_it_was_written(line: list[str]) -> None:
    got = both(books.by_xlsxwriter([list(HEADERS), line, row(1)]))
    found = [got.texts[key][0] for key in got.texts] if got.numbers[0] == 2 else [None] * 12
    assert found == [value or None for value in line]


@pytest.mark.slow
def test_a_workbook_saved_by_libreoffice_reads_the_same(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["标题"], [], ["序号", *HEADERS], *([n, *row(n)] for n in range(1, 50))]
    for line in rows[5:]:
        line[3], line[5] = DATE, 201
    source = books.by_openpyxl(rows)
    got, again = both(source), both(books.by_soffice(source, "xlsx", tmp_path))
    assert again == got
