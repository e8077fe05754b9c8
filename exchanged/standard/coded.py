"""The own checks of the coded columns: every distinct value is judged once, the rows only look it up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from exchanged.batch import Checks, Facts
from exchanged.standard import codes, text, verdicts
from exchanged.standard.columns import DATES, EMPTY, FIRST_DATE, UNREADABLE, Codes, Words
from exchanged.standard.kernels import Bits
from exchanged.standard.scope import Scope
from exchanged.standard.verdicts import RIGHT, Active, Verdict

_REGISTERED = {"centre": "centre-unregistered", "authority": "authority-unregistered"}


class Column:
    """Verdicts on the values of one coded column, by code."""

    def __init__(self, key: str, words: Words, checks: Checks, active: Active) -> None:
        self.key = key
        self._words = words
        self._active = active
        names = {"centre": checks.centres, "authority": checks.authorities}.get(key, ())
        self._registered = frozenset(text.clean(name) for name in names)
        self._facts: dict[str, dict[int, Facts]] = {}
        self._judged = 0
        self._wrong: set[int] = set()

    def check(self, scope: Scope) -> None:
        """Note what is wrong with the column's cells, and which are right."""
        if self.key not in scope.part.codes:
            scope.ok[self.key] = np.zeros(len(scope.part), np.bool_)
            return
        self._judge_new()
        column = scope.part.codes[self.key]
        dates = column >= FIRST_DATE if self.key in DATES else None
        at = np.flatnonzero(~dates) if dates is not None else None
        low = column if at is None else column[at]
        for rule, facts in self._facts.items():
            hit = np.flatnonzero(self._bits(facts)[low])
            if len(hit):
                rows = hit if at is None else at[hit]
                scope.add(rule, self.key, rows, _lookup(facts, low[hit]))
        scope.ok[self.key] = dates if dates is not None else ~self._bits(self._wrong)[column]

    def _bits(self, members: dict[int, Facts] | set[int]) -> Bits:
        bits = np.zeros(len(self._words), np.bool_)
        bits[np.fromiter(members, np.intp, len(members))] = True
        return bits

    def _judge_new(self) -> None:
        for code in range(self._judged, len(self._words)):
            verdict = self._verdict(code)
            if verdict.rule:
                self._wrong.add(code)
                self._facts.setdefault(verdict.rule, {})[code] = verdict.facts
            for rule, facts in verdict.warnings.items():
                self._facts.setdefault(rule, {})[code] = facts
        self._judged = len(self._words)

    def _verdict(self, code: int) -> Verdict:
        rule = self._words.rules[code]
        if code == EMPTY or (code == UNREADABLE and not self._active("formula-error")):
            return Verdict("required")
        if rule == "date-ambiguous" and not self._active(rule):
            return Verdict("bad-date")
        if rule:
            return Verdict(rule)
        if self.key in codes.CODES:
            return RIGHT
        return self._free(self._words.texts[code])

    def _free(self, value: str) -> Verdict:
        verdict = verdicts.free(self.key, value, self._active)
        rule = _REGISTERED.get(self.key)
        if verdict.rule or not rule or not self._registered or value in self._registered or not self._active(rule):
            return verdict
        return Verdict(rule, warnings=verdict.warnings)


def _lookup(facts: dict[int, Facts], found: Codes) -> Callable[[int], Facts]:
    return lambda nth: facts[int(found[nth])]


def numbers(words: Words) -> npt.NDArray[np.int32]:
    """The code list's codes as numbers, by the code of the column; 0 for what is none (`M` is 1, `bad` is 0)."""
    return np.array(
        [
            int(text) if rule is None and text.isdigit() else 0
            for text, rule in zip(words.texts, words.rules, strict=True)
        ],
        np.int32,
    )
