"""A whole installation on this machine: folders, keys, a real sshd, a configuration; and what lies where in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import records, scans
from tests.support.gpghome import Home
from tests.support.sshd import SSHD, Sshd
from tests.support.warm import Warm

FOLDERS = ("drop", "forms", "rejected", "receipts", "state", "inbox", "credentials")
CHANGING = FOLDERS[:6]


@dataclass
class World:
    """One unit and its server. Commands run as their own processes, as a sysadmin would run them.

    under: a program and its arguments that run ours, to change what it finds: its clock, limits, powers.
    warm: forks of a process that has everything loaded instead of new interpreters, where many commands are run.
    """

    root: Path
    unit: Home
    national: Home
    server: Sshd
    config: dict[str, Any] = field(default_factory=dict)
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)
    under: list[str] = field(default_factory=list)
    warm: Warm | None = None

    def __post_init__(self) -> None:
        for name in FOLDERS:
            (self.root / name).mkdir(mode=0o700, parents=True)
        signer, recipient = self.unit.make("Unit"), self.national.make("National")
        self.unit.give(signer, self.national)
        self.national.give(recipient, self.unit)
        self.unit.kill()  # the agent that made the key: one that is found later is the program's
        shutil.copy(self.server.identity, self.root / "credentials" / "sftp-key")
        (self.root / "credentials" / "sftp-key").chmod(0o600)
        self.config = {
            "language": "en",
            "unit": {"code": "jx", "name": "测试中心", "head": "甲", "information_manager": "乙"},
            "folders": {name: str(self.root / name) for name in FOLDERS[:5]},
            "intake": {"settle": "1s", "rescan": "5s", "confirmation_wait": "30d"},
            "sealing": {"gnupg_home": str(self.unit.path), "sign_with": signer, "encrypt_to": [recipient]},
            "delivery": {
                "host": "127.0.0.1",
                "port": self.server.port,
                "user": self.server.endpoint("/").user,
                "identity": "sftp-key",
                "host_keys": [self.server.host_key],
                "inbox": str(self.root / "inbox"),
            },
            "credentials": {"directory": str(self.root / "credentials")},
        }
        self.configure()

    def configure(self, **sections: Any) -> None:
        """Write the configuration, with sections changed."""
        for name, section in sections.items():
            self.config[name] = {**self.config.get(name, {}), **section} if isinstance(section, dict) else section
        self.file.write_text(yaml.safe_dump(self.config, allow_unicode=True))

    @property
    def file(self) -> Path:
        return self.root / "exchanged.yaml"

    def __getattr__(self, name: str) -> Path:
        if name in FOLDERS:
            return self.root / name
        raise AttributeError(name)

    # --- what people do -------------------------------------------------------------------------------------------

    def put(self, name: str, content: bytes, age: float = 60.0) -> Path:
        """Put a file into the drop folder, as settled: old enough to be taken at once where the kernel says so."""
        path = self.drop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(".put.part")  # a daemon that does not wait would take it half written
        part.write_bytes(content)
        moment = time.time() - age
        os.utime(part, (moment, moment))
        return part.rename(path)

    def sheet(self, stem: str, rows: int = 20, seed: int = 0, **over: Any) -> Path:
        """Drop a valid spreadsheet. Other seeds give other certificates."""
        return self.put(f"{stem}.csv", self._table(rows, seed, over))

    def drop_sheet(self, stem: str, rows: int = 20, seed: int = 0, **over: Any) -> bytes:
        """The same; gives what was in it, which a daemon may have taken away by now."""
        self.put(f"{stem}.csv", made := self._table(rows, seed, over))
        return made

    def _table(self, rows: int, seed: int, over: dict[str, Any]) -> bytes:
        made = records.records(rows, seed, **over)
        for index, row in enumerate(made):
            number = row["证书编号"]
            row["证书编号"] = f"{number[:5]}{seed % 10}{number[6]}{seed // 10 % 1000:03d}{number[10]}{index + 1:05d}"
        return records.csv_text(made).encode()

    def scan(self, stem: str) -> Path:
        """Drop a good scan."""
        return self.put(f"{stem}.pdf", scans.scan())

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the program."""
        if self.warm and not self.under:
            return self.warm.run(["--config", str(self.file), *arguments], {**os.environ, **(env or {})})
        return subprocess.run(
            [*self.under, sys.executable, "-m", "exchanged", "--config", str(self.file), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def once(self) -> dict[str, Any]:
        """`once --json`, which must end with one of its documented statuses."""
        done = self.run("once", "--json")
        assert done.returncode in (0, 1, 3), done.stderr
        self.log = done.stderr
        return dict(json.loads(done.stdout))

    def ask(self, *arguments: str) -> Any:
        """Another command with --json."""
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def daemon(self, **env: str) -> subprocess.Popen[bytes]:
        """Start the daemon; its log goes to a file."""
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                [*self.under, sys.executable, "-m", "exchanged", "--config", str(self.file), "run"],
                stdout=log,
                stderr=log,
                env={**os.environ, **env},
            )
        self.daemons.append(process)
        return process

    def wait(self, what: Any, seconds: float = 30.0) -> Any:
        """Ask until the answer is true."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if answer := what():
                return answer
            time.sleep(0.05)
        raise AssertionError((self.root / "log").read_text() if (self.root / "log").exists() else "nothing happened")

    # --- what lies where ------------------------------------------------------------------------------------------

    def delivered(self) -> dict[str, dict[str, bytes]]:
        """Every package on the server, its files by name."""
        return {package.stem: self.opened(package) for package in sorted(self.inbox.glob("*.pgp"))}

    def opened(self, package: Path) -> dict[str, bytes]:
        """One package, opened with plain gpg and tar: its files by name."""
        with tarfile.open(fileobj=BytesIO(self.national.plain(package)), mode="r:gz") as inside:
            return {one.name: (inside.extractfile(one) or BytesIO()).read() for one in inside}

    def signers(self, package: Path) -> list[str]:
        """Primary fingerprints of the good signatures on a package, as the national centre's gpg sees them."""
        said = self.national.gpg("--status-fd", "1", "--output", os.devnull, "--yes", "--decrypt", str(package))
        lines = [line.split() for line in said.decode(errors="replace").splitlines()]
        assert sum(line[1:2] == ["GOODSIG"] for line in lines) == sum(line[1:2] == ["NEWSIG"] for line in lines)
        return [line[-1] for line in lines if line[1:2] == ["VALIDSIG"]]

    def left(self, *folders: str) -> list[str]:
        """Files below these folders, by name relative to the root."""
        found = []
        for folder in folders:
            found += [str(path.relative_to(self.root)) for path in (self.root / folder).rglob("*") if path.is_file()]
        return sorted(found)

    def keep(self, folder: Path) -> None:
        """Copy all that batches change, to come back to it with `restore`."""
        for name in CHANGING:
            shutil.copytree(self.root / name, folder / name, symlinks=True)

    def restore(self, folder: Path) -> None:
        """Make everything as it was when it was kept."""
        for name in CHANGING:
            shutil.rmtree(self.root / name)
            shutil.copytree(folder / name, self.root / name, symlinks=True)
        for path in (*self.unit.path.glob(".#lk*"), *self.unit.path.glob("*.lock")):
            path.unlink()
        self.server.forget()
        self.unit.kill()

    def close(self) -> None:
        for process in self.daemons:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        if self.warm:
            self.warm.close()
        self.server.stop()
        self.unit.close()
        self.national.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A whole installation, its server running."""
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    made = World(tmp_path / "w", Home(), Home(), Sshd.talking(tmp_path / "sshd").start())
    yield made
    made.close()


@pytest.fixture(scope="session")
def forks() -> Iterator[Warm]:
    """The process that `warm` forks."""
    made = Warm()
    yield made
    made.close()


@pytest.fixture
def warm(world: World, forks: Warm) -> Iterator[None]:
    """Commands of `world` are forks of a process that has everything loaded: for suites that run hundreds of them."""
    world.warm = forks
    yield
    world.warm = None
