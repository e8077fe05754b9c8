"""What the check of a batch and its comparison with the history say together.

Takes   the result of the check, what the ledger found, the severities in force
Gives   the facts to record with `validated`; and before sealing, what a correction corrects
Redo    it only computes
Ends    Refused when a finding of either rejects the batch, all findings of both with it; NotYet while a batch that a
        correction corrects is on its way; Held when one of them was undone
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from exchanged.batch import Checks, Finding, Severity
from exchanged.errors import Held, NotYet, Refused
from exchanged.ledger import Comparison, Entries, Ledger, Question, Record
from exchanged.standard import rules
from exchanged.states import UNDONE, State

SCOPES = ("history", "screen")
HELD = 20  # places of findings that wait for a person, recorded for `show`
ORPHAN = "confirmation-orphan"
_NOWHERE: Mapping[str, Any] = {"sheet": None, "row": None, "column": None, "facts": {}}
SOON = 10.0  # seconds until it looks again whether what came before it has been checked: that may just have happened
LOOK = 300.0  # seconds until a correction looks again whether what it corrects has been delivered, unless it is woken


def question(checks: Checks, corrects: bool) -> Question:
    """What to ask the ledger: by every rule that is not switched off."""
    asked = [rule.name for rule in rules.RULES.values() if rule.scope in SCOPES]
    active = [name for name in asked if rules.severity(name, checks.severity) is not Severity.OFF]
    return Question(corrects, frozenset(active), checks.thresholds)


@dataclass(frozen=True, slots=True)
class Examined:
    """A batch that has been checked, and is still to be compared. `facts` are those that stand whatever that finds."""

    result: Mapping[str, Any]
    facts: Mapping[str, Any]
    entries: Entries
    question: Question
    severity: Mapping[str, str]

    def judge(self, found: Comparison) -> dict[str, Any]:
        """The facts of a batch that goes on. Raises Refused, with what check and comparison found."""
        result = self._merged(found)
        summary = result["summary"]
        if summary["error"]:
            raise Refused(*(as_finding(one) for one in result["findings"]), result=result)
        corrects = {} if found.corrects is None else {"corrects": found.corrects}
        held = [*self._held(result)]
        facts = {**self.facts, "warnings": summary["by_rule"], "holds": summary["hold"], **corrects}
        return {**facts, "held": held} if held else facts

    def _held(self, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Where the first findings stand that a person must release: rule, spreadsheet (from 1), row and column."""
        number = {(file["name"], file["sheet"]): at for at, file in enumerate(result["files"], 1)}
        holds = (one for one in result["findings"] if one["severity"] == Severity.HOLD.value)
        for one in islice(holds, HELD):
            place = {"sheet": number.get((one["file"], one["sheet"])), "row": one["row"], "column": one["column"]}
            yield {"rule": one["rule"], **{key: value for key, value in place.items() if value is not None}}

    def _merged(self, found: Comparison) -> dict[str, Any]:
        """The check's result with what the comparison found: counts added up, findings in the order of the rows."""
        by_rule = {**self.result["summary"]["by_rule"], **found.counts}
        levels = {level: self.result["summary"].get(level, 0) for level in ("error", "hold", "warn")}
        for rule, count in found.counts.items():
            levels[rules.severity(rule, self.severity).value] += count
        files = {(file["name"], file["sheet"]): at for at, file in enumerate(self.result["files"])}

        def place(one: Mapping[str, Any]) -> tuple[bool, int, int]:
            return one["row"] is not None, files.get((one["file"], one["sheet"]), 0), one["row"] or 0

        return {
            **self.result,
            "findings": sorted([*self.result["findings"], *self._findings(found)], key=place),
            "summary": {**levels, "by_rule": {rule: by_rule[rule] for rule in rules.RULES if rule in by_rule}},
        }

    def _findings(self, found: Comparison) -> Iterator[dict[str, Any]]:
        for one in found.places:
            file = self.result["files"][one.file]
            yield {
                "rule": one.rule,
                "severity": rules.severity(one.rule, self.severity).value,
                "file": file["name"],
                "sheet": file["sheet"],
                "row": one.row,
                "column": rules.RULES[one.rule].fields[0],
                "facts": dict(one.facts),
            }


def compared(finding: Finding) -> bool:
    """Whether a finding is about the batch beside others, so that no check of its files alone makes it."""
    return rules.RULES[finding.rule].scope in SCOPES


def as_finding(one: Mapping[str, Any]) -> Finding:
    """A finding of a result as the value that travels."""
    return Finding(
        one["rule"],
        Severity(one["severity"]),
        one["file"],
        one["sheet"],
        one["row"],
        one["column"],
        one.get("facts", {}),
    )


def with_orphans(result: Mapping[str, Any], scans: Sequence[str]) -> dict[str, Any]:
    """A result with a finding for each file that lay there as a scan too many."""
    orphans = [{**_NOWHERE, "rule": ORPHAN, "severity": Severity.ERROR.value, "file": name} for name in scans]
    told, by_rule = result["summary"], dict(result["summary"]["by_rule"])
    if scans:
        by_rule[ORPHAN] = len(scans)
    summary = {**told, "error": told["error"] + len(scans), "by_rule": by_rule}
    return {**result, "findings": [*orphans, *result["findings"]], "summary": summary}


def expect_older(ledger: Ledger, correction: Record) -> None:
    """What came before a correction may be what it corrects. Raises NotYet until that has been checked."""
    for one in ledger.batches(open_only=True):
        if (one.held_from or one.state) is State.CLAIMED and one.ordinal < correction.ordinal:
            raise NotYet("correction.waiting", until=int(time.time() + SOON), other=one.id)


def corrected(ledger: Ledger, batch: Record) -> list[dict[str, str]]:
    """What a correction corrects, as it is recorded; the earlier batches have all been delivered.

    They arrive first, so that what counts in the end is what was validated last. Raises NotYet("correction.waiting"),
    and Held("correction.changed") when a batch that it corrects was undone meanwhile.
    """
    recorded: list[dict[str, str]] | None = batch.facts.get("corrects")
    corrects = ledger.corrected(batch) if recorded is None else recorded
    for one in corrects:
        earlier = ledger.batch(one["batch"])
        if earlier is None or earlier.state in UNDONE:
            raise Held("correction.changed", other=one["batch"])
        if "delivered" not in earlier.facts:
            raise NotYet("correction.waiting", until=int(time.time() + LOOK), other=one["batch"])
    return corrects


def in_full(corrects: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What a correction corrects as the manifest says it: every record's number, not runs of them."""
    return [{"batch": one["batch"], "records": [*_numbers(one["records"])]} for one in corrects]


def _numbers(runs: str) -> Iterator[int]:
    for run in runs.split(","):
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)
