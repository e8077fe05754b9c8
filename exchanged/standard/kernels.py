"""Whole-column tests on the bytes of Arrow string columns.

Takes   a string column without nulls ("" stands for an empty cell)
Gives   one number or one bit a row, never a Python object a row
Law     a kernel may say "not plain" of a good value, never "plain" of a wrong one: what it leaves goes to the value
        functions of this package, which alone say what is right
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.standard.arrow import Bits, Bytes, Rows, content, from_bytes, lengths, matches, offsets, payload, pick

Days = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]

BLOCK = 16_384  # rows: a transposed block of 18 bytes a row stays in the second-level cache

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_OF_SUM = np.frombuffer(b"10X98765432", np.uint8)[np.arange(991) % 11]
_LOW = np.uint64(0x0F0F0F0F0F0F0F0F)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_THREES = np.uint64(0x3030303030303030)
_SIXES = np.uint64(0x0606060606060606)


def fixed(column: pa.StringArray, width: int) -> Bytes:
    """The values as a (rows, width) matrix of bytes; all of them must have that width."""
    start = offsets(column)
    return payload(column)[start[0] : start[-1]].reshape(len(column), width)


def rows_of_width(column: pa.StringArray, width: int) -> tuple[Rows, Bytes]:
    """The positions of the values of that many bytes, and those values as a matrix."""
    return matrix_of(column, lengths(column) == width, width)


def matrix_of(column: pa.StringArray, where: Bits, width: int) -> tuple[Rows, Bytes]:
    """The positions of the set bits, and the values there, which all have that many bytes, as a matrix.

    Values that lie side by side are copied as one: few gaps cost little, and none costs nothing.
    """
    rows = np.flatnonzero(where)
    if len(rows) == len(column):
        return rows, fixed(column, width)
    gaps = np.flatnonzero(np.diff(rows) != 1)
    if not len(rows) or len(gaps) * 16 > len(rows):
        return rows, fixed(pick(column, rows), width)
    start, data = offsets(column), payload(column)
    first, after = rows[np.append(0, gaps + 1)], rows[np.append(gaps, len(rows) - 1)] + 1
    runs = [data[a:b] for a, b in zip(start[first].tolist(), start[after].tolist(), strict=True)]
    return rows, np.concatenate(runs).reshape(len(rows), width)


def rows_holding(column: pa.StringArray, at: Rows) -> Bits:
    """Which rows the byte positions `at` (counted from the first value's first byte) fall into."""
    hit = np.zeros(len(column), np.bool_)
    if len(at):
        start = offsets(column)
        hit[np.searchsorted(start, at + start[0], side="right") - 1] = True
    return hit


def _outside(text: Bytes, first: int, last: int) -> Bits:
    """Which bytes are not in a range. Bytes below it wrap round to large ones: one comparison serves for both ends."""
    outside: Bits = (text - np.uint8(first)) > np.uint8(last - first)
    return outside


def plain_numbers(column: pa.StringArray) -> Bits:
    """Values of 1 to 18 ASCII digits and capitals: nothing to normalise, nothing illegal."""
    size, text = lengths(column), content(column)
    odd = _outside(text, 48, 57) & _outside(text, 65, 90)
    return (size > 0) & (size <= 18) & ~rows_holding(column, np.flatnonzero(odd))


def _odd_bytes(text: Bytes) -> Rows:
    """Where bytes stand that no run of U+4E00-U+9FA5 has; U+00B7 counts as odd too."""
    odd = _outside(text, 0x80, 0xBF) & _outside(text, 0xE4, 0xE9)
    if len(text) < 3:
        return np.flatnonzero(odd)
    lead, follow = text[:-1], text[1:]
    odd[:-1] |= (lead == 0xE4) & (follow < 0xB8)
    late = np.flatnonzero((lead == 0xE9) & (follow >= 0xBE))
    late = late[(text[late + 1] > 0xBE) | (text[np.minimum(late + 2, len(text) - 1)] > 0xA5)]
    return np.concatenate([np.flatnonzero(odd), late])


def plain_names(column: pa.StringArray) -> Bits:
    """Names of 2 to 20 characters of U+4E00-U+9FA5, in which single U+00B7 may stand between two such runs."""
    size = lengths(column)
    plain = (size >= 6) & (size <= 60)
    odd = rows_holding(column, _odd_bytes(content(column)))
    again = np.flatnonzero(plain & odd)
    plain &= ~odd
    if len(again):
        plain[again] = _dotted(pick(column, again))
    return plain


def _dotted(names: pa.StringArray) -> Bits:
    han = r"[\x{4E00}-\x{9FA5}]"
    return matches(names, rf"\A{han}{{2,}}(·{han}{{2,}})*\z")


def plain_dates(column: pa.StringArray) -> Days:
    """A real day of 1900 to 2199 in eight digits, with or without - / . between, as the number YYYYMMDD; else 0."""
    out = np.zeros(len(column), np.int32)
    for width, places in ((10, [0, 1, 2, 3, 5, 6, 8, 9]), (8, [*range(8)])):
        rows, matrix = rows_of_width(column, width)
        for start in range(0, len(rows), BLOCK):
            char = np.ascontiguousarray(matrix[start : start + BLOCK].T)
            place = char[places] - np.uint8(48)
            good = (place <= 9).all(axis=0)
            if width == 10:
                good &= (char[4] == char[7]) & ((char[4] == 45) | (char[4] == 46) | (char[4] == 47))
            out[rows[start : start + BLOCK]] = np.where(good, _day(place), 0)
    return out


def _day(place: Bytes) -> Days:
    """Eight rows of digits as YYYYMMDD where that is a real day of 1900 to 2199, else 0."""
    wide = place.astype(np.int32)
    year = ((wide[0] * 10 + wide[1]) * 10 + wide[2]) * 10 + wide[3]
    month = wide[4] * 10 + wide[5]
    day = wide[6] * 10 + wide[7]
    real = real_days(year, month, day) & (year >= 1900) & (year <= 2199)
    return np.where(real, (year * 100 + month) * 100 + day, 0).astype(np.int32)


_LAST_DAY = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0], np.int32)


