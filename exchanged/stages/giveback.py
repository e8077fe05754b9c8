"""Give a clerk the files of a batch back, with what is wrong with them.

Takes   the batch's files in the spool with their names, and what puts the rest beside them
Gives   `rejected/<batch>/`, whole or not at all
Redo    an earlier, identical folder is destroyed and written anew; what a killed run left half done is cleared at start
Ends    OSError when it cannot be written: the batch stays in its state
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from exchanged import disk
from exchanged.ledger import Source

FILE_MODE = 0o660  # the clerks' group, inherited from the folder, reads and takes them away
FOLDER_MODE = 0o770
MARKED = ".annotated.xlsx"
LONGEST = 255  # bytes of a file's name


def give_back(
    rejected: Path,
    batch: str,
    spool: Path,
    sources: Sequence[Source],
    add: Callable[[Path], Mapping[str, bytes]],
) -> None:
    """Write the folder: the originals under their own names, then what `add` puts into it or gives: the reports."""
    target = rejected / batch
    part = disk.temp_name(target)
    part.mkdir()
    try:
        _fill(part, spool, sources, add)
    except Exception:
        with contextlib.suppress(OSError):
            disk.destroy_tree(part)
        raise
    disk.destroy_tree(target)
    part.rename(target)
    disk.sync_folder(rejected)


def _fill(part: Path, spool: Path, sources: Sequence[Source], add: Callable[[Path], Mapping[str, bytes]]) -> None:
    part.chmod(stat.S_IMODE(part.stat().st_mode) | FOLDER_MODE)  # the clerks' group is inherited through setgid
    for source in sources:
        fd = os.open(spool / str(source.position), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            disk.copy(fd, part / source.name, FILE_MODE)
        finally:
            os.close(fd)
    reports = add(part)
    disk.write_all(part, {_unused(part, name): content for name, content in reports.items()}, FILE_MODE)


def _unused(folder: Path, name: str) -> str:
    """A clerk's own file may have a report's name: then the report steps in its place and the file beside it."""
    number = 1
    while (folder / name).exists():
        beside = folder / f"original-{number}-{name}"
        number += 1
        if not beside.exists():
            (folder / name).rename(beside)
    return name


def marked_name(folder: Path, name: str) -> str:
    """The name for a spreadsheet's annotated workbook: one that no file in the folder has, and that is not too long."""
    stem = name.rpartition(".")[0] or name
    again = [(name, f".{number}{MARKED}") for number in range(2, 1000)]
    for start, tail in [(stem, MARKED), (name, MARKED), *again]:
        while len(f"{start}{tail}".encode("utf-8", "surrogateescape")) > LONGEST:
            start = start[:-1]
        if not (folder / f"{start}{tail}").exists():
            return f"{start}{tail}"
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def expire(rejected: Path, after: float, passes: int) -> int:
    """Destroy rejected folders older than `after` seconds. Gives how many."""
    expired = 0
    for folder in sorted(path for path in rejected.iterdir() if path.is_dir() and not path.is_symlink()):
        if not folder.name.startswith(".") and time.time() - folder.lstat().st_mtime > after:
            disk.destroy_tree(folder, passes)
            expired += 1
    return expired
