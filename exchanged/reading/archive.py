"""A zip container nobody vouches for: its table of contents checked, its members inflated in counted blocks.

Takes   an open binary file and the limit on inflated bytes
Gives   members by normalised name, as blocks; XML members only without DTD and without endless text
Redo    it only reads
Ends    file-encrypted, file-too-large (directory, members, inflated bytes as counted, not as declared), file-unreadable
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO, cast
from xml.parsers import expat

from isal import igzip_lib, isal_zlib

from exchanged.batch import Limits
from exchanged.reading.sniff import directory_size
from exchanged.reading.trouble import Trouble, damaged, too_large

BLOCK = 8 << 20
SMALL = 1 << 20
MEMBERS = 10_000
PART = 64 << 20
_DIRECTORY = 4 << 20
_LOCAL = struct.Struct("<4s22xHH")
_ROOT = re.compile(rb"<[^?!\s]")
_ENCODING = re.compile(rb"""^[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)""")

Handler = Callable[..., None]
_BROKEN: tuple[type[Exception], ...] = (cast("type[Exception]", igzip_lib.IsalError),)


class Archive:
    """The members of a zip file. Inflated bytes are counted over all members that are opened."""

    def __init__(self, source: BinaryIO, limits: Limits) -> None:
        self.source, self.limit = source, limits.unpacked
        if directory_size(source) > _DIRECTORY:
            raise too_large("members", MEMBERS)
        source.seek(0)
        with zipfile.ZipFile(source) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
        if len(infos) > MEMBERS:
            raise too_large("members", MEMBERS)
        if sum(info.file_size for info in infos) > self.limit:
            raise too_large("unpacked", self.limit)
        if any(info.flag_bits & 0x41 for info in infos):
            raise Trouble("file-encrypted")
        if any(info.header_offset < 0 for info in infos) or _overlap(infos):
            raise damaged("entry")
        self.infos = {_name(info.filename): info for info in infos}
        if len(self.infos) != len(infos):
            raise damaged("duplicate-members")
        self._inflated: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return _name(name) in self.infos

    def blocks(self, name: str, size: int = BLOCK) -> Iterator[bytes]:
        """A member's content in blocks of at most `size` bytes; raises when it is not what its entry says."""
        key = _name(name)
        info = self.infos.get(key)
        if info is None:
            raise damaged("member-missing")
        produced, check = 0, 0
        for block in self._inflate(info, size):
            produced += len(block)
            self._count(key, produced)
            if produced > info.file_size:
                raise damaged("checksum")
            check = isal_zlib.crc32(block, check)
            yield block
        if produced != info.file_size or check != info.CRC:
            raise damaged("checksum")

    def _count(self, key: str, produced: int) -> None:
        if produced > self._inflated.get(key, 0):
            self._inflated[key] = produced
            if sum(self._inflated.values()) > self.limit:
                raise too_large("unpacked", self.limit)

    def _inflate(self, info: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
        at = self._data_start(info)
        left = info.compress_size
        if info.compress_type == zipfile.ZIP_STORED:
            while left:
                self.source.seek(at)
                block = self._exactly(min(left, size))
                at, left = at + len(block), left - len(block)
                yield block
            return
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise damaged("compression")
        inflater = isal_zlib.decompressobj(-15)
        while not inflater.eof:
            data = inflater.unconsumed_tail
            if not data and left:
                self.source.seek(at)
                data = self._exactly(min(left, SMALL))
                at, left = at + len(data), left - len(data)
            try:
                block = inflater.decompress(data, size)
            except _BROKEN:
                raise damaged("damaged") from None
            if block:
                yield block
            elif not data and not left:
                raise damaged("truncated")

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        self.source.seek(info.header_offset)
        signature, name, extra = _LOCAL.unpack(self._exactly(_LOCAL.size))
        if signature != b"PK\x03\x04":
            raise damaged("entry")
        return int(info.header_offset + _LOCAL.size + name + extra)

    def _exactly(self, size: int) -> bytes:
        data = self.source.read(size)
        if len(data) != size:
            raise damaged("truncated")
        return data

    def xml(self, name: str, size: int = BLOCK) -> Iterator[bytes]:
        """An XML member's blocks: no DTD, no run of text longer than a block without a tag."""
        first = True
        for block in self.blocks(name, size):
            if first:
                no_dtd(block[:65536])
                first = False
            if len(block) > 65536 and b"<" not in block:
                raise too_large("piece", len(block))
            yield block

    def parse(self, name: str, start: Handler, end: Handler | None = None, text: Handler | None = None) -> None:
        """Runs a small XML member through expat; larger than 64 MiB is refused."""
        parser = safe_parser()
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text
        total = 0
        for block in self.xml(name, SMALL):
            total += len(block)
            if total > PART:
                raise too_large("unpacked", PART)
            parser.Parse(block, False)
        parser.Parse(b"", True)


def safe_parser() -> expat.XMLParserType:
    """expat that refuses any DTD and gives text in one piece."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    return parser


def _refuse_dtd(*_: object) -> None:
    raise damaged("dtd")


def no_dtd(head: bytes) -> None:
    """Refuses a document type declaration before the root element, and a prologue without end."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    root = _ROOT.search(head)
    if not root and len(head) == 65536:
        raise damaged("prologue")
    if b"<!DOCTYPE" in head[: root.start() if root else len(head)]:
        raise damaged("dtd")


def is_utf8(head: bytes) -> bool:
    """Whether the XML declaration leaves the encoding at UTF-8, so that bytes can be looked at directly."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:64]:
        return False
    declared = _ENCODING.match(head[:200]) if head.lstrip(b"\xef\xbb\xbf").startswith(b"<?xml") else None
    return declared is None or declared[1].upper() in (b"UTF-8", b"US-ASCII", b"ASCII", b"UTF8")


def local(tag: str) -> str:
    """An element's name without its prefix."""
    return tag.rpartition(":")[2]


def _overlap(infos: Sequence[zipfile.ZipInfo]) -> bool:
    """Do two entries share bytes of the file? No program writes that; a small file can say a great deal that way."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    return any(
        one.header_offset + _LOCAL.size + one.compress_size > other.header_offset for one, other in pairwise(ordered)
    )


def _name(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
