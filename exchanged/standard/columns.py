"""The compact table: a batch's rows as small integers and three columns of text, and what was found in them.

Takes   normalised columns, part by part
Gives   codes into the distinct values of each column, texts, positions; never a Python object a row
Law     code 0 is an empty cell, code 1 one that cannot be read (its finding is made already)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from exchanged.batch import Facts
from exchanged.standard import arrow
from exchanged.standard.arrow import Bits, Codes, Rows, encoded, pick
from exchanged.standard.fields import FIELDS
from exchanged.standard.kernels import plain_dates

EMPTY = 0
UNREADABLE = 1
FIRST_DATE = 10_000_000
"""Codes of a date column from here on are the date itself, as the number YYYYMMDD."""

TEXTS = ("name", "certificate_number", "id_number")
DATES = ("birth_date", "issue_date")
CODED = tuple(f.key for f in FIELDS if f.key not in TEXTS)
"""The columns that are kept as codes, dates among them."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a cell's text means: its normalised text, and the rule it breaks if it has no normal form."""

    text: str
    rule: str | None = None


class Words:
    """The distinct values of one coded column over the whole batch; each is normalised once.

    `texts` and `rules` stand by code. Two spellings of one value have one code.
    """

    def __init__(self, mean: Callable[[str], Meaning]) -> None:
        self._mean = mean
        self._code_of: dict[str, int] = {}
        self._known: dict[Meaning, int] = {Meaning(""): EMPTY, Meaning("", "formula-error"): UNREADABLE}
        self.texts = ["", ""]
        self.rules: list[str | None] = [None, "formula-error"]

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, raw: str) -> int:
        """The code of a cell's text."""
        code = self._code_of.get(raw)
        if code is None:
            code = self._code_of[raw] = self._learn(self._mean(raw))
        return code

    def _learn(self, meaning: Meaning) -> int:
        code = self._known.setdefault(meaning, len(self.texts))
        if code == len(self.texts):
            self.texts.append(meaning.text)
            self.rules.append(meaning.rule)
        return code

    def encode(self, column: pa.StringArray) -> Codes:
        """The codes of a column without nulls."""
        values, which = encoded(column)
        return np.array([self.code(raw) for raw in values], np.int32)[which]


class DateWords(Words):
    """The values of a date column: dates stand for themselves, only what is no date is a word."""

    def __init__(self, mean: Callable[[str, bool], Meaning]) -> None:
        self._epoch_1904 = False
        super().__init__(lambda raw: mean(raw, self._epoch_1904))

    def use_epoch(self, epoch_1904: bool) -> None:
        """Read serial numbers in the system of the workbook that comes next."""
        if epoch_1904 != self._epoch_1904:
            self._epoch_1904 = epoch_1904
            self._code_of.clear()

    def encode(self, column: pa.StringArray) -> Codes:
        """Plain dates by their digits, all others once for every distinct text."""
        codes = plain_dates(column)
        rest = np.flatnonzero(codes == 0)
        if len(rest):
            codes[rest] = super().encode(pick(column, rest))
        return codes

    def _learn(self, meaning: Meaning) -> int:
        if meaning.rule is None and meaning.text:
            return int(meaning.text.replace("-", ""))
        return super()._learn(meaning)


@dataclass(frozen=True, slots=True)
class Hits:
    """One rule's findings: the rows (positions in the table), the column's key, and the facts.

    `facts` is the same for all rows, or gives those of the n-th row of `rows`.
    """

    rule: str
    column: str | None
    rows: Rows
    facts: Facts | Callable[[int], Facts] = field(default_factory=dict)

    def facts_of(self, nth: int) -> Facts:
        """The facts of the n-th of these rows."""
        return self.facts(nth) if callable(self.facts) else self.facts


@dataclass(frozen=True, slots=True)
class Texts:
    """One text column of a part.

    plain: the values that need no further look at their characters. unreadable: cells that hold an error. rounded:
    cells that were stored as a number, so that digits may be lost.
    """

    column: pa.StringArray
    plain: Bits
    unreadable: Bits
    rounded: Bits

    def rows(self, rows: Rows) -> Texts:
        """Some of the rows."""
        return Texts(pick(self.column, rows), self.plain[rows], self.unreadable[rows], self.rounded[rows])


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive records of one file, normalised.

    A column that the file does not have is in neither mapping. `numbers` are row numbers as the spreadsheet program
    shows them, `sums` those of total and note rows and `headers` those that repeat the header, which are no records.
    """

    file: int
    numbers: Codes
    codes: Mapping[str, Codes]
    texts: Mapping[str, Texts]
    sums: Codes
    headers: Codes

    def __len__(self) -> int:
        return len(self.numbers)


class Table:
    """All records of a batch in source order. Rows count over all parts."""

    def __init__(self, words: Mapping[str, Words]) -> None:
        self.words = words
        self.parts: list[Part] = []
        self.starts = [0]

    def __len__(self) -> int:
        return self.starts[-1]

    def append(self, part: Part) -> int:
        """Add a part and give the position of its first row."""
        start = self.starts[-1]
        self.parts.append(part)
        self.starts.append(start + len(part))
        return start

    def place(self, position: int) -> tuple[int, int]:
        """The file's index and the row number of a record."""
        at = int(np.searchsorted(self.starts, position, side="right")) - 1
        part = self.parts[at]
        return part.file, int(part.numbers[position - self.starts[at]])

    def codes(self, key: str, rows: Rows | None = None) -> Codes:
        """The codes of a column, of all rows or of some (in ascending order); UNREADABLE where it is missing."""
        return self._gather(lambda part: part.codes.get(key, np.full(len(part), UNREADABLE, np.int32)), rows)

    def _gather(self, of: Callable[[Part], Codes], rows: Rows | None) -> Codes:
        if rows is None:
            pieces = [of(part) for part in self.parts]
        else:
            pieces = [of(part)[local] for part, local in self._split(rows)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int32)

    def texts(self, key: str, rows: Rows) -> pa.StringArray:
        """The texts of some rows (in ascending order) of a text column; "" where it is missing."""
        pieces = [
            pick(part.texts[key].column, local) if key in part.texts else arrow.column([""] * len(local))
            for part, local in self._split(rows)
        ]
        return pa.concat_arrays(pieces) if pieces else arrow.column([])

    def _split(self, rows: Rows) -> Sequence[tuple[Part, Rows]]:
        edges = np.searchsorted(rows, self.starts)
        return [
            (part, rows[edges[at] : edges[at + 1]] - self.starts[at])
            for at, part in enumerate(self.parts)
            if edges[at] < edges[at + 1]
        ]
