"""Links, pipes and second names where this program puts its own, and files that were changed in its spool."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged import disk
from tests.support.world import World


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


@pytest.mark.parametrize("how", ["link", "file"])
def test_what_stands_in_place_of_our_claims_is_never_gone_into(world: World, how: str) -> None:
    """Row 21: a link named as the folder of claims could lead anywhere, also to our own state."""
    elsewhere = world.root / "elsewhere"
    (elsewhere / "sub").mkdir(parents=True)
    (elsewhere / "sub" / "theirs.csv").write_text("theirs")
    planted = world.drop / ".exchanged"
    if how == "link":
        planted.symlink_to(elsewhere)
    else:
        planted.touch()
    made = world.drop_sheet("一月"), world.scan("一月").read_bytes()
    for time in range(2):
        assert world.once()["pending"]
        assert ("intake.claims_foreign" in world.log) == (time == 0)  # said once until it is over
        assert world.ask("status")["trouble"] == "intake.claims_foreign"
        assert (elsewhere / "sub" / "theirs.csv").read_text() == "theirs"
        assert [(world.drop / f"一月.{kind}").read_bytes() for kind in ("csv", "pdf")] == list(made)
    planted.unlink()
    assert [one["state"] for one in world.once()["batches"]] == ["closed"]


def test_what_stands_in_place_of_one_lanes_claims_keeps_nothing_else(world: World) -> None:
    world.sheet("一月"), world.scan("一月")
    world.server.stop()
    (batch,) = world.once()["batches"]
    world.server.start()
    (world.drop / ".exchanged").touch()
    world.sheet("二月", seed=2), world.put("更正/三月.csv", b"x,y\r\n")
    world.run("retry", batch["batch"])
    done = world.once()
    assert {one["stem"]: one["state"] for one in done["batches"]} == {"一月": "closed", "三月": "rejected"}
    assert done["pending"] and (world.drop / "二月.csv").exists()


def test_the_drop_folder_itself_may_be_reached_through_a_link(world: World) -> None:
    """It is the sysadmin's own; a claim that an earlier run left there is put back."""
    link = world.root / "linked"
    link.symlink_to(world.drop)
    claim = world.drop / ".exchanged" / ("0" * 16)
    claim.mkdir(parents=True)
    world.sheet("一月").rename(claim / "一月.csv")
    world.configure(folders={"drop": str(link)})
    (batch,) = world.once()["batches"]
    assert (batch["stem"], batch["state"]) == ("一月", "validated")


def test_names_of_ours_that_others_planted_cost_nobody_anything(world: World) -> None:
    """Rows 21 to 23: links, second names and pipes under the names that we give to what is to be destroyed."""
    world.once()
    elsewhere = world.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("theirs")
    for folder in (world.drop, world.rejected, world.receipts, world.forms):
        (folder / f".{'0' * 16}.gone").symlink_to(world.state)
        (folder / f".{'1' * 16}.part").symlink_to(elsewhere / "file")
        os.link(elsewhere / "file", folder / f".{'2' * 16}.part")
        os.mkfifo(folder / f".{'3' * 16}.part")
    world.sheet("一月"), world.scan("一月")
    assert [one["state"] for one in world.once()["batches"]] == ["closed"]
    assert (elsewhere / "file").read_text() == "theirs"
    assert world.run("audit").returncode == 0
    assert [name for name in world.left("drop", "rejected", "forms") if "/." in name] == []


def test_a_link_under_the_name_of_a_folder_to_be_given_back_is_not_followed(world: World) -> None:
    elsewhere = world.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("theirs")
    made = b"x"
    world.put("bad.csv", made)
    (first,) = world.once()["batches"]
    shutil.rmtree(world.rejected / first["batch"])
    (world.rejected / f"{first['batch']}-2").symlink_to(elsewhere)
    world.put("bad.csv", made)
    (second,) = world.once()["batches"]
    assert second["state"] == "rejected"
    assert (world.rejected / second["batch"] / "bad.csv").read_bytes() == made
    assert (elsewhere / "file").read_text() == "theirs"


def test_a_link_or_pipe_in_one_returned_folder_keeps_no_folder_from_expiring(world: World) -> None:
    elsewhere = world.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("theirs")
    a, b, _ = names = [f"jx-20200101-{number:010x}" for number in range(3)]
    for name in names:
        (world.rejected / name).mkdir()
        (world.rejected / name / "old.csv").write_text("old")
    (world.rejected / a / "link").symlink_to(elsewhere)
    os.mkfifo(world.rejected / b / "pipe")
    for name in names:
        os.utime(world.rejected / name, (0, 0))
    world.once()
    assert list(world.rejected.iterdir()) == []
    assert (elsewhere / "file").read_text() == "theirs"


DEEP = "jx-20200101-0123456789"


def deepen(folder: Path, depth: int = 1200) -> None:
    """A folder in a folder in a folder: too many for a path's length, and for whatever calls itself for each."""
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        at, above = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(above)
    os.close(os.open("old.csv", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)


@pytest.fixture
def untied(world: World) -> Iterator[None]:
    """What tidies up after tests calls itself for each folder."""
    yield
    for folder in (world.drop, world.rejected, world.forms):
        disk.destroy_tree(folder)


@pytest.mark.usefixtures("untied")
def test_folders_of_any_depth_stop_nothing(world: World) -> None:
    world.once()
    claim = world.drop / ".exchanged" / ("0" * 16)
    claim.mkdir(parents=True)
    for folder in (world.drop / "deep", world.rejected / DEEP, claim / "back", world.forms / f".{'0' * 16}.gone"):
        deepen(folder)
    os.utime(world.rejected / DEEP, (0, 0))
    world.sheet("一月"), world.scan("一月")
    assert [one["state"] for one in world.once()["batches"]] == ["closed"]
    assert world.run("status").returncode == 0
    assert list(world.rejected.iterdir()) == list(world.forms.iterdir()) == []
    assert sorted(path.name for path in world.drop.iterdir() if path.is_dir()) == ["back", "deep"]


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_file_changed_or_removed_in_the_spool_is_held_and_never_given_back_as_the_original(
    world: World, how: str
) -> None:
    world.sheet("一月")
    (batch,) = world.once()["batches"]
    spooled = world.state / "spool" / batch["batch"] / "1"
    if how == "changed":
        spooled.write_bytes(spooled.read_bytes() + b"x")
    else:
        spooled.unlink()
    world.scan("一月")
    (batch,) = world.once()["batches"]
    assert (batch["state"], batch["reason"]) == ("held", "sealing.content_changed")
    assert world.run("withdraw", batch["batch"], "--reason", "x").returncode == 0
    given = {path.name for path in (world.rejected / batch["batch"]).iterdir()}
    assert "一月.csv" not in given
    assert ("一月.csv.changed" in given) == (how == "changed")
    assert "一月.pdf" in given
    assert world.left("state/spool") == []
    assert world.once()["pending"] == 0


def test_the_clerk_is_told_which_file_is_not_the_original(world: World) -> None:
    world.sheet("批/甲", 3), world.sheet("批/乙", 3, seed=1)
    (batch,) = world.once()["batches"]
    spool = world.state / "spool" / batch["batch"]
    (spool / "1").unlink()
    with (spool / "2").open("ab") as file:
        file.write(b"more")
    assert world.run("withdraw", batch["batch"], "--reason", "x").returncode == 0
    back = world.rejected / batch["batch"]
    said = json.loads((back / "report.json").read_text())
    assert sorted(said["altered"]) == ["乙.csv", "甲.csv"]
    assert "submit the original you have kept: " in (back / "report.html").read_text()
