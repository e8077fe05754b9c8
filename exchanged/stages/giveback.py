"""Give a clerk the files of a batch back, with what is wrong with them.

Takes   the batch's files in the spool with their names, and the reports
Gives   `rejected/<batch>/`, whole or not at all
Redo    an earlier, identical folder is destroyed and written anew
Ends    OSError when it cannot be written: the batch stays in its state
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from exchanged import disk
from exchanged.ledger import Source

FILE_MODE = 0o660  # the clerks' group, inherited from the folder, reads and takes them away
FOLDER_MODE = 0o770


def give_back(rejected: Path, batch: str, spool: Path, sources: Sequence[Source], reports: Mapping[str, bytes]) -> None:
    """Write the folder: the originals under their own names, then the reports."""
    target = rejected / batch
    part = disk.temp_name(target)
    part.mkdir()
    part.chmod(stat.S_IMODE(part.stat().st_mode) | FOLDER_MODE)  # the clerks' group is inherited through setgid
    for source in sources:
        fd = os.open(spool / str(source.position), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            disk.copy(fd, part / source.name, FILE_MODE)
        finally:
            os.close(fd)
    disk.write_all(part, {_unused(part, name): content for name, content in reports.items()}, FILE_MODE)
    disk.destroy_tree(target)
    part.rename(target)
    disk.sync_folder(rejected)


def _unused(folder: Path, name: str) -> str:
    """A clerk's own file may have a report's name: then the report steps in its place and the file beside it."""
    number = 1
    while (folder / name).exists():
        beside = folder / f"original-{number}-{name}"
        number += 1
        if not beside.exists():
            (folder / name).rename(beside)
    return name


def expire(rejected: Path, after: float, passes: int) -> int:
    """Destroy rejected folders older than `after` seconds, and what interrupted runs left. Gives how many."""
    expired = 0
    for folder in sorted(path for path in rejected.iterdir() if path.is_dir() and not path.is_symlink()):
        old = time.time() - folder.lstat().st_mtime > after
        if folder.name.endswith(disk.PART) or old:
            disk.destroy_tree(folder, passes)
            expired += old
    return expired
