"""Spoils real files: bytes anywhere, parts of a package, records of an old workbook, cells and signs of a CSV."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
from collections.abc import Callable, Sequence

from exchanged.reading import biff, compound

Change = Callable[[random.Random, bytes], bytes]

WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TEXTS = (
    b"", b"0", b"-1", b"1", b"9" * 20, b"1048577", b"XFE1", b"A0", b"1e309", b"nan", b"inf", b"1" * 400, b"\xff\xfe",
    "䶮".encode(), "\U00020bb7".encode(), b"&amp;", b"&#0;", b"&#xD800;", b"_xD800_", b"_x0000_", b"<", b">", b'"',
    b"'", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?x?>", b"\0", b" " * 300, b"\t", b"\r", b"\n", b"true",
    b"#N/A", b"=1+1",
)  # fmt: skip


def flip(dice: random.Random, data: bytes) -> bytes:
    """Some bits turned."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        if out:
            out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    return bytes(out)


def cut(dice: random.Random, data: bytes) -> bytes:
    """The end missing, or a piece."""
    at = dice.randrange(len(data) + 1)
    return data[:at] if dice.random() < 0.3 else data[:at] + data[at + dice.choice((1, 2, 16, 512)) :]


def again(dice: random.Random, data: bytes) -> bytes:
    """A piece once more, here or elsewhere."""
    at, size = dice.randrange(len(data) + 1), dice.choice((1, 4, 30, 512, 5000))
    to = dice.randrange(len(data) + 1) if dice.random() < 0.5 else at
    return data[:to] + data[at : at + size] * dice.choice((1, 1, 2, 50)) + data[to:]


def word(dice: random.Random, data: bytes) -> bytes:
    """A number of two or four bytes at its limits."""
    if len(data) < 4:
        return data
    out, size = bytearray(data), dice.choice((2, 4))
    at = dice.randrange(len(data) - 3)
    out[at : at + size] = struct.pack("<L", dice.choice(WORDS))[:size]
    return bytes(out)


def insert(dice: random.Random, data: bytes) -> bytes:
    """Something that means something, anywhere."""
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(TEXTS) + data[at:]


ANYWHERE: tuple[Change, ...] = (flip, cut, again, word, insert)

_TAG = re.compile(rb"<[^<>]*>")
_VALUE = re.compile(rb'="([^"<>]*)"')
_CONTENT = re.compile(rb">([^<>]+)<")


def _replaced(dice: random.Random, data: bytes, pattern: re.Pattern[bytes], group: int) -> bytes:
    found = [match.span(group) for match in pattern.finditer(data)]
    if not found:
        return data
    start, end = dice.choice(found)
    return data[:start] + dice.choice(TEXTS) + data[end:]


def attribute(dice: random.Random, data: bytes) -> bytes:
    """An attribute's value replaced."""
    return _replaced(dice, data, _VALUE, 1)


def content(dice: random.Random, data: bytes) -> bytes:
    """An element's text replaced."""
    return _replaced(dice, data, _CONTENT, 1)


def tag(dice: random.Random, data: bytes) -> bytes:
    """A tag left out, doubled, or exchanged with another one."""
    found = [match.span() for match in _TAG.finditer(data)]
    if not found:
        return data
    start, end = dice.choice(found)
    other = dice.choice(found)
    by = dice.choice((b"", data[start:end] * 2, data[slice(*other)]))
    return data[:start] + by + data[end:]


IN_XML: tuple[Change, ...] = (attribute, attribute, content, content, tag, tag, flip, insert, again, cut)


def package(dice: random.Random, data: bytes) -> bytes:
    """A zip with one or a few of its members spoilt, the rest sound and every checksum right."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return data
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        name = dice.choice([*parts, *[name for name in parts if "sheet" in name or "content" in name] * 4])
        kind = dice.random()
        if kind < 0.04:
            del parts[name]
        elif kind < 0.08:
            parts[name] = parts[dice.choice(list(parts))]
        else:
            parts[name] = dice.choice(IN_XML)(dice, parts[name])
        if not parts:
            return data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def workbook(dice: random.Random, data: bytes) -> bytes:
    """An old workbook with some of its records spoilt, in a sound container."""
    try:
        stream = biff.stream(io.BytesIO(data))
    except Exception:
        return data
    found, at = [], 0
    while at + 4 <= len(stream):
        code, size = struct.unpack_from("<HH", stream, at)
        found.append((at, code, size))
        at += 4 + size
    for _ in range(dice.choice((1, 1, 2, 6))):
        at, code, size = dice.choice(found)
        body = stream[at + 4 : at + 4 + size]
        kind = dice.random()
        if kind < 0.5:
            body = dice.choice((flip, word))(dice, body) if body else body
            stream = stream[: at + 4] + body[:size].ljust(size, b"\0") + stream[at + 4 + size :]
        elif kind < 0.7:
            stream = stream[:at] + struct.pack("<HH", dice.choice(found)[1], size) + stream[at + 4 :]
        elif kind < 0.85:
            stream = stream[:at] + struct.pack("<HH", code, dice.choice(WORDS) & 0xFFFF) + stream[at + 4 :]
        else:
            stream = dice.choice((cut, again, flip))(dice, stream)
    return compound.wrapped("Workbook", stream)


SIGNS = (
    '"', '""', ",", ";", "\t", "\r", "\n", "\r\n", "\0", "\x1a", "\ufeff", "\u2028", "'", "=", '="', "\u200b", "䶮",
    "\U00020bb7", "\ue863", "\x85", " ", "#N/A", "1E+17", "sep=;\r\n", ",,,,,,,,,,,,,,,,",
)  # fmt: skip


def delimited(dice: random.Random, data: bytes) -> bytes:
    """A CSV with signs put in and taken out, perhaps in another encoding."""
    encoding = "utf-16" if data[:2] == b"\xff\xfe" else "utf-8-sig" if data[:3] == b"\xef\xbb\xbf" else "gb18030"
    try:
        text = data.decode("utf-8" if encoding == "gb18030" else encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace")
    for _ in range(dice.choice((1, 1, 2, 5, 30))):
        at = dice.randrange(len(text) + 1)
        text = text[:at] + dice.choice(SIGNS) * dice.choice((1, 1, 1, 3)) + text[at + dice.choice((0, 0, 1, 5)) :]
    out = text.encode(dice.choice((encoding, "utf-8", "gb18030", "utf-16")), "replace")
    return flip(dice, out) if dice.random() < 0.2 else out


INSIDE: dict[str, Sequence[Change]] = {
    ".xlsx": (package, package, package),
    ".ods": (package, package, package),
    ".xls": (workbook, workbook, workbook),
    ".et": (workbook, workbook),
    ".csv": (delimited, delimited, delimited),
}


def mutant(seed: int, ending: str, data: bytes) -> bytes:
    """One spoilt file, the same for the same seed."""
    dice = random.Random(seed)
    if dice.random() < 0.25:
        return dice.choice(ANYWHERE)(dice, data)
    return dice.choice(INSIDE[ending])(dice, data)
