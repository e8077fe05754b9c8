"""A folder that was given back, and a kill before it was recorded: what a clerk does in it meanwhile is not lost."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from exchanged.ledger import Source
from exchanged.stages import giveback
from tests.support.faults import states
from tests.support.world import World
from tests.test_afterwards import killed, only

pytestmark = pytest.mark.slow

NAMES = ("x.xlsx", "2-x.xlsx")

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


@pytest.mark.parametrize("joined", [False, True])
def test_what_the_clerk_corrects_in_a_folder_that_is_taken_back_is_kept(world: World, joined: bool) -> None:
    world.drop_sheet("一月", 3, 性别="?")
    killed(world, GIVEN_BACK)
    (folder,) = world.rejected.iterdir()
    (folder / "二月.csv").write_bytes(b"half corrected")
    (folder / "一月.annotated.xlsx").write_bytes(b"in the marked workbook")
    os.utime(folder / "一月.annotated.xlsx")
    (folder / "report.json").chmod(0o600)
    if joined:
        killed(world, GIVEN_BACK)
    world.sheet("一月", 3)
    world.once()
    assert "superseded" in {state for _, state in states(world)}
    content = {path.read_bytes() for path in folder.iterdir()}
    assert content == {b"half corrected", b"in the marked workbook"}


def test_a_name_that_ours_needs_is_not_given_to_the_clerks(tmp_path: Path) -> None:
    sources = [Source(at, name, hashlib.sha256(name.encode()).hexdigest(), 9, name) for at, name in enumerate(NAMES, 1)]
    for source in sources:
        (tmp_path / str(source.position)).write_text(source.name)
    rejected = tmp_path / "rejected"
    rejected.mkdir()

    def give_back() -> Path:
        giveback.give_back(rejected, "b", tmp_path, sources, lambda *_: {"report.html": b"", "report.json": b"{}"})
        return rejected / "b"

    folder = give_back()
    (folder / "x.xlsx").write_text("corrected")
    (folder / "2-x.xlsx").unlink()
    (folder / "report.html").unlink(), (folder / "report.html").mkdir()
    give_back()
    told = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    assert told == {"x.xlsx": "x.xlsx", "2-x.xlsx": "2-x.xlsx", "3-x.xlsx": "corrected"} | {
        "report.html": "",
        "report.json": "{}",
    }
    assert (folder / "2-report.html").is_dir()
    assert [path.name for path in rejected.iterdir()] == ["b"]
