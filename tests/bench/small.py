"""Many small batches through the whole pipeline, beside a script that does the same with one process a step."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench import data
from tests.bench.measure import Cost, command, line, ratio, rounds, title
from tests.support import scans
from tests.support.world import World

ROWS = 200
SCANS = 5
HERE = Path(__file__).parent


class Small:
    """The batches, ready to be put down, and the ways to process them."""

    def __init__(self, world: World, folder: Path, batches: int) -> None:
        self._world, self._batches = world, batches
        self._master = folder / "master"
        self._master.mkdir()
        pictures = [scans.scan(dpi=150 + number) for number in range(SCANS)]
        self.scan_bytes = sum(map(len, pictures)) // SCANS
        for number in range(batches):
            made = data.table(ROWS, start=number * ROWS)
            data.write_csv(self._master / f"batch-{number:04d}.csv", made)
            (self._master / f"batch-{number:04d}.pdf").write_bytes(pictures[number % SCANS])
        self._config = folder / "ssh_config"
        self._folder = folder
        self._write_config()

    def _write_config(self) -> None:
        server = self._world.server
        known = self._folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
        words = {
            "HostName": "127.0.0.1",
            "Port": server.port,
            "User": server.endpoint("/").user,
            "IdentityFile": server.identity,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": known,
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        self._config.write_text("Host drop\n" + "".join(f"  {key} {value}\n" for key, value in words.items()))

    def ours(self) -> Cost:
        """`exchanged once` over all batches, from nothing but the configuration."""
        world = self._world
        for folder in ("state", "receipts", "rejected", "inbox"):
            empty(world.root / folder)
        for path in sorted(self._master.iterdir()):
            shutil.copy(path, world.drop)
        argv = [sys.executable, "-m", "exchanged", "--config", str(world.file), "once", "--json"]
        cost = command(argv)
        self._verify(world.inbox, "*.pgp")
        return cost

    def naive(self, *options: str) -> Cost:
        """The script, over a fresh copy of all batches."""
        world = self._world
        spool, out = self._folder / "spool", self._folder / "out"
        for folder in (spool, out, world.inbox):
            empty(folder)
        shutil.copytree(self._master, spool, dirs_exist_ok=True)
        python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or sys.executable
        sealing = world.config["sealing"]
        keys = (world.unit.path, sealing["sign_with"], sealing["encrypt_to"][0])
        paths = (spool, out, world.inbox, *keys, self._config, python, HERE / "naive_check.py")
        cost = command(["bash", str(HERE / "naive.sh"), *map(str, paths), *options])
        self._verify(world.inbox, "*.gpg")
        return cost

    def reuse(self) -> Cost:
        """The same script with one kept ssh connection."""
        socket = self._folder / "mux"
        options = ("-o", "ControlMaster=auto", "-o", f"ControlPath={socket}", "-o", "ControlPersist=30")
        cost = self.naive(*options)
        argv = ["ssh", "-F", str(self._config), "-o", f"ControlPath={socket}", "-O", "exit", "drop"]
        subprocess.run(argv, capture_output=True, check=False)
        return cost

    def _verify(self, inbox: Path, pattern: str) -> None:
        found = len(list(inbox.glob(pattern)))
        if found != self._batches:
            raise RuntimeError(f"{found} of {self._batches} batches arrived")


def empty(folder: Path) -> None:
    """A folder with nothing in it, mode 0700."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


def run(world: World, folder: Path, count: int, batches: int = 100) -> None:
    """Measure and print."""
    small = Small(world, folder, batches)
    title(f"{batches} batches of {ROWS} rows, each with a scan of {small.scan_bytes // 1000} kB, to a loopback sshd")
    small.ours()  # not counted: the first run compiles the modules, which an installation has compiled
    found = rounds(count, {"ours": small.ours, "naive": small.naive, "reuse": small.reuse}, warm=False)
    names = {
        "ours": "exchanged once, its start included",
        "naive": "naive script",
        "reuse": "naive script, one kept ssh connection",
    }
    for key, cost in found.items():
        each = f"{cost.wall / batches * 1000:.1f} ms, {cost.cpu / batches * 1000:.1f} ms CPU"
        line(names[key], each, f"{batches / cost.wall:.1f} batches/s")
    ratio("as fast as the naive script", found["naive"].wall, found["ours"].wall, 10)
    ratio("as fast as the one with a kept connection", found["reuse"].wall, found["ours"].wall, 2.5)
    ratio("  the same by CPU", found["reuse"].cpu, found["ours"].cpu, 1)
