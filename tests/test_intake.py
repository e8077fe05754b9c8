"""What clerks do with the drop folder, and what becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from exchanged.drop import BOARD
from exchanged.messages import text
from tests.support import records, scans
from tests.support.faults import said
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def states(done: dict[str, object]) -> dict[str, str]:
    return {one["stem"]: one["state"] for one in done["batches"]}  # type: ignore[index, attr-defined]


def test_a_scan_may_come_first_and_waits_for_its_sheet(world: World) -> None:
    world.scan("一月")
    assert world.once()["pending"] == 1
    assert world.left("drop") == ["drop/一月.pdf", f"drop/{BOARD}"]
    world.sheet("一月")
    assert states(world.once()) == {"一月": "closed"}


def test_a_sheet_is_checked_at_once_and_waits_for_its_scan(world: World) -> None:
    world.sheet("一月")
    done = world.once()
    assert (states(done), done["pending"]) == ({"一月": "validated"}, 1)
    assert world.left("drop") == [f"drop/{BOARD}"]
    world.scan("一月")
    assert states(world.once()) == {"一月": "closed"}


def test_stems_pair_whatever_their_case_and_normal_form(world: World) -> None:
    world.sheet("e\u0301te\u0301-A")
    world.scan("\u00e9t\u00e9-a")
    assert list(states(world.once()).values()) == ["closed"]


def test_a_sub_folder_is_one_batch_named_after_it(world: World) -> None:
    for seed, name in enumerate(("甲", "乙")):
        world.sheet(f"二月/{name}", 5, seed=seed)
    world.put("二月/扫描0001.pdf", scans.scan())
    done = world.once()
    assert states(done) == {"二月": "closed"}
    assert done["batches"][0]["rows"] == 10
    manifest = json.loads(next(iter(world.delivered().values()))["manifest.json"])
    assert [one["name"] for one in manifest["source"]] == ["乙.csv", "甲.csv"]
    assert list(world.drop.iterdir()) == []


def test_a_waiting_sub_folder_takes_its_scan_later(world: World) -> None:
    world.sheet("二月/甲", 5)
    assert states(world.once()) == {"二月": "validated"}
    world.put("二月/SCAN0001.pdf", scans.scan())
    assert states(world.once()) == {"二月": "closed"}


def test_a_sheet_added_to_a_waiting_sub_folder_joins_it(world: World) -> None:
    world.sheet("二月/甲", 5, seed=1)
    world.once()
    world.sheet("二月/乙", 5, seed=2)
    world.once()
    world.put("二月/SCAN0001.pdf", scans.scan())
    done = world.once()
    assert [(one["stem"], one["state"], one["rows"]) for one in done["batches"]] == [("二月", "closed", 10)]


def test_a_lane_gives_its_data_type(world: World) -> None:
    world.sheet("一月", 5)
    world.scan("一月")
    world.once()
    rows = records.records(5, 0)
    for index, row in enumerate(rows):
        number = row["证书编号"]
        row["证书编号"] = f"{number[:5]}0{number[6]}000{number[10]}{index + 1:05d}"
        row["姓名"] = "测试改"
    world.put("更正/改.csv", records.csv_text(rows).encode())
    world.put("更正/改.pdf", scans.scan())
    done = world.once()
    assert states(done) == {"改": "closed"}, world.log
    manifest = json.loads(world.delivered()[done["batches"][0]["batch"]]["manifest.json"])
    assert manifest["data_type"] == "更正"


def test_the_same_certificates_are_not_reported_twice(world: World) -> None:
    sheet = world.drop_sheet("一月", 5)
    world.scan("一月")
    world.once()
    world.put("一月.csv", sheet)
    world.scan("一月")
    done = world.once()
    assert [(one["state"], one["reason"]) for one in done["batches"]] == [("rejected", "already-reported")]
    assert done["rejected"] == 1
    rows = sheet.decode().split("\r\n")
    cells = rows[1].split(",")
    cells[0] = "改名"
    world.put("一月.csv", "\r\n".join([rows[0], ",".join(cells), *rows[2:]]).encode())
    world.scan("一月")
    done = world.once()
    report = json.loads(next((world.rejected / done["batches"][0]["batch"]).glob("report.json")).read_text())
    assert report["summary"]["by_rule"] == {"already-reported": 4, "conflicts-with-history": 1}
    assert report["findings"][0]["row"] == 2


def test_two_batches_in_flight_cannot_hold_the_same_certificate(world: World) -> None:
    sheet = world.drop_sheet("一月", 5)
    world.put("二月.csv", sheet)
    done = world.once()
    assert sorted(states(done).values()) == ["rejected", "validated"]


def test_a_correction_of_something_never_reported_is_refused(world: World) -> None:
    world.sheet("更正/改", 5)
    done = world.once()
    assert done["batches"][0]["reason"] == "correction-unknown"


def test_a_newer_sheet_of_the_same_name_replaces_a_waiting_one(world: World) -> None:
    world.sheet("一月", 5, seed=1)
    first = world.once()["batches"][0]["batch"]
    world.sheet("一月", 7, seed=2)
    done = world.once()
    new = next(one["batch"] for one in done["batches"] if one["batch"] != first)
    assert {one["batch"]: one["state"] for one in done["batches"]} == {first: "superseded", new: "validated"}
    assert [(line["batch"], line["replaced_by"]) for line in said(world.log, "batch.superseded")] == [(first, new)]
    world.scan("一月")
    done = world.once()
    assert [(one["state"], one["rows"]) for one in done["batches"]] == [("closed", 7)]
    assert world.left("state/spool", "rejected") == []


@pytest.mark.parametrize(
    "name",
    [".x.csv", "~$x.csv", ".~lock.x.csv#", "x.csv.part", "x.tmp", "x.crdownload", "x.filepart", "Thumbs.db",
     "desktop.ini", "@eaDir/x.csv"],
)  # fmt: skip
def test_names_of_other_programs_are_ignored(world: World, name: str) -> None:
    path = world.put(name, b"x")
    done = world.once()
    assert (done["batches"], done["pending"]) == ([], 0)
    assert path.exists()


def test_links_pipes_and_hard_links_are_never_opened(world: World) -> None:
    secret = world.root / "secret"
    secret.write_text("geheim")
    (world.drop / "link.csv").symlink_to(secret)
    os.mkfifo(world.drop / "pipe.csv")
    os.link(secret, world.drop / "hard.csv")
    world.sheet("一月")
    done = world.once()
    assert states(done) == {"一月": "validated"}
    assert sorted(path.name for path in world.drop.iterdir()) == ["hard.csv", "link.csv", "pipe.csv", BOARD]
    kinds = {json.loads(line)["kind"] for line in world.log.splitlines() if "intake.refused_kind" in line}
    assert kinds == {"link", "special", "hard_link"}


def test_another_kind_of_file_comes_back_with_its_rule(world: World) -> None:
    world.put("说明.docx", b"hello")
    done = world.once()
    assert done["batches"][0]["reason"] == "file-type"
    assert world.left("rejected") == sorted(
        f"rejected/{done['batches'][0]['batch']}/{name}" for name in ("report.html", "report.json", "说明.docx")
    )


def test_a_scan_that_never_gets_its_sheet_comes_back(world: World) -> None:
    world.configure(intake={"confirmation_wait": "1s"})
    world.scan("一月")
    time.sleep(1.2)
    assert world.once()["batches"][0]["reason"] == "confirmation-orphan"


def test_a_sheet_that_never_gets_its_scan_comes_back(world: World) -> None:
    world.configure(intake={"confirmation_wait": "1s"})
    world.sheet("一月")
    early = world.once()["batches"]  # the wait may be over before this is, on a slow machine
    time.sleep(1.2)
    assert [*world.once()["batches"], *early][0]["reason"] == "confirmation-missing"


def test_a_bad_scan_sends_everything_back(world: World) -> None:
    world.sheet("一月")
    world.put("一月.pdf", scans.scan(blank=True))
    done = world.once()
    assert done["batches"][0]["reason"] == "confirmation-blank"
    assert {path.name for path in (world.rejected / done["batches"][0]["batch"]).iterdir()} >= {"一月.csv", "一月.pdf"}
    world.sheet("一月")
    world.scan("一月")
    assert states(world.once()) == {"一月": "closed"}


@pytest.mark.parametrize("right", [True, False])
def test_a_second_scan_in_a_folder_is_refused_by_name(world: World, right: bool) -> None:
    """The spreadsheet is checked all the same: the clerk learns everything at once."""
    world.sheet("二月/甲", 5, **({} if right else {"性别": "?"}))
    world.put("二月/a.pdf", scans.scan())
    world.put("二月/b.pdf", scans.scan())
    (batch,) = world.once()["batches"]
    assert batch["reason"] == "confirmation-orphan"
    given = world.rejected / batch["batch"]
    report = json.loads((given / "report.json").read_text())
    wrong = {} if right else {"bad-code": 5}
    assert report["summary"] == {
        "error": 1 + sum(wrong.values()),
        "warn": 0,
        "by_rule": {"confirmation-orphan": 1, **wrong},
    }
    assert next((one["rule"], one["file"]) for one in report["findings"]) == ("confirmation-orphan", "b.pdf")
    page = (given / "report.html").read_text("utf-8")
    assert "b.pdf" in page and (text("html.nothing_sent_scan", "en") in page) == right
    marked = [path.name for path in given.iterdir() if path.name.endswith(".annotated.xlsx")]
    assert marked == ["甲.annotated.xlsx"]


def test_a_file_that_is_still_being_written_is_left_alone(world: World) -> None:
    stop = threading.Event()
    path = world.drop / "一月.csv"

    def write() -> None:
        with path.open("ab") as file:
            while not stop.is_set():
                file.write(b"x")
                file.flush()
                time.sleep(0.03)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = world.once()
        assert (done["batches"], done["pending"]) == ([], 1)
    finally:
        stop.set()
        writer.join()


def test_names_at_the_limit_and_beyond_unicode_come_through(world: World) -> None:
    long = "长" * 83
    world.sheet(long, 5, seed=1)
    raw = os.fsdecode(os.fsencode(world.drop) + b"/\xff\xfe\n\x1b[31m.csv")
    Path(raw).write_text(records.csv_text(records.records(5, 3)))
    world.scan(long)
    done = world.once()
    assert sorted(states(done).values()) == ["closed", "validated"], world.log
    assert "\x1b" not in world.run("list").stdout
    assert len(world.left("receipts")) == 2


def test_the_originals_of_a_file_with_a_reports_name_come_back_too(world: World) -> None:
    world.put("report.html", b"not a sheet")
    done = world.once()
    assert {path.name for path in (world.rejected / done["batches"][0]["batch"]).iterdir()} == {
        "original-1-report.html", "report.html", "report.json"
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_what_one_clerk_locked_holds_nobody_else_up(tmp_path: Path) -> None:
    """As a daemon without root's powers, with files and folders of another user."""
    program = """
import json, os, sys
from pathlib import Path
from exchanged import log
from exchanged.drop import Drop
from exchanged.overview import survey
from exchanged.secrets import Secrets
from types import SimpleNamespace as N
root = Path(sys.argv[1])
settings = N(folders=N(drop=root), intake=N(settle=0.0, data_types=("新增", "更正")))
os.setuid(65534)
events = []
log.emit = lambda event, **facts: events.append(event)
drop = Drop(settings, Secrets(b"k" * 32), lambda group: False)
found, _ = drop.look(), drop.look()
print(json.dumps([[group.stem for group in found.ready], found.stuck, survey(settings), sorted(events)]))
"""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder, "drop")
        for name, mode in (("", 0o777), ("更正", 0o700), ("sec", 0o700), ("sub", 0o755)):
            (root / name).mkdir()
            (root / name / "a.csv").write_text("x")
            (root / name).chmod(mode)
        (root / "priv.csv").write_text("x")
        (root / "priv.csv").chmod(0o600)
        Path(folder).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=False)
    ready, stuck, lying, events = json.loads(done.stdout or "null") or done.stderr
    assert (ready, stuck) == (["a"], 4)
    assert events == ["intake.refused_kind"] * 4 + ["intake.writers_unseen"], "each said once"
    assert lying == {"files": 1, "scans": 0, "refused": 0, "unreadable": 4, "deeper": 0, "ignored": 0}


def test_no_original_is_lost_to_a_report_whatever_its_name(world: World) -> None:
    for name in ("report.html", "original-1-report.html", "report.json"):
        world.put(f"二月/{name}", name.encode())
    batch = world.once()["batches"][0]["batch"]
    contents = [path.read_bytes() for path in (world.rejected / batch).iterdir()]
    assert {b"report.html", b"original-1-report.html", b"report.json"} <= set(contents)
