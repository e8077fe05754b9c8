"""Tells by its content what kind of file something is. Cheap, light to import, never raises.

Takes   an open seekable binary file, and its name where the content alone cannot tell (plain text)
Gives   a short word: xlsx xls ods csv pdf encrypted; or what else it is: xlsb html xml2003 docx zip …; or None
Redo    it only looks and leaves the file at its start
Ends    with None for what has no known shape
"""

from __future__ import annotations

import codecs
import contextlib
import re
import struct
import zipfile
import zlib
from typing import BinaryIO

HEAD = 65536
READABLE = frozenset({"xlsx", "xls", "ods", "csv", "encrypted"})
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".et", ".ods", ".xltx", ".xltm", ".ett")
TEXTS = (".csv",)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAGIC = (
    (b"{\\rtf", "rtf"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"BM", "image"),
    (b"Rar!", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
)
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|table|meta|style|script|div|tr|td)\b", re.I)
_STRANGE = bytes((*range(1, 9), *range(14, 26), *range(27, 32)))  # control characters that no text has
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"
_MAX_DIRECTORY = 4 << 20


def kind(head: bytes, source: BinaryIO, name: str = "") -> str | None:
    """What the file is, by its first bytes (`head`, up to 64 KiB) and, for containers, its table of contents."""
    lower = name.lower()
    if not head:
        return "csv" if lower.endswith(TEXTS) else "xlsx" if lower.endswith(WORKBOOKS) else None
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK"):
        return _zip(head, source)
    if head.startswith(OLE):
        return _ole(source)
    if re.match(rb"\x09[\x00\x02\x04\x08][\x04-\x10]\x00", head):
        return "xls"
    for magic, word in _MAGIC:
        if head.startswith(magic):
            return word if magic != b"BM" or b"\0" in head[:64] else _text(head, source, lower)
    return _text(head, source, lower)


def _zip(head: bytes, source: BinaryIO) -> str | None:
    members = _members(source)
    if members is None:
        if b"xl/" in head or b"[Content_Types].xml" in head:
            return "xlsx"
        return "ods" if b"opendocument.spreadsheet" in head else "zip"
    if "xl/workbook.bin" in members:
        return "xlsb"
    if any(name.startswith("word/") for name in members):
        return "docx"
    if any(name.startswith("ppt/") for name in members):
        return "pptx"
    if "content.xml" in members:
        return "ods" if members.get("mimetype", _ODS).startswith(_ODS) else "odf"
    if "[content_types].xml" in members or any(name.startswith("xl/") for name in members):
        return "xlsx"
    return "zip"


def _members(source: BinaryIO) -> dict[str, bytes] | None:
    """Names in a zip file, lower case, with the content of `mimetype`; None when its directory cannot be read."""
    if directory_size(source) > _MAX_DIRECTORY:
        return None
    try:
        source.seek(0)
        with zipfile.ZipFile(source) as archive:
            names = dict.fromkeys((name.replace("\\", "/").lower() for name in archive.namelist()), b"")
            if "mimetype" in names:
                with archive.open("mimetype") as content:
                    names["mimetype"] = content.read(200)
            return names
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, LookupError, struct.error, zlib.error, EOFError):
        return None
    finally:
        source.seek(0)


def directory_size(source: BinaryIO) -> int:
    """Bytes of a zip's central directory as its end record says; 0 when there is no end record."""
    end = source.seek(0, 2)
    source.seek(max(0, end - 65557))
    tail = source.read(65557)
    source.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 16:
        return 0
    (size,) = struct.unpack_from("<L", tail, at + 12)
    if size != 0xFFFFFFFF:
        return int(size)
    at = tail.rfind(b"PK\x06\x06")
    return int(struct.unpack_from("<Q", tail, at + 40)[0]) if at >= 0 and len(tail) >= at + 48 else 0


def _ole(source: BinaryIO) -> str | None:
    import olefile

    streams: set[str] = set()
    with contextlib.suppress(Exception):  # olefile raises many kinds on damage; what is left decides
        source.seek(0)
        with olefile.OleFileIO(source) as container:
            streams = {"/".join(entry).lower() for entry in container.listdir()}
    source.seek(0)
    if "encryptedpackage" in streams:
        return "encrypted"
    if streams & {"workbook", "book"} or not streams:
        return "xls"
    return "doc" if "worddocument" in streams else "ole"


def _text(head: bytes, source: BinaryIO, lower: str) -> str | None:
    start = _decoded_start(head)
    if start is None:
        return "csv" if lower.endswith(TEXTS) else None
    plain = start.lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if plain.startswith(b"<?xml") or (plain.startswith(b"<") and b"xmlns" in plain[:2000]):
        if b"urn:schemas-microsoft-com:office:spreadsheet" in plain[:8192]:
            return "xml2003"
        if b"office:document" in plain[:8192]:
            return "fods"
        return "html" if _HTML.search(plain[:8192]) else "xml"
    if plain.startswith(b"<") and _HTML.search(plain[:4096]):
        return "html"
    if re.match(rb"(?i)mime-version:", plain):
        return "mhtml"
    if lower.endswith(TEXTS):
        return "csv"
    return "csv" if re.search(rb"[,;\t]", b"\n".join(plain.splitlines()[:20])) else "text"


def _decoded_start(head: bytes) -> bytes | None:
    """The head as UTF-8 or GB18030 bytes when it looks like text at all."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[: len(head) & ~1].decode("utf-16", "replace").encode("utf-8")
    strange = len(head) - len(head.translate(None, _STRANGE))
    return None if b"\0" in head or strange * 50 > len(head) else head
