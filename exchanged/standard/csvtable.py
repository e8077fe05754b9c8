"""certificates.csv: the normalised table as bytes. UTF-8, no BOM, CRLF, quotes only where RFC 4180 needs them.

Takes   parts of the compact table
Gives   the header line and the lines of a part; the same part always gives the same bytes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv

from exchanged.standard import arrow
from exchanged.standard.arrow import Codes, content, pick
from exchanged.standard.columns import DATES, FIRST_DATE, Part, Words
from exchanged.standard.fields import FIELDS
from exchanged.standard.kernels import date_texts

_csv = cast(Any, pyarrow.csv)

_SPECIAL = re.compile('[",\r\n]')
_SPECIAL_BYTES = np.isin(np.arange(256), list(b'",\r\n'))
_OPTIONS = _csv.WriteOptions(include_header=False, batch_size=16_384, eol="\r\n", quoting_style="none")

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
        if any(self._special.values()) or any(_is_special(texts.column) for texts in part.texts.values()):
            return arrow.joined([_quoted(column) for column in columns], ",", "\r\n")
        table = pa.table(columns, names=[field.key for field in FIELDS])
        sink = pa.BufferOutputStream()
        _csv.write_csv(table, sink, _OPTIONS)
        return sink.getvalue()

    def _column(self, key: str, part: Part) -> Any:
        if key in part.texts:
            return part.texts[key].column
        if key not in part.codes:
            return arrow.column([""] * len(part))
        if key in DATES:
            return self._date_column(key, part.codes[key])
        codes: Any = pa.array(part.codes[key])
        return pa.DictionaryArray.from_arrays(codes, self._dictionary(key))

    def _dictionary(self, key: str) -> pa.StringArray:
        known = self._dictionaries.get(key)
        texts = self._words[key].texts
        if known is None or len(known) != len(texts):
            known = self._dictionaries[key] = arrow.column(texts)
            self._special[key] = any(map(_SPECIAL.search, texts))
        return known

    def _date_column(self, key: str, codes: Codes) -> pa.StringArray:
        is_date = codes >= FIRST_DATE
        texts = date_texts(np.where(is_date, codes, 0))
        if is_date.all():
            return texts
        return arrow.replaced(texts, ~is_date, pick(self._dictionary(key), codes[~is_date]))


def _is_special(column: pa.StringArray) -> bool:
    return bool(_SPECIAL_BYTES[content(column)].any())


def _quoted(column: Any) -> pa.StringArray:
    """The column as text with quotes where they are needed."""
    texts = cast(pa.StringArray, column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column)
    if not _is_special(texts):
        return texts
    needed = arrow.matches(texts, _SPECIAL.pattern)
    values = [quoted(value) for value in arrow.texts(pick(texts, np.flatnonzero(needed)))]
    return arrow.replaced(texts, needed, arrow.column(values))
