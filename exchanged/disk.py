"""The only code that makes things durable: put, commit, copy, destroy, and what a file system cannot promise.

A file appears only by write-temp, fsync, rename, fsync of the folder. An fsync that fails may have dropped the data
while a second one reports success, so it ends the process (`DurabilityLost`): the restart recovers from the ledger.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exchanged import mounts

BLOCK = 1 << 20
RANDOM = 1 << 14  # fresh random bytes of which an overwriting is made, again and again: the kernel makes them slowly
GONE = ".gone"  # what is being destroyed carries this ending until it is gone
PART = ".part"

_OURS = re.compile(rf"\.[0-9a-f]{{16}}({re.escape(PART)}|{re.escape(GONE)})")

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO)  # the latter: a pipe, a socket, a device


class DurabilityLost(BaseException):
    """fsync failed: what was written cannot be trusted any more, and neither can a second try in this process."""


@dataclass(frozen=True, slots=True)
class Destroyed:
    """How one file ended: `method` (overwritten, unlinked, absent, returned), its file system, and codes of what that
    cannot promise.

    Caveats: not-overwritten (the file was not ours to write, or no plain file of one name), copy-on-write,
    data-journal, remote, flash (a remapped block may keep the old content), names
    (the folder's block may keep the old file name), swap (memory may have been written to swap).
    """

    method: str
    filesystem: str
    bytes: int
    caveats: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"caveats": list(self.caveats)}


def sync(fd: int) -> None:
    """Make an open file's content durable, or end the process."""
    try:
        os.fsync(fd)
    except OSError as error:
        raise DurabilityLost(f"fsync failed: errno {error.errno}") from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def temp_name(path: Path) -> Path:
    """A hidden name beside `path` that no other run uses; not made from its own name, which may be at the limit."""
    return path.with_name(f".{secrets.token_hex(8)}{PART}")


def commit(temp: Path, final: Path) -> None:
    """Give a finished temporary file its name: fsync, rename, fsync of the folder."""
    fd = os.open(temp, os.O_RDONLY)
    try:
        sync(fd)
    finally:
        os.close(fd)
    temp.rename(final)
    sync_folder(final.parent)


def write(path: Path, data: bytes | Iterable[bytes], mode: int = 0o600) -> None:
    """Write a whole file durably under its final name; an earlier one of that name is replaced in one instant."""
    _place(path, data, mode)
    sync_folder(path.parent)


def write_all(folder: Path, files: Mapping[str, bytes], mode: int = 0o600) -> None:
    """The same for several files of one folder, each whole by itself, the folder fsynced once."""
    for name, data in files.items():
        _place(folder / name, data, mode)
    sync_folder(folder)


def _place(path: Path, data: bytes | Iterable[bytes], mode: int) -> None:
    temp = temp_name(path)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)  # whatever the umask
            for piece in (data,) if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            sync(file.fileno())
        temp.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise


def folder(path: Path, mode: int = 0o700) -> Path:
    """Make a folder with exactly this mode if it is not there, its name durable."""
    if not path.is_dir():
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path.chmod(mode)
        sync_folder(path.parent)
    return path


def _blocks(fd: int) -> Iterator[bytes]:
    offset = 0
    while block := os.pread(fd, BLOCK, offset):
        yield block
        offset += len(block)


def digest(fd: int) -> tuple[int, str]:
    """Length and SHA-256 (hex) of an open file, from its start."""
    hashed, size = hashlib.sha256(), 0
    for block in _blocks(fd):
        hashed.update(block)
        size += len(block)
    return size, hashed.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return digest(fd)[1]
    finally:
        os.close(fd)


def copy(source: int, target: Path, mode: int = 0o600) -> tuple[int, str]:
    """Copy an open file to a new file, durable but for its folder's entry. Gives bytes copied and their SHA-256."""
    hashed, size = hashlib.sha256(), 0
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        for block in _blocks(source):
            hashed.update(block)
            size += len(block)
            file.write(block)
        file.flush()
        sync(file.fileno())
    return size, hashed.hexdigest()


def receive(pipe: int, target: Path, most: int, mode: int = 0o600) -> int:
    """Write what comes out of a pipe to a new file, durable but for its folder's entry. Gives how many bytes.

    Raises OSError(EFBIG) when more than `most` bytes come.
    """
    size = 0
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb", buffering=0) as file:
        os.fchmod(fd, mode)
        while block := os.read(pipe, BLOCK):
            size += len(block)
            if size > most:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
        sync(fd)
    return size


def destroy(path: Path, passes: int = 1) -> Destroyed:
    """Overwrite and remove one file so that neither its name nor its content can be found by ordinary means.

    Give it a random name, overwrite with random bytes, fsync, truncate, unlink, fsync of the folder. May be run again
    after a crash: what was given such a name is found by its ending (`sweep`).
    """
    end = _destroy(path, passes)
    sync_folder(path.parent)
    return end


def destroy_named(paths: Sequence[Path], passes: int = 1) -> list[Destroyed]:
    """Destroy files of one folder under whose names a recovery would look for their content.

    So all of them lose their names for good before the first one loses its content. That they are gone is not made
    durable: after a power cut there may be files of random names and content again, for the next start to sweep.
    """
    aside = [_aside(path) for path in paths]
    if aside:
        sync_folder(aside[0].parent)
    return [_destroy(path, passes) for path in aside]


