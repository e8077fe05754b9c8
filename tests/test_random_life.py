"""Random life: whatever people do, in whatever order, whatever befalls the machine, all is as it must be.

A Hypothesis state machine over the whole program, which is killed at any moment, finds its disk full, its clock wrong:
after every step it has run once more undisturbed, and the judge compares everything with the model. A longer one, with
the daemon: `make soak`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.support import clock, mounts
from tests.support.chance import Life
from tests.support.gpghome import Home
from tests.support.sshd import SSHD, Sshd
from tests.support.world import World

EXAMPLES, STEPS = 3, 6
FULL = "full"
# as far as a clock may be off and be believed, and farther: nothing is judged, sent or destroyed then
CLOCKS = ["+50m", "-50m", "-3h", "+500d"] if clock.LIBRARIES else []


def killed(world: World, after: float) -> None:
    """Start the program and kill it so many seconds later, or let it end if it is faster."""
    argv = [sys.executable, "-m", "exchanged", "--config", str(world.file), "once", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


def hindered(world: World, how: str) -> None:
    """Run the program on a full disk, or by a wrong clock. It ends as documented, and by no fault of its own."""
    filler = mounts.fill(world.state) if how == FULL else None
    world.under = [] if how == FULL else clock.shifted(how)
    done = world.run("once", "--json")
    world.under = []
    if filler is not None:
        filler.unlink()
    assert done.returncode in (0, 1, 3), done.stderr
    assert "step_failed" not in done.stderr, done.stderr


def seen_to(world: World) -> None:
    """What an operator does when the trouble is over: what waits because of it is tried again at once."""
    for one in world.ask("status")["waiting"]:
        if one["reason"] and not one["reason"].endswith(".waiting"):
            world.run("retry", one["batch"])


class Machine(RuleBasedStateMachine):
    """One installation; a step is one act of a person, runs that are killed or hindered, and one that ends."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        folder = Path(self._folder.name)
        world = World(folder / "w", Home(), Home(), Sshd.talking(folder / "sshd").start())
        self.life = Life(world, Random(seed))
        if os.geteuid() == 0:
            with contextlib.suppress(pytest.skip.Exception):
                self._mount.enter_context(mounts.mounted(world.state, "size=48m"))
                self._troubles.append(FULL)
        world.once()  # from now on it knows what time it was: a first run by a wrong clock would be believed for good

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        act = data.draw(st.sampled_from(self.life.possible()))
        kinds = st.floats(0.05, 3.0) | st.sampled_from(self._troubles) if self._troubles else st.floats(0.05, 3.0)
        troubles = data.draw(st.lists(kinds, max_size=2))
        getattr(self.life, act)()
        for trouble in troubles:
            if isinstance(trouble, str):
                hindered(self.life.world, trouble)
            else:
                killed(self.life.world, trouble)
        if any(isinstance(trouble, str) for trouble in troubles):
            seen_to(self.life.world)
        self.life.world.once()
        self.life.settle()
        self.life.judge()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="life-")
        self._mount = contextlib.ExitStack()
        self._troubles = list(CLOCKS)

    def teardown(self) -> None:
        if hasattr(self, "life"):
            self.life.world.close()
        self._mount.close()
        self._folder.cleanup()


@pytest.mark.slow
@pytest.mark.skipif(SSHD is None, reason="no sshd on this machine")
def test_whatever_people_do_and_wherever_the_program_is_killed_all_is_as_it_must_be() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
