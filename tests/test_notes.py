"""Rows that are no certificates, told by what stands in the column of running numbers or in the first filled field."""

from __future__ import annotations

import io

import pytest

from exchanged.checking import check
from exchanged.standard import notes
from tests.support.books import csv_bytes
from tests.support.checks import Spot, checks, spots
from tests.support.records import HEADERS, records

ROWS = [[row[name] for name in HEADERS] for row in records(2, today="2026-11-20")]
EMPTY = [""] * 12


def found(*below: list[str]) -> list[Spot]:
    lines = [["序号", *HEADERS], *([str(n), *row] for n, row in enumerate(ROWS, 1)), *below]
    return spots(check([("a.csv", io.BytesIO(csv_bytes(lines)))], checks()))


@pytest.mark.parametrize("serial", ["3", "3.", "（3）", "三", "十二", "003", "A3", "3.0", "-", "*", " "])
def test_a_number_without_a_record_is_an_empty_row(serial: str) -> None:
    assert found([serial, *EMPTY], ["", *EMPTY]) == []


@pytest.mark.parametrize(
    "serial",
    [
        "合计",
        "合  计",
        "总计：2",
        "备注",
        "备注：无",
        "填表人",
        "以上数据真实有效",
        "审核：测试甲",
        "Total",
        "注1：见附件",
        "单位（盖章）",
    ],
)
def test_words_among_the_running_numbers_are_a_note(serial: str) -> None:
    assert found([serial, *EMPTY]) == [("total-row", 4, None)]


def test_a_total_with_its_sum_elsewhere_is_one_finding() -> None:
    assert found(["合计", *EMPTY[:4], "2", *EMPTY[5:]]) == [("total-row", 4, None)]


def test_every_note_is_a_finding_and_the_limit_holds_for_all_together() -> None:
    lines = [list(HEADERS), *ROWS, *(["合计", *EMPTY[1:]] for _ in range(50))]
    file = io.BytesIO(csv_bytes(lines))
    result = check([("a.csv", file)], checks(limit=1000))
    assert (len(result.findings), result.counted) == (50, {"total-row": 50})
    assert len(check([("a.csv", file)], checks(limit=30)).findings) == 30


@pytest.mark.parametrize("name", ["注册", "备用", "总务", "合", "张三", "共", "Sumner", "阿卜·买提", "签"])
def test_what_may_be_a_name_begins_no_note(name: str) -> None:
    assert not notes.begins(name)
    assert not notes.label(name, alone=True)
