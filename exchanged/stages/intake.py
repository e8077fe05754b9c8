"""Take settled files out of the drop folder and into the spool, as batches.

Takes   the drop folder's listing, and the batches that wait for a partner
Gives   new batches in state `claimed`, and scans attached to waiting batches
Redo    a claim is a rename into a hidden folder of the drop folder; what was renamed but not entered in the ledger goes
        back to its name and is claimed anew, what was entered is destroyed there: the spool's copy is the batch's
Ends    a file that is not regular, or hard-linked, is never opened and is logged; one that changes is left to settle
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets as random
import stat
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from exchanged import disk, log
from exchanged.ledger import Ledger, Record, Source
from exchanged.secrets import Secrets
from exchanged.settings import Settings
from exchanged.states import State

CLAIMS = ".exchanged"
IGNORED_ENDINGS = (".part", ".tmp", ".crdownload", ".filepart")
IGNORED_STARTS = (".", "~$")
IGNORED_NAMES = {"thumbs.db", "desktop.ini"}
IGNORED_FOLDERS = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__macosx"}
RESERVE = 16 << 20  # bytes that claiming leaves free, so that the ledger can always be written
HEAD = 1024  # bytes in which a PDF's mark must stand

Mark = tuple[int, int, int]  # size, mtime in ns, inode: what must not change while a file settles


def ignored(name: str, is_folder: bool = False) -> bool:
    """Whether a name in the drop folder is passed over until it changes."""
    low = name.casefold()
    if is_folder and (low in IGNORED_FOLDERS or low.startswith("@ea")):
        return True
    return low.startswith(IGNORED_STARTS) or low.endswith(IGNORED_ENDINGS) or low in IGNORED_NAMES


def fold(stem: str) -> str:
    """The form in which stems are compared: Unicode NFC, case-folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem).casefold())


