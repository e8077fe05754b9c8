"""Names of files: in what order they stand, and how long they may be."""

from __future__ import annotations

import unicodedata

LONGEST = 255  # bytes that a file system takes


def order(name: str) -> str:
    """Files are sorted by this, everywhere: however a file server has spelt their names, the order is the same."""
    return unicodedata.normalize("NFC", name)


def cut(start: str, tail: str) -> str:
    """Both together, the start cut where the name would be too long."""
    while len(f"{start}{tail}".encode("utf-8", "surrogateescape")) > LONGEST:
        start = start[:-1]
    return f"{start}{tail}"
