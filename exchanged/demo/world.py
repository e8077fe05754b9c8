"""The demonstration's world: a unit, a national side with a real SSH server on loopback, throw-away keys for both.

Takes   an empty directory
Gives   a working configuration in it, and the server as a process of its own
Redo    a directory is used once
Ends    `close` ends the server and the agents, whatever happened
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from exchanged import disk, keymaker, setup
from exchanged.errors import NotYet


@dataclass(slots=True)
class World:
    """Where everything lies, and the server's process."""

    directory: Path
    config: Path
    national: Path
    server: subprocess.Popen[bytes]
    port: int
    signer: str
    recipient: str

    @property
    def inbox(self) -> Path:
        return self.national / "server" / "inbox"

    def close(self) -> None:
        """End the server, and the agents of both sides."""
        if self.server.stdin:
            self.server.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.wait(5)
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        for home in (self.directory / "state" / "gnupg", self.national / "gnupg"):
            keymaker.end_agent(home)


def build(directory: Path) -> World:
    """Keys, folders, server and configuration. Raises NotYet when the directory is not empty or gpg is missing."""
    if directory.exists() and any(directory.iterdir()):
        raise NotYet("demo.not_empty", path=str(directory))
    national = directory / "national"
    disk.folder(directory, 0o755)
    laid = setup.lay(directory, keys=True)
    home, theirs = directory / "state" / "gnupg", keymaker.home(national / "gnupg")
    recipient = keymaker.openpgp(theirs, "National platform (demonstration)")
    keymaker.import_key(home, keymaker.exported(theirs, recipient))
    keymaker.import_key(theirs, keymaker.exported(home, str(laid.signer)))
    server, said = _serve(directory, national)
    values = {
        "code": "demo",
        "name": "示范省职业技能鉴定指导中心",
        "head": "示范负责人",
        "information_manager": "示范管理员",
        "settle": "1s",
        "sign_with": str(laid.signer),
        "encrypt_to": f"[{recipient}]",
        "port": str(said["port"]),
        "user": "demo",
        "host_keys": json.dumps([said["host_key"]]),
    }
    disk.write(laid.config, setup.configuration(directory, values).encode(), 0o644)
    return World(directory, laid.config, national, server, int(said["port"]), str(laid.signer), recipient)


def _serve(directory: Path, national: Path) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """The national side's SSH server, as a process of its own; it ends with its standard input."""
    root = national / "server"
    disk.folder(root / "inbox")
    host_key = national / "host-key"
    keymaker.ssh(host_key, "national")
    authorized = directory / "public" / f"{setup.IDENTITY}.pub"
    options = {"--root": root, "--host-key": host_key, "--authorized": authorized}
    command = [sys.executable, "-m", "exchanged.transports.server"]
    command += [str(word) for pair in options.items() for word in pair]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = server.stdout.readline() if server.stdout else b""
    if not line:
        server.kill()
        server.wait()
        raise NotYet("demo.no_server")
    return server, json.loads(line)
