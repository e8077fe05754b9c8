"""Old .xls and ods files, as LibreOffice writes them and as the format allows."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any

import pytest

from exchanged.batch import Kind
from tests.support import books
from tests.support.books import HEADERS, row
from tests.support.taken import take

DATE = dt.date(1990, 3, 7)


def sample() -> bytes:
    """Titles, serial numbers, dates, numbers, booleans, an error, a gap, a stray cell."""
    rows: list[list[Any]] = [["标题"], [], [None, "序号", *HEADERS], *([None, n, *row(n)] for n in range(1, 31))]
    for line in rows[5:]:
        line[4], line[7] = DATE, 201
    rows[6][2] = "䶮𠮷测试"
    rows[8][9] = "=1/0"
    rows[9][11] = True
    rows[12:12] = [[], []]
    rows[20][5] = dt.datetime(2018, 5, 11, 8, 30)
    rows[21] = [*rows[21], None, "x"]
    return books.by_openpyxl(rows)


@pytest.fixture(scope="module", params=["xls", "ods"])
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    ending = str(request.param)
    return ending, books.by_soffice(sample(), ending, tmp_path_factory.mktemp(ending))


@pytest.mark.slow
def test_libreoffice_files_read_like_the_xlsx_they_came_from(converted: tuple[str, bytes]) -> None:
    ending, data = converted
    got, right = take(data, f"a.{ending}"), take(sample())
    assert (got.header_row, got.numbers) == (3, right.numbers)
    assert [(f.rule, f.row, dict(f.facts)) for f in got.findings] == [("column-unknown", 22, {"position": "P"})]
    for key in right.texts:
        changed = {"qualification", "level"}  # LibreOffice computes the formula; ods keeps a boolean as it likes
        if key not in changed:
            assert (key, got.texts[key], got.kinds[key]) == (key, right.texts[key], right.kinds[key])
    assert got.cell(9, "qualification") == (Kind.ERROR, None)


@pytest.mark.slow
def test_a_cut_file_is_unreadable(converted: tuple[str, bytes]) -> None:
    ending, data = converted
    for part in (600, len(data) // 2, len(data) - 600):
        assert take(data[:part], f"a.{ending}").rules == ["file-unreadable"]


@pytest.mark.slow
def test_flipped_bytes_never_raise(converted: tuple[str, bytes]) -> None:
    ending, data = converted
    for at in range(0, len(data), max(1, len(data) // 150)):
        take(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :], f"a.{ending}")


def test_excel_95_asks_for_a_newer_format() -> None:
    bof = struct.pack("<HHHHHH", 0x0809, 8, 0x0500, 5, 0, 0) + struct.pack("<HH", 0x000A, 0)
    got = take(bof.ljust(600, b"\0"), "a.xls")
    assert got.rules == ["file-unreadable"]
    assert got.findings[0].facts["hint"] == "save-as-xlsx"


def ods_cell(attributes: str, text: str = "") -> str:
    paragraph = f"<text:p>{text}</text:p>" if text else ""
    return f"<table:table-cell {attributes}>{paragraph}</table:table-cell>"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (ods_cell('office:value-type="string"', "a<text:s text:c='2'/>b<text:tab/>c<text:line-break/>d"),
         (Kind.TEXT, "a  b\tc\nd")),
        (ods_cell('office:value-type="string"', "a</text:p><text:p>b"), (Kind.TEXT, "a\nb")),
        (ods_cell('office:value-type="string"', "<text:span>测</text:span>试"), (Kind.TEXT, "测试")),
        (ods_cell('office:value-type="string"',
                  "<text:ruby><text:ruby-base>张</text:ruby-base><text:ruby-text>zhang</text:ruby-text></text:ruby>"),
         (Kind.TEXT, "张")),
        (ods_cell('office:value-type="string"', "a") .replace("<text:p>", "<office:annotation><text:p>note</text:p>"
                  "</office:annotation><text:p>"), (Kind.TEXT, "a")),
        (ods_cell('office:value-type="float" office:value="4"', "4级"), (Kind.NUMBER, "4")),
        (ods_cell('office:value-type="date" office:date-value="2018-05-11"', "11日"), (Kind.DATE, "2018-05-11")),
        (ods_cell('office:value-type="date" office:date-value="2018-05-11T08:30:00"'),
         (Kind.DATE, "2018-05-11 08:30:00")),
        (ods_cell('office:value-type="date" office:date-value="2018-05-11T08:29:59.5"'),
         (Kind.DATE, "2018-05-11 08:30:00")),
        (ods_cell('office:value-type="date" office:date-value="2018-05-10T23:59:59.99"'), (Kind.DATE, "2018-05-11")),
        (ods_cell('office:value-type="date" office:date-value="2018-05-11T00:00:00.000001"'),
         (Kind.DATE, "2018-05-11")),
        (ods_cell('office:value-type="date" office:date-value="9999-12-31T23:59:59.99"'),
         (Kind.DATE, "9999-12-31 23:59:59")),
        (ods_cell('office:value-type="float" office:value="0" table:formula="of:=[.A1]"', "0"), (Kind.FORMULA, "0")),
        (ods_cell('office:value-type="float" office:value="0"', "0"), (Kind.NUMBER, "0")),
        (ods_cell('office:value-type="string" table:formula="of:=[.A1]"', "0"), (Kind.TEXT, "0")),
        (ods_cell('office:value-type="boolean" office:boolean-value="true"', "真"), (Kind.BOOL, "TRUE")),
        (ods_cell('office:value-type="string" calcext:value-type="error" table:formula="x"', "#N/A"),
         (Kind.ERROR, None)),
        (ods_cell('table:formula="of:=NOW()"'), (Kind.FORMULA, None)),
        (ods_cell("", "untyped"), (Kind.TEXT, "untyped")),
        (ods_cell(""), (Kind.EMPTY, None)),
    ],
)  # fmt: skip
def test_cells_of_an_ods(cell: str, value: tuple[Kind, str | None]) -> None:
    content = books.ods_row(HEADERS) + books.ods_row(row(1)[:9], "", cell)
    assert take(books.ods(content), "a.ods").cell(2, "level") == value


def test_repeated_rows_and_cells_of_an_ods_are_counted() -> None:
    empty = "<table:table-cell/>"
    content = (
        books.ods_row([], ' table:number-rows-repeated="4"', empty)
        + books.ods_row(HEADERS)
        + books.ods_row(row(1), ' table:number-rows-repeated="2"')
        + books.ods_row([], ' table:number-rows-repeated="3"', empty)
        + books.ods_row(row(2)[:10], "", ods_cell('table:number-columns-repeated="2" office:value-type="string"', "同"))
        + books.ods_row([], ' table:number-rows-repeated="1048000"', empty)
    )
    got = take(books.ods(content), "a.ods")
    assert (got.header_row, got.numbers, got.findings) == (5, [6, 7, 11], ())
    assert (got.texts["centre"][2], got.texts["authority"][2]) == ("同", "同")
