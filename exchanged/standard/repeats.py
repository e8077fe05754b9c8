"""Rows that stand in a batch twice, or contradict each other: compared over the whole table.

A 64-bit hash finds the candidates; only these few are compared by their text, so an accident of hashing finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.standard.arrow import Bits, Rows, encoded
from exchanged.standard.columns import CODED, TEXTS, Table
from exchanged.standard.fields import BY_KEY
from exchanged.standard.findings import Hitlist
from exchanged.standard.kernels import Keys, hashes
from exchanged.standard.scope import Scope

Groups = npt.NDArray[np.int64]

_NO_NUMBER = np.uint64(0xF << 60)  # no packed decimal number begins with F
_KEPT = (
    *("name", "birth_date", "gender", "issue_date", "certificate_number", "serial", "id_number"),
    *("qualification", "listed", "direction", "level", "centre"),
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What comparing needs of a part: keys of certificate numbers, hashes of ID numbers, which cells are right."""

    certificates: Keys
    people: Keys
    ok: dict[str, Bits]


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing found out.

    twice: rows whose certificate number stands in an earlier row. again: rows whose ID number stands in others too,
    and `person` a number for each that only equal ones share. certificates: the packed numbers of all rows, meaningful
    where they are right; `ordered` are the same, sorted.
    """

    twice: Rows
    again: Rows
    person: Groups
    certificates: Keys
    ordered: Keys


_ROWS, _KEYS = np.zeros(0, np.int64), np.zeros(0, np.uint64)
_NOTHING = Compared(_ROWS, _ROWS, _ROWS, _KEYS, _KEYS)


class Repeats:
    """Gathers the keys of part after part, then compares."""

    def __init__(self, table: Table, hits: Hitlist) -> None:
        self._table = table
        self._hits = hits
        self._seen: list[_Seen] = []

    def add(self, scope: Scope, certificates: Keys) -> None:
        """Remember a part. `certificates` are the packed numbers, 0 where a number is wrong."""
        people = _hashes(scope, "id_number")
        other = np.flatnonzero(certificates == 0)
        keys = certificates
        if len(other):
            keys = certificates.copy()
            keys[other] = (_hashes(scope, "certificate_number")[other] ^ people[other]) | _NO_NUMBER
        ok = {key: scope.ok[key] for key in _KEPT}
        ok["birth_date"] = ok["birth_date"] & scope.ok["birth_agrees"]
        ok["gender"] = ok["gender"] & scope.ok["gender_agrees"]
        self._seen.append(_Seen(keys, people, ok))

    def compare(self) -> Compared:
        """Note every row that repeats or contradicts an earlier one."""
        if not self._seen:
            return _NOTHING
        certificates = np.concatenate([seen.certificates for seen in self._seen])
        ordered: Keys = np.sort(certificates)
        twice = self._same_certificate(_repeated(certificates, ordered))
        at = np.flatnonzero(self.ok("id_number"))
        people = np.concatenate([seen.people for seen in self._seen])[at]
        rows = at[_repeated(people, np.sort(people))]
        person = groups(self._table.texts("id_number", rows))
        if len(rows):
            self._awards(rows, person, np.append(twice, self._conflicts(rows, person)))
        return Compared(twice, rows, person, certificates, ordered)

    def ok(self, key: str, rows: Rows | None = None) -> Bits:
        """Which cells of a column are right, of all rows or of some."""
        whole = np.concatenate([seen.ok[key] for seen in self._seen])
        return whole if rows is None else whole[rows]

    def _same_certificate(self, rows: Rows) -> Rows:
        """Note duplicates among the candidates, and give the rows noted."""
        if not len(rows):
            return rows
        number = groups(self._table.texts("certificate_number", rows))
        record = combined([number, *(self._column(key, rows) for key in (*CODED, "name", "id_number"))])
        same = _later(record)
        self._note("duplicate-record", None, rows, same, record)
        number = np.where(self.ok("certificate_number", rows), number, -1 - np.arange(len(rows)))
        other = _later(number) & ~same
        self._note("duplicate-certificate", "certificate_number", rows, other, number)
        return rows[same | other]

    def _column(self, key: str, rows: Rows) -> Groups:
        if key in TEXTS:
            return groups(self._table.texts(key, rows))
        return self._table.codes(key, rows).astype(np.int64)

    def _conflicts(self, rows: Rows, person: Groups) -> Rows:
        """Note rows whose name, birth date or gender is not that of the person's first row which has it right; gives
        them, since whose awards they are is not known."""
        noted = np.zeros(len(rows), np.bool_)
        for key in ("name", "birth_date", "gender"):
            kept = np.flatnonzero(self.ok(key, rows))
            if not len(kept):
                continue
            value, first = self._column(key, rows[kept]), _first(person[kept])
            differs = (value != value[first]) & ~noted[kept]
            at = kept[differs]
            noted[at] = True
            self._point("id-conflict", "id_number", rows[at], rows[kept[first[differs]]], {"field": BY_KEY[key].name})
        return rows[noted]

    def _awards(self, rows: Rows, person: Groups, twice: Rows) -> None:
        fields = ("qualification", "direction", "level")
        right = np.logical_and.reduce([self.ok(key, rows) for key in (*fields, "listed")])
        rows, person = rows[right], person[right]
        award = combined([person, *(self._column(key, rows) for key in fields)])
        self._note("same-award-twice", "id_number", rows, _later(award) & ~np.isin(rows, twice), award)

    def _note(self, rule: str, column: str | None, rows: Rows, which: Bits, group: Groups) -> None:
        at = np.flatnonzero(which)
        self._point(rule, column, rows[at], rows[_first(group)[at]], {})

    def _point(self, rule: str, column: str | None, rows: Rows, firsts: Rows, facts: dict[str, str]) -> None:
        """Note rows, each with the place of the earlier row."""

        def with_first(nth: int) -> dict[str, str | int]:
            file, row = self._table.place(int(firsts[nth]))
            here, _ = self._table.place(int(rows[nth]))
            return {"first": row} | ({"first_file": file + 1} if file != here else {}) | facts

        self._hits.add(rule, column, rows, with_first)


def _hashes(scope: Scope, key: str) -> Keys:
    if key in scope.part.texts:
        return hashes(scope.part.texts[key].column)
    return np.zeros(len(scope.part), np.uint64)


def _repeated(keys: Keys, ordered: Keys) -> Rows:
    """The positions of all keys that stand more than once; `ordered` are the same keys, sorted."""
    return np.flatnonzero(among(keys, ordered[1:][ordered[1:] == ordered[:-1]]))


def among(keys: Keys, some: Keys) -> Bits:
    """Which keys are among a few sorted ones."""
    if not len(some):
        return np.zeros(len(keys), np.bool_)
    found: Bits = some[np.minimum(np.searchsorted(some, keys), len(some) - 1)] == keys
    return found


def groups(texts: pa.StringArray) -> Groups:
    """Equal texts, equal numbers."""
    return encoded(texts)[1].astype(np.int64)


def combined(columns: Sequence[Groups]) -> Groups:
    """Equal rows over all columns, equal numbers."""
    whole = columns[0]
    for column in columns[1:]:
        whole = np.unique(whole, return_inverse=True)[1]
        part = np.unique(column, return_inverse=True)[1]
        whole = whole * (int(part.max(initial=0)) + 1) + part
    return whole


def _first(group: Groups) -> Groups:
    """For every place the first place with the same number."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return first[inverse]


def _later(group: Groups) -> Bits:
    """Which places have an earlier one with the same number."""
    later: Bits = _first(group) != np.arange(len(group))
    return later
