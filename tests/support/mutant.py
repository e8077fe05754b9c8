"""The program with one of its precautions taken out, to see that the tests notice.

`python -m tests.support.mutant NAME ARGUMENTS…`
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def no_fsync() -> None:
    os.fsync = lambda _fd: None  # type: ignore[assignment]


def no_file_fsync() -> None:
    from exchanged import disk

    real = disk.sync
    disk.sync = lambda fd: real(fd) if os.path.isdir(f"/proc/self/fd/{fd}") else None  # noqa: PTH112


def no_folder_fsync() -> None:
    from exchanged import disk

    disk.sync_folder = lambda _folder: None


def lazy_ledger(how: str) -> None:
    from exchanged.ledger import store

    class Lazy(sqlite3.Connection):
        def execute(self, sql: str, *more: Any) -> Any:
            return super().execute(sql.replace("synchronous=FULL", f"synchronous={how}"), *more)

    store.sqlite3 = SimpleNamespace(**{**vars(sqlite3), "connect": partial(sqlite3.connect, factory=Lazy)})  # type: ignore[assignment]


def write_in_place() -> None:
    """Files are written under their own names instead of being renamed when they are whole."""
    from exchanged import disk

    def place(path: Path, data: bytes, mode: int) -> None:
        with path.open("wb") as file:
            path.chmod(mode)
            file.write(data)
            file.flush()
            disk.sync(file.fileno())

    disk._place = place  # type: ignore[assignment]


def _names_its_own(module: Any, **more: Any) -> None:
    """A module that uses no temporary names."""
    from exchanged import disk

    module.disk = SimpleNamespace(**{**vars(disk), "temp_name": lambda path: path, **more})


def seal_in_place() -> None:
    from exchanged.sealing import gnupg

    _names_its_own(gnupg)


def give_back_in_place() -> None:
    from exchanged.stages import giveback

    _names_its_own(giveback, destroy_tree=lambda *_: None)


def enter_first() -> None:
    """The ledger says that a batch was entered before its files are durable."""
    from exchanged import disk

    real = disk.copy

    def copy(source: int, target: Path, mode: int = 0o600) -> tuple[int, str]:
        sync, disk.sync = disk.sync, lambda _fd: None
        try:
            return real(source, target, mode)
        finally:
            disk.sync = sync

    disk.copy = copy


MUTANTS: dict[str, Callable[[], None]] = {
    "no fsync at all": no_fsync,
    "no fsync of files": no_file_fsync,
    "no fsync of folders": no_folder_fsync,
    "PRAGMA synchronous=NORMAL": partial(lazy_ledger, "NORMAL"),
    "PRAGMA synchronous=OFF": partial(lazy_ledger, "OFF"),
    "files written in place": write_in_place,
    "packages sealed in place": seal_in_place,
    "batches given back in place": give_back_in_place,
    "entered before its files are durable": enter_first,
}


if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    from exchanged.cli import main

    sys.exit(main(sys.argv[2:]))
