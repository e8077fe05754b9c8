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
import os
import secrets as random
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from exchanged import disk, drop, log, seen
from exchanged.drop import CLAIMS, FOREIGN, Drop, Found, Group, Item, Mark, content_name, fold, mark_of, takes_place
from exchanged.errors import NotYet
from exchanged.form.code import Code
from exchanged.ledger import Ledger, Record, Source
from exchanged.secrets import Secrets
from exchanged.settings import Settings
from exchanged.states import OPERATOR, TERMINAL, State

READING = 5.0  # seconds of one look in which scans are read for their codes; the rest is read in the next one
RESERVE = 16 << 20  # bytes that claiming leaves free, so that the ledger can always be written


class _Later(Exception):
    """Enough was read in this look."""


class Intake:
    """Takes files out of one drop folder. `codes` reads the codes on a scan."""

    def __init__(
        self, settings: Settings, ledger: Ledger, secrets: Secrets, spool: Path, codes: Callable[[Path], Sequence[Code]]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._secrets = secrets
        self._spool = spool
        self._drop = Drop(settings, secrets, lambda group: self._waiting(group) is not None)
        self._codes = codes
        self._read: dict[Path, tuple[Mark, Sequence[Code]]] = {}
        self._until: float | None = None

    # --- looking --------------------------------------------------------------------------------------------------

    def look(self) -> Found:
        """What the drop folder holds; a scan with the code of a waiting batch goes to that, whatever its name."""
        found = self._drop.look()
        if any(item.is_pdf for group in found.ready for item in group.items):
            waiting, ready, found.ready = self._ledger.unconfirmed(), found.ready, []
            self._until = None  # counts from the first that is read
            there = {item.path for group in ready for item in group.items}
            self._read = {path: codes for path, codes in self._read.items() if path in there}
            for group in ready:
                try:
                    found.ready += self._routed(group, waiting)
                except _Later:
                    found.unread += 1
            found.gather()
        return found

    def _routed(self, group: Group, waiting: Sequence[Record]) -> Iterator[Group]:
        """A group without the scans that belong to waiting batches, and each of those alone."""
        own = {batch.id for batch in self._ledger.paired(self.pairing(group.data_type, group.stem))}
        paired = any(not item.is_scan for item in group.items)
        left = []
        for item in group.items:
            batch = self._named(item, waiting) if item.is_pdf and waiting else None
            if batch is None or (paired and batch.id in own):  # its spreadsheet has come anew: that will be judged
                left.append(item)
            else:
                yield replace(group, items=(item,), joins=batch.id)
        if left:
            ended = None if paired or self._waiting(group) else self._ended(left)
            yield replace(group, items=tuple(left), ended=ended)

    def _ended(self, items: Sequence[Item]) -> str | None:
        """The batch that a scan's code names, where it waits no more: its form was printed before the data changed."""
        codes = [code for item in items if item.is_pdf for code in self._coded(item)]
        named = (self._ledger.batch(name) for name in sorted({code.batch for code in codes}))
        return next((batch.id for batch in named if batch and batch.state in TERMINAL), None)

    def _coded(self, item: Item) -> Sequence[Code]:
        """The codes on a scan, read once. Raises _Later when enough was read in this look."""
        mark, codes = self._read.get(item.path, (None, ()))
        if mark != item.mark:
            if self._until is not None and time.monotonic() > self._until:
                raise _Later
            self._until = self._until or time.monotonic() + READING
            codes = self._codes(item.path)
            self._read[item.path] = item.mark, codes
        return codes

    def _named(self, item: Item, waiting: Sequence[Record]) -> Record | None:
        """The waiting batch that a scan's code names, or else whose very data it was printed for."""
        codes = self._coded(item)
        named = [batch for batch in waiting if any(code.batch == batch.id for code in codes)]
        alike = [b for b in waiting if any(code.same_data(b.digest or "", b.rows or 0) for code in codes)]
        return (*named, *alike, None)[0]

    # --- claiming -------------------------------------------------------------------------------------------------

    def pairing(self, data_type: str, stem: str) -> bytes:
        """What files of the same lane and stem have in common in the ledger."""
        return self._secrets.pseudonym(f"{data_type}\0{fold(stem)}".encode("utf-8", "surrogateescape"))

    def _waiting(self, group: Group) -> Record | None:
        """The batch of this lane and stem that still waits for its scan, or the one that the scan's code has named."""
        if group.apart:
            return None
        if group.joins is not None:
            return next((batch for batch in self._ledger.unconfirmed() if batch.id == group.joins), None)
        for batch in self._ledger.paired(self.pairing(group.data_type, group.stem)):
            early = (batch.held_from or batch.state) in (State.CLAIMED, State.VALIDATED)
            if early and all(source.position for source in self._ledger.sources(batch)):
                return batch
        return None

    def claim(self, group: Group) -> Record | None:
        """Claim one group. Gives the batch that it became or joined; None when it has to wait, or changed.

        Raises OSError(ENOSPC) when the spool has no room for it.
        """
        if not self._fits(group):
            return None
        sheets = [item for item in group.items if not item.is_scan]
        scans = [item for item in group.items if item.is_scan]
        waiting = self._waiting(group)
        if not sheets and waiting is None:
            return self._orphan(group, scans)
        if not sheets and len(scans) > 1:  # which of them is meant only the clerk can say
            group, waiting = replace(group, apart=True), None
        token = random.token_hex(8)
        claimed = self._rename(group, token)
        if claimed is None:
            return None
        if not sheets and waiting is not None:
            return self._join(waiting, group, claimed[0][1], token)
        return self._enter(group, claimed, token, waiting)

    def _fits(self, group: Group) -> bool:
        """Whether the spool has room. A file over the allowed size waits for room by itself; no other waits with it."""
        room = disk.free(self._spool) - RESERVE
        if room >= sum(item.mark[0] for item in group.items):
            return True
        if all(item.mark[0] <= self._settings.intake.limits.file for item in group.items):
            raise OSError(errno.ENOSPC, "no room in the spool", str(self._spool))
        for item in group.items:
            self._drop.refuse(item.path, "too_large")
        return False

    def _orphan(self, group: Group, scans: list[Item]) -> Record | None:
        """A scan without its spreadsheet stays in the drop folder until its wait is over, then goes back by a batch."""
        try:
            arrived = max(item.path.lstat().st_ctime for item in scans)
        except FileNotFoundError:
            return None
        if time.time() - arrived < self._settings.intake.confirmation_wait or not self._ledger.trusts_clock():
            return None
        token = random.token_hex(8)
        claimed = self._rename(group, token)
        return self._enter(group, claimed, token, None) if claimed else None

    def _rename(self, group: Group, token: str) -> list[tuple[Item, Path]] | None:
        """Move a group's files into a claim folder of their lane; puts them back if one is not what had settled."""
        claims = group.lane / CLAIMS
        with contextlib.suppress(FileExistsError):
            claims.mkdir(mode=0o700)
        if not disk.plain_folder(claims):  # behind a link anything could lie
            raise NotYet(FOREIGN)
        home = claims / token
        inside = home if group.folder is None else home / group.folder
        inside.mkdir(parents=True, mode=0o700)
        moved: list[tuple[Item, Path]] = []
        try:
            for item in group.items:
                target = inside / item.path.name
                item.path.rename(target)
                moved.append((item, target))
                if mark_of(target.lstat()) != item.mark:
                    raise FileNotFoundError
        except (FileNotFoundError, PermissionError) as error:
            self._put_back(home)
            if isinstance(error, PermissionError):  # the folder lets only its owner take a file away
                self._drop.deny(item.path)
            return None
        for item in group.items:
            self._drop.forget(item.path)
            self._read.pop(item.path, None)
        return moved

    def _enter(self, group: Group, claimed: list[tuple[Item, Path]], token: str, old: Record | None) -> Record | None:
        """Copy the claimed files into the spool, enter the batch, destroy the originals."""
        scan_first = sorted(claimed, key=lambda pair: (not pair[0].is_scan, _nfc(pair[1].name)))
        part = self._spool / f".{token}{disk.PART}"
        part.mkdir(mode=0o700)
        first = 0 if any(item.is_scan for item, _ in claimed) else 1
        sources = [self._copy(path, part / str(at), at, token) for at, (_, path) in enumerate(scan_first, first)]
        sources += self._keep_older(old, part, sources)
        disk.sync_folder(part)
        disk.sync_folder(self._spool)
        _let_go(group)
        name = self._name(group, sources)
        alone = f"\0{group.items[0].path.name}" if group.apart else ""
        pairing = self.pairing(group.data_type, group.stem + alone)
        self._ledger.claim(name, group.stem, group.data_type, pairing, sources, replaces=old)
        part.rename(self._spool / name)  # after a crash `recover` does it
        if old is not None:
            log.emit("batch.superseded", batch=old.id, replaced_by=name)
            if old.reason == OPERATOR:
                log.emit("batch.held", batch=name, reason=OPERATOR)
        log.emit("intake.claimed", batch=name, files=len(sources), bytes=sum(source.bytes for source in sources))
        self._finish(group.lane / CLAIMS / token)
        if group.folder is not None and sources[0].position == 0:
            _remove_empty(group.lane / group.folder)
        return self._ledger.batch(name)

    def _keep_older(self, old: Record | None, part: Path, new: list[Source]) -> list[Source]:
        """Spreadsheets of a replaced batch that the new files do not replace by name come along."""
        if old is None:
            return []
        names, kept = [source.name for source in new if source.position], []
        position = max(source.position for source in new) + 1
        for source in self._ledger.sources(old):
            if not any(takes_place(name, source.name) for name in names):
                with _known_by_its_check():
                    self._copy(self._spool / old.id / str(source.position), part / str(position), position, "")
                # known by what was dropped: one that is gone or altered meanwhile is found when it is checked
                kept.append(replace(source, position=position))
                position += 1
        return kept

    def _copy(self, path: Path, target: Path, position: int, token: str) -> Source:
        """Copy one file into the spool. Raises NotYet("batch.moved_meanwhile") when it was written to meanwhile."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            alone, before = drop.closed(fd), os.fstat(fd)
            size, digest = disk.copy(fd, target)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if not alone or (mark_of(before), before.st_ctime_ns) != (mark_of(after), after.st_ctime_ns):
            raise NotYet("batch.moved_meanwhile")  # what was copied may be half old, half new
        return Source(position, path.name, digest, size, token)

    def _join(self, batch: Record, group: Group, scan: Path, token: str) -> Record | None:
        """Add a scan to the batch that waits for it."""
        temp = disk.folder(self._spool / batch.id) / f".{token}{disk.PART}"
        source = self._copy(scan, temp, 0, token)
        disk.commit(temp, self._spool / batch.id / "0")
        _let_go(group)
        try:
            self._ledger.attach(batch, source)
        except NotYet as problem:
            if problem.code == "batch.moved_meanwhile":  # it has ended, perhaps, and its folder in the spool with it
                disk.destroy(self._spool / batch.id / "0", self._settings.deletion.overwrite)
                _remove_empty(self._spool / batch.id)
            raise
        log.emit("batch.scan_attached", batch=batch.id, bytes=source.bytes, sha256=source.sha256)
        self._finish(group.lane / CLAIMS / token)
        if group.folder is not None:
            _remove_empty(group.lane / group.folder)
        return self._ledger.batch(batch.id)

    def _name(self, group: Group, sources: list[Source]) -> str:
        """Unit, date, ten hex digits of the content: the same files give the same name, a second time the next one."""
        digests = [source.sha256 for source in sources]
        prefix = content_name(self._settings.unit.code, group.data_type, group.stem, digests)
        again = self._ledger.count_named(prefix)
        return f"{prefix}-{again + 1}" if again else prefix

    # --- after a crash --------------------------------------------------------------------------------------------

    def _finish(self, claim: Path) -> None:
        """The spool has the files: destroy them in the drop folder, unless one was changed since and is new again."""
        left = [path for path in _claimed(claim) if path.is_file() and not path.is_symlink()]
        digests = self._ledger.claimed_digests(claim.name)
        ours = [path for path in left if path.name.endswith(disk.GONE) or disk.sha256(path) in digests]
        ends = disk.destroy_named(ours, self._settings.deletion.overwrite)
        if not self._ledger.knows_destroyed(claim.name):
            self._record(claim, ends, returned=len(left) - len(ours), entered=len(digests))
        self._put_back(claim)

    def _record(self, claim: Path, ends: list[disk.Destroyed], returned: int, entered: int) -> None:
        """Say of each file that came through a claim how it ended; what an interrupted run destroyed is absent."""
        kind = disk.filesystem(claim)[0]
        ends = [*ends, *[disk.Destroyed("returned", kind, 0, ())] * returned]
        absent = entered - len(ends)
        ends += [disk.Destroyed("absent", kind, 0, ())] * absent
        named = [{"file": "original", "claim": claim.name, **end.to_dict()} for end in ends]
        batch = self._ledger.destroyed(claim.name, named)
        log.emit("intake.destroyed", batch=batch, files=len(ends), bytes=sum(end.bytes for end in ends))

    def _put_back(self, claim: Path) -> None:
        """Give what is left in a claim folder its place in the lane again, then remove the folder."""
        lane = claim.parent.parent
        left = _claimed(claim)
        for path in left:
            home = lane / path.relative_to(claim)
            home.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                path.rename(_free(home))
        # the folders that the files come from must not go before the files' new places are durable
        for folder in sorted({lane, *(lane / path.relative_to(claim).parent for path in left)}, reverse=True):
            disk.sync_folder(folder)
        for folder in claim.iterdir():
            folder.rmdir()
        claim.rmdir()
        with contextlib.suppress(OSError):
            claim.parent.rmdir()  # only when no other claim is open: the clerk sees an empty folder again

    def recover(self) -> None:
        """At start: finish or undo the claims that an earlier run left half done, and clear its temporary files."""
        self.mend()
        known = {batch.id for batch in self._ledger.batches(open_only=True)}
        for path in self._spool.iterdir():
            if path.name not in known:
                disk.destroy_tree(path, self._settings.deletion.overwrite)
            else:
                disk.sweep(path, self._settings.deletion.overwrite)

    def has_claims(self) -> bool:
        """Whether files lie aside that were to become a batch; between two claims there are none."""
        return any(seen.folder(lane / CLAIMS) for lane, _ in self._drop.lanes())

    def mend(self) -> None:
        """Finish or undo claims that were left half done; may run while batches are at work."""
        for gone in self._spool.glob(f".*{disk.GONE}"):  # could not be destroyed when it was to be
            disk.destroy_tree(gone, self._settings.deletion.overwrite)
        for part in self._spool.glob(f".*{disk.PART}"):
            batch = self._ledger.batch_of(part.name[1 : -len(disk.PART)])
            if batch is None:
                disk.destroy_tree(part, self._settings.deletion.overwrite)
            else:
                part.rename(self._spool / batch)
        drop = self._settings.folders.drop
        # also of a lane that is configured no more
        for lane in sorted({drop, *(path.parent for path in drop.glob(f"*/{CLAIMS}"))}):
            if (lane != drop and not disk.plain_folder(lane)) or not disk.plain_folder(lane / CLAIMS):
                continue
            for claim in sorted(path for path in (lane / CLAIMS).iterdir() if disk.plain_folder(path)):
                if self._ledger.batch_of(claim.name) is not None:
                    self._finish(claim)
                else:
                    self._put_back(claim)
            _remove_empty(lane / CLAIMS)


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _claimed(claim: Path) -> list[Path]:
    """What lies in a claim's folder and its sub-folders, sorted. What was put deeper still moves with its own."""
    there = [path for path in claim.iterdir() if not disk.plain_folder(path)]
    below = [path for folder in claim.iterdir() if disk.plain_folder(folder) for path in folder.iterdir()]
    return sorted(there + below)


@contextlib.contextmanager
def _known_by_its_check() -> Iterator[None]:
    """What is wrong with one file is found when it is checked; what is wrong with the disk is raised."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES):
            raise


def _let_go(group: Group) -> None:
    """The names of what was claimed are gone from the drop folder for good, before the ledger says so."""
    if group.folder is not None:
        with contextlib.suppress(FileNotFoundError):  # somebody has removed the empty folder
            disk.sync_folder(group.lane / group.folder)
    disk.sync_folder(group.lane)


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
