"""Random life: whatever people do, in whatever order, with the program killed at any moment, all is as it must be.

A Hypothesis state machine over the whole program: after every step the program has run to its end, and the judge
compares everything with the model. A longer one, with the daemon: `make soak`.
"""

from __future__ import annotations

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

from tests.support.chance import Life
from tests.support.gpghome import Home
from tests.support.sshd import SSHD, Sshd
from tests.support.world import World

EXAMPLES, STEPS = 3, 6


def killed(world: World, after: float) -> None:
    """Start the program and kill it so many seconds later, or let it end if it is faster."""
    argv = [sys.executable, "-m", "exchanged", "--config", str(world.file), "once", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


class Machine(RuleBasedStateMachine):
    """One installation; a step is one act of a person, runs that are killed, and one that ends."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        folder = Path(self._folder.name)
        self.life = Life(World(folder / "w", Home(), Home(), Sshd.talking(folder / "sshd").start()), Random(seed))

    @rule(data=st.data(), kills=st.lists(st.floats(0.05, 3.0), max_size=2))
    def step(self, data: st.DataObject, kills: list[float]) -> None:
        act = data.draw(st.sampled_from(self.life.possible()))
        getattr(self.life, act)()
        for after in kills:
            killed(self.life.world, after)
        self.life.world.once()
        self.life.settle()
        self.life.judge()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="life-")

    def teardown(self) -> None:
        if hasattr(self, "life"):
            self.life.world.close()
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
