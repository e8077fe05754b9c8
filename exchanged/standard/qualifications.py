"""职业资格 and 职业方向 against the catalogue in force on 发证日期: every pair of name and time is judged once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from exchanged.standard.arrow import Bits, Rows
from exchanged.standard.catalogue import Catalogue
from exchanged.standard.columns import FIRST_DATE, Words
from exchanged.standard.scope import Scope

_RULES = ("not-in-catalogue", "catalogue-leaving")
_OFFERED = ("ok", "catalogue-leaving")


class Offers:
    """What the catalogue says of the names of one batch. Between two turning days its word does not change."""

    def __init__(self, catalogue: Catalogue, words: Mapping[str, Words]) -> None:
        self._catalogue = catalogue
        self._names, self._directions = words["qualification"], words["direction"]
        self._days = ["1000-01-01", *catalogue.turns]
        self._turns = np.array([_number(day) for day in self._days[1:]], np.int32)
        self._verdicts: dict[int, str] = {}
        self._listed: dict[int, frozenset[str]] = {}
        self.editions: set[str] = set()

    def check(self, scope: Scope) -> None:
        """Note names that are not in the catalogue, or were leaving it, and directions that it does not list."""
        rows = np.flatnonzero(scope.ok["qualification"] & scope.ok["issue_date"])
        names = scope.codes("qualification")[rows]
        times = np.searchsorted(self._turns, scope.codes("issue_date")[rows], side="right")
        pairs = names.astype(np.int64) * len(self._days) + times
        present, which = _present(pairs, len(self._names) * len(self._days))
        verdicts = np.array([self._judged(pair) for pair in present.tolist()], np.str_)
        scope.ok["listed"] = np.ones(len(scope.part), np.bool_)
        for rule in _RULES:
            if rule in verdicts:
                self._note(scope, rule, rows, pairs, (verdicts == rule)[which])
        for at, pair in enumerate(present.tolist()):
            if verdicts[at] in _OFFERED and self._listed[pair]:
                self._check_direction(scope, rows[which == at], self._listed[pair])

    def _judged(self, pair: int) -> str:
        verdict = self._verdicts.get(pair)
        if verdict is None:
            name, day = self._texts(pair)
            verdict = self._verdicts[pair] = self._catalogue.judge(name, day)
            self._listed[pair] = self._catalogue.directions(name, day)
            self.editions |= {self._catalogue.edition(day) or ""} - {""}
        return verdict

    def _texts(self, pair: int) -> tuple[str, str]:
        name, time = divmod(pair, len(self._days))
        return self._names.texts[name], self._days[time]

    def _note(self, scope: Scope, rule: str, rows: Rows, pairs: Rows, where: Bits) -> None:
        pairs = pairs[where]
        if rule == _RULES[0]:
            scope.ok["listed"][rows[where]] = False
            scope.add(
                rule, "qualification", rows[where], lambda nth: self._catalogue.proposal(*self._texts(int(pairs[nth])))
            )
        else:
            scope.add(rule, "qualification", rows[where])

    def _check_direction(self, scope: Scope, rows: Rows, listed: frozenset[str]) -> None:
        rows = rows[scope.ok["direction"][rows]]
        codes = scope.codes("direction")[rows]
        known = [code for code in np.unique(codes).tolist() if self._directions.texts[code] in listed]
        scope.add("direction-unknown", "direction", rows[~np.isin(codes, known)])


def _present(pairs: Rows, size: int) -> tuple[Rows, Rows]:
    """The pairs that occur, and for every row which of them it has."""
    if size > 1 << 20:
        return np.unique(pairs, return_inverse=True)
    place = np.zeros(size, np.int64)
    place[pairs] = 1
    present = np.flatnonzero(place)
    place[present] = np.arange(len(present))
    return present, place[pairs]


def _number(day: str) -> int:
    return max(FIRST_DATE, int(day.replace("-", "")))
