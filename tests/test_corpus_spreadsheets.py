"""Spreadsheets as clerks and their programs write them: what they say is the same in every format."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from exchanged.checking import Checked, check
from exchanged.standard import codes
from tests.support import books
from tests.support.checks import TODAY, checks, found, one, spots
from tests.support.records import HEADERS, csv_text, records

ROWS = records(12, today=TODAY)
GUIDE = [["性别", "证件类型", "技能等级"], ["1", "201", "1"], ["2", "208", "2"]]
FILES = Path(__file__).parent / "corpus" / "files"
UTF8 = "Text - txt - csv (StarCalc):44,34,76,1"


def checked(content: bytes, name: str = "a.xlsx", **over: Any) -> Checked:
    return check([(name, io.BytesIO(content))], checks(**over))


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets:
        page = book.create_sheet(title)
        for line in rows:
            page.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def lines(rows: list[dict[str, str]] = ROWS) -> list[list[Any]]:
    return [list(HEADERS), *([row[header] for header in HEADERS] for row in rows)]


def typed() -> list[list[Any]]:
    """The rows with cells as people type them: numbers for codes, dates as dates."""
    made = lines()
    for line in made[1:]:
        line[1], line[5], line[9] = int(line[1]), 201.0, float(line[9])
        line[2], line[3] = dt.date.fromisoformat(line[2]), dt.date.fromisoformat(line[3])
    return made


@pytest.fixture(scope="module")
def digest() -> str | None:
    result = checked(csv_text(ROWS).encode(), "a.csv")
    assert result.valid and result.digest
    return result.digest


@pytest.mark.parametrize(
    "write",
    [
        lambda: books.by_openpyxl(lines()),
        lambda: books.by_openpyxl(typed()),
        lambda: books.by_xlsxwriter(typed()),
        lambda: books.by_xlsxwriter(lines(), inline=True),
        lambda: books.by_xlsxwriter(typed(), default_date_format="d.m.yy", date_1904=True),
        lambda: csv_text(ROWS).encode("gb18030"),
        lambda: csv_text(ROWS).encode("utf-16"),
        lambda: csv_text(ROWS).replace(",", "\t").encode("utf-8-sig"),
    ],
)
def test_the_same_data_have_one_digest_whoever_wrote_them(write: Callable[[], bytes], digest: str) -> None:
    result = checked(write())
    assert (spots(result), result.digest) == ([], digest)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["xls", "ods", "xlsx", "csv"])
def test_the_same_data_have_one_digest_when_libreoffice_saves_them(ending: str, tmp_path: Path, digest: str) -> None:
    content = books.by_soffice(books.by_xlsxwriter(typed()), ending, tmp_path, UTF8 if ending == "csv" else "")
    result = checked(content, f"a.{ending}")
    assert (spots(result), result.digest) == ([], digest)


@pytest.mark.parametrize("page", [1252, 936, 0, 65001])
@pytest.mark.parametrize("name", ["tidy", "clerk", "faults"])
def test_the_texts_of_an_xls_are_read_whatever_its_code_page_says(name: str, page: int) -> None:
    right = (FILES / f"{name}-xlwt.xls").read_bytes()
    utf16 = bytes.fromhex("42000200b004")
    assert right.count(utf16) == 1
    before, after = (
        checked(right, "a.xls"),
        checked(right.replace(utf16, utf16[:4] + page.to_bytes(2, "little")), "a.xls"),
    )
    assert (after.rows, after.digest, spots(after)) == (before.rows, before.digest, spots(before))
    assert after.rows >= 12


@pytest.mark.parametrize("place", [0, 1])
def test_a_sheet_that_explains_the_codes_is_no_second_table(place: int) -> None:
    sheets = [("数据", lines())]
    sheets.insert(place, ("字典", GUIDE))
    result = checked(workbook(*sheets))
    assert spots(result) == [] and result.files[0].sheet == "数据"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["xls", "ods"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_sheet_that_explains_the_codes_is_none_in_old_formats_either(place: int, ending: str, tmp_path: Path) -> None:
    sheets = [("数据", lines())]
    sheets.insert(place, ("字典", GUIDE))
    result = checked(books.by_soffice(workbook(*sheets), ending, tmp_path), f"a.{ending}")
    assert spots(result) == [] and result.files[0].sheet == "数据"


@pytest.mark.parametrize("second", [lines(), [["姓名", "性别", "证件号码"], ["测试甲", "1", "x"]]])
def test_two_sheets_of_records_are_ambiguous(second: list[list[Any]]) -> None:
    assert spots(checked(workbook(("一", lines()), ("二", second)))) == [("sheet-ambiguous", None, None)]


def test_sheets_that_only_explain_are_ambiguous_among_themselves() -> None:
    assert spots(checked(workbook(("一", GUIDE), ("二", GUIDE)))) == [("sheet-ambiguous", None, None)]


@pytest.mark.parametrize(
    "note", ["填表人：测试甲", "审核人签字: 测试乙", "制表日期：2026-11-01", "共计 3 人", "单位负责人："]
)
def test_a_line_of_signatures_below_the_data_is_one_finding(note: str) -> None:
    foot = dict.fromkeys(HEADERS, "") | {"姓名": note, "证书编号": "审核人："}
    assert found([*ROWS[:2], foot]) == [("total-row", 4, None)]


def test_a_worksheet_cut_off_after_its_rows_is_damaged() -> None:
    def cut(sheet: bytes) -> bytes:
        return sheet[: sheet.index(b"</sheetData>") + 12]

    content = books.patched(books.by_xlsxwriter(lines()), "xl/worksheets/sheet1.xml", cut)
    assert spots(checked(content)) == [("file-unreadable", None, None)]


def test_rows_after_the_end_of_the_rows_are_not_overlooked() -> None:
    more = f"</sheetData><sheetData>{books.inline_row(50, ['测'])}</sheetData>".encode()

    def double(sheet: bytes) -> bytes:
        return sheet.replace(b"</sheetData>", more)

    content = books.patched(books.by_xlsxwriter(lines()), "xl/worksheets/sheet1.xml", double)
    assert {row for _, row, _ in spots(checked(content))} == {50}


def test_gb18030_bytes_are_read_as_the_standard_of_2022_says() -> None:
    before = csv_text([one(姓名="测龴")])
    content = before.encode("gb18030").replace("龴".encode("gb18030"), b"\xfe\x59")
    result = checked(content, "a.csv")
    assert (spots(result), result.digest) == ([], checked(before.encode(), "a.csv").digest)


def test_a_private_character_stays_one_in_any_encoding() -> None:
    rows = [one(姓名="测\ue863")]
    for encoding in ("gb18030", "utf-8"):
        found_there = spots(checked(csv_text(rows).encode(encoding), "a.csv"))
        assert found_there == [("illegal-character", 2, "姓名")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_without_its_mark_or_in_four_bytes_is_no_accepted_encoding(encoding: str) -> None:
    content = csv_text([one(姓名="一一")] * 3).encode(encoding)
    assert spots(checked(content, "a.csv")) == [("file-encoding", None, None)]


@pytest.mark.parametrize(
    "cells",
    [{"证书编号": "2" * 17}, {"证件号码": "1" * 19}, {"证件号码": "A" * 30, "证件类型": "213"}],
)
def test_too_long_cannot_be_switched_off_by_switching_off_the_form(cells: dict[str, str]) -> None:
    off = {"id-format": "off", "certificate-number-format": "off"}
    assert [rule for rule, _, _ in found([one(**cells)], severity=off)] == ["too-long"]
    assert next(rule for rule, _, _ in found([one(**cells)])) in off


@pytest.mark.parametrize("number", ["2614010001400001", "0", "00", "11000019900307001"])
def test_a_number_of_no_code_is_none(number: str) -> None:
    assert [codes.code(field, number) for field in ("gender", "id_type", "level")] == [None, None, None]
