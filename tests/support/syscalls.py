"""Watch every changing system call of a program and its children, and let it pass, fail, or be the last one.

The kernel asks before each such call (seccomp user notification) and waits for the answer, so the calls of all threads
and children stand in one order, each can be made to fail with any error, and a kill comes exactly before it. strace
counts by thread, so in a program with threads there are calls that its `when=N` cannot reach.

Needs no privileges; Linux 5.9 on x86-64 (`reason` says what is missing).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_FD, _PATH, _AT = "fd", "path", "at"  # how a call names what it changes: a descriptor, a path, folder and path
CALLS: Mapping[str, tuple[int, tuple[tuple[str, int], ...]]] = {
    "open": (2, ((_PATH, 0),)),
    "openat": (257, ((_AT, 0),)),
    "openat2": (437, ((_AT, 0),)),
    "creat": (85, ((_PATH, 0),)),
    "write": (1, ((_FD, 0),)),
    "pwrite64": (18, ((_FD, 0),)),
    "writev": (20, ((_FD, 0),)),
    "pwritev": (296, ((_FD, 0),)),
    "pwritev2": (328, ((_FD, 0),)),
    "sendfile": (40, ((_FD, 0),)),
    "copy_file_range": (326, ((_FD, 2),)),
    "splice": (275, ((_FD, 2),)),
    "fallocate": (285, ((_FD, 0),)),
    "ftruncate": (77, ((_FD, 0),)),
    "truncate": (76, ((_PATH, 0),)),
    "fsync": (74, ((_FD, 0),)),
    "fdatasync": (75, ((_FD, 0),)),
    "rename": (82, ((_PATH, 0), (_PATH, 1))),
    "renameat": (264, ((_AT, 0), (_AT, 2))),
    "renameat2": (316, ((_AT, 0), (_AT, 2))),
    "link": (86, ((_PATH, 0), (_PATH, 1))),
    "linkat": (265, ((_AT, 0), (_AT, 2))),
    "symlink": (88, ((_PATH, 1),)),
    "symlinkat": (266, ((_AT, 1),)),
    "unlink": (87, ((_PATH, 0),)),
    "unlinkat": (263, ((_AT, 0),)),
    "mkdir": (83, ((_PATH, 0),)),
    "mkdirat": (258, ((_AT, 0),)),
    "rmdir": (84, ((_PATH, 0),)),
    "chmod": (90, ((_PATH, 0),)),
    "fchmod": (91, ((_FD, 0),)),
    "fchmodat": (268, ((_AT, 0),)),
    "utimensat": (280, ((_AT, 0),)),
}
READS: Mapping[str, tuple[int, tuple[tuple[str, int], ...]]] = {
    "read": (0, ((_FD, 0),)),
    "pread64": (17, ((_FD, 0),)),
}
_OPENING = {
    2: 1,
    257: 2,
}  # the argument that holds the flags: opening changes something only when it creates or empties
_CHANGING = os.O_CREAT | os.O_TRUNC
_ARCH = 0xC000003E
_SECCOMP, _SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 317, 1, 1 << 3, 1 << 5
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_AT_FDCWD = -100
_MARK = "EXCHANGED_TEST_RUN"
GRACE = 5.0  # seconds in which children must have ended once the program has

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Call:
    """A changing system call that is about to be made: by whom, its name, the absolute paths it is about."""

    pid: int
    name: str
    paths: tuple[str, ...]
    args: tuple[int, ...]
    own: bool  # by the program itself, not by a child

    @property
    def path(self) -> str:
        return self.paths[0]

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of the caller's memory, such as what it is about to write."""
        with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:  # noqa: PTH123
            return os.pread(memory.fileno(), size, address)

    def position(self) -> int:
        """Where the next `write` goes; -1 for the end of the file."""
        fields = Path(f"/proc/{self.pid}/fdinfo/{self.args[0]}").read_text().split()
        return -1 if int(fields[3], 8) & os.O_APPEND else int(fields[1])


KILL, KILL_CHILD = -1, -2  # answers beside 0 (let it pass) and an errno: kill the program, or the caller alone
Decide = Callable[[Call], int]


@dataclass(slots=True)
class Run:
    """How a watched program ended. `left`: command lines of children that had to be killed after it."""

    status: int
    stdout: str
    stderr: str
    calls: int = 0
    left: list[str] = field(default_factory=list)


def watch(
    argv: Sequence[str],
    roots: Sequence[Path],
    decide: Decide,
    *,
    env: Mapping[str, str] | None = None,
    reads: bool = False,
    timeout: float = 120.0,
) -> Run:
    """Run a program; `decide` answers every call of it and its children that changes something below `roots`.

    reads: ask also before reading. Returns when the program and its children have ended (not gpg's agents).
    """
    mark = uuid.uuid4().hex
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watcher = _Watcher(ours.dup(), tuple(f"{root}" for root in roots), decide)
        watcher.start()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {}), _MARK: mark},
            preexec_fn=lambda: _confess(theirs, reads),
        )
        watcher.program = process.pid
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.wait()
            left = _end(mark)
    if watcher.failed is not None:
        raise watcher.failed
    return Run(process.returncode, out.decode(), err.decode(), watcher.count, left)


def _end(mark: str) -> list[str]:
    """Wait for the children; kill those that have not ended. gpg's agents live on until somebody ends them."""
    ends = time.monotonic() + GRACE
    while (left := _children(mark)) and time.monotonic() < ends:
        time.sleep(0.005)
    for pid, _ in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [words for _, words in left]


