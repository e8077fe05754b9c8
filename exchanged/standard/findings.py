"""Collects hits by rule and gives them back as findings, the first ones and the counts of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from exchanged.batch import Facts, Finding, Severity
from exchanged.standard.arrow import Rows
from exchanged.standard.columns import Hits, Table
from exchanged.standard.fields import BY_KEY, FIELDS
from exchanged.standard.rules import RULES, severity

SAMPLE = 20
"""So many findings of every rule are given with their place, where the limit has room for them."""

_GRAVITY = (Severity.ERROR, Severity.HOLD, Severity.WARN)
_ORDER = {field.key: field.order for field in FIELDS}


class Hitlist:
    """Hits as they are found. A rule that is switched off is not active and leaves nothing."""

    def __init__(self, overrides: Mapping[str, str]) -> None:
        self._severity = {rule: severity(rule, overrides) for rule in RULES}
        self.hits: list[Hits] = []

    def active(self, rule: str) -> bool:
        """Is the rule switched on?"""
        return self._severity[rule] is not Severity.OFF

    def severity(self, rule: str) -> Severity:
        """What the rule's findings do."""
        return self._severity[rule]

    def add(
        self,
        rule: str,
        column: str | None,
        rows: Rows,
        facts: Facts | Callable[[int], Facts] | None = None,
        start: int = 0,
    ) -> None:
        """Note these rows (counted from `start`) for a rule, unless it is off."""
        if len(rows) and self.active(rule):
            self.hits.append(Hits(rule, column, rows + start, facts if facts is not None else {}))

    def counts(self) -> dict[str, int]:
        """How many findings each rule has, in the rules' order."""
        total: dict[str, int] = {}
        for hits in self.hits:
            total[hits.rule] = total.get(hits.rule, 0) + len(hits.rows)
        return {rule: total[rule] for rule in RULES if rule in total}

    def error_rows(self) -> Rows:
        """The rows that have a finding which rejects them, each once."""
        wrong = [hits.rows for hits in self.hits if self.severity(hits.rule) is Severity.ERROR]
        return np.unique(np.concatenate(wrong)) if wrong else np.zeros(0, np.int64)

    def chosen(self, limit: int) -> list[tuple[Hits, int]]:
        """At most `limit` hits (0: all) in the order of rows and fields; some of every rule before more of one."""
        if not self.hits:
            return []
        which, nth, rows, ranks = self._flat()
        order = np.lexsort((ranks, rows))
        if 0 < limit < len(order):
            order = order[self._sample(which[order], limit)]
        return [(self.hits[which[at]], int(nth[at])) for at in order.tolist()]

    def _flat(self) -> tuple[Rows, Rows, Rows, Rows]:
        which = np.repeat(np.arange(len(self.hits)), [len(hits.rows) for hits in self.hits])
        nth = np.concatenate([np.arange(len(hits.rows)) for hits in self.hits])
        rows = np.concatenate([hits.rows for hits in self.hits])
        ranks = np.repeat(
            [_ORDER.get(hits.column or "", 0) for hits in self.hits], [len(hits.rows) for hits in self.hits]
        )
        return which, nth, rows, ranks

    def _sample(self, which: Rows, limit: int) -> Rows:
        """Which of the hits in row order: the first of every rule, graver rules before others, then from the top."""
        rules = sorted(self.counts(), key=lambda rule: _GRAVITY.index(self.severity(rule)))
        rank = {rule: at for at, rule in enumerate(rules)}
        rule_of = np.array([rank[hits.rule] for hits in self.hits])[which]
        share = max(1, min(SAMPLE, limit // len(rules)))
        first = np.concatenate([np.flatnonzero(rule_of == at)[:share] for at in range(len(rules))])[:limit]
        taken = np.zeros(len(which), np.bool_)
        taken[first] = True
        taken[np.flatnonzero(~taken)[: limit - len(first)]] = True
        return np.flatnonzero(taken)


def placed(
    hits: Hits, nth: int, table: Table, files: Sequence[tuple[str, str | None]], found: Callable[[str], Severity]
) -> Finding:
    """One hit as a finding. `files` are names and sheets by the file's index."""
    file, row = table.place(int(hits.rows[nth]))
    column = BY_KEY[hits.column].name if hits.column else None
    return Finding(hits.rule, found(hits.rule), *files[file], row, column, hits.facts_of(nth))
