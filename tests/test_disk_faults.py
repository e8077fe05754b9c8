"""Disks that are full, read-only, of another file system or gone: the rows of the fault matrix are named in each test.

That gpg leaves nothing on a full disk is in test_sealing_gnupg.py (10); a drop folder that is missing and comes back in
test_daemon.py, a receipts folder that cannot be written in test_operator.py (16); a full server in test_lying_server.py.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged import reserve
from tests.support import clock, meddler
from tests.support.faults import log_of, mute, said, shown, states, waiting
from tests.support.judge import judge
from tests.support.mounts import fill, mount, mounted, unmount, use_inodes
from tests.support.world import World


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s", "rescan": "1s"})


def complete(world: World, stem: str = "一月", seed: int = 0) -> bytes:
    """Drop a whole batch; gives what was in its sheet."""
    made = world.sheet(stem, 3, seed=seed).read_bytes()
    world.scan(stem)
    return made


def ready(world: World) -> "subprocess.Popen[bytes]":
    """A daemon that has started."""
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "daemon.ready"))
    return daemon


def stop(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    assert daemon.wait(30) == 0


@pytest.mark.parametrize("use_up", [fill, use_inodes])
def test_a_full_state_folder_pauses_the_work_with_a_reason_and_it_resumes_by_itself(
    world: World, use_up: Callable[[Path], Path]
) -> None:
    """Rows 10 and 11: spool, outbox and ledger share it; the reserve lets the ledger say why nothing moves."""
    with mounted(world.state, "size=48m,nr_inodes=400"):
        daemon = ready(world)
        assert (world.state / reserve.NAME).stat().st_size == reserve.SIZE
        made = world.sheet("一月", 3).read_bytes()
        world.wait(lambda: said(log_of(world), "batch.validated"))
        used = use_up(world.state)
        second = complete(world, "二月", seed=2)
        world.scan("一月")
        world.wait(lambda: said(log_of(world), "disk.full"))
        time.sleep(3)
        assert [one["folder"] for one in said(log_of(world), "disk.full")] == ["state"], "said once"
        assert world.ask("status")["trouble"] == "disk.full"
        assert all(word in shown(world, "status") for word in ("磁盘空间不足", "Too little disk space"))
        assert world.left("inbox", "rejected") == []
        if used.is_dir():
            shutil.rmtree(used)
        else:
            used.unlink()
        world.wait(lambda: len(said(log_of(world), "batch.closed")) == 2, 30)
        assert world.ask("status")["trouble"] is None
        assert (world.state / reserve.NAME).exists()
        stop(daemon)
        judge(world, {"一月": made, "二月": second})
        mute(log_of(world), made, second)


def test_a_disk_that_fills_while_batches_are_on_their_way_starts_no_storm(world: World) -> None:
    """Row 10: not even the ledger can be written; it is said, tried at long intervals, and nothing is done twice."""
    with mounted(world.state, "size=48m"):
        world.run("hold")
        made = complete(world)
        world.once()
        assert [state for _, state in states(world)] == ["sealed"]
        daemon = ready(world)
        reserve.release(world.state)
        fill(world.state)
        world.run("release")
        before = len(log_of(world).splitlines())
        time.sleep(8)
        assert len(log_of(world).splitlines()) - before < 8, log_of(world)
        (world.state / ".filler").unlink()
        world.run("release")
        world.wait(lambda: said(log_of(world), "batch.closed"), 40)
        stop(daemon)
        judge(world, {"一月": made})


@pytest.mark.parametrize("folder", ["rejected", "receipts", "forms"])
def test_a_clerks_folder_that_is_full_makes_only_what_goes_there_wait(world: World, folder: str) -> None:
    """Row 10: what comes back, the slip, the form: the reason names the folder; later it goes on by itself."""
    with mounted(getattr(world, folder), "size=64k"):
        used = fill(getattr(world, folder))
        made = world.sheet("一月", 3).read_bytes()
        if folder != "forms":
            world.scan("一月")
        world.put("坏.csv", b"broken")
        world.once()
        stem = "坏" if folder == "rejected" else "一月"
        assert waiting(world) == {stem: "disk.full"}
        (one,) = world.ask("status")["waiting"]
        assert one["reason_facts"]["folder"] == folder
        assert shown(world, "status").count(folder) >= 2
        used.unlink()
        world.under = clock.shifted("+10m")
        world.once()
        assert waiting(world) in ({}, {"一月": "confirmation.waiting"})
        assert dict(states(world)) == {"坏": "rejected", "一月": "validated" if folder == "forms" else "closed"}
        mute(world.log, made)


def test_a_full_drop_folder_and_a_full_temporary_folder_stop_nothing(world: World, tmp_path: Path) -> None:
    """Row 10: claiming renames, and nothing of ours is written to TMPDIR."""
    (tmp_path / "tmp").mkdir()
    with mounted(world.drop, "size=400k"), mounted(tmp_path / "tmp", "size=16k") as temp:
        made = complete(world)
        fill(world.drop)
        fill(temp)
        (world.drop / ".filler").rename(world.drop / ".x")
        world.under = ["env", f"TMPDIR={temp}"]
        world.once()
        (world.drop / ".x").unlink()
        (temp / ".filler").unlink()
        judge(world, {"一月": made})


def test_a_read_only_file_system_is_told_as_such_and_nothing_is_hammered(world: World) -> None:
    """Row 12: the kernel has remounted the state folder; a second start ends with a code, the first one waits."""
    with mounted(world.state, "size=48m"):
        daemon = ready(world)
        mount("-o", "remount,ro", str(world.state))
        made = complete(world)
        world.wait(lambda: said(log_of(world), "disk.read_only"))
        before = len(log_of(world).splitlines())
        time.sleep(3)
        assert len(log_of(world).splitlines()) - before <= 2, log_of(world)
        done = world.run("status")
        assert (done.returncode, "read-only" in done.stderr) == (3, True)
        mount("-o", "remount,rw", str(world.state))
        world.wait(lambda: said(log_of(world), "batch.closed"), 40)
        stop(daemon)
        judge(world, {"一月": made})


def test_a_read_only_drop_folder_is_told_as_such(world: World) -> None:
    """Row 12: the share was mounted without the right to write."""
    with mounted(world.drop, "size=1m"):
        made = complete(world)
        mount("-o", "remount,ro", str(world.drop))
        assert world.once()["pending"] > 0
        assert [one["folder"] for one in said(world.log, "disk.read_only")] == ["drop"]
        assert world.ask("status")["trouble"] == "disk.read_only"
        mount("-o", "remount,rw", str(world.drop))
        world.once()
        judge(world, {"一月": made})


@pytest.mark.parametrize(
    ("call", "match", "code"),
    [("fsync", "spool", "disk.sync_failed"), ("fsync", "outbox", "disk.sync_failed"), ("fsync", "drop", "disk.sync_failed")],
)
def test_an_fsync_that_fails_ends_the_process_and_the_next_one_recovers(
    world: World, call: str, match: str, code: str
) -> None:
    """Row 13: a second fsync could lie, so there is none."""
    made = complete(world)
    done = meddler.meddled(world, {"call": call, "match": match, "times": 99, "act": ["fail", "EIO"]}, "once", "--json")
    assert (done.returncode, code in done.stdout) == (3, True)
    assert done.stderr.count("meddled") == 1
    world.once()
    judge(world, {"一月": made})
    mute(done.stderr, made)


@pytest.mark.parametrize(
    ("call", "match"), [("rename", r"drop/一月.csv"), ("rename", "outbox"), ("pread", r"\.exchanged"), ("unlink", "spool"), ("open", "rejected")]
)
def test_an_input_or_output_error_is_waited_out(world: World, call: str, match: str) -> None:
    """Row 13: read, rename, unlink: told as disk.failed, tried again, nothing lost or sent twice."""
    made = complete(world)
    world.put("坏.csv", b"broken")
    done = meddler.once(world, call=call, match=match, act=["fail", "EIO"])
    assert "disk.failed" in world.log or done["pending"] == 0
    world.under = clock.shifted("+10m")
    world.once()
    world.under = []
    ((_, files),) = world.delivered().items()
    assert files["certificates.csv"] == made
    assert dict(states(world)) == {"一月": "closed", "坏": "rejected"}
    assert world.left("state/spool", "state/outbox", "drop") == []
    mute(world.log, made)
