"""The other side of `exchanged.sandbox`: the process that forks, and what its children do.

Started as `python -I -m exchanged.zygote FD DUTIES`; single-threaded, so that a fork copies a sound process. It opens
no input itself. It ends when the socket to the daemon closes, and its children end with it.

Takes   from the daemon: the name of a job and a socket of that job's own
Gives   on that socket: what the child sends, then how the child ended
Redo    keeps nothing
Ends    with its parent; also when something has started a thread, for then a fork is not safe
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NoReturn

from exchanged import confinement
from exchanged.conversation import EXIT_ERROR, EXIT_MEMORY, EXIT_PANIC, FILES_A_MESSAGE, FRAME

Payload = bytes | bytearray
Job = Callable[[dict[str, Any], list[BinaryIO], BinaryIO | None, Callable[[int], None]], tuple[dict[str, Any], Payload]]

EXIT_THREADS = 73
PATIENCE = 2.0  # seconds in which a thread that a library started while loading must have ended
HOME = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Child:
    """A running job: its process, a descriptor that tells when it ends, and the job's socket."""

    pid: int
    pidfd: int
    line: socket.socket


class Without(MetaPathFinder):
    """Keeps one package from being imported. pyarrow loads pandas wherever it is found; no job uses it, and it takes
    a third of a second of every child."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == self._package:
            raise ModuleNotFoundError(name=fullname)


class Zygote:
    """Forks children on demand and tells the daemon how each ended."""

    def __init__(self, control: socket.socket, jobs: dict[str, str], preload: dict[str, list[str]]) -> None:
        self._control = control
        self._targets = jobs
        self._preload = preload
        self._jobs: dict[str, Job] = {}
        self._loaded: set[str] = set()
        self._children: dict[int, Child] = {}  # by both descriptors
        self._poll = select.poll()

    def serve(self) -> None:
        """Answer until the daemon is gone."""
        self._poll.register(self._control, select.POLLIN)
        while True:
            for fd, events in self._poll.poll():
                if fd != self._control.fileno():
                    self._tend(fd, events)
                elif not self._accept():
                    return

    def _accept(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, FRAME, 1)
        if not message:
            return False
        line = socket.socket(fileno=fds[0])
        try:
            jobs = {name: self._load(name) for name in message.decode().split(",")}
        except Exception as error:
            _send(line, b"e" + _told(error))
            _finish(line, EXIT_ERROR, 0)
            return True
        self._fork(jobs, line)
        return True

    def _load(self, name: str) -> Job:
        if name not in self._jobs:
            module, _, function = self._targets[name].partition(":")
            for needed in [*self._preload.get(name, ()), module]:
                if needed not in self._loaded:
                    _bring_in(needed)
                    self._loaded.add(needed)
            self._jobs[name] = getattr(sys.modules[module], function)
            gc.collect()
            gc.freeze()  # the children's collector leaves these pages shared
        return self._jobs[name]

    def _fork(self, jobs: Mapping[str, Job], line: socket.socket) -> None:
        if not _alone():
            os._exit(EXIT_THREADS)
        pid = os.fork()
        if pid == 0:
            _child(jobs, line)
        child = Child(pid, os.pidfd_open(pid), line)
        self._children[child.pidfd] = self._children[line.fileno()] = child
        self._poll.register(child.pidfd, select.POLLIN)
        self._poll.register(line, 0)  # only the other end's closing

    def _tend(self, fd: int, events: int) -> None:
        child = self._children.get(fd)
        if child is None:
            return
        if fd != child.pidfd:
            self._poll.unregister(fd)
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
            return
        _, status, usage = os.wait4(child.pid, 0)
        self._forget(child)
        _finish(child.line, os.waitstatus_to_exitcode(status), int((usage.ru_utime + usage.ru_stime) * 1000))

    def _forget(self, child: Child) -> None:
        for fd in (child.pidfd, child.line.fileno()):
            del self._children[fd]
            with contextlib.suppress(KeyError):
                self._poll.unregister(fd)
        os.close(child.pidfd)


def _alone() -> bool:
    """Whether this process has but one thread. One that has done its work takes a moment to be gone, so wait for it."""
    until = time.monotonic() + PATIENCE
    while len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def _bring_in(needed: str) -> None:
    """Import a module, or call a function of one ("module:function") that brings in what it uses."""
    name, _, function = needed.partition(":")
    module = importlib.import_module(name)
    if function:
        getattr(module, function)()


def _finish(line: socket.socket, status: int, cpu_ms: int) -> None:
    _send(line, b"x" + json.dumps({"status": status, "cpu": cpu_ms}).encode())
    line.close()


def _send(line: socket.socket, frame: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        line.send(frame)


def _told(error: BaseException) -> bytes:
    """Class and place of an exception; its text stays here, it may hold what stood in a cell."""
    place = "?"
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(f"{HOME}{os.sep}"):
            place = f"{Path(code.co_filename).relative_to(HOME.parent)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} {place}".encode("ascii", "replace")


def _child(jobs: Mapping[str, Job], line: socket.socket) -> NoReturn:
    """Run jobs until no more are asked for and leave by `_exit`: the zygote's stack must not be unwound twice."""
    status = EXIT_ERROR
    try:
        signal.set_wakeup_fd(-1)
        _work(jobs, _only(line))
        status = 0
    except MemoryError:
        status = EXIT_MEMORY
    except Exception as error:
        _report(error)
    except BaseException:  # a panic of a Rust parser
        status = EXIT_PANIC
    finally:
        os._exit(status)


