"""`make soak MINUTES=n`: the daemon under random life, killed, its server gone, its disk full at random; then unharmed.

`python -m tests.torture.soak [--minutes N] [--seed S]`. In the first part the daemon is killed and started again while
work is under way; in the second it lives on, and its memory and descriptors must stay flat. At the end of every round
all has come to rest and the judge compares everything. Ends with figures; the first fault ends it with status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

from tests.support import mounts
from tests.support.chance import CLERK, OPERATOR, Life
from tests.support.gpghome import Home
from tests.support.sshd import Sshd
from tests.support.world import World

KILLING = 0.6  # of the time
ROUND = 12  # acts of a round, at most
PATIENCE = 180.0  # seconds in which a round must come to rest
MEMORY = 1.15, 8 << 20  # how much more the last third may use than the first: a factor, and bytes beside it


class Soak:
    """One installation, its daemon, and what was counted."""

    def __init__(self, world: World, seed: int, fills: bool) -> None:
        self.world, self.rand, self._fills = world, Random(seed), fills
        self.life = Life(world, self.rand, age=0.0)
        self.counts: Counter[str] = Counter()
        self.sizes: list[tuple[int, int]] = []
        self.daemon = world.daemon()

    def run(self, minutes: float) -> None:
        """Rounds until the time is over. Raises AssertionError at the first fault."""
        begun = time.monotonic()
        while (passed := (time.monotonic() - begun) / 60) < minutes:
            killing = passed < KILLING * minutes
            self.round(killing)
            if not killing:
                self.sizes.append(size(self.daemon.pid))
            self.counts["rounds"] += 1
        self._flat()

    def round(self, killing: bool) -> None:
        """Operators' acts on a program at rest, then clerks' acts while server and disk come and go."""
        world, rand, life = self.world, self.rand, self.life
        for _ in range(rand.randint(0, 2)):
            self._act(rand.choice([one for one in life.possible() if one in OPERATOR]))
            life.settle()
            self._rest()
        for _ in range(rand.randint(1, ROUND)):
            self._act(rand.choice([one for one in life.possible() if one in CLERK]))
            time.sleep(rand.choice((0.0, 0.1, 0.5, 2.0)))
            if killing and rand.random() < 0.4:
                self._kill()
            if life.up and rand.random() < 0.1:
                world.server.stop()
                time.sleep(rand.uniform(0.0, 3.0))
                world.server.start()
                self.counts["server restarts"] += 1
            if killing and self._fills and rand.random() < 0.05:
                filler = mounts.fill(world.state)
                time.sleep(rand.uniform(0.0, 3.0))
                filler.unlink()
                self.counts["full disks"] += 1
        life.settle()
        self._rest()
        life.judge()

    def _act(self, name: str) -> None:
        getattr(self.life, name)()
        self.counts["acts"] += 1
        self.counts[name] += 1

    def _kill(self) -> None:
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.counts["kills"] += 1
        time.sleep(self.rand.choice((0.0, 0.2)))
        self.daemon = self.world.daemon()

    def _rest(self) -> None:
        """Until every batch has come where the model says, retried as an operator would."""
        ends = time.monotonic() + PATIENCE
        while not self.life.reached():
            assert self.daemon.poll() is None, f"the daemon ended with {self.daemon.returncode}"
            assert time.monotonic() < ends, f"not at rest: {self.life.differs()}"
            self._retry()
            time.sleep(1.0)

    def _retry(self) -> None:
        """What an operator does who sees that the server is there again, or that there is room again."""
        for one in self.world.ask("status")["waiting"]:
            sending = self.life.up and not self.life.paused and one["state"] == "sealed" and one["reason"]
            if sending or one["reason"] == "disk.full":
                self.world.run("retry", one["batch"])

    def _flat(self) -> None:
        third = len(self.sizes) // 3
        if not third:
            return
        for name, values in (
            ("memory", [one[0] for one in self.sizes]),
            ("descriptors", [one[1] for one in self.sizes]),
        ):
            early, late = median(values[:third]), median(values[-third:])
            self.counts[f"{name} early"], self.counts[f"{name} late"] = int(early), int(late)
            factor, more = MEMORY if name == "memory" else (1.0, 4)
            assert late <= early * factor + more, f"{name} grew from {early} to {late}: {values}"


def size(pid: int) -> tuple[int, int]:
    """Resident bytes of a process and its children, and the descriptors of the process itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (str(pid), *children))
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    world = World(folder / "w", Home(), Home(), Sshd.talking(folder / "sshd").start())
    world.configure(intake={"settle": "1s", "rescan": "2s"})
    print(f"seed {options.seed}, {options.minutes:g} minutes, in {folder}", flush=True)
    with contextlib.ExitStack() as small:
        if os.geteuid() == 0:
            small.enter_context(mounts.mounted(world.state, "size=64m"))
        soak = Soak(world, options.seed, fills=os.geteuid() == 0)
        try:
            soak.run(options.minutes)
        except AssertionError as fault:
            print(f"FAULT {fault}", flush=True)
            return 1
        finally:
            world.close()
            for name, count in sorted(soak.counts.items()):
                print(f"{name:20} {count:>12,}", flush=True)
    subprocess.run(["rm", "-rf", str(folder)], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
