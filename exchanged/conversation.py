"""One child as the daemon sees it: a job asked for over a socket, and what comes back.

Takes   a socket to a child that a zygote forked, and a call
Gives   an `Answer`: a JSON value, and bytes where the job has some; the child then waits for another call
Redo    as the job
Ends    Died when the child was ended by a limit or a crash, JobError when the job itself failed
"""

from __future__ import annotations

import array
import contextlib
import json
import re
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
    payload: bytearray


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


class ZygoteGone(Exception):
    """The zygote ended before it had answered. `began`: the job had been started."""

    def __init__(self, *, began: bool) -> None:
        super().__init__()
        self.began = began


@dataclass(frozen=True, slots=True)
class Call:
    """One job as asked for, and the talk with its child."""

    job: str
    args: Mapping[str, Any]
    files: tuple[int, ...]
    limits: Bounds
    out: int | None
    reads: tuple[str, ...]
    on_progress: Callable[[int], None] | None
    jobs: int = 1  # that the child may be asked for, with so much time each

    def converse(self, line: socket.socket) -> Answer:
        deadline = time.monotonic() + self.limits.wall + GRACE
        line.settimeout(self.limits.wall + GRACE)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # ended already: the last message says how
            self._ask(line)
        parts: dict[bytes, bytearray] = {kind: bytearray() for kind in (b"s", b"v", b"b", b"e")}
        began, total = False, 0
        while True:
            kind, body = self._next(line, deadline, began=began)
            began |= kind == b"s"
            if kind == b"d":
                return self._answer(parts)
            if kind == b"x":
                raise self._end(json.loads(body), parts, began=began)
            if kind == b"p":
                if self.on_progress:
                    self.on_progress(int.from_bytes(body[:8], "little"))
                continue
            total += len(body)
            if kind not in parts or total > self.limits.answer:
                raise Died(self.job, "crash", signal.SIGABRT)
            parts[kind] += body  # in place: a large answer is held once

    def _ask(self, line: socket.socket) -> None:
        fds = [*self.files, *([] if self.out is None else [self.out])]
        request = {
            "job": self.job,
            "args": dict(self.args),
            "limits": {name: getattr(self.limits, name) for name in Bounds.__slots__},
            "files": len(self.files),
            "out": self.out is not None,
            "reads": list(self.reads),
            "jobs": self.jobs,
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
            raise ZygoteGone(began=began)
        return frame[:1], frame[1:]

    def _answer(self, parts: Mapping[bytes, bytearray]) -> Answer:
        value = json.loads(parts[b"v"])
        if not isinstance(value, dict):
            raise Died(self.job, "crash")
        return Answer(value, parts[b"b"])

    def _end(self, end: Mapping[str, int], parts: Mapping[bytes, bytearray], *, began: bool) -> Exception:
        """What the end of a child means for the call that it was at."""
        status = end["status"]
        if status <= 0 and status != -signal.SIGALRM and not began:
            return ZygoteGone(began=False)  # it had ended before it heard of this call
        if status == EXIT_ERROR and parts[b"e"]:
            return self._fault(bytes(parts[b"e"]))
        left = 0 if status == EXIT_MEMORY else signal.SIGABRT
        return Died(self.job, _reason(end, self.limits), -status if status < 0 else left)

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
