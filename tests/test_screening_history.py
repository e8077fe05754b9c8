"""Screening of a batch together with what was reported before, in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanged.batch import THRESHOLDS
from tests.support.awards import SCREEN, Cert, checked, found, history, once, screened_in
from tests.support.screened import Award, Told, screened

LOW = {"many-awards": 2, "level-jump-days": 365, "daily-burst": 2, "serial-gap": 100}


@dataclass(frozen=True)
class Step:
    """One batch of a history."""

    certs: tuple[Cert, ...]
    corrects: bool = False
    undone: bool = False


some = st.builds(
    Cert,
    person=st.integers(0, 2),
    kind=st.sampled_from(("201", "201", "299")),
    day=st.sampled_from((0, 1, 2, 180, 363, 364, 365, 366, 729)),
    level=st.integers(1, 5),
    what=st.integers(0, 3),
    centre=st.integers(0, 1),
    serial=st.sampled_from((1, 2, 3, 101, 102, 103, 104, 204, 205, 999, 1000, 1100, 1101)),
)
steps = st.builds(Step, st.lists(some, min_size=1, max_size=5).map(tuple), st.booleans(), st.booleans())
lasts = st.builds(
    Step,
    st.lists(
        st.builds(replace, some, wrong=st.sampled_from((*(None,) * 7, "证件号码", "发证日期", "技能等级", "鉴定中心"))),
        min_size=1,
        max_size=6,
    ).map(tuple),
    st.booleans(),
)


def standing(earlier: list[Step], numbers: set[str]) -> list[Award]:
    """What the history counts: the newest version of each number, of batches that were not undone.

    Of a number that the batch has itself only the serial was used before.
    """
    versions = [cert for step in earlier if not step.undone for cert in once(step.certs).values()]
    newest = {cert.number: cert.award(None) for cert in versions}
    nothing = Award(*(None,) * 7)
    return [replace(nothing, number=n) if n in numbers else award for n, award in newest.items()]


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, max_size=5), lasts)
def test_the_ledger_finds_what_a_naive_look_finds(earlier: list[Step], last: Step) -> None:
    with history(thresholds=LOW) as past:
        for step in earlier:
            batch, _ = past.enter(step.certs, corrects=step.corrects)
            if step.undone:
                past.undo(batch)
        _, comparison = past.enter(last.certs, corrects=last.corrects)
    own = [cert.award(row) for row, cert in once(last.certs).items()]
    reported = standing(earlier, {cert.number for cert in last.certs})
    assert screened_in(comparison) == screened([*reported, *own], LOW)


@settings(max_examples=60, deadline=None)
@given(st.lists(some, min_size=1, max_size=14))
def test_without_a_history_the_ledger_finds_what_the_check_finds(certs: list[Cert]) -> None:
    with history(thresholds=LOW) as past:
        assert screened_in(past.enter(certs)[1]) == found(checked(certs, thresholds=LOW))


def many(*days: int, **same: int) -> list[Cert]:
    """One person's awards in different qualifications; serials side by side."""
    return [Cert(day=day, what=what, serial=what + 1, **same) for what, day in enumerate(days)]


def after(*earlier: list[Cert], then: list[Cert], **over: Any) -> set[Told]:
    """What is told of a batch after these."""
    with history(**over) as past:
        for batch in earlier:
            past.enter(batch)
        return screened_in(past.enter(then)[1])


