"""Room kept for the ledger on its file system: a file that is given up when the disk is full, so that this is recorded.

Takes   the state folder
Gives   `keep`, which fills the file while there is room beside it; `release`, which frees its blocks
Redo    each looks first: a file that is whole is left alone, one that is gone is not missed
Ends    never with an error: without the reserve a full disk is still said in the log, only not in `status`
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from exchanged import disk

NAME = "reserve"
SIZE = 4 << 20  # bytes: what the ledger needs to record a hundred times that the disk is full
BESIDE = 3 * SIZE  # free bytes below which nothing is put aside


def keep(state: Path) -> None:
    """Put room aside. What is written is random, so that no file system keeps it in less."""
    path = state / NAME
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size == SIZE:
            return
        if disk.free(state) > SIZE + BESIDE:
            disk.write(path, os.urandom(SIZE))


def release(state: Path) -> bool:
    """Give the room back to the file system. Whether there was any."""
    try:
        (state / NAME).unlink()
    except OSError:
        return False
    return True
