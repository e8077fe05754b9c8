"""What lies in the drop folder, settled, and what of it belongs together. Looks only; takes nothing.

Takes   the drop folder and the names of its lanes
Gives   groups of settled files: one lane, one stem, or one sub-folder
Redo    keeps in memory only since when each file has been as it is; the kernel's own times spare most of that wait
Ends    a file that is not regular, or hard-linked, is never opened and is logged once
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from pathlib import Path

from exchanged import log
from exchanged.secrets import Secrets
from exchanged.settings import Settings

CLAIMS = ".exchanged"  # in each lane: what is being taken
FOREIGN = "intake.claims_foreign"  # there is something of that name that is not ours
IGNORED_ENDINGS = (".part", ".tmp", ".crdownload", ".filepart")
IGNORED_STARTS = (".", "~$")
BOARD = "状态.txt"  # what waits for what, written there for the clerk
IGNORED_NAMES = {"thumbs.db", "desktop.ini"}
IGNORED_FOLDERS = {"system volume information", "lost+found", "__macosx", "dfsrprivate", "$recycle.bin", "#recycle"}
IGNORED_FOLDERS |= {"@eadir", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "#snapshot", "~snapshot"}
ANNOTATED = ".annotated"  # what giving back adds to a stem: corrected, the file and its old scan belong together again
OLD = 86400.0  # seconds after which a file that is passed over is worth a word
LONG = 60.0  # seconds beyond the settle time after which it is said of a file that somebody has it open
OTHERS = (
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".webp"),
    *(".doc", ".docx", ".wps", ".rtf", ".odt", ".ofd", ".ppt", ".pptx", ".zip", ".rar", ".7z"),
)  # endings of what is neither a spreadsheet nor a scan, and so no part of a batch: it goes back alone
ENDS = 1 << 16  # bytes at both ends of a file in which the names of its parts are looked for
_PARTS = (
    b"xl/workbook",
    b"opendocument.spreadsheet",
    *(f"{one}\0".encode("utf-16-le") for one in ("Workbook", "Book")),
)
HEAD = 1024  # bytes in which a PDF's mark must stand

Mark = tuple[int, int, int]  # size, mtime in ns, inode: what must not change while a file settles


def ignored(name: str, is_folder: bool = False) -> bool:
    """Whether a name in the drop folder is passed over until it changes."""
    low = name.casefold()
    if is_folder and (low in IGNORED_FOLDERS or re.fullmatch("@ea[a-z]*", low)):
        return True
    ours = unicodedata.normalize("NFKC", low) == BOARD  # however a file server has spelt it
    return ours or low.startswith(IGNORED_STARTS) or low.endswith(IGNORED_ENDINGS) or low in IGNORED_NAMES


def fold(stem: str) -> str:
    """The form in which stems are compared: Unicode NFC, case-folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem).casefold())


def stem_of(name: str) -> str:
    """A file's stem; that of an annotated workbook is the one of the spreadsheet that was given back with it."""
    stem = Path(name).stem
    while stem.casefold().endswith(ANNOTATED) and len(stem) > len(ANNOTATED):
        stem = stem[: -len(ANNOTATED)]
    return stem


def takes_place(new: str, old: str) -> bool:
    """Whether a file replaces an older one of its lane: by its name, or as the annotated workbook made of it."""
    by_mark = stem_of(new) != Path(new).stem or stem_of(old) != Path(old).stem
    return fold(new) == fold(old) or (by_mark and fold(stem_of(new)) == fold(stem_of(old)))


@dataclass(frozen=True, slots=True)
class Item:
    """A settled file of the drop folder: where it lies, what it is, and the mark it settled with."""

    path: Path
    mark: Mark
    is_scan: bool
    is_pdf: bool
    is_other: bool = False  # neither a spreadsheet nor a scan, by its name and what it holds


