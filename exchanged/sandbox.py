"""Open hostile input in child processes, never in the daemon.

A small process, the zygote (`exchanged.zygote`), is started on demand, loads what the jobs need and forks one
confined child for every job. The daemon has threads and therefore never forks; the zygote has one thread.

Takes   the name of a job, its arguments (JSON), open files
Gives   an `Answer`: a JSON value, and bytes where the job has some
Redo    a job only reads its files (from their start) and answers; running it again is safe unless it has an `out`
Ends    Died when the child was ended by a limit or a crash, JobError when the job itself failed
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

JOBS: Mapping[str, str] = {
    "check": "exchanged.jobs:check",
    "scan": "exchanged.jobs:scan",
    "pack": "exchanged.jobs:pack",
}
_TABLES = (
    *(
        "numpy",
        "numpy.ma",
        "pyarrow",
        "pyarrow.compute",
        "pyarrow.csv",
        "python_calamine",
        "exchanged.checking",
    ),
    *("exchanged.reading.csvfile", "exchanged.reading.xlsx", "exchanged.reading.ods", "exchanged.reading.xls"),
)
PRELOAD: Mapping[str, Sequence[str]] = {
    "check": _TABLES,
    "scan": ("exchanged.reading.pdf", "exchanged.reading.raster", "exchanged.stages.confirm"),
    "pack": (*_TABLES, "exchanged.sealing.package"),
}

Reason = Literal["memory", "time", "crash"]

GRACE = 30.0  # seconds beyond `wall` until the parent gives up on a child that its own alarm did not end
FRAME = 65536  # bytes of one message; each is delivered whole or not at all, also from a child that dies
FILES_A_MESSAGE = 128

EXIT_ERROR = 70
EXIT_MEMORY = 71
EXIT_PANIC = 72

_KIND = re.compile(r"[A-Za-z_][\w.]{0,79}", re.ASCII)
_PLACE = re.compile(r"[\w./<>-]{1,120}:\d{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a job may use at most.

    memory: bytes of address space above what the zygote has. cpu: seconds. wall: seconds.
    written: bytes a file may grow to (a pipe is not affected). answer: bytes of the whole answer.
    """

    memory: int = 2 << 30
    cpu: int = 120
    wall: float = 300.0
    written: int = 0
    answer: int = 512 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job gave back."""

    value: dict[str, Any]
    payload: bytes


class Died(Exception):
    """The child was ended: `memory` and `time` by its bounds (or the machine's), `crash` by a fault in a parser.

    `signal`: the one that ended the child; SIGABRT also stands for a parser's panic and for leaving without an answer.
    0 when the child met its memory bound in good order, or when not the child failed but the sandbox.
    """

    def __init__(self, job: str, reason: Reason, cause: int = 0) -> None:
        super().__init__(f"{job}: {reason}")
        self.job = job
        self.reason: Reason = reason
        self.signal = cause


class JobError(Exception):
    """The job raised: a fault of ours. Only the exception's class and our own file and line have left the child."""

    def __init__(self, job: str, kind: str, place: str) -> None:
        super().__init__(f"{job}: {kind} at {place}")
        self.job = job
        self.kind = kind
        self.place = place


class _ZygoteGone(Exception):
    """The zygote ended before it had answered. `began`: the job had been started."""

    def __init__(self, *, began: bool) -> None:
        super().__init__()
        self.began = began


class Sandbox:
    """Runs jobs in confined children. Safe to share between threads; jobs of several threads run side by side.

    jobs: name to "module:function"; nothing else is ever run. preload: name to modules that the zygote loads before
    the first fork for that job. idle: seconds without a job after which `rest` ends the zygote.
    """

    def __init__(
        self,
        jobs: Mapping[str, str] = JOBS,
        preload: Mapping[str, Sequence[str]] = PRELOAD,
        *,
        idle: float = 60.0,
    ) -> None:
        self._jobs = dict(jobs)
        self._preload = {name: list(modules) for name, modules in preload.items() if name in jobs}
        self._idle = idle
        self._lock = threading.Lock()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._running = 0
        self._last = time.monotonic()
        self._closed = False

    def run(
        self,
        job: str,
        args: Mapping[str, Any],
        files: Sequence[int] = (),
        *,
        limits: Bounds = Bounds(),
        out: int | None = None,
        reads: Sequence[str] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> Answer:
        """Run `job` on `args` and open `files` (descriptors, read from their start) in a child of its own.

        out: a descriptor the job writes to, such as a pipe. reads: paths the job may open itself, for reading, beside
        the program's own files. on_progress: called in this thread with the job's counts.
        Raises Died, JobError; KeyError for a job that is not in the dict.
        """
        if job not in self._jobs:
            raise KeyError(job)
        call = _Call(job, args, tuple(files), limits, out, tuple(reads), on_progress)
        with self._busy():
            for last in (False, True):
                try:
                    return self._attempt(call)
                except _ZygoteGone as gone:
                    if last or self._closed or (gone.began and out is not None):
                        break
        raise Died(job, "crash")

    def rest(self) -> None:
        """End the zygote if nothing has run for `idle` seconds; the next job starts a new one."""
        with self._lock:
            if self._zygote and not self._running and time.monotonic() - self._last >= self._idle:
                self._stop()

    def close(self) -> None:
        """End the zygote and with it every running job."""
        with self._lock:
            self._closed = True
            self._stop()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The zygote's process number, None while there is none."""
        return self._zygote.pid if self._zygote else None

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last = time.monotonic()

    def _attempt(self, call: _Call) -> Answer:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                zygote = self._submit(call.job, theirs)
            try:
                return call.converse(ours)
            except _ZygoteGone:
                with self._lock:
                    if self._zygote is zygote:
                        self._stop()
                raise

    def _submit(self, job: str, theirs: socket.socket) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox is closed")
            if self._zygote is not None and self._zygote.poll() is not None:
                self._stop()
            control = self._control or self._start()
            try:
                socket.send_fds(control, [job.encode()], [theirs.fileno()])
            except OSError:
                self._stop()
                raise _ZygoteGone(began=False) from None
            return self._zygote

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        duties = json.dumps({"jobs": self._jobs, "preload": self._preload})
        with theirs:
            self._zygote = subprocess.Popen(
                [sys.executable, "-I", "-m", "exchanged.zygote", str(theirs.fileno()), duties],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # parsers print what they choke on
                env=_environment(),
                cwd="/",
                process_group=0,
            )
        self._control = ours
        return ours

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        zygote, self._zygote = self._zygote, None
        if zygote is None:
            return
        try:
            zygote.wait(5)
        except subprocess.TimeoutExpired:
            zygote.kill()
            zygote.wait()


def _environment() -> dict[str, str]:
    """What the zygote sees: no variable of the daemon's but the search path, and one thread only (it forks)."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return kept | {
        "LANG": "C.UTF-8",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": "262144",  # big columns go back to the system as soon as they are dropped
    }


@dataclass(frozen=True, slots=True)
class _Call:
    """One job as asked for, and the talk with its child."""

    job: str
    args: Mapping[str, Any]
    files: tuple[int, ...]
    limits: Bounds
    out: int | None
    reads: tuple[str, ...]
    on_progress: Callable[[int], None] | None

    def converse(self, line: socket.socket) -> Answer:
        deadline = time.monotonic() + self.limits.wall + GRACE
        line.settimeout(self.limits.wall + GRACE)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # ended already: the last message says how
            self._ask(line)
        parts: dict[bytes, list[bytes]] = {b"s": [], b"v": [], b"b": [], b"e": []}
        total = 0
        while True:
            kind, body = self._next(line, deadline, began=bool(parts[b"s"]))
            if kind == b"x":
                return self._conclude(json.loads(body), parts)
            if kind == b"p":
                if self.on_progress:
                    self.on_progress(int.from_bytes(body[:8], "little"))
                continue
            total += len(body)
            if kind not in parts or total > self.limits.answer:
                raise Died(self.job, "crash", signal.SIGABRT)
            parts[kind].append(body)

    def _ask(self, line: socket.socket) -> None:
        fds = [*self.files, *([] if self.out is None else [self.out])]
        request = {
            "args": dict(self.args),
            "limits": asdict(self.limits),
            "files": len(self.files),
            "out": self.out is not None,
            "reads": list(self.reads),
        }
        text = json.dumps(request).encode()  # a name that is no UTF-8 stands as an escape
        for at in range(0, len(text), FRAME):
            line.send(b"a" + text[at : at + FRAME])
        for at in range(0, len(fds), FILES_A_MESSAGE):
            some = array.array("i", fds[at : at + FILES_A_MESSAGE])
            line.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, some)])
        line.send(b"g")

    def _next(self, line: socket.socket, deadline: float, *, began: bool) -> tuple[bytes, bytes]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Died(self.job, "time")
        line.settimeout(left)
        try:
            frame = _receive(line)
        except TimeoutError:
            raise Died(self.job, "time") from None  # the zygote sees the closed line and ends the child
        if not frame:
            raise _ZygoteGone(began=began)
        return frame[:1], frame[1:]

    def _conclude(self, end: Mapping[str, int], parts: Mapping[bytes, list[bytes]]) -> Answer:
        status = end["status"]
        if status == 0 and parts[b"v"]:
            value = json.loads(b"".join(parts[b"v"]))
            if isinstance(value, dict):
                return Answer(value, b"".join(parts[b"b"]))
        if status == EXIT_ERROR and parts[b"e"]:
            raise self._fault(parts[b"e"][0])
        left = 0 if status == EXIT_MEMORY else signal.SIGABRT
        raise Died(self.job, _reason(end, self.limits), -status if status < 0 else left)

    def _fault(self, told: bytes) -> JobError:
        kind, _, place = told.decode("ascii", "replace").partition(" ")
        return JobError(
            self.job,
            kind if _KIND.fullmatch(kind) else "?",
            place if _PLACE.fullmatch(place) else "?",
        )


def _receive(line: socket.socket) -> bytes:
    try:
        return line.recv(FRAME + 1)
    except ConnectionResetError:  # told once when the other end left part of the question unread; the answer follows
        return line.recv(FRAME + 1)


def _reason(end: Mapping[str, int], limits: Bounds) -> Reason:
    """Why a child ended, from its wait status (negative: a signal) and the processor time it used (ms)."""
    status = end["status"]
    if status in (-signal.SIGALRM, -signal.SIGXCPU):
        return "time"
    if status == -signal.SIGKILL:
        return "time" if end["cpu"] >= limits.cpu * 1000 else "memory"
    if status in (EXIT_MEMORY, -signal.SIGABRT):  # Rust and C++ abort where memory is refused
        return "memory"
    return "crash"
