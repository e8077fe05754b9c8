"""Screening: what is right row by row and yet unlikely. Here within one batch, on whole columns.

Takes   the rows of a batch, compared with each other (`repeats`)
Gives   hits, warnings unless configured otherwise; or marks, so that the ledger need not compare the rows once more
Law     `exchanged.ledger.screening` asks the same of the batch together with what was reported; without a history both
        find the same. Days are counted apart: two awards lie within N days when their difference is less than N

many-awards  A person's awards in the order of their days, then of the rows. One finding a person, at the first award
             with which more than the threshold lie within 365 days; `count` is the most that lie within 365 days.
level-jump   The same order within one qualification, whatever its direction, on one day the lower level first. One
             finding for each award that is two levels or more above the one before it, within the threshold's days.
daily-burst  One finding a centre and day, at the first certificate over the threshold.
serial-gap   Certificates of one prefix (11 digits) by their serials: one finding for each that more than the threshold
             are missing before. Where a prefix begins is no gap.

A field that failed its own check is left out, and a row whose certificate number stands in an earlier row: that one
certificate is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from exchanged.batch import Facts
from exchanged.standard.arrow import Bits, Rows
from exchanged.standard.coded import numbers
from exchanged.standard.columns import Table
from exchanged.standard.findings import Hitlist
from exchanged.standard.index import Mark
from exchanged.standard.kernels import Keys, day_numbers
from exchanged.standard.repeats import Compared, Repeats, among, combined

YEAR = 365  # days within which the awards of one person are counted
STEPS = 2  # levels that are too many at once

_SERIAL = np.uint64(0xFFFFF)  # the last five digits of a packed number
_PREFIX = np.uint64(20)
_DAY = np.int64(1 << 32)
_CELLS = 1 << 22


class Screening:
    """The rules of scope `screen` on one batch, whose rows have been compared."""

    def __init__(
        self, table: Table, hits: Hitlist, thresholds: Mapping[str, int], repeats: Repeats, compared: Compared
    ) -> None:
        self._table, self._hits, self._thresholds = table, hits, thresholds
        self._repeats, self._compared = repeats, compared

    def note(self) -> None:
        """Note what each rule finds."""
        if not len(self._table):
            return
        for rule, find in (
            ("many-awards", self._many_awards),
            ("level-jump", self._level_jump),
            ("daily-burst", self._daily_burst),
            ("serial-gap", self._serial_gap),
        ):
            if self._hits.active(rule):
                find()

    def marks(self) -> npt.NDArray[np.uint8]:
        """A byte of `Mark` for every row."""
        marks = np.zeros(len(self._table), np.uint8)
        for mark, rows in ((Mark.WRONG, self._hits.error_rows()), (Mark.TWICE, self._compared.twice)):
            marks[rows] |= mark.value
        marks[self._compared.again] |= Mark.AGAIN.value
        if self._hits.active("serial-gap") and len(marks) and len(serials := self._serials()):
            far, edge = self._far(serials), np.ones(1, np.bool_)
            counted = self._counted("serial")
            for mark, some in ((Mark.FIRST, (edge, far)), (Mark.LAST, (far, edge))):
                marks[counted & among(self._compared.certificates, serials[np.concatenate(some)])] |= mark.value
        return marks

    def _counted(self, *keys: str) -> Bits:
        """The rows that are counted, with these fields right."""
        counted: Bits = np.logical_and.reduce([self._repeats.ok(key) for key in keys])
        counted[self._compared.twice] = False
        return counted

    # --- people ---------------------------------------------------------------------------------------------------

    def _awards(self, *keys: str) -> tuple[Rows, Rows, Rows]:
        """Rows of people who have several, who they are, and the days of issue."""
        kept = self._counted("issue_date", *keys)[self._compared.again]
        rows = self._compared.again[kept]
        person = combined([self._compared.person[kept], self._table.codes("id_type", rows).astype(np.int64)])
        return rows, person, day_numbers(self._table.codes("issue_date", rows))

    def _many_awards(self) -> None:
        limit = self._thresholds["many-awards"]
        rows, person, day = self._awards()
        order = np.lexsort((rows, day, person))
        rows, person, day = rows[order], person[order], day[order]
        at = person * _DAY + day
        count = np.arange(1, len(at) + 1) - np.searchsorted(at, at - (YEAR - 1), side="left")
        over = np.flatnonzero(count > limit)
        if not len(over):
            return
        first = np.unique(person[over], return_index=True)[1]
        most = np.maximum.reduceat(count[over], first)
        self._hits.add("many-awards", "id_number", rows[over[first]], _facts(limit, count=most))

    def _level_jump(self) -> None:
        rows, person, day = self._awards("qualification", "level")
        level = numbers(self._table.words["level"])[self._table.codes("level", rows)].astype(np.int64)
        group = combined([person, self._table.codes("qualification", rows).astype(np.int64)])
        order = np.lexsort((rows, -level, day, group))
        rows, group, level, day = rows[order], group[order], level[order], day[order]
        steps, days = level[:-1] - level[1:], day[1:] - day[:-1]
        jump = (group[1:] == group[:-1]) & (steps >= STEPS) & (days < self._thresholds["level-jump-days"])
        later = np.flatnonzero(jump) + 1

        def facts(nth: int) -> Facts:
            at = int(later[nth])
            file, row = self._table.place(int(rows[at - 1]))
            here, _ = self._table.place(int(rows[at]))
            other = {"first": row} | ({"first_file": file + 1} if file != here else {})
            return {"steps": int(steps[at - 1]), "days": int(days[at - 1])} | other

        self._hits.add("level-jump", "id_number", rows[later], facts)

    # --- numbers --------------------------------------------------------------------------------------------------

    def _daily_burst(self) -> None:
        limit = self._thresholds["daily-burst"]
        rows = np.flatnonzero(self._counted("centre", "issue_date"))
        if len(rows) <= limit:
            return
        pair = _dense(self._table.codes("issue_date")[rows], self._table.codes("centre")[rows])
        if int(pair.max()) < _CELLS:
            sizes = np.bincount(pair)
        else:
            pair, sizes = np.unique(pair, return_inverse=True, return_counts=True)[1:]
        many = np.flatnonzero(sizes[pair] > limit)
        if not len(many):
            return
        many = many[np.argsort(pair[many], kind="stable")]
        starts = np.flatnonzero(np.append(True, np.diff(pair[many]) != 0))
        over = many[starts + limit]
        self._hits.add("daily-burst", "centre", rows[over], _facts(limit, count=sizes[pair[over]]))

    def _serials(self) -> Keys:
        """The packed numbers whose serials are counted, sorted."""
        counted = self._repeats.ok("serial")
        if counted.all():
            return self._compared.ordered
        return np.sort(self._compared.certificates[counted])

    def _far(self, serials: Keys) -> Bits:
        """Between which neighbours more are missing than the threshold, or the prefix changes."""
        limit, before, after = self._thresholds["serial-gap"], serials[:-1], serials[1:]
        far: Bits = after - before > np.uint64(limit)  # decimal digits, packed, lie no nearer than their numbers do
        at = np.flatnonzero(far)
        same = before[at] >> _PREFIX == after[at] >> _PREFIX
        far[at] = ~same | (serial_of(after[at]) - serial_of(before[at]) - 1 > limit)
        return far

    def _serial_gap(self) -> None:
        limit, serials = self._thresholds["serial-gap"], self._serials()
        at = np.flatnonzero(self._far(serials)) if len(serials) else np.zeros(0, np.int64)
        at = at[serials[at] >> _PREFIX == serials[at + 1] >> _PREFIX] if len(at) else at
        if not len(at):
            return
        after = serials[at + 1]
        missing = serial_of(after) - serial_of(serials[at]) - 1
        rows = np.flatnonzero(self._counted("serial") & among(self._compared.certificates, after))
        which = np.searchsorted(after, self._compared.certificates[rows])
        self._hits.add("serial-gap", "certificate_number", rows, _facts(limit, missing=missing[which], side="before"))


def serial_of(keys: Keys) -> npt.NDArray[np.int64]:
    """The last five digits of packed numbers, as numbers."""
    rest, out = (keys & _SERIAL).astype(np.int64), np.zeros(len(keys), np.int64)
    for place in range(5):
        out += (rest >> (4 * place) & 15) * 10**place
    return out


def _dense(days: npt.NDArray[np.int32], groups: npt.NDArray[np.int32]) -> Rows:
    """Pairs of a group and a day as numbers, equal for equal pairs and small where there are few."""
    first = int(days.min())
    there = np.bincount(days - first) > 0
    nth = np.cumsum(there) - 1
    return groups.astype(np.int64) * int(there.sum()) + nth[days - first]


def _facts(limit: int, **facts: Rows | str) -> Callable[[int], Facts]:
    """Facts with the limit; those that are a column by row."""

    def facts_of(nth: int) -> Facts:
        own = {name: value if isinstance(value, str) else int(value[nth]) for name, value in facts.items()}
        return {**own, "limit": limit}

    return facts_of
