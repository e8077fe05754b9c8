"""The state folder: whose it is, who has it, and the ledger in it.

Takes   settings
Gives   the lock that admits one instance; the ledger, to work with or only to look at
Ends    NotYet with words of their own for a folder that is missing, another's, full or read-only
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exchanged import reserve
from exchanged.errors import NotYet, disk_code
from exchanged.ledger import Ledger
from exchanged.secrets import Secrets
from exchanged.settings import Settings

LEDGER = "ledger.db"
SHM = "/dev/shm"  # noqa: S108 - in memory: a full disk has no room for a copy


@contextlib.contextmanager
def lock(state: Path) -> Iterator[None]:
    """Hold the state folder for this process. Raises NotYet("daemon.running") when another has it.

    The lock belongs to the open file, so the kernel lets go of it however the process ends.
    """
    with state_trouble():
        fd = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file())
        except (BlockingIOError, PermissionError):
            raise NotYet("daemon.running") from None
        yield
    finally:
        os.close(fd)


def locked(state: Path) -> bool:
    """Whether a process has the state folder. Asks without taking it: nobody's start fails because someone looks."""
    try:
        fd = os.open(state / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _whole_file())
        return bool(struct.unpack_from("h", answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(fd)


def _whole_file() -> bytes:
    """The kernel's `struct flock` for a write lock on all of a file."""
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def own_state(settings: Settings, *, writable: bool = True) -> Path:
    """The state folder. Raises NotYet when it is not there, another user's, or (writable) takes nothing."""
    state = settings.folders.state
    try:
        if not state.is_dir():
            raise NotYet("folder.missing", folder="state")
        if state.stat().st_uid != os.geteuid():
            raise NotYet("state.not_ours", user=_owner(state))
        if writable and not os.access(state, os.W_OK):
            raise NotYet("disk.read_only", folder="state")
    except PermissionError:
        raise NotYet("state.not_ours", user="exchanged") from None
    return state


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


@contextlib.contextmanager
def state_trouble() -> Iterator[None]:
    """What the system says of the state folder is a trouble with words of its own."""
    try:
        yield
    except OSError as error:
        raise NotYet(disk_code(error), folder="state", errno=error.errno or 0) from None


@contextlib.contextmanager
def _in_turn(state: Path) -> Iterator[None]:
    """One process at a time opens the ledger: of two that make a new one, each makes a key, and one is lost."""
    with state_trouble():
        fd = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # a file system without such locks
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def open_ledger(settings: Settings) -> tuple[Ledger, Secrets]:
    """The unit's ledger and its key, to work with. Raises NotYet when the state folder is not there."""
    state = own_state(settings)
    with _in_turn(state):
        secrets = _key(state)
        try:
            ledger = Ledger(state / LEDGER, secrets)
        except NotYet as problem:
            if problem.code != "ledger.unavailable" or not reserve.release(state):
                raise
            ledger = Ledger(state / LEDGER, secrets)
    ledger.relief = partial(reserve.release, state)
    return ledger, secrets


@contextlib.contextmanager
def look_at_ledger(settings: Settings) -> Iterator[tuple[Ledger, Secrets]]:
    """The unit's ledger and its key for someone who only asks, also where the state folder is full or read-only."""
    state = own_state(settings, writable=False)
    with contextlib.ExitStack() as stack:
        with _in_turn(state):
            secrets = _key(state)
            try:
                ledger = Ledger(state / LEDGER, secrets)
            except NotYet as problem:
                # SQLite writes in order to read. Who is at work has done so already, and may change what is copied
                if problem.code != "ledger.unavailable" or locked(state):
                    raise
                try:
                    memory = SHM if os.access(SHM, os.W_OK) else None
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exchanged-", dir=memory)))
                    for name in (LEDGER, f"{LEDGER}-wal"):
                        with contextlib.suppress(FileNotFoundError):
                            shutil.copyfile(state / name, folder / name)
                    ledger = Ledger(folder / LEDGER, secrets)
                except (OSError, NotYet):  # no room for a copy either
                    if not reserve.release(state):
                        raise
                    ledger = Ledger(state / LEDGER, secrets)
        stack.callback(ledger.close)
        yield ledger, secrets


def _key(state: Path) -> Secrets:
    if (state / LEDGER).exists() and not (state / "ledger.key").exists():
        raise NotYet("ledger.key_missing", again=False)
    return Secrets.load(state / "ledger.key")
