"""Looks at a block of XML as bytes with numpy: tags by their first two letters, texts gathered without a parser.

Only for blocks that end with a complete element and are UTF-8; whatever is unusual is left to expat.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.reading.exact import TEXT, unescape
from exchanged.reading.trouble import damaged, too_large

Places = npt.NDArray[np.intp]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

SPACED = b'<t xml:space="preserve">'
_ODD = re.compile(rb"&|\r|_x[0-9A-Fa-f]{4}_")
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class Unusual(Exception):
    """The block is not written in the way this scan understands."""


def table(words: dict[str, int]) -> Bytes:
    """Two letters after ``<`` -> code, as a table over 16 bits; 0 for anything else."""
    found = np.zeros(65536, np.uint8)
    for word, code in words.items():
        found[ord(word[0]) | ord(word[1]) << 8] = code
    return found


def view(block: bytes) -> tuple[Bytes, Words]:
    """A block as bytes, and the 8 bytes from each place on as one little-endian word (the block is padded)."""
    padded = block + bytes(32)
    return (
        np.frombuffer(padded, np.uint8)[: len(block)],
        np.ndarray((len(padded) - 8,), "<u8", padded, strides=(1,)),
    )


def word(text: bytes) -> np.uint64:
    """Up to 8 bytes as they stand in `Words`."""
    return np.uint64(int.from_bytes(text.ljust(8, b"\0"), "little"))


def tags(data: Bytes, codes: Bytes) -> tuple[Places, Bytes]:
    """Places of all ``<`` and the code of each tag."""
    at = np.flatnonzero(data == 60)
    if len(at) and at[-1] + 2 >= len(data):
        raise Unusual
    pair = data[at + 1].astype(np.uint16)
    pair |= data[at + 2].astype(np.uint16) << np.uint16(8)
    return at, codes[pair]


def text_starts(data: Bytes, words: Words, at: Places) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Where the text of ``<t>`` elements begins, and which of them are written in one of the two known ways."""
    bare = data[at + 2] == 62
    if bare.all():
        return at + 3, bare
    spaced = (
        (words[at] == word(SPACED[:8])) & (words[at + 8] == word(SPACED[8:16])) & (words[at + 16] == word(SPACED[16:]))
    )
    return at + np.where(bare, 3, len(SPACED)), bare | spaced


def gather(data: Bytes, starts: Places, ends: Places) -> Any:
    """The texts between places as an Arrow array, entities resolved; an empty text stays empty."""
    lengths = ends - starts
    if len(lengths) and int(lengths.max()) > TEXT:
        raise too_large("piece", TEXT)
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    places = np.arange(int(offsets[-1]), dtype=np.intp)
    places += np.repeat(starts - offsets[:-1], lengths)
    content = data[places].tobytes()
    made: Any = pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets.tobytes()), pa.py_buffer(content))
    made.validate(full=True)
    if _ODD.search(content):
        made = pa.array([clean(text) for text in made.to_pylist()], pa.string())
    return made


def clean(text: str) -> str:
    """Raw XML character data as a parser would give it, and Excel's own escapes resolved."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "&" in text:
        bare = _REFERENCE.sub("", text)
        if "&" in bare:
            raise damaged("entity")
        text = _REFERENCE.sub(_resolved, text)
    return unescape(text)


def _resolved(match: re.Match[str]) -> str:
    if match[3]:
        return _NAMED[match[3]]
    number = int(match[1]) if match[1] else int(match[2], 16)
    if not (number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0xFFFF < number < 0x110000):
        raise damaged("entity")
    return chr(number)


def integers(data: Bytes, words: Words, starts: Places, ends: Places) -> npt.NDArray[np.int32]:
    """Whole numbers of one to eight digits."""
    lengths = (ends - starts).astype(np.uint64)
    if not len(lengths):
        return np.zeros(0, np.int32)
    if lengths.max() > 8 or lengths.min() < 1:
        raise Unusual
    digits = words[starts] << ((np.uint64(8) - lengths) * np.uint64(8))
    filler = word(b"0" * 8) >> (lengths * np.uint64(8))
    filler[lengths == 8] = 0
    digits |= filler
    wrong = (digits & np.uint64(0xF0F0F0F0F0F0F0F0)) != np.uint64(0x3030303030303030)
    wrong |= ((digits + np.uint64(0x0606060606060606)) & np.uint64(0xF0F0F0F0F0F0F0F0)) != np.uint64(0x3030303030303030)
    if wrong.any():
        raise Unusual
    digits &= np.uint64(0x0F0F0F0F0F0F0F0F)
    digits = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    digits = (digits * np.uint64(100) + (digits >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    digits = (digits * np.uint64(10000) + (digits >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return digits.astype(np.int32)
