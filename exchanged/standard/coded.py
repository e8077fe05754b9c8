"""The own checks of the coded columns: every distinct value is judged once, the rows only look it up."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import numpy as np

from exchanged.batch import Checks, Facts
from exchanged.standard import codes, text, verdicts
from exchanged.standard.arrow import Bits, Codes
from exchanged.standard.columns import DATES, EMPTY, FIRST_DATE, UNREADABLE, Words
from exchanged.standard.scope import Scope
from exchanged.standard.verdicts import RIGHT, Active, Verdict, character_fault

_MEANINGLESS = frozenset({"bad-code", "bad-date"})
_SIGNED = re.compile(r"[+-]+[0-9.,]*")  # a number, or a dash for nothing, rather than a formula
_REGISTERED = {"centre": "centre-unregistered", "authority": "authority-unregistered"}


class Column:
    """Verdicts on the values of one coded column, by code."""

    def __init__(self, key: str, words: Words, checks: Checks, active: Active) -> None:
        self.key = key
        self._words = words
        self._active = active
        names = {"centre": checks.centres, "authority": checks.authorities}.get(key, ())
        # people type brackets of either width, and mean the same seal
        self._registered = frozenset(text.halfwidth(text.clean(name)) for name in names)
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
        at = np.flatnonzero(self._flagged(column))
        found = column[at]
        for rule, facts in self._facts.items():
            hit = np.flatnonzero(self._bits(facts)[found])
            if len(hit):
                scope.add(rule, self.key, at[hit], _lookup(facts, found[hit]))
        scope.ok[self.key] = right = np.ones(len(column), np.bool_)
        right[at[self._bits(self._wrong)[found]]] = False

    def _flagged(self, column: Codes) -> Bits:
        """Which rows have a value with any verdict but plain right."""
        if self.key in DATES:
            words: Bits = column < FIRST_DATE
            return words
        flags = self._bits([code for facts in self._facts.values() for code in facts])
        few: Bits = column <= UNREADABLE
        return few if not flags[UNREADABLE + 1 :].any() else flags[column]

    def _bits(self, codes: Collection[int]) -> Bits:
        bits = np.zeros(len(self._words), np.bool_)
        bits[list(codes)] = True
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
            rule = "bad-date"
        if rule:
            return self._meaningless(rule, self._words.texts[code])
        if self.key in codes.CODES:
            return RIGHT
        return self._free(self._words.texts[code])

    def _meaningless(self, rule: str, value: str) -> Verdict:
        """What is neither code nor date: because of a character that may not stand in it, or in itself."""
        fault = None if rule not in _MEANINGLESS or _SIGNED.fullmatch(value) else character_fault(value, self._active)
        return fault or Verdict(rule)

    def _free(self, value: str) -> Verdict:
        verdict = verdicts.free(self.key, value, self._active)
        rule = _REGISTERED.get(self.key)
        known = not rule or not self._registered or text.halfwidth(value) in self._registered
        if verdict.rule or not rule or known or not self._active(rule):
            return verdict
        return Verdict(rule, warnings=verdict.warnings)


def _lookup(facts: dict[int, Facts], found: Codes) -> Callable[[int], Facts]:
    return lambda nth: facts[int(found[nth])]


def numbers(words: Words) -> Codes:
    """The code list's codes as numbers, by the code of the column; 0 for what is none."""
    pairs = zip(words.texts, words.rules, strict=True)
    return np.array([int(text) if rule is None and text else 0 for text, rule in pairs], np.int32)
