"""Columns out of Python values, for the readers that go cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from exchanged.batch import Cells, Chunk, Kind

CHUNK = 100_000

Value = tuple[int, str | None]  # Kind and text


def number_text(value: float) -> Value:
    """A stored number as its shortest exact text; what is no finite number is an error cell."""
    if not math.isfinite(value):
        return Kind.ERROR, None
    text = repr(float(value))
    return Kind.NUMBER, text.removesuffix(".0")


def formula_text(value: float) -> Value | None:
    """What a formula with this stored number is when the number is 0, else None.

    Programs that do not compute (XlsxWriter, Excel::Writer::XLSX, POI) store 0 for whatever the formula gives, and no
    field of the standard is ever the number 0. The 0 is kept: in a column of the clerk's own it may be true.
    """
    return (Kind.FORMULA, "0") if value == 0 else None


def date_text(serial: float, epoch_1904: bool) -> Value:
    """A number in a date format as the date it shows; out of a calendar's range it stays a number."""
    if not math.isfinite(serial):
        return Kind.ERROR, None
    seconds = round(serial * 86400)
    days, rest = divmod(seconds, 86400)
    if not (0 if epoch_1904 else 1) <= days <= 2_958_465:
        return number_text(serial)
    if epoch_1904:
        day = _plus(date(1904, 1, 1), days)
    elif days == 60:
        day = "1900-02-29"  # Excel's day that never was: shown like this, refused by the date rule
    else:
        day = _plus(date(1899, 12, 31 if days < 60 else 30), days)
    return (
        (Kind.DATE, day)
        if day and not rest
        else (Kind.DATE, f"{day} {timedelta_text(rest)}")
        if day
        else number_text(serial)
    )


def _plus(start: date, days: int) -> str | None:
    try:
        return (start + timedelta(days=days)).isoformat()
    except OverflowError:
        return None


def timedelta_text(seconds: int) -> str:
    """Seconds of a day as HH:MM:SS."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def iso_text(text: str) -> Value:
    """An ISO 8601 date cell, to the nearest second; without its time when that is zero. What is no date stays text."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return Kind.TEXT, text
    with suppress(OverflowError):  # the last half second of the calendar is cut instead
        moment += timedelta(microseconds=500_000)
    day = moment.date().isoformat()
    clock = moment.strftime("%H:%M:%S")
    return Kind.DATE, day if clock == "00:00:00" else f"{day} {clock}"


def cells(texts: Sequence[str | None], kinds: Sequence[int]) -> Cells:
    """One column of texts and kinds; the kinds become one `Kind` where all filled cells agree."""
    return Cells(pa.array(texts, pa.string()), kind_of(np.array(kinds, np.uint8)))


def kind_of(kinds: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Kind | np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The one kind of all non-empty cells, else the array itself; that too for kinds without text, to tell which."""
    present = np.flatnonzero(np.bincount(kinds, minlength=7)[1:])
    if len(present) > 1 or (len(present) and present[0] + 1 in (Kind.ERROR, Kind.FORMULA)):
        return kinds
    return Kind(int(present[0]) + 1) if len(present) else Kind.EMPTY


class Collector:
    """Gathers data rows of {column: value} and gives them back as chunks.

    Keeps only rows with something in a wanted column; the columns are those of the layout, the running numbers
    under the key ``""``.
    """

    def __init__(self, wanted: Mapping[int, str]) -> None:
        self.wanted = dict(wanted)
        self.count = 0
        self._done: list[Chunk] = []
        self._start()

    def _start(self) -> None:
        self._numbers: list[int] = []
        self._texts: dict[int, list[str | None]] = {column: [] for column in self.wanted}
        self._kinds: dict[int, bytearray] = {column: bytearray() for column in self.wanted}

    def add(self, number: int, row: Mapping[int, Value]) -> None:
        """One row; cells in columns nobody wants are ignored."""
        if not any(column in self.wanted for column in row):
            return
        self.count += 1
        self._numbers.append(number)
        for column in self.wanted:
            kind, text = row.get(column, (0, None))
            self._texts[column].append(text)
            self._kinds[column].append(kind)
        if len(self._numbers) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._numbers:
            made = {self.wanted[c]: cells(self._texts[c], self._kinds[c]) for c in self.wanted}
            serial = made.pop("", None)
            self._done.append(Chunk(np.array(self._numbers, np.int32), made, serial))
        self._start()

    def chunks(self) -> Iterator[Chunk]:
        """Everything gathered, freed as it is taken."""
        self._flush()
        while self._done:
            yield self._done.pop(0)
