"""Writes workbooks and tables for the tests: many writers, odd habits, hostile files. Nobody real stands in them."""

from __future__ import annotations

import datetime as dt
import io
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter

HEADERS = ("姓名", "性别", "出生日期", "发证日期", "证书编号", "证件类型", "证件号码", "职业资格", "职业方向",
           "技能等级", "鉴定中心", "发证机关")  # fmt: skip
Rows = Sequence[Sequence[Any]]

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def row(n: int = 1) -> list[str]:
    """A made-up row; its values need not pass any rule but look like the real thing."""
    return [f"测试{n}", "男", "1990-03-07", "2018-05-11", f"18000100004{n:05d}", "201", "11000019900307001X", "焊工",
            "电焊工", "4", "某某省职业技能鉴定指导中心", "某某省人力资源和社会保障厅"]  # fmt: skip


def table(n: int) -> list[list[str]]:
    """Header and n rows."""
    return [list(HEADERS), *(row(i) for i in range(1, n + 1))]


def csv_bytes(rows: Rows, encoding: str = "utf-8", separator: str = ",", end: str = "\r\n") -> bytes:
    """Rows without quoting, as they stand."""
    return "".join(separator.join(map(str, line)) + end for line in rows).encode(encoding)


def by_openpyxl(rows: Rows, sheet: str = "Sheet1", change: Callable[[Any], None] | None = None) -> bytes:
    """An xlsx as openpyxl writes it; `change` gets the worksheet."""
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for line in rows:
        page.append(list(line))
    if change:
        change(page)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def by_xlsxwriter(rows: Rows, inline: bool = False, **options: Any) -> bytes:
    """An xlsx as xlsxwriter writes it; `inline`: constant_memory, with inline strings. Dates get a date format."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "constant_memory": inline, **options})
    page = book.add_worksheet("数据")
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for r, line in enumerate(rows):
        for c, value in enumerate(line):
            if isinstance(value, dt.date):
                page.write_datetime(r, c, value, day)
            elif isinstance(value, str):
                page.write_string(r, c, value)
            elif value is not None:
                page.write(r, c, value)
    book.close()
    return out.getvalue()


def by_soffice(xlsx: bytes, ending: str, folder: Path, options: str = "") -> bytes:
    """The workbook as LibreOffice saves it; skips the test where there is none."""
    if not shutil.which("soffice"):
        pytest.skip("LibreOffice is not installed (apt-get install libreoffice-calc-nogui)")
    source = folder / "source.xlsx"
    source.write_bytes(xlsx)
    out = folder / "converted"
    target = f"{ending}:{options}" if options else ending
    profile = f"-env:UserInstallation=file://{folder}/profile"
    command = ["soffice", profile, "--headless", "--convert-to", target, "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return (out / f"source.{ending.partition(':')[0]}").read_bytes()


def sheet_xml(cells: str, prologue: str = "", after: str = "") -> str:
    """A worksheet around hand-written rows."""
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return f'{head}{prologue}<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData>{after}</worksheet>'


def inline_row(number: int, values: Iterable[str], extra: str = "") -> str:
    """One row of inline strings; `extra` is put behind them."""
    cells = "".join(
        f'<c r="{column(i)}{number}" t="inlineStr"><is><t>{value}</t></is></c>' for i, value in enumerate(values)
    )
    return f'<row r="{number}">{cells}{extra}</row>'


def column(index: int) -> str:
    """A, B, … Z, AA …"""
    return (column(index // 26 - 1) if index >= 26 else "") + chr(65 + index % 26)


def raw_xlsx(
    *sheets: str,
    strings: str | None = None,
    styles: str | None = None,
    extra: dict[str, bytes] | None = None,
    properties: str = "",
) -> bytes:
    """An xlsx of hand-written worksheets."""
    names = [f"xl/worksheets/sheet{i}.xml" for i in range(1, len(sheets) + 1)]
    links = [(f"rId{i}", "worksheet", f"worksheets/sheet{i}.xml") for i in range(1, len(sheets) + 1)]
    links += [("rIdS", "sharedStrings", "sharedStrings.xml")] if strings is not None else []
    links += [("rIdT", "styles", "styles.xml")] if styles is not None else []
    listed = "".join(f'<sheet name="S{i}" sheetId="{i}" r:id="rId{i}"/>' for i in range(1, len(sheets) + 1))
    parts: dict[str, bytes] = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>'.encode(),
        "_rels/.rels": relations([("rId1", "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": (
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{properties}<sheets>{listed}</sheets></workbook>'.encode()
        ),
        "xl/_rels/workbook.xml.rels": relations(links),
        **{name: text.encode() for name, text in zip(names, sheets, strict=True)},
        **({"xl/sharedStrings.xml": strings.encode()} if strings is not None else {}),
        **({"xl/styles.xml": styles.encode()} if styles is not None else {}),
        **(extra or {}),
    }
    return zipped(parts)


def relations(links: Iterable[tuple[str, str, str]]) -> bytes:
    """A relations part."""
    inner = "".join(f'<Relationship Id="{i}" Type="{OFFICE}/{kind}" Target="{to}"/>' for i, kind, to in links)
    return f'<Relationships xmlns="{PACKAGE}/relationships">{inner}</Relationships>'.encode()


def zipped(parts: dict[str, bytes]) -> bytes:
    """A zip of members, in order, deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    """The members of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def patched(data: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one member changed."""
    parts = members(data)
    parts[member] = change(parts[member])
    return zipped(parts)


