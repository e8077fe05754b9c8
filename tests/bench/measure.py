"""How things are measured: interleaved rounds, processor time of finished children, memory of a family of processes."""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the clock, and of processor time."""

    wall: float
    cpu: float


def rounds(count: int, cases: Mapping[str, Callable[[], Cost]], *, warm: bool = True) -> dict[str, Cost]:
    """Run all cases in turn, `count` times; the median of each. `warm`: a first round that does not count."""
    found: dict[str, list[Cost]] = {name: [] for name in cases}
    for number in range(-int(warm), count):
        for name, case in cases.items():
            cost = case()
            if number >= 0:
                found[name].append(cost)
    return {name: _middle(costs) for name, costs in found.items()}


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


def here(act: Callable[[], Any]) -> Cost:
    """What a call costs in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def forked(act: Callable[[], Any]) -> Cost:
    """What a call costs in a fork of this process, which is warm but has its memory still to fill, as our jobs have."""
    wall = time.perf_counter()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError("the measured call failed")
    return Cost(time.perf_counter() - wall, usage.ru_utime + usage.ru_stime)


def command(argv: Sequence[str], *, good: Sequence[int] = (0,), **options: Any) -> Cost:
    """What a command and the children it has waited for cost."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in good:
        raise RuntimeError(f"{argv}: {done.returncode}\n{done.stderr.decode(errors='replace')[-2000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def children_cpu(pid: int) -> float:
    """Processor seconds of the children that a process has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


# --- memory -----------------------------------------------------------------------------------------------------------


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[1-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.parent.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return found


def proportional(pid: int) -> int:
    """A process's memory in bytes, of shared pages its part only (PSS); its own pages where the kernel hides that."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except PermissionError:
        words = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")
    return 0


def memory(root: int) -> dict[int, int]:
    """The memory of each process of a family, in bytes."""
    found = {}
    for pid in family(root):
        with contextlib.suppress(OSError):
            found[pid] = proportional(pid)
    return found


class Peak(threading.Thread):
    """Watches a family of processes and keeps the highest sum, and what it was made of."""

    def __init__(self, root: int, every: float = 0.05) -> None:
        super().__init__(daemon=True)
        self._root, self._every, self._end = root, every, threading.Event()
        self.parts: dict[str, int] = {}
        self.highest = 0

    def run(self) -> None:
        while not self._end.wait(self._every):
            found = memory(self._root)
            if sum(found.values()) > self.highest:
                self.highest = sum(found.values())
                self.parts = {f"{_name(pid)}[{pid}]": size for pid, size in found.items()}

    def stop(self) -> None:
        """End the watch."""
        self._end.set()
        self.join()


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    known = (b"exchanged.zygote", b"exchanged")
    module = next((word for word in words if word in known), words[0].rpartition(b"/")[2])
    return module.decode(errors="replace") or "?"


# --- telling ----------------------------------------------------------------------------------------------------------


def title(text: str) -> None:
    """A heading."""
    print(f"\n## {text}\n", flush=True)


def line(name: str, figure: str, target: str = "") -> None:
    """One figure, with what we want of it."""
    print(f"{name:<58} {figure:>22}   {target}", flush=True)


def ratio(name: str, theirs: float, ours: float, target: float) -> None:
    """How many times as fast ours is."""
    line(name, f"{theirs / ours:.1f} x", f"target at least {target:g} x")
