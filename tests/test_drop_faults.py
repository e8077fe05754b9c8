"""The drop folder as clerks, shares and accidents leave it: the rows of the fault matrix are named in each test.

Row 24 and parts of 18, 23, 27, 29 to 33 are in test_intake.py, test_form_life.py and test_confirm.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from exchanged.drop import BOARD
from tests.support import meddler, scans
from tests.support.faults import log_of, mute, said, shown, states
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
    """The same in a file outside the installation, to be written or moved over another."""
    path = world.root.parent / "beside.csv"
    path.write_bytes(made)
    return str(path)


# --- files that change ------------------------------------------------------------------------------------------------


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


# --- names ------------------------------------------------------------------------------------------------------------

NAMES = [
    *("-rf", "--output=x", "x..", " ", "a b", "a'b\"c", "$(id)", "`id`", "%s%n%2e%2e", "a\\b\\..\\c", "x\\..\\x"),
    *("x∕..∕etc", "x／..／x", "a\u202eexcel", "a\u200bb", "a\nb", "a\r\tb", "\x1b[31mred\x07", "<3>forged"),
    *("CON", "a;b|c&d", "*?[x]", "#x", "a" * 251, "长" * 83 + "ab", "\udcff\udcfe", "x.pgp"),
]


@pytest.mark.slow
def test_hostile_names_go_the_whole_way_and_leave_no_trace_outside_the_manifest(world: World) -> None:
    """Rows 25 to 27: never part of a path, an argument or a remote name; printed escaped; not in the log."""
    dropped = {}
    for seed, name in enumerate(NAMES):
        dropped[name] = world.drop_sheet(name, 2, seed=seed)
        world.scan(name)
    done = world.once()
    assert [one["state"] for one in done["batches"]] == ["closed"] * len(NAMES), world.log
    assert sorted(path.stem for path in world.inbox.iterdir()) == sorted(one["batch"] for one in done["batches"])
    titles = [json.loads(files["manifest.json"])["title"] for files in world.delivered().values()]
    assert len(set(titles)) == len(NAMES)
    assert world.left("drop", "rejected", "forms", "state/spool") == []
    for text in (
        world.log,
        shown(world, "list"),
        shown(world, "status"),
        shown(world, "show", done["batches"][0]["batch"]),
    ):
        assert not [sign for sign in text if sign in "\x1b\x07\x7f\u202e\u200b\r\t" or 0xDC80 <= ord(sign) < 0xDD00]
    assert "forged" not in world.log
    mute(world.log, *dropped.values())


@pytest.mark.slow
def test_originals_with_hostile_names_come_back_under_the_same_bytes(world: World) -> None:
    """Rows 25 to 27: rejected, with the report beside each."""
    for name in NAMES:
        world.put(f"{name}.csv", name.encode("utf-8", "surrogateescape"))
    done = world.once()
    assert [one["state"] for one in done["batches"]] == ["rejected"] * len(NAMES)
    back = [path for path in world.rejected.rglob("*.csv") if path.is_file()]
    assert sorted(os.fsencode(path.name) for path in back) == sorted(os.fsencode(f"{name}.csv") for name in NAMES)
    assert all(path.read_bytes() == os.fsencode(path.name)[:-4] for path in back)


def test_twins_in_both_normal_forms_are_two_files(world: World) -> None:
    """Row 27: é.csv and é.csv, precomposed and not; neither is lost, neither sent in place of the other."""
    first, second = content(world, 3, 1), content(world, 4, 2)
    world.put("\u00e9.csv", first)
    world.put("e\u0301.csv", second)
    world.put("\u00e8.csv", b"broken")
    world.put("e\u0300.csv", b"broken too")
    world.scan("\u00e9")
    done = {one["stem"]: one for one in world.once()["batches"]}
    assert sorted((one["state"], one["rows"]) for one in done.values()) == [("closed", 7), ("rejected", None)]
    ((_, files),) = world.delivered().items()
    assert {one["name"] for one in json.loads(files["manifest.json"])["source"]} == {"\u00e9.csv", "e\u0301.csv"}
    assert {path.name: path.read_bytes() for path in world.rejected.rglob("*.csv")} == {
        "\u00e8.csv": b"broken", "e\u0300.csv": b"broken too"
    }  # fmt: skip


# --- too much, too large, not seen ------------------------------------------------------------------------------------


def test_ignored_names_that_lie_for_more_than_a_day_are_told(world: World) -> None:
    """Row 24: an upload that was broken off stays for ever, and nobody would know."""
    for name in (".x.csv", "~$x.xlsx", "x.csv.part", "y.tmp", "Thumbs.db"):
        world.put(name, b"x", age=90_000)
        world.put(f"更正/{name}", b"x")
    assert world.ask("status")["drop"]["ignored"] == 5
    assert all(word in shown(world, "status") for word in ("5 file(s)", "5 个名称不处理的文件"))


def test_of_two_sheets_a_scan_that_names_neither_confirms_none(world: World) -> None:
    """Row 29: nothing is sent for either, and the scan stays."""
    for seed, stem in enumerate(("一月", "二月")):
        world.sheet(stem, 3, seed=seed)
    world.scan("SCAN0001")
    done = world.once()
    assert sorted(one["state"] for one in done["batches"]) == ["validated", "validated"]
    assert world.left("drop", "inbox") == ["drop/SCAN0001.pdf", f"drop/{BOARD}"]


def test_a_huge_file_is_judged_by_its_size_and_no_other_waits_with_it(world: World) -> None:
    """Row 28: five terabytes find no room in the spool, three megabytes over the limit come back."""
    world.configure(intake={"limits": {"file": "1MB"}})
    with world.put("一月.csv", b"").open("wb") as file:
        file.truncate(5 << 40)
    world.put("三月.csv", b"x" * 3_000_000)
    world.put("二月.csv", b"")
    world.sheet("四月", 3)
    done = {one["stem"]: (one["state"], one["reason"]) for one in world.once()["batches"]}
    assert done.pop("四月")[0] == "validated"
    assert done == {"二月": ("rejected", "header-missing"), "三月": ("rejected", "file-too-large")}
    assert [event["kind"] for event in said(world.log, "intake.refused_kind")] == ["too_large"]
    assert world.left("drop") == ["drop/一月.csv", f"drop/{BOARD}"]
    assert (world.drop / "一月.csv").stat().st_size == 5 << 40


def test_a_file_that_its_folder_does_not_let_go_holds_nobody_else_up(world: World) -> None:
    """Row 34: a rename that is refused (sticky folder, server's rights) concerns that one file."""
    world.sheet("一月", 3, seed=1)
    world.sheet("二月", 3, seed=2)
    done = meddler.once(world, call="rename", match="drop/一月.csv", act=["fail", "EPERM"], times=99)
    assert [(one["stem"], one["state"]) for one in done["batches"]] == [("二月", "validated")]
    assert done["pending"] == 2
    assert world.left("drop") == ["drop/一月.csv", f"drop/{BOARD}"]
    assert [one["stem"] for one in world.once()["batches"]] == ["一月"]


@pytest.mark.slow
def test_ten_thousand_files_at_once_are_looked_through_in_bounded_memory(world: World) -> None:
    """Row 28: scans that wait for their sheets; the one batch that is whole goes."""
    for number in range(10_000):
        world.put(f"{number}.pdf", b"%PDF-1.4")
    sheet = world.drop_sheet("77777", 3)
    world.scan("77777")
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "batch.closed"), 60)
    peak = next(line for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines() if "VmHWM" in line)
    daemon.terminate()
    assert daemon.wait(30) == 0
    assert int(peak.split()[1]) < 150_000  # KiB
    assert len(world.left("drop")) == 10_001  # with the board
    assert len(world.delivered()) == 1
    mute(log_of(world), sheet)


