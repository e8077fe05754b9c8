"""Made-up tables of any size, made in columns: the rows of `tests.support.records`, a million in seconds.

Resident IDs carry region codes that end in 0000, which no person has. The same arguments give the same rows.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from tests.support.records import AUTHORITY, CENTRE, GIVEN, HEADERS, QUALIFICATIONS, REGIONS, SURNAMES

_WEIGHTS = np.array((7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
_CHECK = np.frombuffer(b"10X98765432", np.uint8)
_DAYS = 14_000  # birth days from 1960-01-01
_BLOCK = 5_000
CENTRES = [CENTRE.replace("某某", first + second) for first in SURNAMES for second in SURNAMES]


def table(rows: int, *, start: int = 0, seed: int = 1, wrong: float = 0.0) -> pa.Table:
    """Rows number `start` to `start + rows` of one endless table, all strings; no two rows share a number.

    Right under every rule today; with `wrong` that share of rows has one cell made wrong.
    """
    rng = np.random.default_rng((seed, start))
    index = np.arange(start, start + rows)
    born = np.datetime64("1960-01-01") + index * 7919 % _DAYS
    issued = np.datetime64(date.today(), "D") - rng.integers(1, 20, rows)
    sequence = index // _DAYS % 997 + 1
    level = rng.integers(1, 6, rows)
    what = rng.integers(0, len(QUALIFICATIONS), rows)
    birth, issue = _text(born.astype("U10")), _text(issued.astype("U10"))
    columns = [
        _names(rng, rows),
        _of("21", sequence % 2),
        birth,
        issue,
        _numbers(issue, level, index),
        _of(["201"], np.zeros(rows, np.int64)),
        _people(birth, sequence, index // (_DAYS * 997) % len(REGIONS)),
        _of([one for one, _ in QUALIFICATIONS], what),
        _of([two for _, two in QUALIFICATIONS], what),
        _of("12345", level - 1),
        _of(CENTRES, index // 1000 % len(CENTRES)),
        _of([AUTHORITY], np.zeros(rows, np.int64)),
    ]
    made = pa.table(dict(zip(HEADERS, columns, strict=True)))
    return _spoiled(made, rng, wrong) if wrong else made


def _text(values: Any) -> pa.Array:
    return pa.array(values, pa.string())


def _of(words: Sequence[str], which: Any) -> pa.Array:
    return _text(list(words)).take(pa.array(which))


def _names(rng: Any, rows: int) -> pa.Array:
    given = [first + second for first in GIVEN for second in ("", *GIVEN)]
    family = np.array(list(SURNAMES))[rng.integers(0, len(SURNAMES), rows)]
    return _text(np.char.add(family, np.array(given)[rng.integers(0, len(given), rows)]))


def _digits(values: Any, width: int) -> Any:
    return (values[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10).astype(np.uint8) + 48


def _bytes(column: pa.Array) -> Any:
    return np.frombuffer(column.buffers()[2], np.uint8).reshape(len(column), -1)


def _strings(cells: Any) -> pa.Array:
    cells = np.ascontiguousarray(cells, np.uint8)
    starts = np.arange(len(cells) + 1, dtype=np.int32) * cells.shape[1]
    return pa.StringArray.from_buffers(len(cells), pa.py_buffer(starts), pa.py_buffer(cells))


def _numbers(issue: pa.Array, level: Any, index: Any) -> pa.Array:
    """Year, issuer 14, body and serial by the row's index, level: as `records.certificate_number` makes them."""
    body, serial = np.divmod(index, 99_999)
    whole = np.full((len(index), 2), (49, 52), np.uint8)
    parts = (_bytes(issue)[:, 2:4], whole, _digits(body // 1000, 2), _digits(body * 0, 1), _digits(body % 1000, 3))
    return _strings(np.hstack([*parts, _digits(level, 1), _digits(serial + 1, 5)]))


def _people(birth: pa.Array, sequence: Any, region: Any) -> pa.Array:
    places = np.array([np.frombuffer(one.encode(), np.uint8) for one in REGIONS])[region]
    days = _bytes(birth)[:, (0, 1, 2, 3, 5, 6, 8, 9)]
    body = np.hstack([places, days, _digits(sequence, 3)])
    check = _CHECK[((body - 48).astype(np.int64) @ _WEIGHTS) % 11]
    return _strings(np.hstack([body, check[:, None]]))


def _spoiled(made: pa.Table, rng: Any, share: float) -> pa.Table:
    """One cell made wrong in some rows, one kind of mistake after the other."""
    mistakes = (
        ("证件号码", "110000199001010000"),
        ("出生日期", "1990-02-30"),
        ("性别", "?"),
        ("证书编号", "12345"),
        ("技能等级", "九"),
        ("姓名", ""),
    )
    rows = rng.choice(len(made), int(len(made) * share), replace=False)
    for nth, (name, wrong) in enumerate(mistakes):
        values = made[name].combine_chunks().to_numpy(zero_copy_only=False).copy()
        values[rows[nth :: len(mistakes)]] = wrong
        made = made.set_column(made.schema.get_field_index(name), name, _text(values))
    return made


def write_csv(path: Path, made: pa.Table, encoding: str = "utf-8") -> Path:
    """The table as CSV, CRLF, without quotes."""
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    sink = pa.BufferOutputStream()
    csv.write_csv(made, sink, options)
    content = (",".join(HEADERS) + "\n").encode() + sink.getvalue().to_pybytes()
    if encoding != "utf-8":
        content = content.decode().encode(encoding)
    path.write_bytes(content)
    return path


# --- xlsx, as spreadsheet programs write it: shared strings, one part a sheet -----------------------------------------

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACK = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACK}/content-types"><Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_TYPE}.sharedStrings+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACK}/relationships"><Relationship Id="rId1" '
    f'Type="{_REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACK}/relationships">'
    f'<Relationship Id="rId1" Type="{_REL}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_REL}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
}
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def write_xlsx(path: Path, made: pa.Table) -> Path:
    """The table as a workbook of one sheet."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, _HEAD + content)
        strings, cells = _shared(made)
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            for block in _sheet(cells):
                part.write(block.encode())
        with archive.open("xl/sharedStrings.xml", "w", force_zip64=True) as part:
            count = cells.size
            part.write(f'{_HEAD}<sst xmlns="{_MAIN}" count="{count}" uniqueCount="{len(strings)}">'.encode())
            for at in range(0, len(strings), 100_000):
                texts = strings.slice(at, 100_000).to_pylist()
                part.write(("<si><t>" + "</t></si><si><t>".join(texts) + "</t></si>").encode())
            part.write(b"</sst>")
    return path


def _shared(made: pa.Table) -> tuple[pa.Array, Any]:
    """The distinct strings, and for every cell, header row first, which of them it is."""
    whole = pa.concat_arrays(
        [pa.concat_arrays([_text([name]), made[name].combine_chunks()]) for name in made.column_names]
    )
    coded = whole.dictionary_encode()
    return coded.dictionary, coded.indices.to_numpy().reshape(made.num_columns, -1).T


def _sheet(cells: Any) -> Iterator[str]:
    rows, columns = cells.shape
    yield f'{_HEAD}<worksheet xmlns="{_MAIN}"><dimension ref="A1:L{rows}"/><sheetData>'
    row = '<row r="{0}">' + "".join(f'<c r="{c}{{0}}" t="s"><v>%d</v></c>' for c in "ABCDEFGHIJKL"[:columns]) + "</row>"
    for at in range(0, rows, _BLOCK):
        block = cells[at : at + _BLOCK]
        shape = "".join(row.format(number) for number in range(at + 1, at + 1 + len(block)))
        yield shape % tuple(block.reshape(-1).tolist())
    yield "</sheetData></worksheet>"
