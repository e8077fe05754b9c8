"""Commands of the program from a process that has its modules loaded already: each is a fork of it.

For sweeps, in which one command is watched and several follow it: two thirds of what those take is loading. The one
that is struck is always started as a sysadmin would start it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

from exchanged.cli import main as program


class Warm:
    """A process that forks for every command. Loads what the last command had loaded."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._line = ours

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `exchanged` with these arguments, in this environment. Raises TimeoutExpired, as subprocess.run does."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            words = json.dumps([list(argv), dict(env)]).encode()
            socket.send_fds(self._line, [len(words).to_bytes(4, "big")], [out.fileno(), err.fileno()])
            self._line.sendall(words)
            pid = int.from_bytes(_take(self._line, 4), "big")
            self._line.settimeout(timeout)
            try:
                status = int.from_bytes(_take(self._line, 4), "big", signed=True)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(argv), timeout) from None
            finally:
                self._line.settimeout(None)
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode())
        return subprocess.CompletedProcess(["exchanged", *argv], status, *said)

    def close(self) -> None:
        self._line.close()
        self._process.wait()


def _take(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _serve(line: socket.socket) -> None:
    """Fork for every command that is asked for, until nobody asks any more."""
    while True:
        size, fds, _, _ = socket.recv_fds(line, 4, 2)
        if not size:
            return
        argv, env = json.loads(_take(line, int.from_bytes(size, "big")))
        learned, teller = os.pipe()
        assert threading.active_count() == 1
        pid = os.fork()
        if pid == 0:
            os.close(learned)
            _become(line, fds, env)
            _end(argv, teller)
        os.close(teller)
        for fd in fds:
            os.close(fd)
        line.sendall(pid.to_bytes(4, "big"))
        with os.fdopen(learned, "rb") as names:
            modules = names.read().decode().split()
        _, status = os.waitpid(pid, 0)
        line.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        for name in modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _become(line: socket.socket, fds: list[int], env: Mapping[str, str]) -> None:
    """In a new child: its own streams and environment."""
    line.close()
    for fd, stream in ((os.open(os.devnull, os.O_RDONLY), 0), (fds[0], 1), (fds[1], 2)):
        os.dup2(fd, stream)
        os.close(fd)
    os.environ.clear()
    os.environ.update(env)


def _end(argv: list[str], teller: int) -> NoReturn:
    """Run the command, tell what it has loaded, and end without taking everything that is loaded apart."""
    before, status = set(sys.modules), 1
    sys.argv[1:] = argv
    try:
        status = program(argv)
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os.write(teller, " ".join(sorted(set(sys.modules) - before)).encode()[:60_000])
    os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
