"""A folder that was given back, and a kill before it was recorded: what a clerk does in it meanwhile is not lost."""

from __future__ import annotations

import os

import pytest

from tests.support.faults import states
from tests.support.world import World
from tests.test_afterwards import killed, only

pytestmark = pytest.mark.slow

GIVEN_BACK = """
import os, signal, sys
from exchanged import disk
from exchanged.cli import main
sync = disk.sync_folder
def die(folder):
    sync(folder)
    if folder.name == "rejected":
        os.kill(os.getpid(), signal.SIGKILL)
disk.sync_folder = die
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def test_what_the_clerk_corrects_in_a_folder_between_a_kill_and_the_next_start_is_kept(world: World) -> None:
    made = world.drop_sheet("一月", 3, 性别="?")
    killed(world, GIVEN_BACK)
    (folder,) = world.rejected.iterdir()
    (folder / "一月.csv").write_bytes(b"corrected")
    (folder / "二月.csv").write_bytes(b"new")
    os.utime(folder / "二月.csv", (1, 1))
    (folder / "改").mkdir()
    (folder / "改" / "三月.csv").write_bytes(b"below")
    killed(world, GIVEN_BACK)
    world.once()
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == {
        "一月.csv": made,
        "2-一月.csv": b"corrected",
        "二月.csv": b"new",
    }
    assert (folder / "改" / "三月.csv").read_bytes() == b"below"
    assert only(world)["state"] == "rejected"
    assert len(list(folder.iterdir())) == 3 + 1 + 3, "ours once: the original, the marked workbook, two reports"


def test_what_the_clerk_corrects_in_a_folder_that_is_taken_back_is_kept(world: World) -> None:
    world.drop_sheet("一月", 3, 性别="?")
    killed(world, GIVEN_BACK)
    (folder,) = world.rejected.iterdir()
    (folder / "二月.csv").write_bytes(b"half corrected")
    world.sheet("一月", 3)
    world.once()
    assert {state for _, state in states(world)} <= {"superseded", "validated", "rejected"}
    assert (folder / "二月.csv").read_bytes() == b"half corrected"
