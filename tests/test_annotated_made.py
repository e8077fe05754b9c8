"""How an annotated workbook comes about: in a confined child, whole or not at all, and never in the batch's way."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import openpyxl
import pytest

from exchanged import api, config, disk, log, sandbox
from exchanged.batch import Checks, Limits
from exchanged.conversation import Answer, Died
from exchanged.ledger import Source
from exchanged.report import annotated as books_of_ours
from exchanged.sandbox import Sandbox
from exchanged.stages import annotate, giveback
from tests.support import books, jobs
from tests.support.checks import TODAY, checks
from tests.support.marked import ROWS, annotated, data, found, marked, opened, reasons, sheet
from tests.support.records import csv_text, records
from tests.support.world import World


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as each:
        yield each


@pytest.fixture(scope="module")
def bad_box() -> Iterator[Sandbox]:
    with Sandbox({"annotate": jobs.JOBS["half_a_book"]}, {}) as each:
        yield each


def made(box: Sandbox, folder: Path, name: str, content: bytes, **over: Any) -> tuple[str | None, Path]:
    """Ask for a workbook; gives why there is none, and where it would be."""
    (folder / "1").write_bytes(content)
    target = folder / "out.xlsx"
    over = {"language": "zh", "checks": checks(), **over}
    return annotate.annotate([(name, folder / "1")], 0, target, over.pop("checks"), box, **over), target


def wrong(rows: int = 3, seed: int = 0, today: str | None = None) -> bytes:
    """A CSV whose first row has no gender."""
    first, *rest = records(rows, seed, today=today)
    return csv_text([{**first, "性别": ""}, *rest]).encode()


# In a child


def test_it_is_made_in_a_confined_child_that_writes_no_file(box: Sandbox, tmp_path: Path) -> None:
    why, target = made(box, tmp_path, "一月.xlsx", sheet(B3="?"), mode=0o640)
    assert why is None and target.stat().st_mode & 0o777 == 0o640
    assert reasons(openpyxl.load_workbook(target).worksheets[1]).keys() == {3}


def test_what_comes_through_the_pipe_is_what_is_written_in_one_process(box: Sandbox, tmp_path: Path) -> None:
    _, target = made(box, tmp_path, "一月.xlsx", sheet(B3="?"))
    with zipfile.ZipFile(target) as archive, zipfile.ZipFile(io.BytesIO(marked(sheet(B3="?")))) as other:
        assert archive.testzip() is None
        member = "xl/worksheets/sheet2.xml"
        assert archive.read(member) == other.read(member)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        pytest.param(b"", "a.xlsx", id="empty"),
        pytest.param(b"PK\3\4" + bytes(500), "a.xlsx", id="damaged"),
        pytest.param(b"%PDF-1.7\n", "a.csv", id="a PDF"),
        pytest.param(b"\xff\xfe\xff" * 50, "a.csv", id="no encoding"),
        pytest.param("一,二\r\n1,2\r\n".encode(), "a.csv", id="no header"),
        pytest.param(books.bomb(3 << 30), "a.xlsx", id="a bomb"),
        pytest.param(sheet()[:-300], "a.xlsx", id="truncated"),
    ],
)
def test_a_file_that_cannot_be_opened_or_holds_no_data_has_none(
    box: Sandbox, tmp_path: Path, content: bytes, name: str
) -> None:
    why, target = made(box, tmp_path, name, content)
    assert why == "table" and not target.exists()


def test_two_sheets_with_data_have_none() -> None:
    book = openpyxl.load_workbook(io.BytesIO(sheet()))
    book.copy_worksheet(book.worksheets[0])
    out = io.BytesIO()
    book.save(out)
    assert annotated(("a.xlsx", out.getvalue())) is None


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("abort", "memory"),
        ("eat", "memory"),
        ("fault", "crash"),
        ("panic", "crash"),
        ("leave", "crash"),
        ("complain", "exchanged/"),
        ("flood", "size"),
    ],
)
def test_a_child_that_fails_leaves_a_reason_and_nothing_of_the_file(
    bad_box: Sandbox, tmp_path: Path, deed: str, why: str
) -> None:
    small = Checks("2026-11-20", limits=Limits(file=8 << 20))
    given, target = made(bad_box, tmp_path, f"{deed}.csv", b"x", checks=small)
    assert given is not None and given.startswith(why)
    assert not target.exists() and disk.sweep(tmp_path) == 0


class Flaky(Sandbox):
    """A child that is killed from outside the first time or two."""

    deaths = 1

    def run(self, job: str, *rest: Any, out: int | None = None, **more: Any) -> Answer:
        if self.deaths and out is not None:
            self.deaths -= 1
            Path(f"/proc/self/fd/{out}").write_bytes(b"half")
            raise Died(job, "memory", 9)
        return super().run(job, *rest, out=out, **more)


@pytest.mark.parametrize(("deaths", "why"), [(1, None), (2, "memory")])
def test_a_child_that_was_killed_from_outside_is_tried_once_more(tmp_path: Path, deaths: int, why: str | None) -> None:
    with Flaky() as flaky:
        flaky.deaths = deaths
        given, target = made(flaky, tmp_path, "a.csv", wrong(today=TODAY))
    assert given == why and target.exists() == (why is None)
    if why is None:
        assert reasons(data(target.read_bytes())).keys() == {2}


def test_a_disk_that_is_full_is_the_worlds_doing(box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk, "receive", full)
    with pytest.raises(OSError, match="full"):
        made(box, tmp_path, "a.csv", wrong())


def test_a_name_that_is_no_utf8_and_acts_on_terminals_does_no_harm(box: Sandbox, tmp_path: Path) -> None:
    why, target = made(box, tmp_path, "\udcff\x1b[31m.csv", wrong())
    assert why is None
    title = openpyxl.load_workbook(target).worksheets[0]["A2"].value
    assert title.startswith("\\udcff\\x1b[31m.csv")


# Many findings


def test_however_much_is_wrong_everything_is_marked_and_the_comments_are_capped() -> None:
    rows = records(4_000)
    text = csv_text([{**row, "性别": "?", "技能等级": "九"} for row in rows]).encode()
    page = data(marked(text, "a.csv", depends=Checks("2026-11-20", limit=5)))
    told = reasons(page)
    assert len(told) == 4_000 and all("性别" in text and "技能等级" in text for text in told.values())
    coloured = [cell for row in page.iter_rows(min_row=2, max_col=12) for cell in row if cell.fill.fill_type]
    commented = [cell for row in page.iter_rows(min_row=2, max_col=12) for cell in row if cell.comment]
    assert len(coloured) >= 8_000 and len(commented) == books_of_ours.COMMENTS


def test_the_summary_names_some_places_of_every_rule_and_says_how_many_there_are() -> None:
    rows = [{**row, "性别": "?"} for row in records(2_000)]
    rows[1_999]["姓名"] = ""
    front = opened(marked(csv_text(rows).encode(), "a.csv")).worksheets[0]
    cells = [str(cell.value) for row in front.iter_rows() for cell in row if cell.value]
    assert any("这里列出 300 处" in text for text in cells)
    links = {cell.hyperlink.location for row in front.iter_rows() for cell in row if cell.hyperlink}
    assert {"a!B2", "a!A2001"} <= {link.replace("'", "") for link in links}


def test_more_rows_than_an_xlsx_holds_are_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_of_ours, "ROWS", 12)
    assert annotated(("a.csv", csv_text(ROWS[:11]).encode())) is not None
    assert annotated(("a.csv", csv_text(ROWS).encode())) is None


def test_a_workbook_too_large_to_be_handed_in_again_is_not_made() -> None:
    limits = Limits(unpacked=20_000)
    assert annotated(("a.csv", csv_text(ROWS).encode()), depends=checks(limits=limits)) is not None
    many = csv_text(records(200)).encode()
    assert annotated(("a.csv", many), depends=checks(limits=limits)) is None


def test_rows_that_an_unusual_program_wrote_are_read_one_by_one() -> None:
    rows = "".join(
        books.inline_row(number, line).replace(f' r="{number}"', "", 1)
        for number, line in enumerate([list(ROWS[0]), *([*row.values()] for row in ROWS[:3])], 1)
    )
    source = books.raw_xlsx(books.sheet_xml(rows.replace(">1<", ">?<", 1)))
    page = data(marked(source))
    assert {("bad-code", row, "性别") for row in reasons(page)} <= set(found(source))
    assert page["A4"].value == ROWS[2]["姓名"]


def test_large_sheets_are_streamed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = marked(csv_text(records(500)).encode(), "a.csv")
    monkeypatch.setattr("exchanged.report.sheetxml.PIECE", 4_000)
    member = "xl/worksheets/sheet2.xml"
    pieces = marked(csv_text(records(500)).encode(), "a.csv")
    with zipfile.ZipFile(io.BytesIO(whole)) as one, zipfile.ZipFile(io.BytesIO(pieces)) as other:
        assert one.read(member) == other.read(member)


# Given back


def test_a_batch_whose_workbook_cannot_be_made_goes_back_with_its_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sandbox.JOBS, "annotate", jobs.JOBS["half_a_book"])  # type: ignore[arg-type]
    said = io.StringIO()
    log.setup(said)
    try:
        world.put("abort.csv", wrong())
        world.put("complain.csv", wrong(seed=1))
        done = api.Exchange(config.load(world.file)).once()
    finally:
        log.silence()
    assert [one["state"] for one in done["batches"]] == ["rejected", "rejected"]
    for one in done["batches"]:
        left = {path.name for path in (world.rejected / one["batch"]).iterdir()}
        assert left == {f"{one['stem']}.csv", "report.html", "report.json"}
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    problems = [one["problem"] for one in events if one["event"] == "batch.not_annotated"]
    assert [problem.partition("/")[0] for problem in sorted(problems)] == ["exchanged", "memory"]


def test_every_spreadsheet_of_a_folder_has_its_own_beside_the_originals(world: World) -> None:
    names = ("a.csv", "a.annotated.xlsx", "b.csv")
    first, second = records(3, 1), records(3, 2, certificate_number=lambda n: f"2614000000{n}00001")
    world.put("一月/a.csv", wrong(seed=1))
    world.put("一月/a.annotated.xlsx", marked(csv_text(second).encode(), "a.csv"))
    world.put("一月/b.csv", csv_text([first[1]]).encode())
    world.scan("一月/b")
    (batch,) = world.once()["batches"]
    assert batch["state"] == "rejected"
    folder = world.rejected / batch["batch"]
    report = json.loads((folder / "report.json").read_bytes())
    assert report["annotated"] == ["a.annotated.annotated.xlsx", "a.csv.annotated.xlsx", "b.annotated.xlsx"]
    assert {path.name for path in folder.iterdir()} == {
        *names, "b.pdf", "report.html", "report.json", *report["annotated"]
    }  # fmt: skip
    assert "a.csv" in reasons(data((folder / "b.annotated.xlsx").read_bytes()))[2]


def test_a_scan_that_is_wrong_is_said_in_the_workbook_too(world: World) -> None:
    world.sheet("一月", 3)
    world.put("一月.pdf", b"%PDF-1.7\nnothing")
    (batch,) = world.once()["batches"]
    made = opened((world.rejected / batch["batch"] / "一月.annotated.xlsx").read_bytes())
    words = [str(cell.value) for row in made.worksheets[0].iter_rows() for cell in row if cell.value]
    assert any("damaged or cannot be opened" in text for text in words)
    assert reasons(made.worksheets[1]) == {}


def test_what_was_reported_before_is_marked_row_by_row(world: World) -> None:
    world.sheet("一月", 4)
    world.scan("一月")
    world.once()
    world.sheet("二月", 4)
    (batch,) = world.once()["batches"]
    assert batch["state"] == "rejected"
    told = reasons(data((world.rejected / batch["batch"] / "二月.annotated.xlsx").read_bytes()))
    assert told.keys() == {2, 3, 4, 5} and all("reported before" in text for text in told.values())


def test_a_withdrawn_batch_gets_no_copy_of_data_in_which_nothing_is_wrong(world: World) -> None:
    world.sheet("一月", 3)
    (batch,) = world.once()["batches"]
    world.run("withdraw", batch["batch"], "--reason", "x")
    left = {path.name for path in (world.rejected / batch["batch"]).iterdir()}
    assert left == {"一月.csv", "report.html", "report.json"}


def test_a_folder_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    spool, rejected = tmp_path / "spool", tmp_path / "rejected"
    spool.mkdir()
    rejected.mkdir()
    (spool / "1").write_bytes(b"data")

    def full(folder: Path, _altered: Sequence[str]) -> NoReturn:
        (folder / "half").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        giveback.give_back(rejected, "jx-1", spool, [Source(1, "a.csv", "", 4, "")], full)
    assert list(rejected.iterdir()) == []


def test_a_batch_that_is_being_given_back_is_not_swept_away(tmp_path: Path) -> None:
    part = disk.temp_name(tmp_path / "jx-1")
    part.mkdir()
    os.utime(part, (0, 0))
    giveback.expire(tmp_path, 3600, 1)
    assert part.exists()
    disk.sweep(tmp_path)
    assert not part.exists()


@pytest.mark.parametrize("name", ["很" * 80 + ".xlsx", "a.xlsx", "\udcff.csv", "noending"])
def test_the_name_of_a_workbook_is_free_and_not_too_long(name: str, tmp_path: Path) -> None:
    taken = set()
    for _ in range(4):
        chosen = giveback.marked_name(tmp_path, name)
        assert chosen.endswith(".annotated.xlsx") and chosen not in taken
        (tmp_path / chosen).write_bytes(b"")
        taken.add(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_durable_act_of_giving_back_changes_nothing(world: World, when: str) -> None:
    world.configure(intake={"settle": "0s"})
    expected = {"{}.csv", "{}.annotated.xlsx", "report.html", "report.json"}
    for at in range(1 if when == "before" else 2, 80, 3):
        stem = f"第{at}批"
        world.put(f"{stem}.csv", wrong(seed=at))
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.killer", str(at), when, "--config", str(world.file), "once"],
            capture_output=True,
            timeout=120,
            check=False,
        )
        world.once()
        (batch,) = [one for one in world.ask("list")["batches"] if one["stem"] == stem]
        assert batch["state"] == "rejected"
        folder = world.rejected / batch["batch"]
        assert {path.name for path in folder.iterdir()} == {name.format(stem) for name in expected}
        assert reasons(data((folder / f"{stem}.annotated.xlsx").read_bytes())).keys() == {2}
        assert not [path for path in world.rejected.iterdir() if path.name.startswith(".")]
        if done.returncode == 1:
            return
    raise AssertionError("giving back has more acts than expected")
