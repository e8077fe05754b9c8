"""The bytes of a CSV file as UTF-8 blocks of whole lines: which encoding, and nothing that is no text.

Takes   an open binary file
Gives   its encoding by rule (BOM; strict UTF-8 over the whole file; strict GB18030), then blocks, any number of times
Redo    reads from the start each time
Ends    file-encoding with the byte that fits nowhere, file-unreadable on NUL, file-too-large on an endless line
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from exchanged.reading.trouble import Trouble, damaged, too_large
from exchanged.standard.text import GB18030_2022

BLOCK = 8 << 20
LINE = 32 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_PRIVATE = re.compile(b"\xee[\xa0\xa1]")  # U+E800 to U+E87F: bytes that GB 18030-2022 reads otherwise may be among them
_END = re.compile(rb"\x1a[\0\x1a\r\n]*\Z")


class Text:
    """A CSV file whose encoding is known. `doubtful`: 1-based byte at which it stopped to be UTF-8, if it did."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        source.seek(0)
        head = source.read(4096)
        self.start, self.encoding = next(((len(bom), name) for bom, name in _BOMS if head.startswith(bom)), (0, ""))
        self.doubtful: int | None = None
        if head.startswith(_UTF32) or (not self.encoding and _is_bare_utf16(head)):
            raise Trouble("file-encoding", byte=1)
        if self.encoding.startswith("utf-16"):
            return
        self.doubtful = self._not_utf8()
        if self.encoding and self.doubtful:
            raise Trouble("file-encoding", byte=self.doubtful)
        self.encoding = "gb18030" if self.doubtful else "utf-8"

    def _raw(self) -> Iterator[bytes]:
        self.source.seek(self.start)
        while block := self.source.read(BLOCK):
            yield block

    def _not_utf8(self) -> int | None:
        """1-based byte that is no UTF-8, None when all is. Raises on NUL anywhere but after the end mark."""
        position, rest, wrong = self.start, b"", None
        for block in self._raw():
            if b"\0" in block and not _END.search(block):
                raise damaged("nul", byte=position + len(rest) + block.index(b"\0") + 1)
            if wrong is not None:
                continue
            whole = rest + block
            cut = whole.rfind(b"\n") + 1 or len(whole) - _unfinished(whole)
            wrong = _wrong_byte(whole[:cut], position)
            position, rest = position + cut, whole[cut:]
        return wrong if wrong is not None else _wrong_byte(rest, position)

    def blocks(self) -> Iterator[bytes]:
        """UTF-8, each block ending with a line end; line ends stay as they are, a trailing Ctrl-Z is gone."""
        rest = b""
        for block in self._utf8():
            whole = rest + block if rest else block
            if b"\x1a" in whole[-64:]:  # perhaps the end mark: told from text by what follows
                rest = whole
                continue
            cut = max(whole.rfind(b"\n"), whole.rfind(b"\r", 0, len(whole) - 1)) + 1
            if cut == 0 and len(whole) > LINE:
                raise too_large("piece", LINE)
            rest = whole[cut:]
            if cut:
                yield whole[:cut]
        if rest := _END.sub(b"", rest):
            yield rest

    def _utf8(self) -> Iterator[bytes]:
        if self.encoding == "utf-8":
            yield from self._raw()
            return
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        position = self.start
        for block in self._raw():
            carried = len(decoder.getstate()[0])
            yield self._decoded(decoder, block, position - carried)
            position += len(block)
        yield self._decoded(decoder, b"", position - len(decoder.getstate()[0]), final=True)

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes, position: int, final: bool = False) -> bytes:
        try:
            text = decoder.decode(block, final)
            if "\0" in text and self.encoding != "gb18030":
                raise damaged("nul", byte=position + 1)
            whole = text.encode("utf-8")
        except UnicodeDecodeError as error:
            raise Trouble("file-encoding", byte=max(position + error.start + 1, self.doubtful or 0)) from None
        if self.encoding == "gb18030" and _PRIVATE.search(whole):
            return text.translate(GB18030_2022).encode("utf-8")
        return whole


def _wrong_byte(text: bytes, position: int) -> int | None:
    """1-based place of the first byte that is no UTF-8, counted from `position`."""
    offsets = pa.py_buffer((0).to_bytes(4, "little") + len(text).to_bytes(4, "little"))
    whole: Any = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(text))
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            return position + error.start + 1
    return None


def _unfinished(text: bytes) -> int:
    """How many bytes at the end may belong to a character that goes on in the next block."""
    return next((k for k in range(1, min(4, len(text) + 1)) if text[-k] >= 0xC0), 0)


def _is_bare_utf16(head: bytes) -> bool:
    """Text with NUL at one parity, hardly any at the other (一 is one): UTF-16 whose mark was lost."""
    fewer, more = sorted((head[0::2].count(0), head[1::2].count(0)))
    return fewer * 5 < more and more * 40 > len(head)
