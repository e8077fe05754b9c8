"""Screening within one batch: what stands out, what does not, and where it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanged.batch import THRESHOLDS
from exchanged.messages import rule_text
from tests.support.awards import SCREEN, Cert, checked, found, once
from tests.support.screened import Told, screened

LOW = {"many-awards": 2, "level-jump-days": 365, "daily-burst": 2, "serial-gap": 100}
SAFETY, SWIMMING, SKIING = 0, 1, 2  # 保安员, 社会体育指导员 with two directions


def side_by_side(*certs: Cert) -> list[Cert]:
    """The certificates with serials one after the other, and levels as they are: no gap among them."""
    return [replace(cert, serial=serial) for serial, cert in enumerate(certs, 1)]


def awards(*days: int, **same: Any) -> list[Cert]:
    """One person's awards on these days, each in another qualification."""
    return side_by_side(*(Cert(day=day, what=what % 8, **same) for what, day in enumerate(days)))


MANY = "many-awards"
MANY_AWARDS: dict[str, tuple[list[Cert], set[Told]]] = {
    "four are not too many": (awards(0, 1, 2, 3), set()),
    "the fifth is": (awards(0, 1, 2, 3, 4), {(MANY, 6, "5 over 4")}),
    "told once, at the first over the limit": (awards(0, 1, 2, 3, 4, 5, 6), {(MANY, 6, "7 over 4")}),
    "in the order of their days": (awards(9, 8, 7, 6, 5), {(MANY, 2, "5 over 4")}),
    "all on one day": (awards(7, 7, 7, 7, 7), {(MANY, 6, "5 over 4")}),
    "the last day of 365": (awards(0, 10, 20, 30, 364), {(MANY, 6, "5 over 4")}),
    "a day later": (awards(0, 10, 20, 30, 365), set()),
    "a window that begins late": (awards(0, 300, 310, 320, 660, 664), {(MANY, 7, "5 over 4")}),
    "two people": (awards(0, 1, 2, 3) + [replace(one, person=1, body=1) for one in awards(0, 1, 2, 3)], set()),
    "one whose kind of ID is wrong": (
        [*awards(0, 1, 2, 3), Cert(day=4, serial=5, what=4, wrong="证件类型")],
        set(),
    ),
    "one number of two kinds of ID": ([*awards(0, 1, 2, 3), Cert(day=4, serial=5, what=4, kind="299")], set()),
    "one without a date": ([*awards(0, 1, 2, 3), Cert(day=4, serial=5, what=4, wrong="发证日期")], set()),
    "one number twice is one certificate": ([*awards(0, 1, 2, 3), Cert(day=4, serial=1, what=0, centre=1)], set()),
}

JUMP = "level-jump"
LEVEL_JUMP: dict[str, tuple[list[Cert], set[Told]]] = {
    "two levels": (side_by_side(Cert(level=5), Cert(level=3, day=100)), {(JUMP, 3, "2 levels in 100 days")}),
    "four levels": (side_by_side(Cert(level=5), Cert(level=1, day=100)), {(JUMP, 3, "4 levels in 100 days")}),
    "one level": (side_by_side(Cert(level=5), Cert(level=4, day=100)), set()),
    "the same level": (side_by_side(Cert(level=3), Cert(level=3, day=100)), set()),
    "two levels down": (side_by_side(Cert(level=3), Cert(level=5, day=100)), set()),
    "364 days": (side_by_side(Cert(level=5), Cert(level=3, day=364)), {(JUMP, 3, "2 levels in 364 days")}),
    "365 days": (side_by_side(Cert(level=5), Cert(level=3, day=365)), set()),
    "rows in another order": (side_by_side(Cert(level=3, day=9), Cert(level=5)), {(JUMP, 2, "2 levels in 9 days")}),
    "step by step": (side_by_side(Cert(level=5), Cert(level=4, day=100), Cert(level=3, day=200)), set()),
    "step by step on one day": (side_by_side(Cert(level=3), Cert(level=5), Cert(level=4)), set()),
    "two levels on one day": (side_by_side(Cert(level=3), Cert(level=5)), {(JUMP, 2, "2 levels in 0 days")}),
    "each jump is told": (
        side_by_side(Cert(level=5), Cert(level=3, day=100), Cert(level=1, day=200)),
        {(JUMP, 3, "2 levels in 100 days"), (JUMP, 4, "2 levels in 100 days")},
    ),
    "the last award counts": (side_by_side(Cert(level=5), Cert(level=4, day=1), Cert(level=3, day=1)), set()),
    "other qualifications": (side_by_side(Cert(level=5, what=SAFETY), Cert(level=3, what=SWIMMING, day=9)), set()),
    "one qualification, two directions": (
        side_by_side(Cert(level=5, what=SWIMMING), Cert(level=3, what=SKIING, day=9)),
        {(JUMP, 3, "2 levels in 9 days")},
    ),
    "other people": (side_by_side(Cert(level=5), Cert(level=3, day=9, person=1)), set()),
    "a level that is wrong": (side_by_side(Cert(level=5), Cert(level=3, day=9, wrong="技能等级")), set()),
    "a name that is wrong": (
        side_by_side(Cert(level=5), Cert(level=3, day=9, wrong="姓名")),
        {(JUMP, 3, "2 levels in 9 days")},
    ),
}

