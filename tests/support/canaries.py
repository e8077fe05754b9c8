"""Words that must not be found: in which disguises they may stand, and the search for them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path


def disguises(text: str) -> Iterator[bytes]:
    """A text as it may stand in a file: raw in several encodings, as hex, as escapes, in base64."""
    raw = text.encode()
    yield from (raw, text.encode("utf-16-le"), text.encode("gb18030"), raw.hex().encode())
    yield text.encode("unicode_escape")
    yield base64.b64encode(raw)[:-4] or raw


def found(paths: Iterable[Path], words: Iterable[str]) -> list[str]:
    """Where any of the words stands, in the content or the name of a file. Links and what is gone are passed over."""
    needles = {needle for text in words for needle in disguises(text)}
    places = []
    for path in paths:
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes() + str(path).encode("utf-8", "surrogateescape")
        places += [f"{path}: {needle!r}" for needle in needles if needle in content]
    return places
