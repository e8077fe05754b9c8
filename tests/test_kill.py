"""SIGKILL at every durable act of a batch's life: nothing lost, nothing sent twice, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.judge import judge
from tests.support.world import World

MOST = 400  # acts of one batch's life, more than there are


def killed(world: World, at: int, when: str) -> bool:
    """Run `once` and kill it at this act; False if it has ended before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killer", str(at), when, "--config", str(world.file), "once", "--json"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -9), done.stderr.decode()
    return done.returncode == -9


def sweep(world: World, when: str, first: int, step: int) -> int:
    """Kill a life of its own at every `step`th act; gives the number of kills."""
    world.configure(intake={"settle": "0s"})
    dropped = {}
    for kills, at in enumerate(range(first, MOST, step)):
        stem = f"第{at}批"
        dropped[stem] = world.sheet(stem, 3, seed=at).read_bytes()
        world.scan(stem)
        ended = not killed(world, at, when)
        again = world.once()
        assert again["pending"] == 0, (at, again, world.log)
        judge(world, dropped)
        if ended:
            return kills
    raise AssertionError("a batch's life has more acts than expected")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_every_durable_act_loses_nothing_and_sends_nothing_twice(world: World, when: str) -> None:
    assert sweep(world, when, 1, 2) > 25


def test_a_kill_at_some_durable_acts_loses_nothing_and_sends_nothing_twice(world: World) -> None:
    assert sweep(world, "before", 3, 17) > 2


def test_a_second_recovery_changes_nothing(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3)
    world.scan("一月")
    assert killed(world, 40, "before")
    world.once()
    before = written(world)
    world.once()
    assert written(world) == before


def written(world: World) -> dict[Path, int]:
    """When each file was last changed."""
    return {path: path.stat().st_mtime_ns for path in world.root.rglob("*") if path.is_file() and path.name != "lock"}
