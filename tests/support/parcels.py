"""What the sealing tests feed to gpg, and how they expect it to be refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.errors import NotYet
from exchanged.sealing.gnupg import Gnupg

CONTENT = b"some content " * 5000
OLD = "20200101T000000"


def feed(content: bytes = CONTENT) -> Callable[[int], None]:
    """A writer of this content."""

    def write(pipe: int) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(pipe, view) :]

    return write


def never(pipe: int) -> None:
    """A writer that must not be asked."""
    raise AssertionError("asked for content though it cannot be sealed")


def refused(gnupg: Gnupg, folder: Path, write: Callable[[int], None] = never) -> NotYet:
    """Why sealing was refused; nothing may be left in the folder."""
    with pytest.raises(NotYet) as problem:
        gnupg.seal(write, folder / "jx-1.pgp")
    assert list(folder.iterdir()) == []
    return problem.value


def script(folder: Path, body: str) -> str:
    """A program in gpg's place that answers a listing like gpg and does something else when it seals."""
    path = folder / "gpg"
    path.write_text(f'#!/bin/bash\nfor a in "$@"; do [ "$a" = --list-keys ] && exec gpg "$@"; done\n{body}\n')
    path.chmod(0o700)
    return str(path)