BURST = "daily-burst"


def people(count: int, **same: Any) -> list[Cert]:
    return side_by_side(*(Cert(person=person, **same) for person in range(count)))


DAILY_BURST: dict[str, tuple[list[Cert], set[Told]]] = {
    "as many as allowed": (people(5), set()),
    "one more, told at the first over the limit": (people(6), {(BURST, 7, "6 over 5")}),
    "told once": (people(9), {(BURST, 7, "9 over 5")}),
    "over two days": (people(5) + [replace(one, body=1) for one in people(5, day=1)], set()),
    "over two centres": (people(5) + [replace(one, body=1) for one in people(5, centre=1)], set()),
    "each day and centre": (
        people(6) + [replace(one, body=1) for one in people(7, centre=1)],
        {(BURST, 7, "6 over 5"), (BURST, 13, "7 over 5")},
    ),
    "a centre that is wrong": ([*people(5), Cert(person=9, serial=6, wrong="鉴定中心")], set()),
    "one number twice is one certificate": ([*people(5), Cert(person=9, serial=5)], set()),
}

GAP = "serial-gap"


def serials(*numbers: int, **same: Any) -> list[Cert]:
    return [Cert(person=person, serial=serial, **same) for person, serial in enumerate(numbers)]


SERIAL_GAP: dict[str, tuple[list[Cert], set[Told]]] = {
    "a hundred missing": (serials(1, 102), set()),
    "a hundred and one": (serials(1, 103), {(GAP, 3, "101 before")}),
    "in any order": (serials(500, 1, 250), {(GAP, 2, "249 before"), (GAP, 4, "248 before")}),
    "a prefix that begins late": (serials(5000, 5001), set()),
    "another level is another prefix": (serials(1, level=4) + [Cert(person=5, level=5, serial=900)], set()),
    "another body": ([Cert(serial=1), Cert(person=1, body=1, serial=900)], set()),
    "another year": ([Cert(serial=1, day=200), Cert(person=1, day=300, serial=900)], set()),
    "serial 00000 is none": (serials(0, 300), set()),
    "a number that is wrong": ([*serials(1), Cert(person=1, serial=900, wrong="证书编号")], set()),
    "a number that stands twice": ([*serials(1, 900), Cert(person=9, serial=900)], {(GAP, 3, "898 before")}),
    "up to the last serial": (serials(1, 99_999), {(GAP, 3, "99997 before")}),
    "over the tens": (serials(99, 201), {(GAP, 3, "101 before")}),
}

FIVE_A_DAY = {**THRESHOLDS, "daily-burst": 5}
EXAMPLES = [
    pytest.param(rule, certs, told, thresholds, id=f"{rule}: {name}")
    for rule, table, thresholds in (
        (MANY, MANY_AWARDS, THRESHOLDS),
        (JUMP, LEVEL_JUMP, THRESHOLDS),
        (BURST, DAILY_BURST, FIVE_A_DAY),
        (GAP, SERIAL_GAP, THRESHOLDS),
    )
    for name, (certs, told) in table.items()
]


