"""What is left on the machine: files that a second recovery would change, and processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from exchanged import api
from exchanged.errors import Problem
from tests.support.world import World

PATIENCE = 5.0  # seconds in which processes must have ended
# SQLite's are made at every opening and gone at every closing; the reserve is put aside when there is room again
_MAY_CHANGE = {"ledger.db-wal", "ledger.db-shm", "reserve"}


def sha256(content: Path | bytes) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).hexdigest()


def second_recovery(world: World) -> list[str]:
    """Recover again; whatever is made, removed, written, renamed or given another mode by that is a fault."""
    before = _marks(world)
    try:
        done = api.open_exchange(world.file).once()
    except Problem as problem:
        return [f"I9 another recovery says {problem}"]
    after = _marks(world)
    found = [
        f"I9 another recovery changed {path}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
    return found + [f"I9 another recovery moved {one}" for one in done["batches"]]


def _marks(world: World) -> dict[str, object]:
    """For every file and folder what changes when it is changed: the kernel's own time of change, for most."""
    marks: dict[str, object] = {}
    for path in [world.root, *sorted(world.root.rglob("*"))]:
        if path.name in _MAY_CHANGE or path.is_relative_to(world.inbox):
            continue
        state = path.lstat()
        if path == world.state:  # SQLite's files come and go in it
            marks[str(path)] = (state.st_mode, sorted(set(os.listdir(path)) - _MAY_CHANGE))  # noqa: PTH208
        else:
            marks[str(path)] = (state.st_mode, state.st_ino, state.st_size, state.st_ctime_ns)
    return marks


def processes(world: World) -> list[str]:
    """Processes of this installation that have not ended: children of a daemon that is gone, agents of its keys."""
    ends = time.monotonic() + PATIENCE
    while (left := _alive(world)) and time.monotonic() < ends:
        time.sleep(0.02)
    return [f"I11 {words}" for words in left]


def _alive(world: World) -> list[str]:
    at_work = {str(daemon.pid) for daemon in world.daemons if daemon.poll() is None}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or entry.name in at_work:
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            orphan = "exchanged.zygote" in words and parent == "1"
            ours = str(world.unit.path) in words or (f"--config {world.file}" in words)
            if (orphan or ours) and parent not in at_work:
                found.append(words[:200])
    return found
