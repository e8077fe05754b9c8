"""Disks that are full, read-only, of another file system or gone: the rows of the fault matrix are named in each test.

That gpg leaves nothing on a full disk is in test_sealing_gnupg.py (10), a drop folder that is missing and comes back in
test_daemon.py (16), a receipts folder that cannot be written in test_operator.py, a full server in
test_lying_server.py.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged import reserve
from tests.support import clock, meddler
from tests.support.faults import log_of, mute, said, shown, states, waiting
from tests.support.judge import judge
from tests.support.mounts import Image, fill, mount, mounted, unmount, use_inodes
from tests.support.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s", "rescan": "1s"})


def complete(world: World, stem: str = "一月", seed: int = 0) -> bytes:
    """Drop a whole batch; gives what was in its sheet."""
    made = world.drop_sheet(stem, 3, seed=seed)
    world.scan(stem)
    return made


def ready(world: World) -> subprocess.Popen[bytes]:
    """A daemon that has started."""
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "daemon.ready"))
    return daemon


def stop(daemon: subprocess.Popen[bytes]) -> None:
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
        made = world.drop_sheet("一月", 3)
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
        made = world.drop_sheet("一月", 3)
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


def test_a_disk_that_breaks_is_told_as_read_only_and_not_hammered(world: World) -> None:
    """Row 12: the daemon waits with its reason, another command ends with it; after the repair a start goes on."""
    image = Image(world.state)
    try:
        image.attach()
        daemon = ready(world)
        image.spoil()
        made = complete(world)
        world.wait(lambda: said(log_of(world), "disk.read_only"))
        before = len(log_of(world).splitlines())
        time.sleep(3)
        assert len(log_of(world).splitlines()) - before <= 2, log_of(world)
        done = world.run("status")
        assert (done.returncode, "read-only" in done.stdout) == (0, True)
        daemon.terminate()
        daemon.wait(30)
        done = world.run("run")
        assert (done.returncode, "read-only" in done.stderr) == (3, True)
        image.repair()
        world.once()
        judge(world, {"一月": made})
    finally:
        unmount(world.state)


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


@pytest.mark.parametrize("match", ["spool", "outbox", "drop"])
def test_an_fsync_that_fails_ends_the_process_and_the_next_one_recovers(world: World, match: str) -> None:
    """Row 13: a second fsync could lie, so there is none."""
    made = complete(world)
    done = meddler.meddled(
        world, {"call": "fsync", "match": match, "times": 99, "act": ["fail", "EIO"]}, "once", "--json"
    )
    assert (done.returncode, "disk.sync_failed" in done.stdout) == (3, True)
    assert done.stderr.count("meddled") == 1
    world.once()
    judge(world, {"一月": made})
    mute(done.stderr, made)


WAYS = [
    ("rename", "drop/一月.csv"),
    ("rename", "outbox"),
    ("pread", r"\.exchanged"),
    ("unlink", "spool"),
    ("open", "rejected"),
]


@pytest.mark.parametrize(("call", "match"), WAYS)
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


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_file_size_limit_is_waited_out(world: World) -> None:
    """Row 14: the copy of the scan may not be that long; told like a full disk, and it goes on without the limit."""
    world.sheet("二月", 3, seed=2)
    world.once()
    made = complete(world)
    world.under = ["prlimit", f"--fsize={150_000}"]
    assert world.once()["pending"] > 0
    assert said(world.log, "disk.full")
    world.under = []
    world.once()
    ((_, files),) = world.delivered().items()
    assert files["certificates.csv"] == made
    mute(world.log, made)


def test_a_quota_is_waited_out(world: World) -> None:
    """Row 14: the file system has room, this user has none left."""
    made = complete(world)
    done = meddler.once(world, call="open", match=r"spool/\.", times=9, act=["fail", "EDQUOT"])
    assert done["pending"] > 0
    assert [one["folder"] for one in said(world.log, "disk.full")] == ["state"]
    assert world.ask("status")["trouble"] == "disk.full"
    world.once()
    judge(world, {"一月": made})


def descriptors(daemon: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def test_a_daemon_out_of_descriptors_waits_and_none_leaks(world: World) -> None:
    """Row 17: no more files can be opened; it goes on by itself, with as many open as before."""
    if not shutil.which("prlimit"):
        pytest.skip("prlimit is not installed (Debian: apt-get install util-linux)")
    daemon = ready(world)
    dropped = {"第0批": complete(world, "第0批", 90)}
    world.wait(lambda: said(log_of(world), "batch.closed"))
    few = descriptors(daemon)
    for number in range(1, 4):
        subprocess.run(["prlimit", "--pid", str(daemon.pid), f"--nofile={few + number}:4096"], check=True)
        dropped[f"第{number}批"] = complete(world, f"第{number}批", number)
        time.sleep(2)
        assert daemon.poll() is None, log_of(world)
    assert said(log_of(world), "system.exhausted"), log_of(world)
    subprocess.run(["prlimit", "--pid", str(daemon.pid), "--nofile=4096:4096"], check=True)
    world.wait(lambda: not [one for one in world.left("drop") if one.endswith(".csv")])
    world.run("retry", *(one["batch"] for one in world.ask("status")["waiting"]))
    world.wait(lambda: len(said(log_of(world), "batch.closed")) == 4, 40)
    time.sleep(2)
    assert descriptors(daemon) <= few + 2
    stop(daemon)
    judge(world, dropped)


def test_thirty_batches_leave_as_many_descriptors_as_one(world: World) -> None:
    """Row 17: the soak looks at thousands."""
    daemon = ready(world)
    world.put("0.csv", b"broken")
    world.wait(lambda: said(log_of(world), "batch.rejected"))
    few = descriptors(daemon)
    for number in range(1, 30):
        world.put(f"{number}.csv", b"broken %d" % number)
    world.wait(lambda: len(said(log_of(world), "batch.rejected")) == 30, 60)
    time.sleep(1)
    assert descriptors(daemon) <= few + 2
    stop(daemon)


# --- another file system, and none ------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [None, 6, 14])
def test_a_drop_folder_on_another_file_system_is_copied_before_it_is_destroyed(world: World, at: int | None) -> None:
    """Row 15: also when the process is killed in between."""
    with mounted(world.drop, "size=8m"):
        made = complete(world)
        if at:
            killed = [
                sys.executable,
                "-m",
                "tests.support.killer",
                str(at),
                "before",
                "--config",
                str(world.file),
                "once",
            ]
            assert subprocess.run(killed, capture_output=True, check=False).returncode == -9
            sheets = [path for path in world.root.rglob("*") if path.is_file() and path.read_bytes() == made]
            assert sheets, "the only copy is gone"
        world.once()
        judge(world, {"一月": made})


def test_a_share_that_is_unmounted_loses_nothing_and_is_taken_up_when_it_is_back(world: World, tmp_path: Path) -> None:
    """Row 16: the empty folder below it does not mean that the files were deleted."""
    share = tmp_path / "share"
    share.mkdir()
    mount("--bind", str(share), str(world.drop))
    try:
        daemon = ready(world)
        world.scan("孤")
        made = world.drop_sheet("一月", 3)
        world.wait(lambda: said(log_of(world), "batch.validated"))
        unmount(world.drop)
        time.sleep(2)
        assert [state for _, state in states(world)] == ["validated"]
        assert (share / "孤.pdf").exists()
        mount("--bind", str(share), str(world.drop))
        world.scan("一月")
        world.wait(lambda: said(log_of(world), "batch.closed"))
        (world.drop / "孤.pdf").unlink()
        time.sleep(2)
        stop(daemon)
        judge(world, {"一月": made})
    finally:
        unmount(world.drop)


def test_a_drop_folder_that_may_not_be_read_or_written_is_told_and_tried_again(world: World) -> None:
    """Row 16: wrong owner or mode, for a daemon without root's powers."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed (Debian: apt-get install util-linux)")
    made = complete(world)
    words = ("没有权限读写文件夹", "A folder may not be read or written")
    world.under = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    for mode in (0o000, 0o500):
        world.drop.chmod(mode)
        assert world.once()["pending"] > 0
        assert world.ask("status")["trouble"] == "folder.denied"
        assert all(word in shown(world, "status") for word in words)
    world.drop.chmod(0o700)
    world.once()
    judge(world, {"一月": made})


def test_no_reserve_is_taken_from_a_disk_that_has_no_room_for_it(world: World) -> None:
    with mounted(world.state, "size=1m"):
        reserve.keep(world.state)
        assert not (world.state / reserve.NAME).exists()
        assert not reserve.release(world.state)
