"""Files made to hurt who opens them: small ones that say a great deal, lie, loop, or cost a careless reader hours."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import olefile

from tests.support import books
from tests.support.books import HEADERS, MAIN, OFFICE, inline_row, row

Build = Callable[[], bytes]
HEAD = inline_row(1, HEADERS)
CORPUS = Path(__file__).parents[1] / "corpus" / "files"
_SHEET = f'<worksheet xmlns="{MAIN}"><sheetData>{HEAD}'.encode()
_END = b"</sheetData></worksheet>"
ACCENTS = "\u0301\u0316" * 200_000
_LINE = (",".join(HEADERS) + "\n").encode()


def sheet(rows: str) -> bytes:
    """A workbook of a header and these rows."""
    return books.raw_xlsx(books.sheet_xml(HEAD + rows))


def cell(column: int, value: str) -> bytes:
    """A workbook of one record with one odd value."""
    return sheet(inline_row(2, [value if at == column else other for at, other in enumerate(row(1))]))


def inflating(member: str, before: bytes, block: bytes, count: int, after: bytes) -> bytes:
    """A workbook one member of which is `block` again and again."""
    out = io.BytesIO()
    parts = books.members(books.raw_xlsx(books.sheet_xml(HEAD), strings="<sst/>", styles="<styleSheet/>"))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            if name != member:
                archive.writestr(name, content)
        with archive.open(member, "w", force_zip64=True) as target:
            target.write(before)
            for _ in range(count):
                target.write(block)
            target.write(after)
    return out.getvalue()


def _styles(code: str) -> bytes:
    formats = f'<numFmts><numFmt numFmtId="200" formatCode="{code}"/></numFmts>'
    table = f'<styleSheet xmlns="{MAIN}">{formats}<cellXfs><xf numFmtId="200"/></cellXfs></styleSheet>'
    return books.raw_xlsx(books.sheet_xml(HEAD + inline_row(2, row(1))), styles=table)


def _one_sheet_many_times() -> bytes:
    parts = books.members(sheet(""))
    listed = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="rId1"/>' for n in range(200))
    book = f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
    rows = f'<worksheet xmlns="{MAIN}"><sheetData>{"<row></row>" * 3_000_000}</sheetData></worksheet>'
    return books.zipped({**parts, "xl/workbook.xml": book.encode(), "xl/worksheets/sheet1.xml": rows.encode()})


def _overlapping() -> bytes:
    """Thirty entries of the directory for the bytes of one member."""
    whole = books.zipped({**books.members(sheet(inline_row(2, row(1)))), "big": bytes(50 << 20)})
    start = zipfile.ZipFile(io.BytesIO(whole)).start_dir
    entries = whole[start : whole.rindex(b"PK\5\6")]
    entry = entries[entries.rindex(b"PK\1\2") :]
    more = entries + b"".join(entry.replace(b"big", b"b%02d" % n) for n in range(30))
    count = entries.count(b"PK\1\2") + 30
    return whole[:start] + more + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, count, count, len(more), start, 0)


XLSX: dict[str, tuple[Build, str]] = {
    "2 GB of rows": (
        lambda: inflating("xl/worksheets/sheet1.xml", _SHEET, b"<row></row>" * 95_000, 1_800, _END),
        "file-unreadable",
    ),
    "400 MB of strings": (
        lambda: inflating("xl/sharedStrings.xml", b"<sst>", b"<si><t>x</t></si>" * 60_000, 1_800, b"</sst>"),
        "file-too-large",
    ),
    "100 MB of styles": (
        lambda: inflating("xl/styles.xml", b"<s><cellXfs>", b'<xf numFmtId="14"/>' * 50_000, 110, b"</cellXfs></s>"),
        "file-too-large",
    ),
    "a text of 300 MB": (
        lambda: inflating(
            "xl/worksheets/sheet1.xml", _SHEET + b'<row r="2"><c t="str"><v>', b"x" * (1 << 20), 300, b"</v></c></row>"
        ),
        "file-too-large",
    ),
    "a million columns": (lambda: sheet(f'<row r="2">{"<c><v>1</v></c>" * 1_000_000}</row>'), "file-unreadable"),
    "a header of a million columns": (
        lambda: books.raw_xlsx(books.sheet_xml('<row r="1">' + '<c t="str"><v>姓名</v></c>' * 1_000_000 + "</row>")),
        "file-unreadable",
    ),
    "one far cell": (lambda: sheet('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "file-too-large"),
    "a number format of brackets": (lambda: _styles("[" * 2_000_000), "name-suspicious"),
    "a header of nested notes": (
        lambda: books.raw_xlsx(
            books.sheet_xml(
                inline_row(1, [f"姓名{'(' * 400_000}{')' * 400_000}", *HEADERS[1:]]) + inline_row(2, row(1))
            )
        ),
        "column-missing",
    ),
    "a date of blanks": (lambda: cell(2, f"1{' ' * 900_000}1"), "bad-date"),
    "a level of one word": (lambda: cell(9, "工" * 300_000), "bad-code"),
    "a name of accents": (lambda: cell(0, f"a{ACCENTS}"), "too-long"),
    "a centre of accents": (lambda: cell(10, f"a{ACCENTS}"), "too-long"),
    "a direction of accents": (lambda: cell(8, f"-{ACCENTS}"), "formula-text"),
    "an ID number of a million digits": (lambda: cell(6, "1" * 900_000), "id-format"),
    "one sheet two hundred times": (_one_sheet_many_times, "file-unreadable"),
    "deep elements": (lambda: books.raw_xlsx(f'<worksheet xmlns="{MAIN}">{"<a>" * 2_000_000}'), "file-unreadable"),
    "overlapping entries": (_overlapping, "file-unreadable"),
    "a sheet outside the package": (
        lambda: books.patched(
            sheet(""),
            "xl/_rels/workbook.xml.rels",
            lambda xml: xml.replace(b"worksheets/sheet1.xml", b"../../etc/passwd"),
        ),
        "file-unreadable",
    ),
    "strings that are not there": (lambda: sheet('<row r="2"><c r="A2" t="s"><v>0</v></c></row>'), "file-unreadable"),
    "a package in a package": (lambda: books.zipped({"xl/workbook.xml": sheet("")}), "file-unreadable"),
}

CSV: dict[str, tuple[Build, str]] = {
    "60 MB of commas": (lambda: _LINE + b"," * 60_000_000, "file-too-large"),
    "a header of 60 MB of commas": (lambda: _LINE[:-1] + b"," * 60_000_000, "file-too-large"),
    "60 MB of line ends": (lambda: _LINE + b"\n" * 60_000_000, "file-too-large"),
    "60 MB of quotes": (lambda: _LINE + b'"' * 60_000_001, "file-too-large"),
    "60 MB of quoted nothing": (lambda: _LINE + b'"",' * 20_000_000, "file-too-large"),
    "one line of 60 MB": (lambda: _LINE + b"x" * 60_000_000, "file-too-large"),
    "UTF-16 without line ends": (
        lambda: b"\xff\xfe" + _LINE.decode().encode("utf-16-le") + b"a\0" * 40_000_000,
        "file-too-large",
    ),
    "20 MB of end marks": (lambda: _LINE + b"\x1a" * 20_000_000, "table-empty"),
    "a quoted text of 2 MB": (lambda: _LINE + b'"' + b"x" * 2_000_000 + b'"\n', "file-unreadable"),
}

_REPEATED = '<table:table-cell table:number-columns-repeated="16384" office:value-type="float" office:value="1"/>'
ODS: dict[str, tuple[Build, str]] = {
    "nested paragraphs": (
        lambda: books.ods(f"<table:table-row><table:table-cell>{'<text:p>' * 2_000_000}"),
        "file-unreadable",
    ),
    "repeated rows": (
        lambda: books.ods(books.ods_row(HEADERS) + books.ods_row(row(1), ' table:number-rows-repeated="9999"') * 300),
        "file-too-large",
    ),
    "repeated cells": (
        lambda: books.ods(books.ods_row(HEADERS) + f"<table:table-row>{_REPEATED}</table:table-row>" * 50_000),
        "file-too-large",
    ),
    "a million tables": (
        lambda: books.ods(f"</table:table>{'<table:table></table:table>' * 1_000_000}<table:table>"),
        "header-missing",
    ),
    "counted blanks": (
        lambda: books.ods(books.ods_row(HEADERS) + books.ods_row(["<text:s text:c='1000000'/>"] * 12) * 300),
        "file-too-large",
    ),
}  # fmt: skip


def _record(code: int, body: bytes) -> bytes:
    return struct.pack("<HH", code, len(body)) + body


def _begin(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHLL", 0x0600, kind, 0, 0, 0, 0))


def records(cells: bytes, before: bytes = b"", sheets: int = 1) -> bytes:
    """A workbook stream; all its `sheets` are the same one."""
    size = len(_begin(5)) + len(before) + sheets * 13 + 4
    listed = _record(0x85, struct.pack("<LBBBB", size, 0, 0, 1, 0) + b"S") * sheets
    return _begin(5) + before + listed + _record(0x0A, b"") + _begin(0x10) + cells + _record(0x0A, b"")


def label(line: int, column: int, text: str) -> bytes:
    """A cell of text."""
    return _record(0x0204, struct.pack("<HHHHB", line, column, 0, len(text), 1) + text.encode("utf-16-le"))


def number(line: int, column: int) -> bytes:
    """A cell of a number."""
    return _record(0x0203, struct.pack("<HHHd", line, column, 0, 1.0))


_LABELS = b"".join(label(0, column, name) for column, name in enumerate(HEADERS))
_RECORD = b"".join(label(1, column, value) for column, value in enumerate(row(1)))
_EXTENT = _record(0x0200, struct.pack("<LLHHH", 0, 0xFFFFFFFF, 0, 0xFFFF, 0))


def _old(cells: bytes, before: bytes = b"", sheets: int = 1) -> bytes:
    return books.ole({"Workbook": records(_LABELS + cells, before, sheets)})


def _looping(size: int | None = None) -> bytes:
    """A good .xls whose stream's last sector leads back to its first, and which claims `size` bytes for it."""
    data = bytearray((CORPUS / "tidy-xlwt.xls").read_bytes())
    with olefile.OleFileIO(bytes(data)) as container:
        index = container._find("Workbook")
        at = container.direntries[index].isectStart
        chain = [at]
        while container.fat[chain[-1]] < olefile.MAXREGSECT:
            chain.append(container.fat[chain[-1]])
        table = (struct.unpack_from("<L", data, 76)[0] + 1) * 512
        struct.pack_into("<L", data, table + 4 * chain[-1], at)
        if size is not None:
            struct.pack_into("<L", data, 512 * (container.first_dir_sector + 1) + 128 * index + 120, size)
    return bytes(data)


XLS: dict[str, tuple[Build, str]] = {
    "a chain of sectors that loops": (_looping, ""),
    "a loop that claims 2 GB": (lambda: _looping(0x7FFFFFFF), "file-unreadable"),
    "a far cell": (lambda: _old(number(65535, 199)), "file-too-large"),
    "a cell in column IV": (lambda: _old(number(65535, 255)), "file-too-large"),
    "an extent of four thousand million rows": (lambda: _old(_EXTENT + _RECORD), "name-suspicious"),
    "strings that are not there": (
        lambda: _old(_record(0x00FD, struct.pack("<HHHL", 1, 0, 0, 7)), _record(0x00FC, struct.pack("<LL", 1, 1))),
        "file-unreadable",
    ),
    "two hundred times the same sheet": (lambda: _old(_RECORD, b"", 200), "file-unreadable"),
    "a record longer than the file": (lambda: _old(struct.pack("<HH", 0x0203, 60_000)), "file-unreadable"),
}

# What each is answered with; "" where nothing is wrong that anybody could see.
ALL = [
    (f"a.{ending}", told, build, rule)
    for ending, files in (("xlsx", XLSX), ("csv", CSV), ("ods", ODS), ("xls", XLS))
    for told, (build, rule) in files.items()
]
