"""What people also do: replace, hold, correct at odd times, drop what belongs to nobody; and what must be noticed."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exchanged import config
from exchanged.engine import Engine
from exchanged.standard.tables import DATA
from tests.support import books, clock, paper, records, scans
from tests.support.hostile import CORPUS
from tests.support.judge import judge
from tests.support.world import World


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def batches(world: World) -> dict[str, Any]:
    """What one pass came to, by stem, but for what was replaced in it."""
    return {one["stem"]: one for one in world.once()["batches"] if one["state"] != "superseded"}


def given_back(world: World, batch: str) -> set[str]:
    return {path.name for path in (world.rejected / batch).iterdir()}


# --- severities that a site may choose ----------------------------------------------------------------------------


@pytest.mark.parametrize("severity", ["off", "warn", "hold"])
def test_a_batch_whose_wait_is_over_waits_on_where_that_is_no_error(world: World, severity: str) -> None:
    world.configure(standard={"severity": {"confirmation-missing": severity}}, intake={"confirmation_wait": "1s"})
    world.sheet("一月", 3)
    batches(world)
    time.sleep(1.1)
    world.sheet("二月", 3, seed=1), world.scan("二月")
    world.run("retry", world.ask("list")["batches"][0]["batch"])
    assert batches(world)["二月"]["state"] == "closed"
    (waiting,) = world.ask("status")["waiting"]
    assert waiting["reason"] == "confirmation.waiting"
    world.scan("一月")
    done = batches(world)["一月"]
    assert done["state"] == ("held" if severity == "hold" else "closed")
    assert ("confirmation-missing" in world.ask("show", done["batch"])["facts"]["warnings"]) == (severity != "off")


@pytest.mark.parametrize("before", [True, False])
def test_a_scan_that_came_in_time_is_not_late_however_late_it_is_judged(world: World, before: bool) -> None:
    world.configure(standard={"severity": {"confirmation-missing": "warn"}})
    world.sheet("一月", 3)
    batch = batches(world)["一月"]["batch"]
    world.run("hold", batch)
    if before:
        world.scan("一月")
        batches(world)
    world.under = clock.shifted("+31d")
    if not before:
        world.scan("一月")
        batches(world)
    world.run("release", batch)
    batches(world)
    shown = world.ask("show", batch)
    assert shown["state"] == "closed"
    assert ("confirmation-missing" in shown["facts"]["warnings"]) == (not before)


def test_only_who_has_seen_a_finding_releases_it(world: World) -> None:
    """A release from a hold of the operator's own says nothing about what is found later."""
    world.configure(standard={"severity": {"confirmation-code-missing": "hold"}})
    world.sheet("一月", 3)
    batch = batches(world)["一月"]["batch"]
    assert world.run("hold", batch).returncode == world.run("release", batch).returncode == 0
    world.scan("一月")
    done = batches(world)["一月"]
    assert (done["state"], done["reason"]) == ("held", "finding.hold")
    world.run("release", batch)
    assert batches(world)["一月"]["state"] == "closed"


# --- files that were changed in the spool -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_changed_file_does_not_become_right_by_another_that_joins_it(world: World, how: str) -> None:
    world.sheet("二月/甲", 3)
    batch = batches(world)["二月"]["batch"]
    spooled = world.state / "spool" / batch / "1"
    if how == "changed":
        spooled.write_bytes(records.csv_text(records.records(3, 7)).encode())
    else:
        spooled.unlink()
    world.sheet("二月/乙", 3, seed=1), world.put("二月/s.pdf", scans.scan())
    done = batches(world)["二月"]
    assert (done["state"], done["reason"]) == ("held", "sealing.content_changed")
    assert list(world.inbox.iterdir()) == []


@pytest.mark.parametrize("how", ["gone", "link", "folder"])
def test_a_spoiled_file_in_the_spool_stops_nobody_else(world: World, how: str) -> None:
    world.sheet("一月/甲", 3)
    spooled = world.state / "spool" / batches(world)["一月"]["batch"] / "1"
    spooled.unlink()
    if how == "link":
        spooled.symlink_to(spooled)
    elif how == "folder":
        spooled.mkdir()
    world.sheet("一月/乙", 3, seed=1)
    world.sheet("二月", 3, seed=2), world.scan("二月")
    done = batches(world)
    assert done["二月"]["state"] == "closed"
    assert (done["一月"]["state"], done["一月"]["reason"]) == ("held", "sealing.content_changed")


def test_a_batch_goes_back_without_the_spreadsheet_that_is_gone(world: World) -> None:
    world.sheet("一月", 3)
    batch = batches(world)["一月"]["batch"]
    (world.state / "spool" / batch / "1").unlink()
    world.put("一月.pdf", scans.scan(blank=True))
    assert batches(world)["一月"]["state"] == "rejected"
    assert given_back(world, batch) == {"一月.pdf", "report.html", "report.json"}


