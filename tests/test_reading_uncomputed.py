"""Formulas that nobody computed: programs that write workbooks leave that to Excel, and store a number meanwhile."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from exchanged.batch import Kind
from tests.support import books
from tests.support.marked import checked, data, found, lines, marked, reasons
from tests.support.records import HEADERS
from tests.support.taken import take

CORPUS = Path(__file__).parent / "corpus" / "files"
TEXTS = ("职业方向", "鉴定中心", "发证机关")
PLANTED = [("formula-error", 4, name) for name in TEXTS]


def workbook(rows: list[list[Any]], at: dict[tuple[int, int], str], **stored: Any) -> bytes:
    """An xlsx with formulas at some places (from 0), as XlsxWriter writes them: with the value 0."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    page = book.add_worksheet("数据")
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for r, line in enumerate(rows):
        for c, value in enumerate(line):
            if (r, c) in at:
                page.write_formula(r, c, at[r, c], day if HEADERS[c % 12].endswith("日期") else None, **stored)
            elif isinstance(value, str):
                page.write_string(r, c, value)
            else:
                page.write(r, c, value)
    book.close()
    return out.getvalue()


def planted() -> bytes:
    rows = lines()
    places = [HEADERS.index(name) for name in TEXTS]
    return workbook(rows, {(3, c): f'="{rows[3][c]}"' for c in places})


def test_a_formula_that_xlsxwriter_wrote_is_an_error_in_every_field() -> None:
    rows = lines()
    source = workbook(rows, {(3, c): f'="{rows[3][c]}"' for c in range(12)})
    assert found(source) == [("formula-error", 4, name) for name in HEADERS]


def test_texts_of_formulas_that_were_computed_are_taken() -> None:
    rows = lines()
    source = workbook(rows, {(3, 10): '="x"'}, value=rows[3][10])
    assert (found(source), checked(source).digest) == ([], checked(books.by_xlsxwriter(rows)).digest)


@pytest.mark.parametrize("ending", ["xls", "ods"])
def test_it_stays_one_when_libreoffice_saves_it(ending: str, tmp_path: Path) -> None:
    source = planted()
    assert found(source) == PLANTED
    assert found(books.by_soffice(source, ending, tmp_path), f"a.{ending}") == PLANTED


def test_running_numbers_and_rows_of_nothing_else_may_be_formulas() -> None:
    rows = [["序号", *lines()[0]], *([None, *line] for line in lines()[1:]), [None] * 13, [None] * 13]
    source = workbook(rows, {(r, 0): "=ROW()-1" for r in range(1, 15)})
    right = checked(books.by_xlsxwriter(lines()))
    assert (found(source), checked(source).digest) == ([], right.digest)


def test_the_annotated_workbook_marks_it_and_has_it_again() -> None:
    made = marked(planted())
    page = data(made)
    for name in TEXTS:
        cell = page.cell(4, HEADERS.index(name) + 1)
        assert (cell.value, cell.data_type, cell.fill.fgColor.rgb) == ("#N/A", "e", "FFFFD9D6")
        assert "公式" in cell.comment.text
    assert reasons(page)[4].count("单元格是公式错误") == 3
    assert found(made) == PLANTED


def test_numbers_of_other_cells_stand_in_the_annotated_workbook_as_they_were() -> None:
    rows = [["共", None, *[None] * 11], ["序号", *lines()[0]], *([None, *line] for line in lines()[1:])]
    rows[5][2] = "?"
    source = workbook(rows, {(0, 1): "=COUNT(A:A)", **{(r, 0): "=ROW()-2" for r in range(2, 14)}})
    page = data(marked(source))
    assert (page["B1"].value, page["A3"].value, page["A14"].value) == (0, 0, 0)
    assert reasons(page).keys() == {6}


def xls(change: Callable[[bytes], bytes]) -> bytes:
    """A workbook of JExcelApi's with what it stores for formulas changed."""
    content = (CORPUS / "computed-jxl.xls").read_bytes()
    stored = bytes.fromhex("0000000000001040 0200 0000e0fc")
    assert content.count(stored) == 13
    return content.replace(stored, change(stored))


@pytest.mark.parametrize(
    ("change", "cell"),
    [
        pytest.param(lambda stored: stored, (Kind.FORMULA, "4"), id="JExcelApi's own"),
        pytest.param(lambda stored: bytes(8) + stored[8:], (Kind.FORMULA, "0"), id="zero"),
        pytest.param(lambda stored: bytes(14), (Kind.FORMULA, "0"), id="zero, nothing to be computed"),
        pytest.param(lambda stored: bytes(7) + b"\x80" + bytes(6), (Kind.FORMULA, "0"), id="zero below zero"),
        pytest.param(lambda stored: stored[:8] + bytes(6), (Kind.NUMBER, "4"), id="a four that was computed"),
        pytest.param(lambda stored: b"\2" + bytes(5) + b"\xff\xff" + bytes(6), (Kind.ERROR, None), id="an error"),
    ],
)
def test_what_an_xls_stores_for_a_formula(change: Callable[[bytes], bytes], cell: tuple[Kind, str | None]) -> None:
    got = take(xls(change), "a.xls")
    assert {got.cell(row, "level") for row in range(2, 7)} == {cell}
    assert got.cell(2, "name")[0] == Kind.TEXT


def test_the_annotated_workbook_of_an_xls_has_them_again() -> None:
    source = (CORPUS / "computed-jxl.xls").read_bytes()
    assert len(found(source, "a.xls")) == 13
    assert found(marked(source, "a.xls")) == found(source, "a.xls")