@dataclass(frozen=True, slots=True)
class Item:
    """A settled file of the drop folder: where it lies, what it is, and the mark it settled with."""

    path: Path
    mark: Mark
    is_scan: bool
    is_pdf: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Files that belong together: one lane, one stem, and the sub-folder they lie in, if any."""

    lane: Path
    data_type: str
    stem: str
    folder: str | None
    items: tuple[Item, ...]


@dataclass(slots=True)
class Found:
    """What one look at the drop folder brought: groups ready to claim, and how many files are not ready."""

    ready: list[Group] = field(default_factory=list)
    unsettled: int = 0


class Intake:
    """Watches one drop folder. Keeps in memory only what it saw settle; everything else is on disk."""

    def __init__(self, settings: Settings, ledger: Ledger, secrets: Secrets, spool: Path) -> None:
        self._settings = settings
        self._ledger = ledger
        self._secrets = secrets
        self._spool = spool
        self._seen: dict[Path, tuple[Mark, float]] = {}
        self._told: set[tuple[str, str]] = set()

    # --- looking --------------------------------------------------------------------------------------------------

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
        for lane, data_type in self.lanes():
            groups: dict[tuple[str, str | None], list[Path]] = {}
            for stem, folder, path in self._entries(lane):
                groups.setdefault((fold(stem), folder), []).append(path)
                present.add(path)
            for (_, folder), paths in sorted(groups.items(), key=lambda pair: pair[0][0]):
                items = [self._settled(path) for path in paths]
                found.unsettled += sum(item is None for item in items)
                ready = [item for item in items if isinstance(item, Item)]
                if ready and None not in items:
                    stem = folder if folder is not None else ready[0].path.stem
                    found.ready += self._split(Group(lane, data_type, stem, folder, tuple(ready)))
        for gone in set(self._seen) - present:
            del self._seen[gone]
        return found

    def _entries(self, lane: Path) -> Iterator[tuple[str, str | None, Path]]:
        """Every file to look at in a lane: its stem, its sub-folder, its path."""
        top = lane == self._settings.folders.drop
        with os.scandir(lane) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            folder = entry.is_dir(follow_symlinks=False)
            if ignored(entry.name, folder) or (folder and top and entry.name in self._settings.intake.data_types):
                continue
            if not folder:
                yield Path(entry.name).stem, None, Path(entry.path)
                continue
            with contextlib.suppress(FileNotFoundError), os.scandir(entry.path) as inner:
                for file in sorted(inner, key=lambda entry: os.fsencode(entry.name)):
                    if not ignored(file.name, True) and not file.is_dir(follow_symlinks=False):
                        yield entry.name, entry.name, Path(file.path)

    def _settled(self, path: Path) -> Item | bool | None:
        """An Item once the file has settled; None while it has not; False when it is never to be opened."""
        try:
            state = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(state.st_mode):
            return self._refuse(path, "link" if stat.S_ISLNK(state.st_mode) else "special")
        mark = (state.st_size, state.st_mtime_ns, state.st_ino)
        seen, since = self._seen.get(path, (None, 0.0))
        settle, moment = self._settings.intake.settle, time.monotonic()
        if seen != mark:
            still = time.time() - max(state.st_ctime, state.st_mtime)  # the kernel's own record spares the wait
            since = moment - max(0.0, min(still, settle)) if seen is None else moment
            self._seen[path] = (mark, since)
        if moment - since < settle:
            return None
        if state.st_nlink > 1:
            return self._refuse(path, "hard_link")
        return self._opened(path, mark)

    def _opened(self, path: Path, mark: Mark) -> Item | bool | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            return self._refuse(path, "unreadable")
        except OSError:
            return None
        try:
            if _mark(os.fstat(fd)) != mark or not _closed(fd):
                return None
            head = os.pread(fd, HEAD, 0)
        finally:
            os.close(fd)
        is_pdf = b"%PDF-" in head
        office = head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))
        return Item(path, mark, is_pdf or (path.suffix.casefold() == ".pdf" and not office), is_pdf)

    def _refuse(self, path: Path, kind: str) -> bool:
        """Never opened: links, pipes, devices, hard links. Said once for each."""
        name = hashlib.sha256(os.fsencode(path)).hexdigest()
        if (name, kind) not in self._told:
            self._told.add((name, kind))
            name_hash = self._secrets.pseudonym(os.fsencode(path.name)).hex()[:16]
            log.emit("intake.refused_kind", kind=kind, name_hash=name_hash)
        return False

    def _split(self, group: Group) -> Iterator[Group]:
        """A scan whose content is no PDF is a scan only where its partner is; alone it is a batch of the wrong type."""
        sheets = any(not item.is_scan for item in group.items)
        if sheets or self._waiting(group):
            yield group
            return
        for item in group.items:
            alone = item if item.is_pdf else Item(item.path, item.mark, False, False)
            yield Group(group.lane, group.data_type, group.stem, group.folder, (alone,))

    # --- claiming -------------------------------------------------------------------------------------------------

    def pairing(self, data_type: str, stem: str) -> bytes:
        """What files of the same lane and stem have in common in the ledger."""
        return self._secrets.pseudonym(f"{data_type}\0{fold(stem)}".encode("utf-8", "surrogateescape"))

    def _waiting(self, group: Group) -> Record | None:
        """The batch of this lane and stem that still waits for its scan."""
        for batch in self._ledger.paired(self.pairing(group.data_type, group.stem)):
            early = (batch.held_from or batch.state) in (State.CLAIMED, State.VALIDATED)
            if early and all(source.position for source in self._ledger.sources(batch)):
                return batch
        return None

    def claim(self, group: Group) -> Record | None:
        """Claim one group. Gives the batch that it became or joined; None when its scan has to wait, or it changed."""
        sheets = [item for item in group.items if not item.is_scan]
        scans = [item for item in group.items if item.is_scan]
        waiting = self._waiting(group)
        if not sheets and (waiting is None or len(scans) > 1):
            return self._orphan(group, scans)
        token = random.token_hex(8)
        claimed = self._rename(group, token)
        if claimed is None:
            return None
        if not sheets and waiting is not None:
            return self._join(waiting, group, claimed[0][1], token)
        return self._enter(group, claimed, token, waiting)

    def _orphan(self, group: Group, scans: list[Item]) -> Record | None:
        """A scan without its spreadsheet stays in the drop folder until its wait is over, then goes back by a batch."""
        arrived = max(item.path.lstat().st_ctime for item in scans)
        if time.time() - arrived < self._settings.intake.confirmation_wait:
            return None
        token = random.token_hex(8)
        claimed = self._rename(group, token)
        return self._enter(group, claimed, token, None) if claimed else None

    def _rename(self, group: Group, token: str) -> list[tuple[Item, Path]] | None:
        """Move a group's files into a claim folder of their lane; puts them back if one is not what had settled."""
        home = disk.folder(group.lane / CLAIMS) / token
        inside = home if group.folder is None else home / group.folder
        inside.mkdir(parents=True, mode=0o700)
        moved: list[tuple[Item, Path]] = []
        try:
            for item in group.items:
                target = inside / item.path.name
                item.path.rename(target)
                moved.append((item, target))
                if _mark(target.lstat()) != item.mark:
                    raise FileNotFoundError
        except FileNotFoundError:
            self._put_back(home)
            return None
        for item in group.items:
            self._seen.pop(item.path, None)
        return moved

    def _enter(self, group: Group, claimed: list[tuple[Item, Path]], token: str, old: Record | None) -> Record | None:
        """Copy the claimed files into the spool, enter the batch, destroy the originals."""
        scan_first = sorted(claimed, key=lambda pair: (not pair[0].is_scan, _nfc(pair[1].name)))
        if disk.free(self._spool) < RESERVE + sum(item.mark[0] for item, _ in claimed):
            raise OSError(errno.ENOSPC, "no room in the spool")
        part = disk.folder(self._spool / f".{token}{disk.PART}")
        sources = []
        position = 0 if any(item.is_scan for item, _ in claimed) else 1
        for _, path in scan_first:
            sources.append(self._copy(path, part / str(position), position, token))
            position += 1
        sources += self._keep_older(old, part, sources, token)
        disk.sync_folder(part)
        name = self._name(group, sources)
        part.rename(self._spool / name)
        disk.sync_folder(self._spool)
        pairing = self.pairing(group.data_type, group.stem)
        self._ledger.claim(name, group.stem, group.data_type, pairing, sources, replaces=old)
        log.emit("intake.claimed", batch=name, files=len(sources), bytes=sum(source.bytes for source in sources))
        self._finish(group.lane / CLAIMS / token)
        if group.folder is not None and sources[0].position == 0:
            _remove_empty(group.lane / group.folder)
        return self._ledger.batch(name)

    def _keep_older(self, old: Record | None, part: Path, new: list[Source], token: str) -> list[Source]:
        """Spreadsheets of a replaced batch that the new files do not replace by name come along."""
        if old is None:
            return []
        names, kept = {fold(source.name) for source in new}, []
        position = max(source.position for source in new) + 1
        for source in self._ledger.sources(old):
            if fold(source.name) not in names:
                path = self._spool / old.id / str(source.position)
                kept.append(self._copy(path, part / str(position), position, token, source.name))
                position += 1
        return kept

    def _copy(self, path: Path, target: Path, position: int, token: str, name: str | None = None) -> Source:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size, digest = disk.copy(fd, target)
        finally:
            os.close(fd)
        return Source(position, name or path.name, digest, size, token)

    def _join(self, batch: Record, group: Group, scan: Path, token: str) -> Record | None:
        """Add a scan to the batch that waits for it."""
        temp = self._spool / batch.id / f".{token}{disk.PART}"
        source = self._copy(scan, temp, 0, token)
        disk.commit(temp, self._spool / batch.id / "0")
        self._ledger.attach(batch, source)
        log.emit("intake.claimed", batch=batch.id, files=1, bytes=source.bytes)
        self._finish(group.lane / CLAIMS / token)
        if group.folder is not None:
            _remove_empty(group.lane / group.folder)
        return self._ledger.batch(batch.id)

    def _name(self, group: Group, sources: list[Source]) -> str:
        """Unit, date, ten hex digits of the content: the same files give the same name, a second time the next one."""
        content = hashlib.sha256()
        for part in (group.data_type, fold(group.stem), *(source.sha256 for source in sources)):
            content.update(part.encode("utf-8", "surrogateescape") + b"\0")
        prefix = f"{self._settings.unit.code}-{time.strftime('%Y%m%d')}-{content.hexdigest()[:10]}"
        again = self._ledger.count_named(prefix)
        return f"{prefix}-{again + 1}" if again else prefix

    # --- after a crash --------------------------------------------------------------------------------------------

    def _finish(self, claim: Path) -> None:
        """The spool has the files: destroy them in the drop folder, unless one was changed since and is new again."""
        for path in sorted(path for path in claim.rglob("*") if path.is_file()):
            if not path.name.endswith(disk.GONE) and not self._same(claim.name, path):
                continue
            disk.destroy(path, self._settings.deletion.overwrite)
        self._put_back(claim)

    def _same(self, token: str, path: Path) -> bool:
        digest = disk.sha256(path)
        return any(source == digest for source in self._ledger.claimed_digests(token))

    def _put_back(self, claim: Path) -> None:
        """Give what is left in a claim folder its place in the lane again, then remove the folder."""
        lane = claim.parent.parent
        for path in sorted(path for path in claim.rglob("*") if path.is_file()):
            home = lane / path.relative_to(claim)
            home.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                path.rename(_free(home))
        for folder in sorted((path for path in claim.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        claim.rmdir()
        with contextlib.suppress(OSError):
            claim.parent.rmdir()  # only when no other claim is open: the clerk sees an empty folder again
        disk.sync_folder(lane)

    def recover(self) -> None:
        """Finish or undo the claims that an earlier run left half done, and clear its temporary files."""
        for lane, _ in self.lanes():
            for claim in sorted(path for path in (lane / CLAIMS).glob("*") if path.is_dir()):
                if self._ledger.knows_claim(claim.name):
                    self._finish(claim)
                else:
                    self._put_back(claim)
        known = {batch.id for batch in self._ledger.batches(open_only=True)}
        for path in self._spool.iterdir():
            if path.is_dir() and path.name not in known:
                disk.destroy_tree(path, self._settings.deletion.overwrite)
            elif path.is_dir():
                disk.sweep(path)


def _mark(state: os.stat_result) -> Mark:
    return state.st_size, state.st_mtime_ns, state.st_ino


def _closed(fd: int) -> bool:
    """Whether no process on this machine has the file open for writing, as far as the kernel tells us."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return False
    except OSError:
        return True  # not our file, or a file system without leases: the settle time alone decides
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _free(path: Path) -> Path:
    """A name that nobody has, as near to the wanted one as possible."""
    number, home = 2, path
    while os.path.lexists(home):
        home = path.with_name(f"{path.stem[:60]} ({number}){path.suffix}")
        number += 1
    return home
