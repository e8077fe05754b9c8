"""The rules of scope history, and what a correction corrects: in the ledger, and from the drop folder to the server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanged.comparison import in_full
from exchanged.ledger import Comparison, Record
from exchanged.states import State
from tests.support.awards import Cert, History, history

RULES = ("already-reported", "conflicts-with-history", "correction-unknown")
ONE, TWO, THREE = (Cert(person=n, serial=n + 1) for n in range(3))


def again(cert: Cert, version: int) -> Cert:
    """The same number with other content."""
    return replace(cert, centre=version)


def spots(comparison: Comparison) -> list[tuple[str, int, Any]]:
    """Rule, row and the earlier batch of every finding of scope history."""
    return [(one.rule, one.row, one.facts.get("batch")) for one in comparison.places if one.rule in RULES]


@pytest.fixture
def past() -> Any:
    with history() as made:
        yield made


def test_a_new_number_is_not_known(past: History) -> None:
    past.enter([ONE])
    assert spots(past.enter([TWO, THREE])[1]) == []


def test_the_same_record_was_reported_and_another_conflicts(past: History) -> None:
    first, _ = past.enter([ONE, TWO])
    assert spots(past.enter([THREE, ONE, again(TWO, 1)])[1]) == [
        ("already-reported", 3, first.id),
        ("conflicts-with-history", 4, first.id),
    ]


@pytest.mark.parametrize("undone", [State.REJECTED, State.WITHDRAWN, State.SUPERSEDED])
def test_what_was_undone_was_not_reported(past: History, undone: State) -> None:
    first, _ = past.enter([ONE, TWO])
    past.ledger.move(first, undone)
    assert spots(past.enter([ONE])[1]) == []
    assert spots(past.enter([again(TWO, 1)], corrects=True)[1]) == [("correction-unknown", 2, None)]


def test_a_correction_must_differ_from_what_it_corrects(past: History) -> None:
    first, _ = past.enter([ONE, TWO])
    _, found = past.enter([again(ONE, 1), TWO, THREE], corrects=True)
    assert spots(found) == [("already-reported", 3, first.id), ("correction-unknown", 4, None)]


def test_a_number_may_be_corrected_again_and_only_its_newest_version_counts(past: History) -> None:
    first, _ = past.enter([ONE])
    second, found = past.enter([again(ONE, 1)], corrects=True)
    assert (spots(found), found.corrects) == ([], [{"batch": first.id, "records": "1"}])
    _, found = past.enter([again(ONE, 1)], corrects=True)
    assert spots(found) == [("already-reported", 2, second.id)]


def test_a_correction_may_go_back_to_an_older_version(past: History) -> None:
    past.enter([ONE])
    second, _ = past.enter([again(ONE, 1)], corrects=True)
    _, found = past.enter([ONE], corrects=True)
    assert (spots(found), found.corrects) == ([], [{"batch": second.id, "records": "1"}])


def test_an_older_version_handed_in_as_new_was_reported_and_is_no_conflict(past: History) -> None:
    first, _ = past.enter([ONE])
    second, _ = past.enter([again(ONE, 1)], corrects=True)
    assert spots(past.enter([ONE])[1]) == [("already-reported", 2, first.id)]
    assert spots(past.enter([again(ONE, 2)])[1])[0] == ("conflicts-with-history", 2, "jx-20260101-0003")
    assert second.id == "jx-20260101-0002"


def test_a_correction_that_was_undone_leaves_what_it_corrected(past: History) -> None:
    first, _ = past.enter([ONE])
    second, _ = past.enter([again(ONE, 1)], corrects=True)
    past.undo(second)
    _, found = past.enter([again(ONE, 1)], corrects=True)
    assert (spots(found), found.corrects) == ([], [{"batch": first.id, "records": "1"}])


def test_what_was_entered_last_is_the_newest_whoever_was_claimed_first(past: History) -> None:
    late = past.claim()
    first, _ = past.enter([ONE])
    corrected, _ = past.enter([again(ONE, 1)], corrects=True)
    entered = enter(past, late, [again(ONE, 2)])
    assert entered.corrects == [{"batch": corrected.id, "records": "1"}]
    assert past.ledger.corrected(past.batch(corrected.id)) == [{"batch": first.id, "records": "1"}]
    assert past.ledger.corrected(past.batch(late.id)) == [{"batch": corrected.id, "records": "1"}]


def enter(past: History, batch: Record, certs: list[Cert]) -> Comparison:
    """Enter a correction that was claimed before."""
    claim, past.claim = past.claim, lambda: batch  # type: ignore[method-assign]
    try:
        return past.enter(certs, corrects=True)[1]
    finally:
        past.claim = claim  # type: ignore[method-assign]


def test_records_are_named_by_their_place_in_the_table(past: History) -> None:
    many = [Cert(person=n, serial=n + 1) for n in range(12)]
    first, _ = past.enter(many[:6])
    second, _ = past.enter(many[6:])
    batch, found = past.enter([again(many[n], 1) for n in (0, 1, 2, 7, 4, 9, 10, 11)], corrects=True)
    assert found.corrects == [{"batch": first.id, "records": "1-3,5"}, {"batch": second.id, "records": "4,6-8"}]
    assert past.ledger.corrected(batch) == found.corrects
    assert in_full(found.corrects) == [
        {"batch": first.id, "records": [1, 2, 3, 5]},
        {"batch": second.id, "records": [4, 6, 7, 8]},
    ]


def test_what_no_batch_has_is_in_no_list(past: History) -> None:
    first, _ = past.enter([ONE])
    _, found = past.enter([TWO, again(ONE, 1)], corrects=True)
    assert found.corrects == [{"batch": first.id, "records": "2"}]
    assert past.enter([THREE])[1].corrects is None, "a batch that corrects nothing says nothing"


def test_a_batch_undone_since_is_left_out_later(past: History) -> None:
    first, _ = past.enter([ONE])
    second, _ = past.enter([TWO])
    batch, _ = past.enter([again(ONE, 1), again(TWO, 1)], corrects=True)
    past.undo(first)
    assert past.ledger.corrected(batch) == [{"batch": second.id, "records": "2"}]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_history_that_is_off_is_silent(rule: str) -> None:
    with history(severity={rule: "off"}) as past:
        past.enter([ONE, TWO])
        told = {one[0] for one in spots(past.enter([ONE, again(TWO, 1)])[1])}
        told |= {one[0] for one in spots(past.enter([THREE], corrects=True)[1])}
    assert told == set(RULES) - {rule}


@dataclass(frozen=True)
class Step:
    """A batch: versions of certificates by their number."""

    versions: dict[int, int]
    corrects: bool
    undone: bool


steps = st.builds(Step, st.dictionaries(st.integers(0, 3), st.integers(0, 2), min_size=1), st.booleans(), st.booleans())


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=6), steps)
def test_the_history_says_what_a_naive_look_says(earlier: list[Step], last: Step) -> None:
    known: dict[int, list[tuple[str, int]]] = {}
    with history() as past:
        for step in earlier:
            batch, _ = past.enter(sheet_of(step), corrects=step.corrects)
            if step.undone:
                past.undo(batch)
                continue
            for number, version in step.versions.items():
                known.setdefault(number, []).append((batch.id, version))
        batch, found = past.enter(sheet_of(last), corrects=last.corrects)
        again_found = past.ledger.corrected(batch)
    naive, corrects = [], {}
    for record, (number, version) in enumerate(last.versions.items(), 1):
        versions = known.get(number, [])
        if versions:
            corrects.setdefault(versions[-1][0], []).append(record)
        rule = naively(versions, version, last.corrects)
        if rule:
            naive.append((rule, record + 1))
    assert [(rule, row) for rule, row, _ in spots(found)] == naive
    full = [{"batch": batch, "records": corrects[batch]} for batch in sorted(corrects)]
    assert in_full(again_found) == full
    assert found.corrects == (again_found if last.corrects else None)


def sheet_of(step: Step) -> list[Cert]:
    return [Cert(person=number, serial=number + 1, centre=version) for number, version in step.versions.items()]


def naively(versions: list[tuple[str, int]], version: int, corrects: bool) -> str | None:
    if corrects:
        if not versions:
            return "correction-unknown"
        return "already-reported" if versions[-1][1] == version else None
    if any(one == version for _, one in versions):
        return "already-reported"
    return "conflicts-with-history" if versions else None
