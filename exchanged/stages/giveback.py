"""Give a clerk the files of a batch back, with what is wrong with them.

Takes   the batch's files in the spool with their names, and what puts the rest beside them
Gives   `rejected/<batch>/`, whole or not at all
Redo    an earlier, identical folder is destroyed and written anew, but for what the clerk has changed in it or put
        there since; what a killed run left half done is cleared at start
Ends    OSError when it cannot be written: the batch stays in its state
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from exchanged import disk, filenames, seen
from exchanged.ledger import Source

FILE_MODE = 0o660  # the clerks' group, inherited from the folder, reads and takes them away
FOLDER_MODE = 0o770
MARKED = ".annotated.xlsx"
CORRECTED = ".corrected.xlsx"  # instead, where a clerk has worked in one before it was written anew
REPORTS = ("report.html", "report.json")
CHANGED = ".changed"  # behind the name of a file that someone has changed in the spool
BATCH = re.compile(r"[a-z0-9]+-\d{8}-[0-9a-f]{10}(-\d+)?")  # what a batch may be called: other folders are not ours


def give_back(
    rejected: Path,
    batch: str,
    spool: Path,
    sources: Sequence[Source],
    add: Callable[[Path, Sequence[str]], Mapping[str, bytes]],
) -> int:
    """Write the folder: the originals under their own names, then what `add` puts into it or gives: the reports.

    Gives how many files are not what was dropped: one that is gone is left out, a changed one says so in its name;
    `add` is told their names.
    """
    target = rejected / batch
    part = disk.temp_name(target)
    part.mkdir()
    try:
        altered = _fill(part, spool, sources, add)
        if kept := theirs(target, {disk.sha256(path) for path in part.iterdir()}):
            _join(part, target, kept)
        else:
            disk.destroy_tree(target)
            part.rename(target)
    except Exception:
        with contextlib.suppress(OSError):
            disk.destroy_tree(part)
        raise
    disk.sync_folder(rejected)
    return altered


def take_back(folder: Path, sources: Sequence[Source], passes: int) -> None:
    """Destroy a folder that was given back, or what is ours in it."""
    kept = theirs(folder, {source.sha256 for source in sources})
    if not kept:
        disk.destroy_tree(folder, passes)
        return
    for path in sorted({*folder.iterdir()} - {*kept}, key=_reports_last):
        disk.destroy(path, passes)


def theirs(folder: Path, known: Collection[str]) -> list[Path]:
    """What a clerk has changed in a folder that was given back, or put there: it may be the correction.

    Ours are what has the SHA-256 of an original (`known`), the reports, and marked workbooks not written to since.
    """
    if not disk.plain_folder(folder):
        return []
    last = folder / REPORTS[-1]
    written = last.stat().st_mtime if seen.file(last) else 0.0

    def foreign(path: Path) -> bool:
        if disk.plain_folder(path):
            return True
        marked = path.name.endswith(MARKED) and path.lstat().st_mtime <= written
        return not (path.name in REPORTS or marked or disk.is_ours(path) or _digest(path) in known)

    return sorted(path for path in folder.iterdir() if foreign(path))


def _digest(path: Path) -> str | None:
    """SHA-256 of a plain file; None of what is none, or may not be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return disk.digest(fd)[1] if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def _join(part: Path, target: Path, kept: Sequence[Path]) -> None:
    """Put a whole folder into an earlier one, beside what is the clerk's in it."""
    for path in kept:
        marked = path.name.endswith(MARKED)  # under another name it is never taken for ours again
        if marked or os.path.lexists(part / path.name):
            name = path.name.removesuffix(MARKED) + CORRECTED if marked else path.name
            path.rename(_free(target, name, part))
    for path in sorted(part.iterdir(), key=_reports_last, reverse=True):  # by the reports' time the rest is judged
        disk.destroy(target / path.name)
        path.rename(target / path.name)
    part.rmdir()
    disk.sync_folder(target)
    disk.sweep(target)


def _reports_last(path: Path) -> tuple[bool, str]:
    return path.name in REPORTS, path.name


def _fill(
    part: Path, spool: Path, sources: Sequence[Source], add: Callable[[Path, Sequence[str]], Mapping[str, bytes]]
) -> int:
    altered = []
    mode = stat.S_IMODE(part.stat().st_mode)  # setgid is inherited, and with it the clerks' group
    wanted = mode & ~0o777 | FOLDER_MODE
    if mode != wanted:  # with the unit's umask it never is; its RestrictSUIDSGID= refuses a chmod that names setgid
        part.chmod(wanted)
    for source in sources:
        try:
            fd = os.open(spool / str(source.position), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            altered.append(source.name)
            continue
        try:
            copied = _free(part, source.name)
            _, digest = disk.copy(fd, copied, FILE_MODE)
        finally:
            os.close(fd)
        if digest != source.sha256:
            altered.append(source.name)
            copied.rename(part / filenames.cut(copied.name, CHANGED))
    reports = add(part, altered)
    disk.write_all(part, {_unused(part, name): content for name, content in reports.items()}, FILE_MODE)
    return len(altered)


def _free(folder: Path, name: str, also: Path | None = None) -> Path:
    """Where to put a file: a spreadsheet and a scan may have had one name. `also`: a folder of names that are taken."""
    path = wanted = folder / name
    number = 2
    while os.path.lexists(path) or (also and os.path.lexists(also / path.name)):
        path = folder / filenames.cut(f"{number}-{wanted.stem}", wanted.suffix[:20])
        number += 1
    return path


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
        marked = filenames.cut(start, tail)
        if not (folder / marked).exists():
            return marked
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def expire(rejected: Path, after: float, passes: int) -> int:
    """Destroy the folders of batches that were given back more than `after` seconds ago. Gives how many."""
    expired = 0
    for folder in sorted(path for path in rejected.iterdir() if disk.plain_folder(path)):
        ours = BATCH.fullmatch(folder.name) or folder.name.endswith(disk.GONE)  # the latter: could not be ended before
        with contextlib.suppress(OSError):  # one that does not go, or has just gone, keeps no other
            if ours and time.time() - folder.lstat().st_mtime > after:
                disk.destroy_tree(folder, passes)
                expired += 1
    return expired
