"""One gpg process, watched: its status lines, a deadline by progress, and a certain end.

Takes   an argument list, what to do meanwhile (feed it or drain it), and how to see that it gets on
Gives   an `Outcome`, to be judged by `status`
Redo    a process leaves nothing but its output, which belongs to the caller
Ends    NotYet when gpg cannot be started; the caller's own exception when feeding or draining failed first
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from exchanged.errors import NotYet
from exchanged.sealing.status import Outcome, parse

_STATUS_LIMIT = 1 << 18
_SLICE = 200  # ms between two looks at the progress
_KILL = 5  # s in which an agent ends that is asked to
_GRACE = 0.3  # s in which a gpg that closed its pipe is given the time to be gone
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})  # not gpg's doing
_QUIET: Mapping[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
_OURS = (
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "GNUPGHOME",
)


def environment() -> dict[str, str]:
    """The environment for gpg: the operator's (a token's library may need it) without what is meant for us alone."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith("LC_")}
    return kept | {"LC_ALL": "C"}


def start(argv: Sequence[str], stdin: int, stdout: int, pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start gpg in a process group of its own. Raises NotYet("sealing.gpg_missing")."""
    try:
        return subprocess.Popen(
            [_found(argv[0]), *argv[1:]],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            pass_fds=pass_fds,
            env=environment(),
            cwd="/",
            process_group=0,
        )
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        raise NotYet("sealing.gpg_missing", errno=error.errno or 0) from None


@cache
def _found(program: str) -> str:
    """Where a program lies. Raises FileNotFoundError, which is not remembered."""
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, program)
    return path


def kill(process: subprocess.Popen[bytes]) -> None:
    """End gpg and whatever stands in its group, now."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


class Watcher(threading.Thread):
    """Collects the status lines of a running gpg and ends it when it neither gets on nor waits for us."""

    def __init__(
        self, process: subprocess.Popen[bytes], status: int, progress: Callable[[], object], timeout: float
    ) -> None:
        super().__init__(name="gpg-watcher", daemon=True)
        self._process, self._status, self._progress, self._timeout = process, status, progress, timeout
        self._seen: object = None
        self._deadline = time.monotonic() + timeout
        self.raw = bytearray()
        self.stalled = False

    @property
    def flooded(self) -> bool:
        """Whether gpg said more than any good run says; seen with a token that is gone."""
        return len(self.raw) > _STATUS_LIMIT

    def run(self) -> None:
        """Watch until gpg has ended."""
        poller = select.poll()
        poller.register(self._status, select.POLLIN)
        while self._listen(poller):
            pass
        try:
            self._process.wait(max(0.1, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._stall()

    def _listen(self, poller: select.poll) -> bool:
        if poller.poll(_SLICE):
            self.raw += (piece := os.read(self._status, 65536))
            if self.flooded:
                kill(self._process)
            return bool(piece) and not self.flooded
        if self._process.poll() is not None:
            return bool(poller.poll(0))  # it may have spoken its last since
        now, seen = time.monotonic(), self._progress()
        if seen != self._seen:
            self._seen, self._deadline = seen, now + self._timeout
        if now > self._deadline:
            self._stall()
        return not self.stalled

    def _stall(self) -> None:
        self.stalled = True
        kill(self._process)


def run(
    argv: Sequence[str],
    act: Callable[[], None],
    *,
    stdin: int,
    stdout: int,
    secret: str | None,
    progress: Callable[[], object],
    timeout: float,
) -> Outcome:
    """Run gpg while `act` feeds or drains it, and say how it ended.

    `stdin` and `stdout` are closed here once gpg has them. `secret` is given through a pipe. `progress` returns
    something that changes as gpg gets on; when it stays the same for `timeout` seconds gpg is killed.
    """
    theirs = [stdin, stdout]
    try:
        status_out, status_in = os.pipe()
        theirs.append(status_in)
        try:
            secrets = _secret_pipe(secret)
            theirs += secrets
            options = ["--status-fd", str(status_in), *(("--passphrase-fd", str(secrets[0])) if secrets else ())]
            process = start([argv[0], *options, *argv[1:]], stdin, stdout, (status_in, *secrets))
        except BaseException:
            os.close(status_out)
            raise
    finally:
        for fd in theirs:
            os.close(fd)
    watcher = Watcher(process, status_out, progress, timeout)
    try:
        watcher.start()
        _act(act, process)
        watcher.join()
    finally:
        kill(process)
        watcher.join()
        os.close(status_out)
    return Outcome(process.returncode, parse(bytes(watcher.raw)), watcher.stalled, watcher.flooded)


def _act(act: Callable[[], None], process: subprocess.Popen[bytes]) -> None:
    """Do our part. When gpg ended first, its status says why and our broken pipe says nothing."""
    try:
        act()
    except Exception:
        if not _gone(process):
            kill(process)
            raise
        if process.returncode == 0:
            raise


def _gone(process: subprocess.Popen[bytes]) -> bool:
    """Whether gpg has ended by itself, or is about to."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    return process.returncode is not None


def _secret_pipe(secret: str | None) -> tuple[int, ...]:
    """The reading end of a pipe that holds the passphrase, if there is one."""
    if secret is None:
        return ()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(secret.encode() + b"\n")
    return (reading,)


@contextlib.contextmanager
def visiting(home: Path, shared: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Within this gpg may start an agent; one that was not there before is ended afterwards.

    shared: whether another process is at work with these keys, which may use the agent by now and will end it.
    """
    there = agent_runs(home)
    try:
        yield
    finally:
        others = False
        with contextlib.suppress(OSError):  # who may not look whether a daemon is at work shares no keys with it
            others = shared()
        if not there and not others:
            kill_agents(home)


def agent_runs(home: Path) -> bool:
    """Whether an agent of this key folder answers."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = ["gpg-connect-agent", "--homedir", str(home), "--no-autostart", "getinfo pid", "/bye"]
        quiet = {**_QUIET, "stdout": subprocess.PIPE}
        answer = subprocess.run(asked, **quiet, env=environment(), timeout=20, check=False).stdout
        return bool(answer.startswith(b"D "))  # its exit status is 0 in either case
    return False


def clear_locks(home: Path) -> None:
    """Remove what a killed gpg left in the key folder: its own temporary files, and locks of processes that are gone.

    gpg never removes the first, and waits without end for a lock when another program got the number of its owner.
    """
    left: list[Path] = []
    with contextlib.suppress(OSError):
        there = [*home.iterdir(), *home.glob("public-keys.d/*")]  # the latter are of gpg 2.4's keyboxd
        left = [path for path in there if path.name.startswith(".#lk") or path.suffix == ".lock"]
    for path in left:
        with contextlib.suppress(OSError, ValueError, IndexError):
            owner = path.read_text().split() if path.suffix == ".lock" else [path.name.rpartition(".")[2].rstrip("x")]
            if not _is_gpg(int(owner[0])):
                path.unlink()


def _is_gpg(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith(("gpg", "keyboxd"))
    except OSError:
        return False


def forget_secrets(home: Path) -> None:
    """Have an agent that runs forget the passphrases that it was given; whoever needs one gives it again."""
    command = ["gpgconf", "--homedir", str(home), "--reload", "gpg-agent"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(command, **_QUIET, env=environment(), timeout=_KILL, check=False)


def kill_agents(home: Path) -> None:
    """End the agent and the token daemon of a key folder, also when they hang; the next gpg starts them anew."""
    try:
        subprocess.run(
            ["gpgconf", "--homedir", str(home), "--kill", "all"],
            **_QUIET,
            env=environment(),
            timeout=_KILL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        _kill_hung(home)
    except OSError:
        pass


def _kill_hung(home: Path) -> None:
    """End an agent that answers nobody. It is known by the key folder that it was started for."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # gone, or not ours
            argv = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else [b""]
            if Path(os.fsdecode(argv[0])).name == "gpg-agent" and os.fsencode(home) in argv:
                os.kill(int(entry.name), signal.SIGKILL)
