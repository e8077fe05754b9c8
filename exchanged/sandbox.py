"""Open hostile input in child processes, never in the daemon.

A small process, the zygote (`exchanged.zygote`), is started on demand, loads what the jobs need and forks a
confined child for every job, or for all the jobs of one batch (`keep`). The daemon has threads and therefore never
forks; the zygote has one thread. A child in whose files nothing was wrong may serve a few more small batches: forking,
confining and reaping one costs as much as the work on 200 rows. One that met a bad file, a limit or a fault never does.

Takes   the name of a job, its arguments (JSON), open files
Gives   an `Answer`: a JSON value, and bytes where the job has some
Redo    a job only reads its files (from their start) and answers; running it again is safe unless it has an `out`
Ends    Died when the child was ended by a limit or a crash, JobError when the job itself failed
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exchanged.conversation import Answer, Bounds, Call, Died, JobError, ZygoteGone
from exchanged.errors import NotYet

JOBS: Mapping[str, str] = {
    "check": "exchanged.jobs:check",
    "scan": "exchanged.jobs:scan",
    "pack": "exchanged.jobs:pack",
    "annotate": "exchanged.jobs:annotate",
    "form": "exchanged.jobs:form",
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
        "isal.igzip",
    ),
    *("exchanged.reading.csvfile", "exchanged.reading.xlsx", "exchanged.reading.ods", "exchanged.reading.xls"),
    "exchanged.warm:sheets",
)
__all__ = ["JOBS", "PRELOAD", "Answer", "Bounds", "Died", "JobError", "Sandbox", "blame"]

PRELOAD: Mapping[str, Sequence[str]] = {
    "check": _TABLES,
    "scan": (
        "exchanged.reading.pdf",
        "exchanged.reading.raster",
        "exchanged.stages.confirm",
        "exchanged.reading.picture",
        "exchanged.form.ink",
        "exchanged.warm:scans",
    ),
    "pack": (*_TABLES, "exchanged.sealing.package"),
    "annotate": (*_TABLES, "exchanged.marking", "exchanged.warm:workbooks"),
}


USUAL = Bounds()
ALONE = frozenset({"annotate"})  # jobs that few batches need: what they use is not loaded for a kept child
KEPT = 6  # jobs that a kept child may be asked for, in one turn
TURNS = 16  # turns that a child which may serve again has at most
SHELF = 1.0  # seconds without a job after which `rest` ends the children that wait for another turn


class Sandbox:
    """Runs jobs in confined children. Safe to share between threads; jobs of several threads run side by side.

    jobs: name to "module:function"; nothing else is ever run. preload: name to modules that the zygote loads, and
    functions ("module:function") that it calls, before the first fork for that job. idle: seconds without a job after
    which `rest` ends the zygote.
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
        self._kept = threading.local()
        self._shelf: list[_Kept] = []

    def run(
        self,
        job: str,
        args: Mapping[str, Any],
        files: Sequence[int] = (),
        *,
        limits: Bounds = USUAL,
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
        call = Call(job, args, tuple(files), limits, out, tuple(reads), on_progress)
        with self._busy():
            for last in (False, True):
                try:
                    return self._attempt(call)
                except ZygoteGone as gone:
                    if last or self._closed or (gone.began and out is not None):
                        break
                    self._bury()
        raise Died(job, "crash")

    def _bury(self) -> None:
        """A dying zygote may still take a socket; the next try must not be given to it."""
        with self._lock, contextlib.suppress(subprocess.TimeoutExpired):
            if self._zygote is not None:
                self._zygote.wait(0.5)
                self._stop()

    def rest(self) -> None:
        """End the children that wait, and after `idle` seconds without a job the zygote: the next one starts a new."""
        with self._lock:
            quiet = 0.0 if self._running else time.monotonic() - self._last
            if quiet >= SHELF:
                self._clear_shelf()
            if self._zygote and quiet >= self._idle:
                self._stop()

    def close(self) -> None:
        """End the zygote and with it every running job."""
        with self._lock:
            self._closed = True
            self._clear_shelf()
            self._stop()

    def _clear_shelf(self) -> None:
        while self._shelf:
            self._shelf.pop().close()

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

    @contextlib.contextmanager
    def keep(self, memory: int, reads: Sequence[str] = (), *, again: bool = False) -> Iterator[None]:
        """Within this, the jobs of this thread but those in `ALONE` share one child, with the bounds of its first job.

        For jobs on the files of one sender only: what spoils the child for one job spoils it for the next. `memory` and
        `reads` must do for all of them; the time bounds are each job's own. `again`: the child may have served in an
        earlier `keep` with the same bounds, and may serve in a later one, unless `spend` is called.
        """
        kept = self._kept.child = _Kept(memory, tuple(reads), again)
        try:
            yield
        except BaseException:
            kept.close()
            raise
        finally:
            self._kept.child = None
            self._put(kept)

    def spend(self) -> None:
        """The child that this thread keeps has seen what is not right: it serves no other batch."""
        kept: _Kept | None = getattr(self._kept, "child", None)
        if kept is not None:
            kept.again = False

    def _take(self, kept: _Kept) -> socket.socket:
        """Give it a child, one that waits or a new one, at its first job: many a turn passes without any."""
        with self._lock:
            for one in self._shelf if kept.again else ():
                if (one.memory, one.reads) == (kept.memory, kept.reads):
                    self._shelf.remove(one)
                    kept.line, kept.turns = one.line, one.turns
                    break
        kept.line = kept.line or self._child(sorted(self._jobs.keys() - ALONE))
        kept.turns += 1
        return kept.line

    def _put(self, kept: _Kept) -> None:
        with self._lock:
            if kept.line is not None and kept.again and kept.turns < TURNS and not self._closed:
                self._shelf.append(kept)
            else:
                kept.close()

    def _attempt(self, call: Call) -> Answer:
        kept: _Kept | None = getattr(self._kept, "child", None)
        if kept is None or call.job in ALONE:
            with self._child([call.job]) as line:
                return call.converse(line)
        line = kept.line or self._take(kept)
        try:
            return kept.bound(call).converse(line)
        except BaseException:
            kept.close()
            raise

    def _child(self, jobs: Sequence[str]) -> socket.socket:
        """A line to a new child that can do these jobs."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._submit(",".join(jobs), theirs)
        except BaseException:
            ours.close()
            raise
        return ours

    def _submit(self, jobs: str, theirs: socket.socket) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox is closed")
            if self._zygote is not None and self._zygote.poll() is not None:
                self._stop()
            control = self._control or self._start()
            try:
                socket.send_fds(control, [jobs.encode()], [theirs.fileno()])
            except OSError:
                self._stop()
                raise ZygoteGone(began=False) from None
            return self._zygote

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        duties = json.dumps({"jobs": self._jobs, "preload": self._preload})
        with theirs:
            self._zygote = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-m", "exchanged.zygote", str(theirs.fileno()), duties],
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


class _Kept:
    """The child that a thread keeps: its line, once there is one, the bounds it was or will be given, and its turns.

    again: it may have more of them.
    """

    def __init__(self, memory: int, reads: tuple[str, ...], again: bool) -> None:
        self.memory = memory
        self.reads = reads
        self.again = again
        self.turns = 0
        self.line: socket.socket | None = None

    def bound(self, call: Call) -> Call:
        """The call with the bounds of the child, which cannot be widened later."""
        return replace(call, limits=replace(call.limits, memory=self.memory), reads=self.reads, jobs=KEPT * TURNS)

    def close(self) -> None:
        """Let the child end. The next one is new, and serves nobody else."""
        self.again = False
        if self.line is not None:
            self.line.close()
            self.line = None


def blame(end: Died) -> None:
    """Raises NotYet where a child's death was not the file's doing: killed from outside, or gone with its parent."""
    outside = (0, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if end.reason != "time" and end.signal in outside and not (end.reason == "memory" and end.signal == 0):
        raise NotYet("check.crashed") from None


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
        "MALLOC_MMAP_THRESHOLD_": "33554432",  # 32 MiB: below it memory is used again, above it goes back at once
        "MALLOC_TRIM_THRESHOLD_": "67108864",
    }
