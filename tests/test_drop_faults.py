"""The drop folder as clerks, shares and accidents leave it: the rows of the fault matrix are named in each test.

Row 24 and parts of 18, 23, 27, 29 to 33 are in test_intake.py, test_form_life.py and test_confirm.py.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import pytest

from tests.support import meddler, scans
from tests.support.faults import log_of, mute, said, states
from tests.support.judge import judge
from tests.support.world import World

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def content(world: World, rows: int, seed: int) -> bytes:
    """A valid spreadsheet that is not dropped."""
    path = world.sheet("z", rows, seed=seed)
    made = path.read_bytes()
    path.unlink()
    return made


def beside(world: World, made: bytes) -> str:
    """The same in a file outside the drop folder, to be written or moved over another."""
    path = world.root / "beside.csv"
    path.write_bytes(made)
    return str(path)


# --- files that change ------------------------------------------------------------------------------------------------


def test_a_slow_writer_is_waited_for_however_long_its_pauses(world: World) -> None:
    """Row 18: the settle time is over, but someone has the file open for writing."""
    made = content(world, 20, 0)
    with (world.drop / "一月.csv").open("wb", buffering=0) as file:
        file.write(made[:900])
        daemon = world.daemon()
        world.wait(lambda: said(log_of(world), "daemon.ready"))
        time.sleep(2)
        assert states(world) == []
        file.write(made[900:])
    world.scan("一月")
    world.wait(lambda: said(log_of(world), "batch.closed"))
    daemon.terminate()
    daemon.wait(20)
    judge(world, {"一月": made})


def test_half_a_file_from_another_machine_comes_back_or_is_replaced_by_the_whole(world: World) -> None:
    """Row 18: nobody here can see that it is still being written; only the whole one is ever delivered."""
    made = content(world, 20, 0)
    world.put("一月.csv", made[: made.index(b"\r\n", len(made) // 2) + 2])
    book = Path("tests/corpus/files/clerk-openpyxl.xlsx").read_bytes()
    world.put("二月.xlsx", book[: len(book) // 2])
    done = {one["stem"]: one for one in world.once()["batches"]}
    assert (done["二月"]["state"], done["二月"]["reason"]) == ("rejected", "file-unreadable")
    assert (world.rejected / done["二月"]["batch"] / "二月.xlsx").read_bytes() == book[: len(book) // 2]
    world.put("一月.csv", made)
    world.scan("一月")
    world.once()
    assert states(world)[0::2] == [("一月", "superseded"), ("一月", "closed")]
    ((_, files),) = world.delivered().items()
    assert files["certificates.csv"].count(b"\r\n") == 21


def test_a_file_replaced_between_the_look_and_the_claim_is_taken_as_it_is_then(world: World) -> None:
    """Row 19: another file came under the name."""
    new = content(world, 5, 2)
    world.sheet("一月", 5, seed=1)
    world.scan("一月")
    meddler.once(
        world, call="rename", match="drop/一月.csv", act=["swap", beside(world, new), str(world.drop / "一月.csv")]
    )
    world.once()
    judge(world, {"一月": new})


def test_a_file_written_to_while_it_is_copied_is_never_taken_torn(world: World) -> None:
    """Row 19: the first block was read of the old content, the second would be of the new."""
    old, new = content(world, 12_000, 1), content(world, 12_000, 2)
    assert len(old) > 1 << 20
    world.put("一月.csv", old)
    world.scan("一月")
    meddler.once(world, call="pread", match=r"\.exchanged/.*csv", nth=2, act=["rewrite", beside(world, new)])
    world.once()
    judge(world, {"一月": new})
    assert states(world) == [("一月", "closed")]


def test_what_is_written_after_the_copy_changes_nothing_in_the_batch_and_is_a_file_of_its_own(world: World) -> None:
    """Row 20: the clerk's program had kept the file open; what was checked is what is sent, the edit is not lost."""
    old, new = content(world, 5, 1), content(world, 5, 2)
    world.put("一月.csv", old)
    world.scan("一月")
    other = beside(world, new)
    meddler.once(world, call="rename", match=r"spool/\.", act=["rewrite", other, ".exchanged/*/一月.csv"])
    ((_, files),) = world.delivered().items()
    assert files["certificates.csv"] == old
    world.scan("一月")
    world.once()
    assert sorted(files["certificates.csv"] for files in world.delivered().values()) == sorted([old, new])
    Path(other).unlink()
    mute(world.log, old, new)


def test_a_file_that_is_deleted_while_it_is_claimed_is_gone_and_the_rest_stays(world: World) -> None:
    """Row 34."""
    for seed, name in enumerate(("甲", "乙")):
        world.sheet(f"二月/{name}", 5, seed=seed)
    kept = (world.drop / "二月" / "乙.csv").read_bytes()
    gone = str(world.drop / "二月" / "甲.csv")
    world.put("二月/扫描.pdf", scans.scan())
    meddler.once(world, call="rename", match="二月/乙.csv", act=["remove", gone])
    world.once()
    judge(world, {"二月": kept})


# --- what is no file --------------------------------------------------------------------------------------------------


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # endless zeros


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS = {
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to a folder": lambda path: path.symlink_to("/etc"),
    "pipe": os.mkfifo,
    "socket": _socket,
    "device": _device,
}


def test_links_pipes_sockets_and_devices_are_said_once_and_never_opened(world: World) -> None:
    """Rows 21 and 23: no hang, nothing read, nothing taken, and the files beside them go their way."""
    kinds = [kind for kind in KINDS if ROOT or kind != "device"]  # only root makes devices
    for where in ("", "更正", "二月"):
        (world.drop / where).mkdir(exist_ok=True)
        for kind in kinds:
            KINDS[kind](world.drop / where / f"{kind}.csv")
    world.sheet("一月", 5)
    done = world.once()
    assert [one["stem"] for one in done["batches"]] == ["一月"]
    told = [event["kind"] for event in said(world.log, "intake.refused_kind")]
    assert sorted(told) == sorted(3 * ["link" if "link" in kind else "special" for kind in kinds])
    assert world.ask("status")["drop"]["refused"] == 3 * len(kinds)
    assert all(os.path.lexists(world.drop / f"{kind}.csv") for kind in kinds)