@pytest.mark.slow
def test_lost_events_lose_no_file(world: World) -> None:
    """Row 35: more events than the kernel keeps, while the daemon does not read them; the rescan lists the folder."""
    world.configure(intake={"rescan": "2s"})
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "daemon.ready"))
    daemon.send_signal(signal.SIGSTOP)
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(queue // 4 + 100):  # made, opened, closed, deleted
        path = world.drop / "更正.tmp"
        path.touch()
        path.unlink()
    made = world.drop_sheet("一月", 3)
    world.scan("一月")
    daemon.send_signal(signal.SIGCONT)
    world.wait(lambda: said(log_of(world), "batch.closed"), 30)
    second = world.drop_sheet("二月", 3, seed=2)
    world.scan("二月")
    world.wait(lambda: len(said(log_of(world), "batch.closed")) == 2, 30)
    daemon.terminate()
    assert daemon.wait(30) == 0
    judge(world, {"一月": made, "二月": second})


def test_without_any_watch_the_rescan_finds_everything(world: World) -> None:
    """Row 35: the machine has no inotify left to give."""
    if not ROOT or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, for a limit of inotify instances that holds for one process only")
    none = 'echo 0 >/proc/sys/user/max_inotify_instances; exec "$@"'
    world.under = ["unshare", "-Ur", "sh", "-c", none, "sh"]
    world.configure(intake={"rescan": "1s"})
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "daemon.ready"))
    made = world.drop_sheet("一月", 3)
    world.scan("一月")
    world.wait(lambda: said(log_of(world), "batch.closed"), 30)
    daemon.terminate()
    assert daemon.wait(30) == 0
    world.under = []
    judge(world, {"一月": made})


def test_a_claim_that_cannot_be_undone_at_once_is_put_right_by_the_same_process(world: World) -> None:
    """Rows 16 and 35: the share goes away between the claim and the copy, and comes back."""
    made = world.drop_sheet("一月", 3)
    world.scan("一月")
    gone = {"call": "rename", "match": r"/drop/(一月.pdf|\.exchanged/)", "nth": 2, "times": 3, "act": ["fail", "EIO"]}
    assert meddler.once(world, **gone)["pending"] == 0
    judge(world, {"一月": made})


# --- folders that are not whole yet -----------------------------------------------------------------------------------


def test_a_folder_waits_for_the_file_that_is_still_uploaded(world: World) -> None:
    """Row 18: programs that upload a folder give one file after the other its name."""
    whole = {"甲.csv": content(world, 3, 0), "乙.csv": content(world, 3, 1), "扫描.pdf": scans.scan()}
    for name in ("甲.csv", "扫描.pdf"):
        world.put(f"六月/{name}", whole[name])
    world.put("六月/乙.csv.filepart", whole["乙.csv"][:200])
    assert world.once()["batches"] == []
    assert world.once()["pending"]
    (world.drop / "六月" / "乙.csv.filepart").rename(world.drop / "六月" / "乙.csv")
    world.put("六月/乙.csv", whole["乙.csv"])
    assert [one["state"] for one in world.once()["batches"]] == ["closed"]
    judge(world, {"六月": whole})


def test_a_claim_of_a_lane_that_is_configured_no_more_is_put_back(world: World) -> None:
    claim = world.drop / "更正" / ".exchanged" / ("0" * 16)
    claim.mkdir(parents=True)
    (claim / "一月.csv").write_bytes(content(world, 3, 0))
    world.configure(intake={"data_types": ["新增"]})
    (batch,) = world.once()["batches"]
    assert (batch["stem"], batch["state"]) == ("更正", "validated")
