"""The clerk's notice board: `状态.txt` in the drop folder, which says what waits, for what, and until when.

Takes   the ledger's open batches, what the last look at the drop folder left lying, and the moment
Gives   one text file at the top of the drop folder, there only while something waits; file names, no cell values
Redo    the whole text is made anew and compared with what lies there: only a difference is written, in one instant
Ends    never with an error: a folder that cannot be written is said once in the log and tried again later
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from exchanged import disk, log
from exchanged.drop import BOARD, Group
from exchanged.errors import NotYet
from exchanged.ledger import Ledger, Record
from exchanged.messages import clean, text, width
from exchanged.settings import Settings
from exchanged.states import ROUTE, TERMINAL, Lane, State

CALM = 1.0  # seconds between two writes while much changes
AGAIN = 30.0  # seconds until another try where it cannot be written
MOST = 200  # entries: a board, no archive
LARGEST = 1 << 20  # bytes of a file of that name that are worth comparing
_KINDS = {"confirmation.waiting": "scan", "correction.waiting": "other"}  # what the clerk is told to do
MINUTE = "%Y-%m-%d %H:%M"

Lying = tuple[str, Path]  # "open" or "unreadable", and which file or folder
Entry = tuple[str, list[tuple[str, str]]]  # what waits, and what is to be said of it: name and value


class Board:
    """The board of one drop folder. Used by the thread that does the rounds."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._path = settings.folders.drop / BOARD
        self._known: object = None
        self._file: object = None
        self._next = 0.0
        self._failing = False

    def post(
        self, scans: Sequence[Group], lying: Sequence[Lying], stuck: int, deeper: int = 0, final: bool = False
    ) -> None:
        """Bring the board up to date. Asks the ledger only where something has changed since; `final`: at once.

        scans: those that wait for their spreadsheet. lying: what cannot be taken, and why. stuck: how much may not be
        read or taken. deeper: folders in sub-folders, which nobody looks into.
        """
        moment = time.monotonic()
        if moment < self._next and not final:
            return
        try:
            changes = self._ledger.changes()
            known = (changes, tuple(scans), tuple(lying), stuck, deeper)
            if changes is None:  # is being written: a later round sees it
                return
            if known == self._known and self._file == _identity(self._path):
                return
            self._next = moment + CALM
            entries = [*self._entries(scans), *map(self._kept, lying)]
            self._bring(entries, {"unreadable": stuck, "folders": deeper})
            self._known, self._file, self._failing = known, _identity(self._path), False
        except NotYet:
            return  # the ledger is busy or away: the rounds say so
        except OSError as error:
            self._next = moment + AGAIN
            if not self._failing:
                log.emit("intake.board_failed", errno=error.errno or 0)
            self._failing = True

    def take_down(self) -> None:
        """Remove it: this is the drop folder no more, and nobody would bring it up to date."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    # --- what waits -----------------------------------------------------------------------------------------------

    def _entries(self, scans: Sequence[Group]) -> list[Entry]:
        paused = self._ledger.paused
        batches = [one for one in self._ledger.batches(open_only=True) if _waits(one, paused)]
        return [self._batch(one) for one in batches] + [self._scan(item) for item in sorted(scans, key=_order)]

    def _batch(self, batch: Record) -> Entry:
        language, reason = self._settings.language, batch.reason
        rows = text("check.rows", language, n=f"{batch.rows:,}") if batch.rows is not None else None
        # a paused delivery has no reason of the batch's own
        said = text(reason, language, **batch.reason_facts) if reason else text("board.paused", language)
        do = _KINDS.get(reason or "", "operator" if batch.next_attempt is None or not reason else "again")
        until = batch.facts["wait_until"] if do == "scan" else batch.next_attempt if do == "again" else None
        if do == "scan" and float(until or 0) < time.time():  # over, and where that is no error it waits on
            until = None
        advised = "form" if do == "scan" and "form" not in batch.facts else do
        about = [
            ("batch", batch.id),
            ("data_type", batch.data_type),
            ("rows", rows),
            ("state", text(f"state.{batch.state}", language)),
            ("waits_for", said),
            ("waits_until" if do == "scan" else "next_attempt", _minute(until)),
            ("advice", text(f"board.do_{advised}", language)),
        ]
        return batch.stem, [(name, value) for name, value in about if value]

    def _scan(self, group: Group) -> Entry:
        """A scan that has no spreadsheet yet lies in the drop folder, in a lane or in a folder of its own."""
        language, drop = self._settings.language, self._settings.folders.drop
        path = group.items[0].path
        arrived = max((_arrived(item.path) for item in group.items), default=0.0)
        until = arrived + self._settings.intake.confirmation_wait
        about = [
            ("data_type", group.data_type),
            ("waits_for", text("board.sheet", language)),
            ("waits_until", _minute(until) if arrived else ""),
            ("advice", text(f"board.do_{self._about(group)}", language, batch=group.ended or "")),
        ]
        return str(path.relative_to(drop)), [(name, value) for name, value in about if value]

    def _kept(self, lying: Lying) -> Entry:
        """What somebody has open, or what may not be taken."""
        (kind, path), language = lying, self._settings.language
        about = [("waits_for", text(f"board.{kind}", language)), ("advice", text(f"board.do_{kind}", language))]
        return str(path.relative_to(self._settings.folders.drop)), about

    def _about(self, group: Group) -> str:
        """What is to be done with a scan: its spreadsheet may be missing, its form outdated, its batch reported."""
        batch = self._ledger.batch(group.ended) if group.ended else None
        return "sheet" if batch is None else "reported" if batch.state is State.CLOSED else "ended"

    # --- the file -------------------------------------------------------------------------------------------------

    def _bring(self, entries: Sequence[Entry], left: Mapping[str, int]) -> None:
        there = _read(self._path)
        if not entries and not any(left.values()):
            if there is not None:
                self._path.unlink()
            return
        body = self._body(entries, left)
        if there is not None and there.split("\r\n", 2)[2:] == [body]:
            return
        language = self._settings.language
        stamp = text("board.updated", language, time=time.strftime(MINUTE))
        whole = "\r\n".join([text("board.title", language), stamp, body])  # as the clerk's editor ends its lines
        folder = self._path.parent.stat()
        disk.write(self._path, whole.encode("utf-8", "backslashreplace"), 0o600 | folder.st_mode & 0o044)
        if self._path.lstat().st_gid != folder.st_gid:  # who may look into the folder may read the board
            with contextlib.suppress(OSError):
                os.chown(self._path, -1, folder.st_gid, follow_symlinks=False)

    def _body(self, entries: Sequence[Entry], left: Mapping[str, int]) -> str:
        language = self._settings.language
        lines = [text("board.count", language, n=len(entries))] if entries else []
        for name, about in entries[:MOST]:
            named = [(text(f"field.{key}", language), value) for key, value in about]
            size = max(width(key) for key, _ in named)
            lines += ["", f"● {clean(name)}"]
            lines += [f"  {key}{' ' * (size - width(key))}  {clean(value)}" for key, value in named]
        if len(entries) > MOST:
            lines += ["", text("board.more", language, n=len(entries) - MOST)]
        for what, count in left.items():
            if count:
                lines += ["", text(f"status.drop_{what}", language, n=count)]
        return "\r\n".join([*lines, ""])


def _waits(batch: Record, paused: bool) -> bool:
    """Whether a batch stands still for a reason; while it is tried again it still does."""
    if batch.state in TERMINAL:
        return False
    if batch.state is State.HELD or batch.reason:
        return True
    return paused and batch.state in ROUTE and ROUTE[batch.state].lane is Lane.COURIER


def _minute(moment: float | None) -> str:
    return time.strftime(MINUTE, time.localtime(float(moment))) if moment and moment > 0 else ""


def _order(group: Group) -> bytes:
    return os.fsencode(group.items[0].path)


def _arrived(path: Path) -> float:
    try:
        return path.lstat().st_ctime
    except OSError:
        return 0.0


def _identity(path: Path) -> object:
    """What shows that somebody has changed or removed the file."""
    try:
        state = path.lstat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_mode


def _read(path: Path) -> str | None:
    """What lies there under the board's name; nothing is opened that could wait or lead elsewhere."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return ""  # a link, or not ours to read: replaced by ours
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return file.read(LARGEST).decode("utf-8", "replace")
