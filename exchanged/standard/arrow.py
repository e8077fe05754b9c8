"""Arrow string columns as the rest of this package uses them: their buffers as arrays, and a few typed operations.

pyarrow's type stubs do not know half of what is called here; this module is where that ends. Columns have no nulls:
"" stands for an empty cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bits = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]

_compute = cast(Any, pc)


def column(values: Sequence[str]) -> pa.StringArray:
    """Texts as a column."""
    return pa.array(values, pa.string())


def filled(values: Any) -> pa.StringArray:
    """Any string array as one plain column in which null is "" (a column without nulls is given back as it is)."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.type != pa.string():
        values = values.cast(pa.string())
    return cast(pa.StringArray, values.fill_null("") if values.null_count else values)


def offsets(values: pa.StringArray) -> Codes:
    """Where each value starts in `payload`, one more than there are rows."""
    buffer: Any = values.buffers()[1]
    if buffer is None or len(values) == 0:
        return np.zeros(1, np.int32)
    return _view(buffer, np.int32)[values.offset : values.offset + len(values) + 1]


def payload(values: pa.StringArray) -> Bytes:
    """The bytes of all values, and of what else lies in the column's buffer."""
    buffer: Any = values.buffers()[2]
    return np.zeros(0, np.uint8) if buffer is None else _view(buffer, np.uint8)


def _view(buffer: Any, kind: type[Any]) -> npt.NDArray[Any]:
    """A buffer as an array that cannot be written to: other columns may share it."""
    view = np.frombuffer(buffer, kind)
    view.flags.writeable = False
    return view


def content(values: pa.StringArray) -> Bytes:
    """The bytes of exactly the rows of this column, in order."""
    start = offsets(values)
    return payload(values)[start[0] : start[-1]]


def lengths(values: pa.StringArray) -> Codes:
    """The length of every value in bytes."""
    return np.diff(offsets(values))


def from_bytes(starts: Codes, text: Bytes) -> pa.StringArray:
    """A column from its offsets and its bytes."""
    index: Any = np.ascontiguousarray(starts, np.int32)
    data: Any = np.ascontiguousarray(text)
    return pa.StringArray.from_buffers(len(index) - 1, pa.py_buffer(index), pa.py_buffer(data))


def pick(values: pa.StringArray, rows: npt.NDArray[Any]) -> pa.StringArray:
    """The values at some positions; the column itself when it is all of them in order."""
    if len(rows) == len(values) and (len(rows) == 0 or bool((rows == np.arange(len(rows))).all())):
        return values
    return cast(pa.StringArray, cast(Any, values).take(pa.array(rows)))


def text_at(values: pa.StringArray, row: int) -> str:
    """One value."""
    return values[row].as_py() or ""


def texts(values: pa.StringArray) -> list[str]:
    """All values."""
    return cast(list[str], values.to_pylist())


def encoded_texts(values: pa.StringArray) -> list[bytes]:
    """All values in UTF-8."""
    return cast(list[bytes], values.cast(pa.binary()).to_pylist())


def replaced(values: pa.StringArray, where: Bits, by: pa.StringArray) -> pa.StringArray:
    """The column with the values at the set bits replaced, in order."""
    return cast(pa.StringArray, _compute.replace_with_mask(values, pa.array(where), by))


def matches(values: pa.StringArray, expression: str) -> Bits:
    """Which values an RE2 expression finds something in."""
    found = _compute.match_substring_regex(values, expression)
    return cast(Bits, found.to_numpy(zero_copy_only=False))


def characters(values: pa.StringArray) -> Codes:
    """The length of every value in characters."""
    return cast(Codes, _compute.utf8_length(values).to_numpy())


def encoded(values: pa.StringArray) -> tuple[list[str], Codes]:
    """The distinct values, and for every row which of them it is."""
    pairs: Any = values.dictionary_encode()
    return pairs.dictionary.to_pylist(), pairs.indices.to_numpy()


def joined(columns: Sequence[pa.StringArray], separator: str, end: str) -> pa.Buffer:
    """Lines of all columns' values, as bytes one after the other."""
    last = _compute.binary_join_element_wise(columns[-1], "", end)
    lines: Any = np.ascontiguousarray(content(_compute.binary_join_element_wise(*columns[:-1], last, separator)))
    return pa.py_buffer(lines)