def test_a_file_changed_before_it_is_checked_is_noticed(world: World, tmp_path: Path) -> None:
    more, right = tmp_path / "more.csv", (DATA / "catalogue-2021.csv").read_text("utf-8")
    more.write_text(right, "utf-8")
    world.configure(standard={"catalogues": [str(more)]})
    with closing(Engine(config.load(world.file))) as engine:
        more.write_text("a,b\n1,2\n")
        world.sheet("一月", 3), world.scan("一月")
        (batch,) = engine.once()["batches"]
    assert batch["state"] == "claimed"
    more.write_text(right, "utf-8")
    (world.state / "spool" / batch["batch"] / "1").write_bytes(records.csv_text(records.records(3, 7)).encode())
    world.run("retry", batch["batch"])
    done = batches(world)["一月"]
    assert (done["state"], done["reason"]) == ("held", "sealing.content_changed")


# --- replaced, corrected, held at odd moments ---------------------------------------------------------------------


def test_a_scan_that_comes_while_its_batch_is_given_back_comes_back_too(world: World) -> None:
    scan = scans.scan()
    world.daemon()
    world.put("一月.csv", world._table(15_000, 1, {"性别": "?"}))
    world.wait(lambda: any(path.name.startswith(".") for path in world.rejected.iterdir()), 90)
    world.put("一月.pdf", scan)
    world.wait(lambda: [one for one in world.ask("list")["batches"] if one["state"] == "rejected"], 90)
    (batch,) = world.ask("list")["batches"]
    assert ((world.rejected / batch["batch"] / "一月.pdf").exists()) != (world.drop / "一月.pdf").exists()


def test_a_batch_that_was_about_to_go_back_and_is_delivered_lies_in_one_place(world: World) -> None:
    """Killed between writing the clerk's folder and recording it; then the scan came."""
    made = world.sheet("一月", 3).read_bytes()
    batch = batches(world)["一月"]["batch"]
    folder = world.rejected / batch
    folder.mkdir()
    (folder / "一月.csv").write_bytes(made)
    (folder / "report.json").write_text("{}")
    world.scan("一月")
    assert batches(world)["一月"]["state"] == "closed"
    assert list(world.rejected.iterdir()) == []


def test_a_batch_replaced_while_it_is_checked_is_not_given_back_too(world: World) -> None:
    made = [world._table(rows, 1, {"性别": "?"}) for rows in (30_000, 10)]
    world.daemon()
    world.put("一月.csv", made[0])
    world.wait(lambda: world.ask("list")["batches"])
    world.put("一月.csv", made[1])
    world.wait(lambda: {one["state"] for one in world.ask("list")["batches"]} >= {"superseded", "rejected"}, 90)
    new, old = world.ask("list")["batches"]
    assert (new["state"], old["state"]) == ("rejected", "superseded")
    world.wait(lambda: (world.state / "evidence" / f"{old['batch']}.json").exists())
    assert [path.name for path in world.rejected.iterdir()] == [new["batch"]]


def test_what_the_operator_holds_stays_held_when_it_is_replaced(world: World) -> None:
    world.sheet("一月", 3)
    world.run("hold", batches(world)["一月"]["batch"])
    made = world.drop_sheet("一月", 3, seed=1)
    scan = world.scan("一月").read_bytes()
    done = batches(world)["一月"]
    assert (done["state"], done["reason"]) == ("held", "operator.hold")
    world.run("release", done["batch"])
    assert batches(world)["一月"]["state"] == "closed"
    judge(world, {"一月": {"一月.csv": made, "一月.pdf": scan}}, superseded={"一月": world._table(3, 0, {})})


def test_a_correction_that_comes_with_what_it_corrects_waits_for_its_check(world: World) -> None:
    rows = list(world._table(20_000, 1, {}).decode().splitlines(keepends=True))
    world.put("一月.csv", "".join(rows).encode()), world.scan("一月")
    world.put("更正/改.csv", (rows[0] + rows[5].replace("职业技能鉴定指导中心", "职业技能鉴定中心")).encode())
    world.put("更正/改.pdf", scans.scan())
    assert {stem: one["state"] for stem, one in batches(world).items()} == {"一月": "closed", "改": "closed"}


# --- what belongs to nobody ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["一月.jpg", "一月.docx"])
def test_what_is_no_spreadsheet_goes_back_alone_and_the_batch_waits_on(world: World, name: str) -> None:
    world.sheet("一月", 3)
    batches(world)
    world.put(name, b"\xff\xd8\xff\xe0" + bytes(200))
    done = batches(world)["一月"]
    assert (done["state"], done["reason"]) == ("rejected", "file-type")
    assert given_back(world, done["batch"]) >= {name, "report.html"}
    world.scan("一月")
    assert batches(world)["一月"]["state"] == "closed"


def test_in_a_folder_too(world: World) -> None:
    (
        world.sheet("二月/甲", 3),
        world.put("二月/s.pdf", scans.scan()),
        world.put("二月/说明.docx", b"PK\x03\x04" + bytes(99)),
    )
    done = world.once()["batches"]
    assert sorted((one["stem"], one["state"], one["reason"]) for one in done) == [
        ("二月", "closed", None),
        ("二月", "rejected", "file-type"),
    ]
    assert list(world.drop.iterdir()) == []


