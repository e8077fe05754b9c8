"""A real OpenSSH server on loopback, run as whoever runs the tests, and a TCP proxy that misbehaves on order."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchanged.transports import Endpoint

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/sbin")

CONFIG = """
{extra}
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_{kind}
PidFile none
AuthorizedKeysFile {folder}/authorized
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM {pam}
UseDNS no
LogLevel VERBOSE
MaxStartups 100
MaxSessions 50
Subsystem sftp internal-sftp {options}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "", form: str = "") -> str:
    """Make an SSH key pair; the public key as "type base64"."""
    more = ["-b", "2048"] if kind == "rsa" else []
    more += ["-m", form] if form else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *more, "-N", passphrase, "-C", "test", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@dataclass
class Sshd:
    """A running server. `inbox` of an endpoint is any folder of this machine."""

    folder: Path
    kind: str = "ed25519"
    options: str = ""
    extra: str = ""
    port: int = 0
    host_key: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.host_key = keygen(self.folder / f"host_{self.kind}", self.kind)
        (self.folder / "authorized").write_text(keygen(self.folder / "user") + "\n")
        self.port = free_port()

    @property
    def identity(self) -> Path:
        """The private key that may log in."""
        return self.folder / "user"

    def start(self) -> Sshd:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        text = CONFIG.format(
            pam="no" if os.geteuid() == 0 else "yes",
            port=self.port,
            folder=self.folder,
            kind=self.kind,
            options=self.options,
            extra=self.extra,
        )
        (self.folder / "config").write_text(text)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(self.folder / "config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text())

    def sessions(self) -> list[int]:
        """Process ids of the connections being served."""
        assert self._process is not None
        return _descendants(self._process.pid)

    def cut(self) -> None:
        """Kill every connection at once; new ones are still taken."""
        _kill(self.sessions())

    def stop(self) -> None:
        """Kill the server and its connections."""
        if self._process is None:
            return
        children = self.sessions()
        self._process.kill()
        self._process.wait()
        self._process = None
        _kill(children)

    def endpoint(self, inbox: Path | str, **over: Any) -> Endpoint:
        """How to reach it."""
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "identity": self.identity.read_bytes,
            "host_keys": (self.host_key,),
            "inbox": str(inbox),
            "timeout": 10.0,
        }
        return Endpoint(**{**values, **over})


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Proxy:
    """A TCP proxy to a local port. Each connection dies, or falls silent, after so many bytes in one direction.

    up and down: bytes let through towards and from the server (None = all). stall: instead of cutting, stop passing.
    times: how many connections are treated so; later ones go through. turns: how often the talk turned to the server.
    """

    def __init__(
        self, target: int, up: int | None = None, down: int | None = None, *, stall: bool = False, times: int = 1
    ) -> None:
        self.target, self.up, self.down, self.stall, self.times = target, up, down, stall, times
        self.seen_up = self.seen_down = 0
        self.count = self.turns = 0
        self._last = ""
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for sock in self._open:
            _end(sock)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            bad = self.count < self.times
            self.count += 1
            self._open += [near, far]
            limits = (self.up, self.down) if bad else (None, None)
            threading.Thread(target=self._pump, args=(near, far, limits[0], "seen_up"), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, limits[1], "seen_down"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None, counter: str) -> None:
        passed = 0
        while True:
            try:
                data = source.recv(65536 if limit is None else min(65536, limit - passed) or 1)
                if data and limit is not None and passed >= limit:
                    if self.stall:
                        return
                    data = b""
                if not data:
                    _end(source), _end(sink)
                    return
                sink.sendall(data)
            except OSError:
                _end(source), _end(sink)
                return
            passed += len(data)
            self.turns += counter == "seen_up" and self._last == "seen_down"
            self._last = counter
            setattr(self, counter, getattr(self, counter) + len(data))


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for the whole run."""
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    server = Sshd(tmp_path_factory.mktemp("sshd")).start()
    try:
        yield server
    finally:
        server.stop()
