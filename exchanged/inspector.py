"""The daily verification of ledger and evidence, beside the work: `exchanged audit` as a child of low priority.

Takes   the path of the configuration
Gives   an event for what was found
Redo    it only reads
Ends    IntegrityFailure when the ledger is not what it was: then nothing may be sent until it is repaired

A child, because a long chain takes seconds of computing, and the loop and its threads must not wait for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from exchanged import log
from exchanged.commands import status
from exchanged.errors import IntegrityFailure

FIRST = 60.0  # seconds from the start, when the ledger has just been verified and the evidence has not
DAY = 86400.0
AGAIN = 3600.0  # seconds until the next try when it could not be done
LIMIT = 4 * 3600.0  # seconds that it may take
GENTLE = 10  # how much it lets others go first


class Inspector:
    """Starts the verification when its time has come and says what it found.

    `tell` is told the code of the first thing that is wrong, or None where all is well.
    """

    def __init__(self, path: Path, tell: Callable[[str | None], None]) -> None:
        self._path = path
        self._tell = tell
        self._due = time.monotonic() + FIRST
        self._began = 0.0
        self._child: subprocess.Popen[bytes] | None = None
        self._answer: IO[bytes] | None = None

    def look(self) -> None:
        """Start what is due, and hear what has ended. Takes no time. Raises IntegrityFailure."""
        if self._child is None:
            if time.monotonic() >= self._due:
                self._start()
        elif self._child.poll() is not None:
            self._hear(self._child.returncode)
        elif time.monotonic() - self._began > LIMIT:
            self._child.kill()

    def _start(self) -> None:
        self._began = time.monotonic()
        try:
            self._answer = os.fdopen(os.memfd_create("audit"), "w+b")  # no disk has to have room for it
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-m", "exchanged", "--config", str(self._path), "audit", "--json"],
                stdin=subprocess.DEVNULL,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
                process_group=0,
            )
        except OSError:
            self._hear(None)
            return
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._child.pid, GENTLE)

    def _hear(self, ended: int | None) -> None:
        found = self._found()
        self._child = None
        self._due = time.monotonic() + DAY
        if ended == status.OK:
            seconds = round(time.monotonic() - self._began, 1)
            log.emit("audit.passed", count=found.get("events", 0), files=found.get("evidence", 0), seconds=seconds)
            self._tell(None)
        elif ended == status.INTEGRITY:
            self._complain(found.get("problems") or [found])
        else:
            self._due = time.monotonic() + AGAIN
            log.emit("audit.unfinished", status=ended if ended is not None else "not-started")

    def _complain(self, problems: list[dict[str, Any]]) -> None:
        for code, count in Counter(problem["code"] for problem in problems).items():
            log.emit("audit.failed", code=code, count=count)
        for problem in problems:
            if problem["code"].startswith("ledger."):
                raise IntegrityFailure(problem["code"])
        self._tell(str(problems[0]["code"]))

    def _found(self) -> dict[str, Any]:
        """The child's answer; nothing where it did not come to one."""
        given, self._answer = self._answer, None
        if given is None:
            return {}
        with given as answer, contextlib.suppress(ValueError):
            answer.seek(0)
            return dict(json.loads(answer.read()))
        return {}

    def stop(self) -> None:
        """End a verification that is under way."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
