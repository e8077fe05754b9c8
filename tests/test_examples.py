"""The tables of `tests/examples`: for each rule what breaks it and nothing else, and what comes near and is right."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from exchanged.checking import check, table
from exchanged.messages import rule_text
from exchanged.standard.rules import RULES
from tests.support.cases import file_of, limits_of, load, rows_of
from tests.support.checks import Spot, checks, sheet, spots

CELLS, ROWS, FILES = map(load, ("cells.yaml", "rows.yaml", "files.yaml"))
SPELLINGS, SENTENCES = map(load, ("spellings.yaml", "sentences.yaml"))
BASE: dict[str, str] = CELLS.pop("base")


def cases(kind: str, tables: Mapping[str, Any] = CELLS) -> list[Any]:
    """Every case of one kind: rule, what the table says of the rule, and the case."""
    return [
        pytest.param(rule, told, case, id=f"{rule}-{number}")
        for rule, told in tables.items()
        for number, case in enumerate(told[kind])
    ]


def place(case: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """Row and column where a finding is expected."""
    row, column = case.get("at", ("null", "null"))
    return None if row == "null" else int(row), None if column == "null" else column


def found(told: Mapping[str, Any], case: Mapping[str, Any]) -> list[Spot]:
    changes = {name: value for name, value in case.items() if name not in ("at", "off")}
    assert not changes.keys() - BASE.keys()
    severity = dict.fromkeys([*told.get("off", ()), *case.get("off", ())], "off")
    return spots(check([sheet([BASE | changes])], checks(severity=severity, **told.get("settings", {}))))


@pytest.mark.parametrize(("rule", "told", "case"), cases("fail"))
def test_what_breaks_a_rule_is_found_once_where_it_stands(rule: str, told: Any, case: Any) -> None:
    assert found(told, case) == [(rule, 2, case.get("at", told.get("column")))]


@pytest.mark.parametrize(("rule", "told", "case"), cases("pass"))
def test_what_only_comes_near_is_right(rule: str, told: Any, case: Any) -> None:
    assert found(told, case) == []


def test_the_row_that_is_changed_is_right() -> None:
    assert found({}, {}) == []


@pytest.mark.parametrize(("rule", "told", "case"), cases("fail", ROWS))
def test_a_row_that_breaks_a_rule_is_found_once(rule: str, told: Any, case: Any) -> None:
    expected = [(rule, *place(case))]
    found = spots(check([sheet(rows_of(case))], checks()))
    assert [spot for spot in found if spot[0] not in case.get("with", ())] == expected
    assert {spot[0] for spot in found} == {rule, *case.get("with", ())}


@pytest.mark.parametrize(("rule", "told", "case"), cases("pass", ROWS))
def test_rows_that_only_come_near_are_right(rule: str, told: Any, case: Any) -> None:
    assert spots(check([sheet(rows_of(case))], checks())) == []


@pytest.mark.parametrize(("rule", "told", "case"), cases("fail", FILES))
def test_a_file_that_breaks_a_rule_has_that_finding_alone(rule: str, told: Any, case: Any) -> None:
    name, content = file_of(case)
    checked = check([(name, io.BytesIO(content))], checks(limits=limits_of(case)))
    assert spots(checked) == [(rule, *place(case))]


@pytest.mark.parametrize(("rule", "told", "case"), cases("pass", FILES))
def test_a_file_that_only_comes_near_is_right(rule: str, told: Any, case: Any) -> None:
    name, content = file_of(case)
    checked = check([(name, io.BytesIO(content))], checks(limits=limits_of(case)))
    assert (spots(checked), checked.valid) == ([], True)


@pytest.mark.parametrize(("scope", "tables"), [("cell", CELLS), ("row", ROWS), ("file", FILES)])
def test_every_rule_has_examples_on_both_sides(scope: str, tables: Mapping[str, Any]) -> None:
    assert list(tables) == [rule.name for rule in RULES.values() if rule.scope == scope]
    assert all(told["fail"] and told["pass"] for told in tables.values())


def spelled() -> Iterator[Any]:
    for field, values in SPELLINGS.items():
        for value, ways in values.items():
            for number, written in enumerate(ways):
                yield pytest.param(field, value, written, id=f"{field}-{value}-{number}")


@pytest.mark.parametrize(("field", "value", "written"), list(spelled()))
def test_every_spelling_is_sent_as_one_value(field: str, value: str, written: str) -> None:
    off = {rule.name: "off" for rule in RULES.values() if len(rule.fields) == 2}  # those that compare two fields
    rows = [BASE | {field: written}]
    assert spots(check([sheet(rows)], checks(severity=off))) == []
    sent = b"".join(table([sheet(rows)], checks())).decode()
    assert next(iter(csv.DictReader(io.StringIO(sent))))[field] == value


@pytest.mark.parametrize("case", SENTENCES, ids=range(len(SENTENCES)))
def test_what_a_clerk_reads_says_how_to_put_it_right(case: Mapping[str, str]) -> None:
    changes = {name: value for name, value in case.items() if name in BASE}
    (finding,) = check([sheet([BASE | changes])], checks()).findings
    for language in ("zh", "en"):
        assert rule_text(finding.rule, finding.column, finding.facts, language) == case[language]