def real_days(year: Days, month: Days, day: Days) -> Bits:
    """Which triples are days of the Gregorian calendar."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _LAST_DAY[np.clip(month, 0, 15)] + ((month == 2) & leap)
    real: Bits = (day >= 1) & (day <= last)
    return real


def day_numbers(days: Days) -> Rows:
    """YYYYMMDD numbers of real days as days since 1970-01-01."""
    year, rest = np.divmod(days.astype(np.int64), 10_000)
    month, day = np.divmod(rest, 100)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64) + day - 1


def date_texts(days: Days) -> pa.StringArray:
    """YYYYMMDD numbers written as YYYY-MM-DD; 0 as ""."""
    empty = days <= 0
    out = np.full((len(days), 10), 45, np.uint8)
    rest = days.astype(np.int32)
    for column in (9, 8, 6, 5, 3, 2, 1, 0):
        rest, digit = np.divmod(rest, np.int32(10))
        out[:, column] = digit + 48
    width = np.where(empty, 0, 10)
    start = np.zeros(len(days) + 1, np.int32)
    np.cumsum(width, out=start[1:])
    kept: Bytes = out if not empty.any() else out[~empty]
    return from_bytes(start, kept)


def sixteen_digits(column: pa.StringArray) -> tuple[Bits, Keys]:
    """Which values are 16 ASCII digits, and each of them packed into one number, four bits a digit (else 0)."""
    good = np.zeros(len(column), np.bool_)
    key = np.zeros(len(column), np.uint64)
    rows, matrix = rows_of_width(column, 16)
    if len(rows):
        words = np.ascontiguousarray(matrix).view("<u8")
        ok = _digits(words[:, 0]) & _digits(words[:, 1])
        good[rows] = ok
        key[rows] = np.where(ok, (_pack(words[:, 0]) << np.uint64(32)) | _pack(words[:, 1]), np.uint64(0))
    return good, key


def _digits(word: Keys) -> Bits:
    good: Bits = ((word & _HIGH) == _THREES) & (((word + _SIXES) & _HIGH) == _THREES)
    return good


def _pack(word: Keys) -> Keys:
    """Eight ASCII digits of a little-endian word as 32 bits, first digit highest."""
    x = word & _LOW
    x = ((x << np.uint64(4)) | (x >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    x = (x | (x >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    x = (x | (x >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)
    # the pairs now stand first pair lowest: turn the four bytes round
    return x.astype(np.uint32).byteswap().astype(np.uint64)


def digit(keys: Keys, place: int) -> npt.NDArray[np.uint8]:
    """The digit at `place` (1 to 16, as people count) of packed numbers."""
    return ((keys >> np.uint64(4 * (16 - place))) & np.uint64(15)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Identities:
    """What stands in 18-character numbers of GB 11643's build, one entry a row; meaningful where `form` is true.

    form: 17 digits and a digit or X. check: the check character is right. region: the first six digits as a number.
    born: YYYYMMDD as written, be it a day or not. odd: the gender digit is odd (male).
    """

    form: Bits
    check: Bits
    region: Days
    born: Days
    odd: Bits


def identities(matrix: Bytes) -> Identities:
    """Take apart a (rows, 18) matrix of bytes."""
    n = len(matrix)
    out = Identities(
        np.empty(n, np.bool_),
        np.empty(n, np.bool_),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.bool_),
    )
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        _identities(np.ascontiguousarray(matrix[part].T), out, part)
    return out


def _identities(char: Bytes, out: Identities, part: slice) -> None:
    value = char[:17] - np.uint8(48)
    out.form[part] = (value <= 9).all(axis=0) & ((char[17] - np.uint8(48) <= 9) | (char[17] == 88))
    total = np.zeros(char.shape[1], np.uint16)
    product = np.empty(char.shape[1], np.uint8)
    for row, weight in zip(value, _WEIGHTS, strict=True):
        np.multiply(row, np.uint8(weight), out=product)
        total += product
    out.check[part] = _CHECK_OF_SUM[np.minimum(total, 990)] == char[17]
    out.region[part] = _number(value[0:6])
    out.born[part] = _number(value[6:14])
    out.odd[part] = (value[16] & 1) == 1


def _number(places: Bytes) -> Days:
    out: Days = places[0].astype(np.int32)
    for place in places[1:]:
        out *= 10
        out += place
    return out


def hashes(column: pa.StringArray) -> Keys:
    """A 64-bit hash of every value, good enough to find candidates for equality and for nothing else."""
    out = np.zeros(len(column), np.uint64)
    for rows, matrix in by_width(column):
        state = np.full(len(rows), matrix.shape[1], np.uint64)
        for word in _words(matrix):
            state = (state ^ word) * np.uint64(0x9E3779B97F4A7C15)
            state ^= state >> np.uint64(29)
        out[rows] = state
    return out


def by_width(column: pa.StringArray) -> Iterator[tuple[Rows, Bytes]]:
    """The column parted by the width of its values: positions and matrix for every width but 0."""
    for width in np.unique(lengths(column)).tolist():
        if width:
            yield rows_of_width(column, width)


def _words(matrix: Bytes) -> Iterator[Keys]:
    """The bytes of each row, eight at a time; the last eight overlap those before them."""
    n, width = matrix.shape
    if width < 8:
        padded = np.zeros((n, 8), np.uint8)
        padded[:, :width] = matrix
        yield padded.view("<u8")[:, 0]
        return
    for start in (*range(0, width - 8, 8), width - 8):
        yield np.ndarray((n,), "<u8", matrix, start, (width,))