def _children(mark: str) -> list[tuple[int, str]]:
    return [(pid, words) for pid, words in marked(mark) if not words.startswith(("gpg-agent", "scdaemon"))]


def marked(mark: str) -> list[tuple[int, str]]:
    """Processes that carry this mark in their environment, with their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes():
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    found.append((int(entry.name), words))
    return found


class _Watcher(threading.Thread):
    """Answers the kernel until nobody is left who asks."""

    def __init__(self, line: socket.socket, roots: tuple[str, ...], decide: Decide) -> None:
        super().__init__(daemon=True)
        self._line, self._roots, self._decide = line, roots, decide
        self._names = {number: (name, what) for name, (number, what) in {**CALLS, **READS}.items()}
        self.program = 0
        self.count = 0
        self.failed: BaseException | None = None

    def run(self) -> None:
        with self._line:
            _, fds, _, _ = socket.recv_fds(self._line, 1, 1)
        if not fds:
            return
        try:
            poller = select.poll()
            poller.register(fds[0], select.POLLIN)
            while True:
                if any(events & select.POLLHUP for _, events in poller.poll()):
                    return
                self._answer(fds[0])
        finally:
            os.close(fds[0])

    def _answer(self, listener: int) -> None:
        asked = bytearray(80)
        try:
            fcntl.ioctl(listener, _RECEIVE, asked)
        except OSError:
            return  # the caller has been killed meanwhile
        number, pid, _, call, _, _, *args = struct.unpack("=QIIiIQ6Q", asked)
        verdict = self._verdict(pid, call, args)
        if verdict == KILL:
            os.kill(self.program, signal.SIGKILL)
        elif verdict == KILL_CHILD:
            os.kill(pid, signal.SIGKILL)
        flags = 0 if verdict > 0 else 1
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, _SEND, bytearray(struct.pack("=QqiI", number, 0, -max(0, verdict), flags)))

    def _verdict(self, pid: int, call: int, args: list[int]) -> int:
        while not self.program:
            time.sleep(0.001)
        try:
            name, what = self._names[call]
            paths = tuple(_named(pid, args, kind, at) for kind, at in what)
            if not any(path.startswith(self._roots) for path in paths):
                return 0
            self.count += 1
            return self._decide(Call(pid, name, paths, tuple(args), _group(pid) == self.program))
        except OSError:
            return 0  # the caller is gone, or is one of those that nobody may look into and that open no file of ours
        except BaseException as error:
            self.failed = self.failed or error
            return 0


def _group(pid: int) -> int:
    """The process of a thread."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Tgid:"):
            return int(line.split()[1])
    return pid


def _named(pid: int, args: Sequence[int], kind: str, at: int) -> str:
    """The absolute path that an argument names."""
    if kind == _FD:
        return str(Path(f"/proc/{pid}/fd/{_int(args[at])}").readlink())
    text = _string(pid, args[at if kind == _PATH else at + 1])
    if text.startswith("/"):
        return os.path.normpath(text)
    folder = _int(args[at]) if kind == _AT else _AT_FDCWD
    base = Path(f"/proc/{pid}/cwd" if folder == _AT_FDCWD else f"/proc/{pid}/fd/{folder}").readlink()
    return os.path.normpath(base / text)


def _int(value: int) -> int:
    return ctypes.c_int(value & 0xFFFFFFFF).value


def _string(pid: int, address: int) -> str:
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:  # noqa: PTH123
        found = b""
        while b"\0" not in found:
            room = 4096 - (address + len(found)) % 4096  # never across the end of what is mapped
            piece = os.pread(memory.fileno(), room, address + len(found))
            if not piece:
                break
            found += piece
    return os.fsdecode(found.split(b"\0")[0])


def _confess(line: socket.socket, reads: bool) -> None:
    """In the new process: have the kernel ask whoever holds the other end of `line`."""
    program = b"".join(_filter({**CALLS, **READS} if reads else CALLS))
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    _libc.prctl(38, 1, 0, 0, 0)  # no new privileges: then this needs none
    for more in (_WAIT_KILLABLE, 0):
        listener = _libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER | more, described)
        if listener >= 0:
            break
    else:
        raise OSError(ctypes.get_errno(), "no seccomp notification")
    socket.send_fds(line, [b"x"], [listener])
    os.close(listener)


def _filter(calls: Mapping[str, tuple[int, tuple[tuple[str, int], ...]]]) -> Iterator[bytes]:
    """A classic BPF program: ask about these calls, about opening only where something is created or emptied."""
    yield from (_op(0x20, 4), _op(0x15, _ARCH, 1, 0), _op(0x06, _ALLOW), _op(0x20, 0))
    for number, _ in calls.values():
        if number in _OPENING:
            flags = 16 + 8 * _OPENING[number]
            yield from (_op(0x15, number, 0, 4), _op(0x20, flags), _op(0x45, _CHANGING, 0, 1), _op(0x06, _NOTIFY))
            yield _op(0x06, _ALLOW)
        else:
            yield from (_op(0x15, number, 0, 1), _op(0x06, _NOTIFY))
    yield _op(0x06, _ALLOW)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def reason() -> str | None:
    """Why calls cannot be watched on this machine; None where they can."""
    if platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return f"system calls of {platform.machine()} are not known here"
    try:
        seen = watch(["/bin/mkdir", f"/tmp/{uuid.uuid4().hex}"], [Path("/tmp")], lambda call: 13)
    except (OSError, subprocess.SubprocessError) as error:
        return f"the kernel does not let calls be watched: {error}"
    return None if seen.calls and seen.status else "the kernel does not ask about calls"
