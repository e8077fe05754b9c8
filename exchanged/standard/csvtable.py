"""certificates.csv: the normalised table as bytes. UTF-8, no BOM, CRLF, quotes only where RFC 4180 needs them.

Takes   parts of the compact table
Gives   the header line and the lines of a part; the same part always gives the same bytes
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from exchanged.standard.columns import DATES, FIRST_DATE, TEXTS, Part, Words
from exchanged.standard.fields import FIELDS
from exchanged.standard.kernels import content, date_texts

_SPECIAL = re.compile('[",\r\n]')
_SPECIAL_BYTES = np.isin(np.arange(256), list(b'",\r\n'))
_OPTIONS = pyarrow.csv.WriteOptions(include_header=False, batch_size=16_384, eol="\r\n", quoting_style="none")

HEADER = (",".join(field.name for field in FIELDS) + "\r\n").encode()


def quoted(text: str) -> str:
    """A value as it stands in a CSV line."""
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


class Writer:
    """Writes parts; the quoted form of every distinct value is made once."""

    def __init__(self, words: Mapping[str, Words]) -> None:
        self._words = words
        self._dictionaries: dict[str, pa.StringArray] = {}
        self._special: dict[str, bool] = dict.fromkeys(words, False)

    def lines(self, part: Part) -> pa.Buffer:
        """The lines of a part."""
        columns = [self._column(field.key, part) for field in FIELDS]
        if any(_is_special(part.texts[key]) for key in TEXTS if key in part.texts) or any(self._special.values()):
            return _joined([_quoted(column) for column in columns])
        table = pa.table(columns, names=[field.key for field in FIELDS])
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(table, sink, _OPTIONS)
        return sink.getvalue()

    def _column(self, key: str, part: Part) -> pa.Array:
        if key in part.texts:
            return part.texts[key]
        if key not in part.codes:
            return pa.array([""]).take(pa.array(np.zeros(len(part), np.int32)))
        if key in DATES:
            return self._date_column(key, part.codes[key])
        return pa.DictionaryArray.from_arrays(pa.array(part.codes[key]), self._dictionary(key))

    def _dictionary(self, key: str) -> pa.StringArray:
        known = self._dictionaries.get(key)
        texts = self._words[key].texts
        if known is None or len(known) != len(texts):
            known = self._dictionaries[key] = pa.array(texts, pa.string())
            self._special[key] = any(map(_SPECIAL.search, texts))
        return known

    def _date_column(self, key: str, codes: npt.NDArray[np.int32]) -> pa.StringArray:
        is_date = codes >= FIRST_DATE
        texts = date_texts(np.where(is_date, codes, 0))
        if is_date.all():
            return texts
        words = self._dictionary(key).take(pa.array(codes[~is_date]))
        return pc.replace_with_mask(texts, pa.array(~is_date), words)


def _is_special(column: pa.StringArray) -> bool:
    return bool(_SPECIAL_BYTES[content(column)].any())


def _quoted(column: pa.Array) -> pa.StringArray:
    """The column as text with quotes where they are needed."""
    texts = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
    if not _is_special(texts):
        return texts
    needed = pc.match_substring_regex(texts, _SPECIAL.pattern)
    values = [quoted(value) for value in texts.filter(needed).to_pylist()]
    return pc.replace_with_mask(texts, needed, pa.array(values, pa.string()))


def _joined(columns: list[pa.StringArray]) -> pa.Buffer:
    last = pc.binary_join_element_wise(columns[-1], "", "\r\n")
    lines = pc.binary_join_element_wise(*columns[:-1], last, ",")
    return pa.py_buffer(np.ascontiguousarray(content(lines)))