class Not(Enum):
    """Why a file is not to be taken: not yet, not ever, or not ours to read."""

    YET = 1
    EVER = 2
    OURS = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Files that belong together: one lane, one stem, and the sub-folder they lie in, if any.

    joins: the batch that waits for this scan, as the code on it says. ended: one that the code names and that waits no
    more. apart: it belongs to no other files of its stem.
    """

    lane: Path
    data_type: str
    stem: str
    folder: str | None
    items: tuple[Item, ...]
    joins: str | None = None
    ended: str | None = None
    apart: bool = False


@dataclass(slots=True)
class Found:
    """What one look brought: groups ready to claim, files that still settle, and what is not ours to read or take."""

    ready: list[Group] = field(default_factory=list)
    unsettled: int = 0
    unread: int = 0  # groups with scans that the next look reads
    stuck: int = 0
    deeper: int = 0  # folders in sub-folders, which nobody looks into
    lying: Sequence[tuple[str, Path]] = ()  # what people can do something about: "open" elsewhere, "unreadable"

    def gather(self) -> None:
        """Scans of one folder whose codes name one batch become one group: only the clerk knows which of them counts.

        While some scans are unread the others wait for them.
        """
        joined: dict[tuple[object, ...], Group] = {}
        for number, group in enumerate(self.ready):
            if group.joins and self.unread:
                self.unread += 1
                continue
            place = (group.lane, group.folder, group.joins) if group.joins else (number,)
            first = joined.get(place)
            joined[place] = replace(first, items=(*first.items, *group.items)) if first else group
        self.ready = list(joined.values())


class Drop:
    """Looks at one drop folder. `waits` tells whether a batch waits for a scan of a group's lane and stem."""

    def __init__(self, settings: Settings, secrets: Secrets, waits: Callable[[Group], bool]) -> None:
        self._settings = settings
        self._secrets = secrets
        self._waits = waits
        self._seen: dict[Path, tuple[Mark, float]] = {}
        self._told: set[tuple[str, str]] = set()
        self._stuck = self._deeper = 0
        self._lying: list[tuple[str, Path]] = []
        self._coming: set[str] = set()
        self._denied: dict[Path, float] = {}

    def deny(self, path: Path) -> None:
        """A file that its folder does not let go is not tried again before the next rescan."""
        self.refuse(path, "unreadable")
        self._denied[path] = time.monotonic() + self._settings.intake.rescan

    def forget(self, path: Path) -> None:
        """A file was taken; another of its name begins to settle anew."""
        self._seen.pop(path, None)

    def lanes(self) -> Iterator[tuple[Path, str]]:
        """The drop folder itself and the lane folders that exist in it, each with its data type."""
        drop, types = self._settings.folders.drop, self._settings.intake.data_types
        yield drop, types[0]
        for name in types:
            if (drop / name).is_dir() and not (drop / name).is_symlink():
                yield drop / name, name

    def look(self) -> Found:
        """List the lanes and group what has settled. A lane folder that cannot be listed raises OSError."""
        found, present = Found(), set()
        self._stuck = self._deeper = 0
        self._lying.clear()
        self._coming.clear()
        for lane, data_type in self.lanes():
            groups: dict[tuple[str, str | None], list[Path]] = {}
            for stem, folder, path in self._entries(lane):
                groups.setdefault((fold(stem), folder), []).append(path)
                present.add(path)
            for (_, folder), paths in sorted(groups.items(), key=lambda pair: pair[0][0]):
                if folder is not None and str(lane / folder) in self._coming:
                    found.unsettled += 1
                    continue
                items = [self._settled(path) for path in paths]
                found.unsettled += items.count(Not.YET)
                found.stuck += items.count(Not.OURS)
                ready = [item for item in items if isinstance(item, Item)]
                if ready and Not.YET not in items and Not.OURS not in items:
                    stem = folder if folder is not None else stem_of(ready[0].path.name)
                    found.ready += self._split(Group(lane, data_type, stem, folder, tuple(ready)))
        for gone in set(self._seen) - present:
            del self._seen[gone]
        found.stuck, found.deeper, found.lying = found.stuck + self._stuck, self._deeper, self._lying
        return found

    def _entries(self, lane: Path) -> Iterator[tuple[str, str | None, Path]]:
        """Every file to look at in a lane: its stem, its sub-folder, its path."""
        top = lane == self._settings.folders.drop
        for entry in self._inside(lane) if not top else _sorted(lane):
            folder = entry.is_dir(follow_symlinks=False)
            if ignored(entry.name, folder) or (folder and top and entry.name in self._settings.intake.data_types):
                continue
            if not folder:
                yield stem_of(entry.name), None, Path(entry.path)
                continue
            for file in self._inside(Path(entry.path)):
                if ignored(file.name, True):
                    if self._unfinished(file):
                        self._coming.add(entry.path)
                    continue
                if file.is_dir(follow_symlinks=False):
                    self._deeper += 1
                else:
                    yield entry.name, entry.name, Path(file.path)

    def _unfinished(self, entry: os.DirEntry[str]) -> bool:
        """Whether more of a folder is on its way: it is sent whole or not yet. An upload is broken off after a day."""
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            return False
        age = time.time() - state.st_ctime  # what a clock somewhere else has written as its time says nothing
        upload = entry.name.casefold().endswith(IGNORED_ENDINGS)
        return stat.S_ISREG(state.st_mode) and -OLD < age < (OLD if upload else self._settings.intake.settle)

    def _inside(self, folder: Path) -> list[os.DirEntry[str]]:
        """What lies in a sub-folder, in order; one that may not be read or written holds nobody else up."""
        try:
            found = _sorted(folder)
        except FileNotFoundError:
            return []
        except PermissionError:
            found = None
        if found is None or (found and not os.access(folder, os.W_OK | os.X_OK)):
            self.refuse(folder, "unreadable")
            self._stuck += 1
            return []
        return found

    def _settled(self, path: Path) -> Item | Not:
        """An Item once the file has settled."""
        if self._denied.get(path, 0.0) > time.monotonic():
            self._lying.append(("unreadable", path))
            return Not.OURS
        try:
            state = path.lstat()
        except OSError:
            return Not.YET
        if not stat.S_ISREG(state.st_mode):
            self.refuse(path, "link" if stat.S_ISLNK(state.st_mode) else "special")
            return Not.EVER
        mark = (state.st_size, state.st_mtime_ns, state.st_ino)
        seen, since = self._seen.get(path, (None, 0.0))
        settle, moment = self._settings.intake.settle, time.monotonic()
        if seen != mark:
            still = time.time() - max(state.st_ctime, state.st_mtime)  # the kernel's own record spares the wait
            since = moment - max(0.0, min(still, settle)) if seen is None else moment
            self._seen[path] = (mark, since)
        if moment - since < settle:
            return Not.YET
        if state.st_nlink > 1:
            self.refuse(path, "hard_link")
            return Not.EVER
        item = self._opened(path, mark)
        if item is Not.YET and moment - since > settle + LONG:
            self._lying.append(("open", path))
        return item

    def _opened(self, path: Path, mark: Mark) -> Item | Not:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            self.refuse(path, "unreadable")
            return Not.OURS
        except OSError:
            return Not.YET
        try:
            if mark_of(os.fstat(fd)) != mark or not closed(fd):
                return Not.YET
            head, ending = os.pread(fd, HEAD, 0), path.suffix.casefold()
            is_other = ending in OTHERS and not _holds_table(fd, mark[0])
        finally:
            os.close(fd)
        is_pdf = b"%PDF-" in head
        office = head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))
        is_scan = is_pdf or (ending == ".pdf" and not office)
        return Item(path, mark, is_scan, is_pdf, is_other and not is_scan)

    def refuse(self, path: Path, kind: str) -> None:
        """What is not taken: links, pipes, devices, hard links, what is unreadable or too large. Said once for each."""
        if kind == "unreadable":
            self._lying.append((kind, path))
        name = hashlib.sha256(os.fsencode(path)).hexdigest()
        if (name, kind) not in self._told:
            self._told.add((name, kind))
            name_hash = self._secrets.pseudonym(os.fsencode(path.name)).hex()[:16]
            log.emit("intake.refused_kind", kind=kind, name_hash=name_hash)

    def _split(self, group: Group) -> Iterator[Group]:
        """What belongs to no batch; then the rest.

        A scan whose content is no PDF is a scan only where its partner is; alone it is a batch of the wrong type.
        """
        if others := tuple(item for item in group.items if item.is_other):
            yield replace(group, items=others, apart=True)
        left = tuple(item for item in group.items if not item.is_other)
        if not left:
            return
        group = replace(group, items=left)
        sheets = any(not item.is_scan for item in group.items)
        if sheets or self._waits(group):
            yield group
            return
        for item in group.items:
            alone = item if item.is_pdf else Item(item.path, item.mark, False, False)
            yield Group(group.lane, group.data_type, group.stem, group.folder, (alone,))


