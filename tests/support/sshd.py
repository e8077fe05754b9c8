"""A real OpenSSH server on loopback, run as whoever runs the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchanged.transports import Endpoint

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/sbin")
TALKING = Path("/usr/lib/openssh/sftp-server")  # the same server as a program of its own, which can say what it did

# SHLVL: bash would read the start-up files of whoever runs the tests, and wait for what they wait for
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
SetEnv SHLVL=2
LogLevel VERBOSE
{penalties}
MaxStartups 100
MaxSessions 50
Subsystem sftp {subsystem} {options}
"""


def penalties() -> str:
    """Newer servers shut an address out after refused logins, of which the tests have many."""
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    found = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    return "PerSourcePenalties no" if found and (int(found[1]), int(found[2])) >= (9, 8) else ""


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
    subsystem: str = "internal-sftp"
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
            subsystem=self.subsystem,
            options=self.options,
            extra=self.extra,
            penalties=penalties(),
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

    @classmethod
    def talking(cls, folder: Path) -> Sshd:
        """A server that writes down every file operation it was asked for, in `operations`."""
        if not TALKING.exists():
            return cls(folder)
        return cls(folder, subsystem=f"{TALKING} -e -l INFO 2>>{folder / 'operations'}")

    def operations(self) -> list[str] | None:
        """What the server was asked for, a line each; None where it does not tell."""
        if self.subsystem == "internal-sftp":
            return None
        path = self.folder / "operations"
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    def forget(self) -> None:
        """Begin the list of operations anew."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.folder / "operations", 0)

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
        self._process.send_signal(signal.SIGSTOP)  # else one more child may come, and hold the port open for nobody
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
