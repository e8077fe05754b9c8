"""certificates.csv: the normalised table, its digest, and the index of its records."""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections.abc import Iterable
from typing import Any

import pytest

from exchanged.checking import check, table
from tests.support.checks import TODAY, checks, one, run, sheet
from tests.support.records import HEADERS, csv_text, records

ROWS = records(40, today=TODAY)


def written(*files: tuple[str, io.BytesIO], **over: Any) -> bytes:
    return b"".join(table(files, checks(**over)))


def normalised(rows: Iterable[dict[str, str]], **over: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written(sheet(rows), **over).decode(), newline="")))


def test_the_table_is_the_rows_in_the_standards_order_with_crlf() -> None:
    assert written(sheet(ROWS)).decode() == csv_text(ROWS)


def test_column_order_does_not_matter() -> None:
    assert written(sheet(ROWS, headers=HEADERS[::-1])) == written(sheet(ROWS))


def test_normalising_is_silent_and_complete() -> None:
    dirty = {
        "姓名": "\u200b阿依古丽•买买提\u3000",
        "性别": "男性",
        "出生日期": "１９９０年３月７日",
        "发证日期": "2026.11.1 00:00:00",
        "证书编号": "２６14000000100001",
        "证件类型": "二代身份证",
        "证件号码": "11000019900307001x ",
        "职业资格": " 社会体育\n指导员",
        "职业方向": "—",
        "技能等级": "三级/高级工",
        "鉴定中心": "某某  中心",
        "发证机关": "e\u0301厅（局）",
    }
    assert normalised([dirty])[1] == [
        "阿依古丽·买买提",
        "1",
        "1990-03-07",
        "2026-11-01",
        "2614000000100001",
        "201",
        "11000019900307001X",
        "社会体育指导员",
        "无",
        "3",
        "某某 中心",
        "é厅（局）",
    ]


def test_a_name_keeps_its_characters() -> None:
    compatibility = "\ufa11"  # NFC leaves it, but not the next one
    replaced = "\uf91d"
    assert unicodedata.normalize("NFC", replaced) != replaced
    row = normalised([one(姓名=f"{replaced}{compatibility}")])[1]
    assert row[0] == f"{replaced}{compatibility}"


def test_placeholders_of_no_direction_are_configured() -> None:
    assert normalised([one(职业方向="-")])[1][8] == "无"
    assert normalised([one(职业方向="空")], direction_placeholders=("空",))[1][8] == "无"
    assert normalised([one(职业方向="—")], direction_placeholders=("空",))[1][8] == "—"


@pytest.mark.parametrize("value", ['某"某"中心', "某,中心", '",', "中心"])
@pytest.mark.parametrize("field", ["鉴定中心", "姓名", "证件号码"])
def test_quotes_stand_only_where_they_are_needed(value: str, field: str) -> None:
    rows = [ROWS[0], one(**{field: value}), ROWS[2]]
    assert written(sheet(rows)).decode() == csv_text(rows)


def test_the_table_is_what_the_check_digested() -> None:
    rows = [*ROWS, one(出生日期="x", 鉴定中心="a,b", 性别="?"), {}, one(姓名='"')]
    checked = run(rows)
    data = written(sheet(rows))
    assert checked.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert checked.size == len(data)


def test_files_are_taken_in_the_order_of_their_names() -> None:
    files = [sheet(ROWS[20:], "二月.csv"), sheet(ROWS[:20], "一月.csv")]
    assert check(files, checks()).digest == run(ROWS).digest
    assert [f.name for f in check(files, checks()).files] == ["一月.csv", "二月.csv"]


def test_the_same_files_give_the_same_result_again() -> None:
    files = [sheet(ROWS)]
    assert check(files, checks()) == check(files, checks())


def test_the_index_is_made_only_when_asked_for() -> None:
    assert run(ROWS).index == b""