def _holds_table(fd: int, size: int) -> bool:
    """Whether a file seems to be a spreadsheet that bears another name: by the names of its parts."""
    ends = os.pread(fd, ENDS, 0) + os.pread(fd, ENDS, max(0, size - ENDS))
    return any(word in ends for word in _PARTS)


def mark_of(state: os.stat_result) -> Mark:
    """What must not change while a file settles."""
    return state.st_size, state.st_mtime_ns, state.st_ino


def closed(fd: int) -> bool:
    """Whether no process on this machine has the file open for writing, as far as the kernel tells us."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return False
    except PermissionError:  # the file of another user, and no CAP_LEASE
        _writers_unseen()
        return True
    except OSError:
        return True  # a file system without leases: the settle time alone decides
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


@cache
def _writers_unseen() -> None:
    """Said once: half a file of a writer that pauses longer than the settle time may be taken."""
    log.emit("intake.writers_unseen")


def _sorted(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as listing:
        return sorted(listing, key=lambda entry: os.fsencode(entry.name))


def content_name(unit: str, data_type: str, stem: str, digests: Sequence[str]) -> str:
    """The name of a batch: unit, today, ten hex digits of its content (SHA-256 of each file, hex)."""
    content = hashlib.sha256()
    for part in (data_type, fold(stem), *digests):
        content.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return f"{unit}-{time.strftime('%Y%m%d')}-{content.hexdigest()[:10]}"