@pytest.mark.parametrize("name", ["一月.zip", "一月.docx", "一月.wps"])
def test_a_spreadsheet_under_the_name_of_something_else_is_one(world: World, name: str) -> None:
    """The type is told by the content: it belongs to its scan, whatever the check says of its rows."""
    rows = [[*records.HEADERS], *([*row.values()] for row in records.records(3))]
    old = name.endswith("wps")
    world.put(name, (CORPUS / "tidy-xlwt.xls").read_bytes() if old else books.by_xlsxwriter(rows)), world.scan("一月")
    (done,) = world.once()["batches"]
    assert done["reason"] != "file-type" and [one["role"] for one in world.ask("show", done["batch"])["sources"]] == [
        "scan",
        "source",
    ]


def test_pictures_in_one_folder_go_back_together(world: World) -> None:
    for number in range(5):
        world.put(f"二月/{number}.jpg", b"\xff\xd8\xff\xe0" + bytes([number]) * 200)
    (done,) = world.once()["batches"]
    assert (done["reason"], len(given_back(world, done["batch"]))) == ("file-type", 7)


def test_two_scans_for_a_waiting_batch_go_back_and_it_waits_on(world: World) -> None:
    world.sheet("二月/甲", 3)
    batches(world)
    world.put("二月/1.pdf", scans.scan()), world.put("二月/2.pdf", scans.scan())
    done = batches(world)["二月"]
    assert (done["state"], done["reason"]) == ("rejected", "confirmation-orphan")
    assert given_back(world, done["batch"]) >= {"1.pdf", "2.pdf"}
    world.put("二月/1.pdf", scans.scan())
    assert batches(world)["二月"]["state"] == "closed"


@pytest.mark.parametrize("name", ["表.pdf", "表" * 83 + "ab.pdf"])
def test_a_spreadsheet_and_a_scan_of_one_name_both_come_back(world: World, name: str) -> None:
    made, blank = (
        books.by_xlsxwriter([records.HEADERS, *(tuple(row.values()) for row in records.records(3))]),
        scans.scan(blank=True),
    )
    world.put(name, made)
    batches(world)
    world.put(name, blank)
    (done,) = batches(world).values()
    assert done["state"] == "rejected"
    there = {path.read_bytes(): path.suffix for path in (world.rejected / done["batch"]).iterdir()}
    assert there[made] == there[blank] == ".pdf"


def test_folders_in_rejected_that_are_no_batches_are_not_ours_to_destroy(world: World) -> None:
    for name in ("mine", "jx-20200101-0123456789"):
        (world.rejected / name).mkdir()
        (world.rejected / name / "a").write_text("x")
        os.utime(world.rejected / name, (0, 0))
    world.once()
    assert [path.name for path in world.rejected.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["…一月.csv", "．一月.csv", "@ea部门/一月.csv"])
def test_names_that_only_look_like_those_of_other_programs_are_taken(world: World, name: str) -> None:
    world.put(name, b"x")
    (done,) = world.once()["batches"]
    assert done["state"] == "rejected"


@pytest.mark.parametrize("name", ["Thumbs.db", "x.part"])
def test_a_time_in_the_future_keeps_no_folder_waiting(world: World, name: str) -> None:
    world.configure(intake={"settle": "1s"})
    world.sheet("二月/甲", 3), world.put("二月/s.pdf", scans.scan())
    other = world.put(f"二月/{name}", b"x")
    os.utime(other, (time.time() + 90 * 86400,) * 2)
    if name == "Thumbs.db":
        time.sleep(1.1)
        assert batches(world)["二月"]["state"] == "closed"
    else:
        assert world.once()["batches"] == []  # an upload, by its name, until a day after it was last written to


def test_a_form_of_many_pages_is_known_by_its_code(world: World) -> None:
    world.configure(confirmation={"max_pages": 1})
    world.sheet("一月", 200)
    batches(world)
    assert (world.forms / "一月.pdf").read_bytes().count(b"/Type /Page\n") != 1
    signed = paper.confirmed((world.forms / "一月.pdf").read_bytes())
    world.put("SCAN0001.pdf", signed)
    done = batches(world)["一月"]
    assert done["state"] == "closed"
    assert json.loads(world.delivered()[done["batch"]]["manifest.json"])["form_code"]


def test_what_could_not_be_destroyed_at_once_is_with_the_next_claim_that_goes_wrong(world: World) -> None:
    """Out of descriptors, a folder of the spool loses its name and keeps its files; nobody waits for the next start."""
    with closing(Engine(config.load(world.file))) as engine:
        left = world.state / "spool" / f".{'0' * 16}.gone"
        left.mkdir()
        (left / "1").write_text("x")
        engine._intake.mend()
        assert not left.exists()