@pytest.mark.parametrize(("rule", "certs", "told", "thresholds"), EXAMPLES)
def test_what_stands_out_is_told_where_it_stands(
    rule: str, certs: list[Cert], told: set[Told], thresholds: dict[str, int]
) -> None:
    assert {one for one in found(checked(certs, thresholds=dict(thresholds))) if one[0] == rule} == told
    silent = checked(certs, thresholds=dict(thresholds), severity={rule: "off"})
    assert rule not in silent.counted


some = st.builds(
    Cert,
    person=st.integers(0, 2),
    kind=st.sampled_from(("201", "201", "299")),
    day=st.sampled_from((-1, 0, 1, 2, 180, 363, 364, 365, 366, 729)),
    level=st.integers(1, 5),
    what=st.integers(0, 3),
    centre=st.integers(0, 1),
    body=st.integers(0, 1),
    serial=st.sampled_from((0, 1, 2, 3, 101, 102, 103, 104, 204, 205, 999, 1000, 1100, 1101, 99_999)),
    wrong=st.sampled_from(
        (*(None,) * 9, "证件号码", "证件类型", "发证日期", "证书编号", "技能等级", "鉴定中心", "职业资格")
    ),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(some, max_size=14))
def test_columns_find_what_a_naive_look_finds(certs: list[Cert]) -> None:
    naive = screened([cert.award(row) for row, cert in once(certs).items()], LOW)
    assert found(checked(certs, thresholds=LOW)) == naive


def test_files_of_a_batch_are_screened_together() -> None:
    from exchanged.checking import check
    from tests.support.checks import checks, sheet

    halves = side_by_side(Cert(level=5), Cert(level=3, day=9))
    files = [sheet([cert.row()], f"{number}.csv") for number, cert in enumerate(halves)]
    (jump,) = [one for one in check(files, checks()).findings if one.rule == JUMP]
    assert (jump.file, jump.row) == ("1.csv", 2)
    assert dict(jump.facts) == {"steps": 2, "days": 9, "first": 2, "first_file": 1}


@pytest.mark.parametrize("severity", ["error", "hold", "warn"])
def test_a_finding_weighs_what_the_configuration_says(severity: str) -> None:
    every = dict.fromkeys(SCREEN, severity)
    certs = [*awards(0, 1, 2, 3, 4), Cert(level=5, person=1, serial=300), Cert(person=1, level=3, day=9)]
    result = checked([*certs, Cert(person=3, serial=900)], thresholds={**THRESHOLDS, "daily-burst": 1}, severity=every)
    weights = {str(one.severity) for one in result.findings if one.rule in SCREEN}
    assert {one.rule for one in result.findings} >= set(SCREEN)
    assert weights == {severity}
    assert result.severities[severity] >= 4
    assert result.valid is (severity != "error")


SAID = {
    MANY: ({"count": 5, "limit": 4}, "同一人一年内取证过多（365 天内 5 本，界限 4 本）"),
    JUMP: ({"days": 9, "steps": 2, "first": 7}, "技能等级晋升过快（9 天内升 2 级），另一次取证在第 7 行"),
    BURST: ({"count": 6, "limit": 5}, "同一鉴定中心单日发证量异常（当日 6 本，界限 5 本）"),
    GAP: ({"missing": 101, "side": "before", "limit": 100}, "证书流水号不连续（此号之前缺 101 个，界限 100 个）"),
}


@pytest.mark.parametrize("rule", SCREEN)
def test_the_message_says_how_much_and_where(rule: str) -> None:
    facts, said = SAID[rule]
    assert rule_text(rule, None, facts, "zh") == said
    shown = rule_text(rule, None, facts, "en")
    assert all(str(value) in shown for value in facts.values() if value != "before")


def test_a_level_that_jumps_from_another_batch_names_it() -> None:
    said = rule_text(JUMP, None, {"days": 9, "steps": 2, "batch": "jx-20260101-1"}, "zh")
    assert said == "技能等级晋升过快（9 天内升 2 级），另一次取证在批次 jx-20260101-1"