def bomb(size: int) -> bytes:
    """A small xlsx whose only sheet inflates to about `size` bytes."""
    out = io.BytesIO()
    parts = members(raw_xlsx(sheet_xml("")))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            if "sheet1" not in name:
                archive.writestr(name, content)
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f'<worksheet xmlns="{MAIN}"><sheetData>{inline_row(1, HEADERS)}'.encode())
            block = b"<row></row>" * 95325
            for _ in range(size // len(block)):
                sheet.write(block)
            sheet.write(b"</sheetData></worksheet>")
    return out.getvalue()


def ole(streams: dict[str, bytes]) -> bytes:
    """A compound file of some streams, each padded to at least 4096 bytes; 512-byte sectors, one FAT sector."""
    fat, body, entries = [0xFFFFFFFD, 0xFFFFFFFE], b"", [_entry("Root Entry", 5, 0xFFFFFFFE, 0, 1)]
    for index, (name, content) in enumerate(streams.items(), 1):
        padded = content.ljust(max(4096, -(-len(content) // 512) * 512), b"\0")
        start, count = len(fat), len(padded) // 512
        fat += [*range(start + 1, start + count), 0xFFFFFFFE]
        entries.append(_entry(name, 2, start, len(padded), -1, index + 1 if index < len(streams) else -1))
        body += padded
    assert len(fat) <= 128
    assert len(entries) <= 4
    table = struct.pack("<128L", *fat, *[0xFFFFFFFF] * (128 - len(fat)))
    head = struct.pack("<8s16xHHHHH6xLLLLLLLLL", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0,
                       4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)  # fmt: skip
    difat = struct.pack("<109L", 0, *[0xFFFFFFFF] * 108)
    return head + difat + table + b"".join(entries).ljust(512, b"\0") + body


def _entry(name: str, kind: int, start: int, size: int, child: int = -1, right: int = -1) -> bytes:
    wide = name.encode("utf-16-le")
    none = 0xFFFFFFFF
    return struct.pack(
        "<64sHBBLLL16xL16xLQ", wide, len(wide) + 2, kind, 1, none, right & none, child & none, 0, start, size
    )


def ods(content: str, manifest: str = "") -> bytes:
    """An ods of one hand-written table."""
    names = (
        "".join(f' xmlns:{p}="urn:oasis:names:tc:opendocument:xmlns:{p}:1.0"' for p in ("office", "table", "text"))
        + ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    )
    body = (
        f'<office:document-content{names}><office:body><office:spreadsheet><table:table table:name="S1">{content}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    return zipped(
        {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": body.encode(),
            "META-INF/manifest.xml": (manifest or '<m:manifest xmlns:m="urn:x"/>').encode(),
        }
    )


def ods_row(values: Iterable[str], attributes: str = "", extra: str = "") -> str:
    """One ods row of text cells."""
    cells = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>' for value in values
    )
    return f"<table:table-row{attributes}>{cells}{extra}</table:table-row>"
