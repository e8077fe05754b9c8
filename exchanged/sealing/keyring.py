"""The key folder of one unit, read through gpg's listing, which is kept while no file of the folder changes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from exchanged import seen
from exchanged.errors import NotYet
from exchanged.sealing import process
from exchanged.sealing.keys import Block, parse

COMMON = ("--no-options", "--batch", "--no-tty", "--no-auto-key-locate", "--disable-dirmngr", "--trust-model", "always")

_AGE = 600.0  # s
_FILES = ("pubring.kbx", "pubring.gpg", "public-keys.d", "public-keys.d/pubring.db", "private-keys-v1.d")
_Marks = tuple[tuple[int, int, int] | None, ...]


class Keyring:
    """What a key folder holds under the given fingerprints. May be used from several threads."""

    def __init__(self, home: Path, fingerprints: Sequence[str], program: str, timeout: float) -> None:
        self._home, self._wanted, self._program, self._timeout = home, fingerprints, program, timeout
        self._lock = threading.Lock()
        self._kept: tuple[_Marks, float, tuple[Block, ...]] | None = None

    def blocks(self) -> tuple[Block, ...]:
        """The keys with their subkeys. Raises NotYet when there is no key folder or gpg does not answer."""
        with self._lock:
            marks, now = self._marks(), time.monotonic()
            if self._kept and self._kept[0] == marks and now - self._kept[1] < _AGE:
                return self._kept[2]
            blocks = self._list()
            self._kept = (self._marks(), now, blocks)
            return blocks

    def forget(self) -> None:
        """Read the listing anew next time."""
        with self._lock:
            self._kept = None

    def _marks(self) -> _Marks:
        return tuple(_mark(self._home / name) for name in _FILES)

    def expect_home(self) -> None:
        """Raises NotYet where there is no key folder: gpg would say that it knows no key."""
        if not seen.folder(self._home):
            raise NotYet("sealing.home_missing", path=str(self._home))

    def _list(self) -> tuple[Block, ...]:
        self.expect_home()
        wanted = dict.fromkeys(self._wanted)
        done = self._ask(*COMMON, "--with-colons", "--with-secret", "--list-keys", *wanted)
        blocks = parse(done.stdout.decode("utf-8", "replace"))
        if done.returncode and blocks:  # found them, but could not ask the agent for their secret parts
            raise NotYet("sealing.agent_unavailable", socket=str(self._home / "S.gpg-agent"))
        return blocks

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [self._program, "--homedir", str(self._home), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=process.environment(),
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            process.kill_agents(self._home)
            raise NotYet("sealing.timeout") from None
        except OSError as error:
            if error.errno in process.EXHAUSTED:
                raise
            raise NotYet("sealing.gpg_missing", errno=error.errno or 0) from None


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
