"""Jobs that only tests of the sandbox run: how parsers misbehave, and what one that was taken over would try."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

Progress = Callable[[int], None]
Result = tuple[dict[str, Any], bytes]

SECRET = "张三丰110000199001011234"


class Panic(BaseException):
    """What a Rust parser raises."""


def echo(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    text = [file.read().decode() for file in files]
    if out is not None:
        out.write("".join(text).encode())
    for count in range(args.get("steps", 0)):
        progress(count)
    return {"args": args, "files": text, "pid": os.getpid()}, bytes(args.get("payload", 0))


def misbehave(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    """Do the one bad thing that `args` names."""
    _DEEDS[args["deed"]]()
    return {}, b""


def sleep(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    progress(os.getpid())
    time.sleep(args["seconds"])
    return {"slept": True}, b""


def probe(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    """Try everything that a parser has no business doing; tell for each whether it worked."""
    return {name: _works(attempt) for name, attempt in _attempts(args).items()}, b""


def surroundings(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    links = {}
    for name in range(64):
        with contextlib.suppress(FileNotFoundError):
            links[name] = str(Path(f"/proc/self/fd/{name}").readlink())
    limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in ("RLIMIT_CORE", "RLIMIT_FSIZE")}
    return {"fds": links, "environ": dict(os.environ), "limits": limits}, b""


def threads(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    with ThreadPoolExecutor(4) as pool:
        return {"sum": sum(pool.map(abs, range(1000)))}, b""


def check(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    """The real check, and which modules it had to load."""
    from exchanged import jobs

    before = set(sys.modules)
    value, _ = jobs.check(args, files, out, progress)
    return {"rows": value["rows"], "loaded": sorted(set(sys.modules) - before)}, b""


def fault_of_ours(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    from exchanged.stages import confirm

    return confirm.examine(None), b""  # type: ignore[arg-type]


def half_a_book(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    """Write the beginning of a workbook, then do the bad thing that the file is called."""
    assert out is not None
    out.write(b"PK\3\4 half a book")
    out.flush()
    name = Path(args["names"][args["at"]]).stem
    while name == "flood":
        out.write(bytes(1 << 20))
    _DEEDS[name]()
    return {"made": True}, b""


def _works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _attempts(args: dict[str, Any]) -> dict[str, Callable[[], object]]:
    return {
        "read a key": lambda: Path(args["key"]).read_bytes(),
        "read what it may": lambda: Path(args["allowed"]).read_bytes(),
        "list the disk": lambda: list(Path("/").iterdir()),
        "write a file": lambda: Path(args["target"]).write_bytes(b"x"),
        "delete a file": lambda: Path(args["key"]).unlink(),
        "run a program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": _fork,
        "open a socket": lambda: socket.socket(socket.AF_INET),
        "open a local socket": lambda: socket.socket(socket.AF_UNIX),
        "signal its parent": lambda: os.kill(os.getppid(), 0),
        "trace its parent": lambda: _trace(os.getppid()),
    }


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _trace(pid: int) -> None:
    if ctypes.CDLL(None, use_errno=True).ptrace(16, pid, 0, 0) != 0:
        raise PermissionError


def _spin() -> None:
    with contextlib.suppress(BaseException):
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)  # as a stubborn program would
    while True:
        pass


def _be_busy() -> None:
    while True:
        pass


def _eat() -> None:
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))


def _ignore_the_alarm() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(60)


def _raise(error: BaseException) -> None:
    raise error


_DEEDS: dict[str, Callable[[], object]] = {
    "spin": _spin,
    "be busy": _be_busy,
    "sleep": lambda: time.sleep(60),
    "eat": _eat,
    "ignore the alarm": _ignore_the_alarm,
    "abort": os.abort,
    "fault": lambda: ctypes.string_at(0),
    "leave with a status": lambda: os._exit(137),
    "panic": lambda: _raise(Panic(SECRET)),
    "leave": lambda: os._exit(0),
    "complain": lambda: _raise(ValueError(SECRET)),
    "complain by name": lambda: _raise(type(SECRET, (Exception,), {})()),
    "give up": lambda: _raise(SystemExit(0)),
}
JOBS = {
    name: f"tests.support.jobs:{name}"
    for name in (
        "echo",
        "misbehave",
        "sleep",
        "probe",
        "surroundings",
        "threads",
        "check",
        "fault_of_ours",
        "half_a_book",
    )
}