FIFTH = [Cert(day=4, what=4, serial=5)]
EXAMPLES: dict[str, tuple[list[list[Cert]], list[Cert], set[Told]]] = {
    "the fifth award of a person": ([many(0, 1, 2, 3)], FIFTH, {("many-awards", 2, "5 over 4")}),
    "the fifth from four batches": (
        [[one] for one in many(0, 1, 2, 3)], FIFTH, {("many-awards", 2, "5 over 4")},
    ),
    "the fifth after 365 days": ([many(0, 1, 2, 3)], [replace(FIFTH[0], day=365)], set()),
    "a fifth under another kind of ID": ([many(0, 1, 2, 3)], [replace(FIFTH[0], kind="299")], set()),
    "long ago": (
        [many(-20100, -20099, -20098, -20097)], [replace(FIFTH[0], day=-20090)], {("many-awards", 2, "5 over 4")},
    ),
    "an award that makes later ones too many": (
        [many(10, 11, 12, 13)], [replace(FIFTH[0], day=1)], {("many-awards", 2, "5 over 4")},
    ),
    "an award before and one after the others": (
        [many(10, 11, 12, 13)],
        [Cert(day=1, what=4, serial=5), Cert(day=14, what=5, serial=6)],
        {("many-awards", 3, "6 over 4")},
    ),
    "a person who had too many before, and now none": ([many(0, 1, 2, 3, 4)], [Cert(person=1, serial=9)], set()),
    "a level that rises too fast": (
        [[Cert(level=5)]], [Cert(level=3, day=9)], {("level-jump", 2, "2 levels in 9 days")},
    ),
    "a step between that was reported": (
        [[Cert(level=5)], [Cert(level=4, day=5)]], [Cert(level=3, day=9)], set(),
    ),
    "a step between that is reported now": (
        [[Cert(level=5)], [Cert(level=3, day=9)]], [Cert(level=4, day=5)], set(),
    ),
    "an earlier, lower level reported late": (
        [[Cert(level=3, day=9)]], [Cert(level=5)], {("level-jump", 2, "2 levels in 9 days")},
    ),
    "a jump that the history had already": (
        [[Cert(level=5), Cert(level=2, day=9)]], [Cert(level=4, day=5)], set(),
    ),
    "one centre on one day, over two batches": (
        [[Cert(person=n, serial=n + 1) for n in range(5)]],
        [Cert(person=n, serial=n + 1) for n in range(5, 8)],
        {("daily-burst", 2, "8 over 5")},
    ),
    "a day that becomes full within the batch": (
        [[Cert(person=n, serial=n + 1) for n in range(4)]],
        [Cert(person=n, serial=n + 1) for n in range(4, 7)],
        {("daily-burst", 3, "7 over 5")},
    ),
    "a gap to what was reported": ([[Cert(serial=1)]], [Cert(person=1, serial=300)], {("serial-gap", 2, "298 before")}),
    "a gap that the history fills": (
        [[Cert(serial=150), Cert(serial=220, person=1)]],
        [Cert(person=2, serial=100), Cert(person=3, serial=300)],
        set(),
    ),
    "a gap below what was reported": (
        [[Cert(serial=300)]], [Cert(person=1, serial=1)], {("serial-gap", 2, "298 after")},
    ),
    "a gap below what is corrected": (
        [[Cert(serial=300)]], [Cert(person=1, serial=1), Cert(serial=300, centre=1)], {("serial-gap", 2, "298 after")},
    ),
    "a gap that was told before": ([[Cert(serial=1), Cert(person=1, serial=300)]], [Cert(person=2, serial=2)], set()),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_was_reported_counts(name: str) -> None:
    earlier, then, told = EXAMPLES[name]
    assert after(*earlier, then=then, thresholds={**THRESHOLDS, "daily-burst": 5}) == told


def test_what_was_undone_does_not_count() -> None:
    with history() as past:
        batch, _ = past.enter(many(0, 1, 2, 3))
        past.undo(batch)
        assert screened_in(past.enter(FIFTH)[1]) == set()


def test_a_correction_is_counted_in_place_of_what_it_corrects() -> None:
    with history() as past:
        past.enter(many(0, 1, 2, 3))
        _, same = past.enter([replace(many(0, 1, 2, 3)[3], centre=1)], corrects=True)
        assert screened_in(same) == set()
        _, fifth = past.enter(FIFTH)
        assert screened_in(fifth) == {("many-awards", 2, "5 over 4")}, "four are counted once each"
        moved, _ = past.enter([replace(many(0, 1, 2, 3)[0], person=1)], corrects=True)
        assert screened_in(past.enter([Cert(day=5, what=5, serial=6)])[1]) == {("many-awards", 2, "5 over 4")}
        past.undo(moved)
        assert screened_in(past.enter([Cert(day=6, what=6, serial=7)])[1]) == {("many-awards", 2, "7 over 4")}


def test_the_facts_of_a_jump_name_the_batch_or_the_row_of_the_other_award() -> None:
    with history() as past:
        first, _ = past.enter([Cert(level=5)])
        _, jumped = past.enter([Cert(level=3, day=9), Cert(level=1, day=20)])
    one, two = jumped.places
    assert (one.row, dict(one.facts)) == (2, {"steps": 2, "days": 9, "batch": first.id})
    assert (two.row, dict(two.facts)) == (3, {"steps": 2, "days": 11, "first": 2})


@pytest.mark.parametrize("rule", SCREEN)
def test_a_rule_that_is_off_finds_nothing_and_the_others_go_on(rule: str) -> None:
    certs = [
        *many(0, 1, 2, 3, 4),
        Cert(level=5, person=1),
        Cert(level=3, person=1, serial=900),
        Cert(person=2, serial=400),
    ]
    low = {**THRESHOLDS, "daily-burst": 2}
    with history(thresholds=low, severity={rule: "off"}) as past:
        assert set(past.enter(certs)[1].counts) == set(SCREEN) - {rule}


def test_places_are_a_sample_and_counts_are_whole() -> None:
    certs = [Cert(person=n, level=level, day=day, serial=n + 1) for n in range(1500) for day, level in ((0, 5), (9, 3))]
    with history(severity={"daily-burst": "off"}) as past:
        _, comparison = past.enter(
            [*certs, Cert(person=2000, level=2, serial=1), Cert(person=2001, level=2, serial=900)]
        )
    assert comparison.counts == {"level-jump": 1500, "serial-gap": 1}
    assert len(comparison.places) == 1000
    assert {one.rule for one in comparison.places} == {"level-jump", "serial-gap"}


def test_rules_that_are_switched_off_ask_nothing_of_the_history() -> None:
    certs = [Cert(person=0, day=day, serial=day + 1, what=day) for day in range(3)]
    for off in (("many-awards", "level-jump"), ("daily-burst",), SCREEN):
        rest = [rule for rule in SCREEN if rule not in off]
        with history(thresholds=LOW, severity=dict.fromkeys(off, "off")) as past:
            past.enter(certs[:2])
            counts = past.enter(certs[2:])[1].counts
        assert not set(counts) & set(off)
        assert ("many-awards" in counts) == ("many-awards" in rest)


def test_what_was_reported_before_is_looked_up_and_not_gone_through_for_every_row() -> None:
    """Twice the rows take twice the instructions of the database: four times as many were minutes for a large batch."""
    taken = []
    for rows in (400, 800):
        with history() as past:
            ones = [Cert(person=number, serial=number + 1) for number in range(rows)]
            past.enter(ones)
            past.enter([replace(one, serial=one.serial + rows, what=1) for one in ones])
            counted = [0]
            past.ledger._writer.set_progress_handler(lambda counted=counted: counted.append(0), 1000)
            past.enter(ones)
            past.ledger._writer.set_progress_handler(None, 1000)
            taken.append(len(counted))
    assert taken[1] < 3 * taken[0]
