"""One part of the table under examination: its columns, which of its cells are right so far, and where hits go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pyarrow as pa

from exchanged.batch import Facts
from exchanged.standard.arrow import Bits, Codes, Rows, pick
from exchanged.standard.columns import Part
from exchanged.standard.findings import Hitlist
from exchanged.standard.kernels import Keys
from exchanged.standard.verdicts import Verdict


@dataclass(slots=True)
class Scope:
    """`start` is the part's first position in the table. `ok` holds, by column, the cells that passed their own checks.

    A column that the file does not have is in `ok` with no right cell, so nothing is compared with it.
    `numbers` are gender, ID type and level as the numbers of their code lists, 0 where the cell is wrong.
    `certificates` are the certificate numbers, packed, 0 where the cell is wrong.
    """

    part: Part
    start: int
    hits: Hitlist
    ok: dict[str, Bits] = field(default_factory=dict)
    numbers: dict[str, Codes] = field(default_factory=dict)
    certificates: Keys = field(default_factory=lambda: np.zeros(0, np.uint64))

    def codes(self, key: str) -> Codes:
        """A coded column; all zero where the file does not have it."""
        return self.part.codes.get(key, np.zeros(len(self.part), np.int32))

    def add(
        self, rule: str, column: str, where: Bits | Rows, facts: Facts | Callable[[int], Facts] | None = None
    ) -> None:
        """Note a rule for rows given as bits or as positions in the part."""
        rows = np.flatnonzero(where) if where.dtype == np.bool_ else cast(Rows, where)
        self.hits.add(rule, column, rows, facts, self.start)

    def judge(self, column: str, rows: Rows, verdict_of: Callable[[int], Verdict]) -> Bits:
        """Note the verdicts on some rows one by one, and give which of them are right."""
        right = np.ones(len(rows), np.bool_)
        by_rule: dict[str, list[tuple[int, Facts]]] = {}
        for at, row in enumerate(rows.tolist()):
            verdict = verdict_of(row)
            if verdict.rule:
                right[at] = False
                by_rule.setdefault(verdict.rule, []).append((row, verdict.facts))
            for rule, facts in verdict.warnings.items():
                by_rule.setdefault(rule, []).append((row, facts))
        for rule, found in by_rule.items():
            self.add(
                rule, column, np.array([row for row, _ in found], np.int64), [facts for _, facts in found].__getitem__
            )
        return right

    def some(self, key: str, rows: Rows) -> pa.StringArray:
        """Some texts of a text column."""
        return pick(self.part.texts[key].column, rows)
