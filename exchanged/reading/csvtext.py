"""The bytes of a CSV file as UTF-8 blocks of whole lines: which encoding, and nothing that is no text.

Takes   an open binary file
Gives   its encoding by rule (BOM; strict UTF-8; strict GB18030, each over the whole file), then blocks any number of times
Redo    reads from the start each time
Ends    file-encoding with the byte that fits nowhere, file-unreadable on NUL, file-too-large on an endless line
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from exchanged.reading.trouble import Trouble, damaged, too_large

BLOCK = 8 << 20
LINE = 32 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_END = re.compile(rb"[\x1a\0]*\x1a[\r\n]*\Z")


class Text:
    """A decoded CSV file. `quotes`: a quote character stands somewhere; `doubtful`: 1-based byte at which UTF-8 ended."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.quotes = False
        self.doubtful: int | None = None
        source.seek(0)
        head = source.read(4096)
        self.start, self.encoding = next(((len(bom), name) for bom, name in _BOMS if head.startswith(bom)), (0, ""))
        if self.encoding:
            if (at := self._check(self.encoding)) is not None:
                raise Trouble("file-encoding", byte=at, encoding=self.encoding)
            return
        if _is_bare_utf16(head):
            raise Trouble("file-encoding", byte=1, encoding="utf-16")
        self.encoding = "utf-8"
        self.doubtful = self._check("utf-8")
        if self.doubtful is not None:
            self.encoding = "gb18030"
            if (at := self._check("gb18030")) is not None:
                raise Trouble("file-encoding", byte=max(at, self.doubtful))

    def _raw(self) -> Iterator[bytes]:
        self.source.seek(self.start)
        while block := self.source.read(BLOCK):
            yield block

    def _check(self, encoding: str) -> int | None:
        """1-based byte that is wrong in this encoding, None when there is none. Raises on NUL."""
        decode = codecs.getincrementaldecoder(encoding)("strict").decode
        position, carried, zero = self.start, 0, b"\0" if not encoding.startswith("utf-16") else None
        decoder_state = codecs.getincrementaldecoder(encoding)("strict")
        decode = decoder_state.decode
        self.quotes = False
        block = b""
        for block in self._raw():
            if zero and zero in block and not _END.search(block):
                raise damaged("nul", byte=position + block.index(zero) + 1)
            self.quotes = self.quotes or b'"' in block
            try:
                text = decode(block)
            except UnicodeDecodeError as error:
                return position - carried + error.start + 1
            if zero is None and "\0" in text:
                raise damaged("nul", byte=position + 1)
            position += len(block)
            carried = len(decoder_state.getstate()[0])
        try:
            decode(b"", final=True)
        except UnicodeDecodeError:
            return position - carried + 1
        return None

    def blocks(self) -> Iterator[bytes]:
        """UTF-8, each block ending with a line end; line ends stay as they are, a trailing Ctrl-Z is gone."""
        rest = b""
        for block in self._utf8():
            whole = rest + block
            cut = max(whole.rfind(b"\n"), whole[:-1].rfind(b"\r")) + 1
            if cut == 0 and len(whole) > LINE:
                raise too_large("text", LINE)
            if cut:
                yield whole[:cut]
            rest = whole[cut:]
        rest = _END.sub(b"", rest)
        if rest:
            yield rest

    def _utf8(self) -> Iterator[bytes]:
        if self.encoding == "utf-8":
            yield from self._raw()
            return
        decode = codecs.getincrementaldecoder(self.encoding)("strict").decode
        for block in self._raw():
            yield decode(block).encode("utf-8", "surrogatepass")


def _is_bare_utf16(head: bytes) -> bool:
    """Text with NUL at one parity only: UTF-16 whose mark was lost."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return (even == 0) != (odd == 0) and max(even, odd) * 40 > len(head)