_LINE = 3


def _only(line: socket.socket) -> socket.socket:
    """Keep the job's socket as descriptor 3 and close every other one that was inherited."""
    inherited = line.detach()
    if inherited != _LINE:
        os.dup2(inherited, _LINE, inheritable=False)
    os.closerange(_LINE + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return socket.socket(fileno=_LINE)


def _report(error: Exception) -> None:
    with socket.socket(fileno=os.dup(_LINE)) as line:
        _send(line, b"e" + _told(error))


def _work(jobs: Mapping[str, Job], line: socket.socket) -> None:
    confinement.die_with_parent()
    confined = False
    while (asked := _receive(line)) is not None:
        request, fds = asked
        with contextlib.ExitStack() as opened:
            files: list[BinaryIO] = [opened.enter_context(os.fdopen(fd, "rb")) for fd in fds[: request["files"]]]
            out = opened.enter_context(os.fdopen(fds[-1], "wb")) if request["out"] else None
            for file in files:
                if file.seekable():
                    file.seek(0)
            if not confined:
                confinement.apply(request["limits"], request["reads"], len(fds), request["jobs"])
            confinement.start_clock(request["limits"])
            confined = True
            line.send(b"s")
            _answer(jobs[request["job"]], request["args"], files, out, line)
        line.send(b"d")


def _answer(job: Job, args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, line: socket.socket) -> None:
    value, payload = job(args, files, out, lambda count: _send(line, b"p" + count.to_bytes(8, "little")))
    if out is not None:
        out.close()
    _send_all(line, b"v", json.dumps(value).encode())
    _send_all(line, b"b", payload)


def _receive(line: socket.socket) -> tuple[dict[str, Any], Sequence[int]] | None:
    """The next request; None when there will be none."""
    text = bytearray()
    fds: list[int] = []
    while True:
        frame, some, _, _ = socket.recv_fds(line, FRAME + 1, FILES_A_MESSAGE)
        fds.extend(some)
        if frame[:1] == b"a":
            text += frame[1:]
        elif frame != b"f":
            break
    if not frame and not text:
        return None
    if frame != b"g":
        raise EOFError
    return json.loads(text), fds


def _send_all(line: socket.socket, kind: bytes, data: Payload) -> None:
    view = memoryview(data)
    for at in range(0, len(view), FRAME):
        line.sendmsg([kind, view[at : at + FRAME]])


def main(arguments: Sequence[str]) -> None:
    """Serve on the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    confinement.guard_self()
    confinement.prepare()
    sys.meta_path.insert(0, Without("pandas"))
    duties = json.loads(arguments[1])
    with socket.socket(fileno=int(arguments[0])) as control:
        Zygote(control, duties["jobs"], duties["preload"]).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)  # nothing of ours is left to do, and taking so many modules apart takes long
