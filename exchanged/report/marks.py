"""Which cells of one spreadsheet are wrong and what is said about each, as columns: however many, it stays small.

Takes   what a check found in all files of a batch, which file, and where that file has its fields
Gives   `Marks`, in the order of rows, graver ones first, then in the order of fields
Redo    it only computes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exchanged.batch import Facts, Finding, Severity
from exchanged.messages import clean, rule_text, text
from exchanged.report.document import named
from exchanged.standard.columns import Table
from exchanged.standard.fields import BY_KEY, BY_NAME, FIELDS
from exchanged.standard.findings import Hitlist
from exchanged.standard.rules import RULES

WHOLE = -1  # the column of a mark that is about its whole row
GRAVITY = {Severity.WARN: 1, Severity.HOLD: 2, Severity.ERROR: 3}
REMEMBERED = 10_000
_ORDER = {one.key: one.order for one in FIELDS}

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Kind:
    """Findings of one rule, severity and field (its Chinese name); the facts are the same, or those of the n-th one."""

    rule: str
    severity: Severity
    column: str | None
    facts: Facts | Callable[[int], Facts] = field(default_factory=dict)


@dataclass(slots=True)
class Marks:
    """Entry by entry: row number, 0-based column of the sheet or WHOLE, gravity, which kind, the n-th of that kind.

    `general` are the kinds that have no place in the sheet.
    """

    kinds: list[Kind]
    general: list[Kind]
    rows: Ints
    columns: Ints
    gravity: Ints
    which: Ints
    nth: Ints
    names: Sequence[str]
    language: str
    _said: dict[object, tuple[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, first: int, last: int) -> range:
        """The entries of some rows, both ends included."""
        start, end = np.searchsorted(self.rows, [first, last + 1]).tolist()
        return range(start, end)

    def kind(self, entry: int) -> Kind:
        """What kind of finding an entry is."""
        return self.kinds[int(self.which[entry])]

    def sentence(self, entry: int) -> str:
        """What is said about an entry."""
        return self._texts(entry)[0]

    def reason(self, entry: int) -> str:
        """The same with its severity and field, as the reason column has it."""
        return self._texts(entry)[1]

    def _texts(self, entry: int) -> tuple[str, str]:
        """Both, remembered: most entries of a kind say the same."""
        which = int(self.which[entry])
        kind = self.kinds[which]
        same = not callable(kind.facts)
        facts = kind.facts if isinstance(kind.facts, Mapping) else kind.facts(int(self.nth[entry]))
        key = which if same else (which, *facts.items())
        found = self._said.get(key)
        if found is None:
            if len(self._said) > REMEMBERED:
                self._said.clear()
            severity = text(f"severity.{kind.severity}", self.language)
            said = rule_text(kind.rule, kind.column, named(facts, self.names), self.language)
            whole = text("book.said", self.language, severity=severity, column=kind.column, message=said)
            found = self._said[key] = (said, whole)
        return found

    def counts(self) -> dict[str, int]:
        """How many findings each severity has."""
        found = {str(severity): int((self.gravity == weight).sum()) for severity, weight in GRAVITY.items()}
        for kind in self.general:
            found[str(kind.severity)] += 1
        return found

    def by_rule(self) -> list[tuple[str, Severity, int, list[str]]]:
        """Rule, severity, how many and in which fields: the gravest first, before others what is wrong with the file or
        its columns as a whole, then the most frequent."""
        total = np.bincount(self.which, minlength=len(self.kinds)).tolist()
        found: dict[tuple[str, Severity], tuple[int, list[str]]] = {}
        for kind, count in [*zip(self.kinds, total, strict=True), *((kind, 1) for kind in self.general)]:
            before, columns = found.get((kind.rule, kind.severity), (0, []))
            more = [kind.column] if kind.column and kind.column not in columns else []
            found[kind.rule, kind.severity] = (before + count, columns + more)
        whole = {key for key in found if RULES[key[0]].scope in ("file", "confirmation")}
        order = sorted(found, key=lambda key: (-GRAVITY[key[1]], key not in whole, -found[key][0]))
        return [(*key, *found[key]) for key in order if found[key][0]]

    def sample(self, each: int, most: int) -> list[int]:
        """Entries in order: the first ones of every rule, then from the top, at most so many."""
        rules = {rule: at for at, rule in enumerate(dict.fromkeys(kind.rule for kind in self.kinds))}
        of_kind = np.array([rules[kind.rule] for kind in self.kinds], np.int32)[self.which]
        first = [np.flatnonzero(of_kind == at)[:each] for at in range(len(rules))]
        taken = np.zeros(len(self), np.bool_)
        for some in first:
            taken[some[: max(0, most - int(taken.sum()))]] = True
        taken[np.flatnonzero(~taken)[: most - int(taken.sum())]] = True
        return [int(at) for at in np.flatnonzero(taken)]


class Collector:
    """Gathers the marks of one file."""

    def __init__(self, names: Sequence[str], fields: Mapping[str, int], language: str) -> None:
        self._names, self._fields, self._language = [clean(name) for name in names], fields, language
        self._kinds: list[Kind] = []
        self._general: list[Kind] = []
        self._parts: list[tuple[Ints, int, Ints, int]] = []  # rows, column, which of its kind each is, order

    def add(self, kind: Kind, rows: Ints, column: int, nth: Ints | None = None) -> None:
        """Findings of one kind: row numbers, and their column in the sheet."""
        if len(rows):
            order = _ORDER[BY_NAME[kind.column].key] if kind.column in BY_NAME else 0
            self._parts.append((rows, column, np.arange(len(rows), dtype=np.int32) if nth is None else nth, order))
            self._kinds.append(kind)

    def hits(self, hits: Hitlist, table: Table, file: int) -> None:
        """What was found in the records of a file, by its index."""
        mine = [at for at, part in enumerate(table.parts) if part.file == file]
        if not mine:
            return
        start, end = table.starts[mine[0]], table.starts[mine[-1] + 1]
        numbers = np.concatenate([table.parts[at].numbers for at in mine]).astype(np.int32)
        for one in hits.hits:
            inside = np.flatnonzero((one.rows >= start) & (one.rows < end)).astype(np.int32)
            column = BY_KEY[one.column].name if one.column else None
            kind = Kind(one.rule, hits.severity(one.rule), column, one.facts)
            self.add(kind, numbers[one.rows[inside] - start], self._place(one.column), inside)

    def finding(self, finding: Finding, column: int | None) -> None:
        """One finding with its own place: a column, or none for the whole row."""
        kind = Kind(finding.rule, finding.severity, finding.column, finding.facts)
        if finding.row is None:
            self._general.append(kind)
        else:
            self.add(kind, np.array([finding.row], np.int32), WHOLE if column is None else column)

    def group(
        self, rule: str, severity: Severity, column: str | None, facts: Facts, rows: Sequence[int | None]
    ) -> None:
        """Findings that were not made by a check, such as those of the history."""
        kind = Kind(rule, severity, column, facts)
        placed = [row for row in rows if row is not None]
        self._general += [kind] * (len(rows) - len(placed))
        key = BY_NAME[column].key if column in BY_NAME else None
        self.add(kind, np.array(placed, np.int32), self._place(key))

    def _place(self, key: str | None) -> int:
        return WHOLE if key is None else self._fields.get(key, WHOLE)

    def marks(self) -> Marks:
        """All of them, in order."""
        sizes = [len(rows) for rows, *_ in self._parts]

        def column(values: Sequence[int]) -> Ints:
            return np.repeat(np.array(values, np.int32), sizes)

        rows = np.concatenate([np.zeros(0, np.int32), *(rows for rows, *_ in self._parts)])
        nth = np.concatenate([np.zeros(0, np.int32), *(nth for _, _, nth, _ in self._parts)])
        gravity = column([GRAVITY[kind.severity] for kind in self._kinds])
        order = np.lexsort((column([each for *_, each in self._parts]), -gravity, rows))
        return Marks(
            self._kinds,
            self._general,
            rows[order],
            column([place for _, place, *_ in self._parts])[order],
            gravity[order],
            column(range(len(sizes)))[order],
            nth[order],
            self._names,
            self._language,
        )