def destroy_folder(folder: Path, passes: int = 1, expected: Iterable[str] = ()) -> dict[str, Destroyed]:
    """Destroy the files of a folder and the folder, with one fsync, of what holds it. Gives each file's end by name.

    expected: names of which an end is given in any case; what an earlier, interrupted run has destroyed is absent.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ends = {name: _destroy(folder / name, passes) for name in sorted(names.union(expected))}
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()
    sync_folder(folder.parent)
    return ends


def _aside(path: Path, at: int | None = None) -> Path:
    """Take a file's or folder's name away: give it a random one that says that it is to be destroyed."""
    if path.name.endswith(GONE):
        return path
    aside = path.with_name(f".{secrets.token_hex(8)}{GONE}")
    os.rename(_name(path, at), _name(aside, at), src_dir_fd=at, dst_dir_fd=at)
    return aside


def _name(path: Path, at: int | None) -> Path | str:
    """How a file is named to the system: within the open folder `at` that holds it, where there is one."""
    return path if at is None else path.name


def _destroy(path: Path, passes: int, at: int | None = None) -> Destroyed:
    """Only a plain file of one name is overwritten: behind a link, a pipe or a second name is what is not ours."""
    name, caveats = filesystem(path.parent)
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            fd = os.open(_name(path, at), flags | os.O_NONBLOCK, dir_fd=at)  # nor waits for a pipe's other end
        except BlockingIOError:  # leased to another program, such as a file server, which is now asked to let go
            fd = os.open(_name(path, at), flags, dir_fd=at)
    except FileNotFoundError:
        return Destroyed("absent", name, 0, ())
    except OSError as error:  # also someone else's file, not writable for us; the folder is
        if error.errno not in _NOT_OURS:
            raise
        return _unlinked(path, name, caveats, at)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            return _unlinked(path, name, caveats, at)
        size = found.st_size
        aside = _aside(path, at)
        for _ in range(passes):
            _overwrite(fd, size)
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)
    os.unlink(_name(aside, at), dir_fd=at)
    return Destroyed("overwritten" if passes else "unlinked", name, size, caveats)


def _unlinked(path: Path, filesystem: str, caveats: tuple[str, ...], at: int | None) -> Destroyed:
    size = os.lstat(_name(path, at), dir_fd=at).st_size
    os.unlink(_name(path, at), dir_fd=at)
    return Destroyed("unlinked", filesystem, size, ("not-overwritten", *caveats))


def _overwrite(fd: int, size: int) -> None:
    block = (os.urandom(min(size, RANDOM)) * (BLOCK // RANDOM))[: min(size, BLOCK)]
    for offset in range(0, size, BLOCK):
        os.pwrite(fd, block[: size - offset], offset)
    sync(fd)


def destroy_tree(folder: Path, passes: int = 1) -> None:
    """Destroy every file below a folder, then the folder. It loses its name first, so `sweep` ends what was begun.

    Links are not followed, whoever changes what meanwhile: they lose their names. What is no folder is destroyed as
    the file that it is.
    """
    if not plain_folder(folder):
        if os.path.lexists(folder):
            destroy(folder, passes)
        return
    left, failed = [_aside(folder)], Failed()
    while left:
        with failed.later():
            _empty(left.pop(), passes, left)
    sync_folder(folder.parent)
    failed.now()


class Failed:
    """What cannot be destroyed keeps nothing else: the rest is first, then the first error is raised."""

    def __init__(self) -> None:
        self._first: OSError | None = None

    @contextlib.contextmanager
    def later(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._first = self._first or error

    def now(self) -> None:
        if self._first is not None:
            raise self._first


def _empty(folder: Path, passes: int, beside: list[Path]) -> None:
    """Destroy the files of a folder and the folder. What folders it held stand beside it now, with random names: so
    one of any depth is taken apart, and each is opened by a name that no link above it can change."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        _destroy(folder, passes)
        return
    failed = Failed()
    try:
        for name in sorted(os.listdir(fd)):  # noqa: PTH208  by its descriptor
            with failed.later():
                if not stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    _destroy(folder / name, passes, fd)
                    continue
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=fd)  # an empty one of someone else's may be removed, not moved
                    continue
                aside = folder.with_name(f".{secrets.token_hex(8)}{GONE}")
                os.rename(name, aside, src_dir_fd=fd)
                beside.append(aside)
    finally:
        os.close(fd)
    failed.now()
    folder.rmdir()


def sweep(folder: Path, passes: int = 1) -> int:
    """Clear what interrupted writes and deletions of earlier runs left in a folder. Gives how many things it cleared.

    Only for a time when nothing is being written or destroyed there.
    """
    left, failed = [path for path in folder.iterdir() if is_ours(path)], Failed()
    for path in left:
        with failed.later():
            destroy_tree(path, passes)
    failed.now()
    return len(left)


def is_ours(path: Path) -> bool:
    """Whether its name is one that interrupted writes and deletions leave."""
    return _OURS.fullmatch(path.name) is not None


def plain_folder(path: Path) -> bool:
    """Whether it is a folder itself, no link to one."""
    return path.is_dir() and not path.is_symlink()


def free(path: Path) -> int:
    """Bytes that an unprivileged process may still write on the file system of `path`."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


_known: dict[int, tuple[str, tuple[str, ...]]] = {}  # file systems by device


def filesystem(path: Path) -> tuple[str, tuple[str, ...]]:
    """Type of the file system that holds `path`, and the caveats of overwriting a file there."""
    try:
        device = path.stat().st_dev
        if device not in _known:  # else the table of mounts would be read for every folder of every batch
            _known[device] = mounts.described(device, str(path))
        return _known[device]
    except OSError:
        return "unknown", ("unknown",)
