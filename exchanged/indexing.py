"""What the ledger is told of a batch: an entry for every record, hashed. Made in the confined child, part by part.

Takes   the parts of the table as they were checked, and the lines that will be sent
Gives   the index as `exchanged.standard.index` lays it out: about 108 bytes a record, held once
Redo    it only computes
Ends    never by a cell: what failed its own check is left out of its entry
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.standard import arrow
from exchanged.standard.arrow import Codes
from exchanged.standard.columns import Table
from exchanged.standard.index import FIELDS, NEVER, NO_DAY, NOBODY, TERM, ended
from exchanged.standard.kernels import Keys, day_numbers
from exchanged.standard.scope import Scope
from exchanged.standard.screening import serial_of

_TYPES = ("<u4", "<u2", "u1", "u1", "<i4", *("<u4",) * 4, f"V{TERM}", f"V{TERM}", f"V{len(NOBODY)}")
_ENTRY = np.dtype(list(zip(FIELDS, _TYPES, strict=True)))  # as `index.ENTRY` packs it
_PREFIX = np.uint64(20)
_WORDS = ("qualification", "centre")


class Index:
    """The entries of a batch in the making."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._entries = bytearray()
        self._terms: dict[bytes, int] = {}
        self._earliest = NEVER
        self._known = {key: np.zeros(0, np.uint32) for key in _WORDS}

    def add(self, scope: Scope, lines: pa.Buffer) -> None:
        """Enter a part that has been checked; `lines` are what is sent of it."""
        part, keys = scope.part, scope.certificates
        entries = np.zeros(len(part), _ENTRY)
        entries["row"], entries["file"] = part.numbers, part.file
        entries["level"] = np.where(scope.ok["level"], scope.numbers["level"], 0)
        entries["day"] = days = _days(scope)
        self._earliest = int(days[days != NO_DAY].min(initial=self._earliest))
        for key in _WORDS:
            entries[key] = self._words(scope, key)
        serial = scope.ok["serial"]
        entries["prefix"][serial] = self._prefixes(keys[serial])
        entries["serial"][serial] = serial_of(keys[serial])
        entries["number"] = _hashed(_numbers(scope))
        # no value holds a line end, so the lines part at CRLF; after the last one nothing follows
        entries["content"] = _hashed(lines.to_pybytes().split(b"\r\n")[: len(part)])
        entries["person"] = _people(scope)
        self._entries += entries.tobytes()

    def finish(self, marks: npt.NDArray[np.uint8]) -> bytearray:
        """The index, its records marked."""
        if marks.any():
            np.frombuffer(self._entries, _ENTRY)["marks"] = marks
        return ended(self._entries, list(self._terms), self._earliest)

    def _term(self, kind: str, text: str) -> int:
        digest = hashlib.sha256(f"{kind}\0{text}".encode()).digest()
        return self._terms.setdefault(digest, len(self._terms) + 1)

    def _words(self, scope: Scope, key: str) -> npt.NDArray[np.uint32]:
        """The terms of a coded column, 0 where it is wrong."""
        codes, right, texts = scope.codes(key), scope.ok[key], self._table.words[key].texts
        known = self._known[key]
        if len(known) < len(texts):
            known = self._known[key] = np.concatenate([known, np.zeros(len(texts) - len(known), np.uint32)])
        for code in _new(codes[right], known):
            known[code] = self._term(key, texts[code])
        return np.where(right, known[codes], 0)

    def _prefixes(self, keys: Keys) -> npt.NDArray[np.uint32]:
        present, which = np.unique(keys >> _PREFIX, return_inverse=True)
        return np.array([self._term("prefix", f"{key:011x}") for key in present.tolist()], np.uint32)[which]


def _new(codes: Codes, known: npt.NDArray[np.uint32]) -> list[int]:
    """The codes that have no term yet."""
    there = np.zeros(len(known), np.bool_)
    there[codes] = True
    new: list[int] = np.flatnonzero(there & (known == 0)).tolist()
    return new


def _days(scope: Scope) -> npt.NDArray[np.int64]:
    right = scope.ok["issue_date"]
    days = np.full(len(right), NO_DAY, np.int64)
    days[right] = day_numbers(scope.codes("issue_date")[right])
    return days


def _numbers(scope: Scope) -> list[bytes]:
    texts = scope.part.texts.get("certificate_number")
    return [b""] * len(scope.part) if texts is None else arrow.encoded_texts(texts.column)


def _people(scope: Scope) -> Any:
    """ID type and number; nobody where one of them is wrong."""
    out = np.zeros((len(scope.part), len(NOBODY)), np.uint8)
    kinds = np.where(scope.ok["id_number"], scope.numbers["id_type"], 0)
    for kind in np.unique(kinds[kinds > 0]).tolist():
        rows, before = np.flatnonzero(kinds == kind), b"%d\0" % kind
        numbers = arrow.encoded_texts(scope.some("id_number", rows))
        out[rows] = _digests([before + number for number in numbers])[:, : len(NOBODY)]
    return out.view(f"V{len(NOBODY)}")[:, 0]


def _hashed(values: Sequence[bytes]) -> Any:
    """SHA-256 of every value."""
    return _digests(values).view(f"V{TERM}")[:, 0]


def _digests(values: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    sha256 = hashlib.sha256
    return np.frombuffer(b"".join([sha256(value).digest() for value in values]), np.uint8).reshape(-1, TERM)
