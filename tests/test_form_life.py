"""From a valid batch without a scan to its form, and from the signed form back to the batch, whatever it is called."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import closing
from itertools import pairwise

import pikepdf
import pypdfium2
import pytest

from exchanged import config
from exchanged.drop import BOARD
from exchanged.engine import Engine
from exchanged.form.code import parse
from exchanged.stages import intake
from tests.support import paper, records, scans
from tests.support.paper import Scanner
from tests.support.world import World, world

pytestmark = pytest.mark.usefixtures("warm")

__all__ = ["world"]


def form_of(world: World, stem: str) -> bytes:
    return (world.forms / f"{stem}.pdf").read_bytes()


def states(world: World) -> dict[str, str]:
    done = world.once()["batches"]
    return {one["stem"]: one["state"] for one in done if one["state"] != "superseded"}


def manifests(world: World) -> dict[str, dict[str, object]]:
    return {m["title"]: m for m in (json.loads(one["manifest.json"]) for one in world.delivered().values())}


def test_a_form_is_offered_signed_scanned_and_found_again_under_any_name(world: World) -> None:
    world.sheet("一月", 12)
    assert states(world) == {"一月": "validated"}
    form = form_of(world, "一月")
    world.put("SCAN0001.pdf", paper.confirmed(form))
    assert states(world) == {"一月": "closed"}
    assert manifests(world)["一月"]["form_code"] is True
    assert manifests(world)["一月"]["warnings"] == {}
    assert world.left("forms", "drop") == []


def test_scans_for_two_batches_do_not_mix(world: World) -> None:
    world.sheet("一月", 5, seed=1)
    world.sheet("二月", 6, seed=2)
    states(world)
    forms = {stem: form_of(world, stem) for stem in ("一月", "二月")}
    scans = {stem: paper.confirmed(form) for stem, form in forms.items()}
    world.put("二月.pdf", scans["一月"])  # by the wrong name
    world.put("扫描件/1.pdf", scans["二月"])
    assert states(world) == {"一月": "closed", "二月": "closed"}
    packed = {json.loads(one["manifest.json"])["title"]: one["confirmation.pdf"] for one in world.delivered().values()}
    assert packed == scans
    assert not (world.drop / "扫描件").exists()


def test_two_batches_of_one_stem_that_come_together_have_a_form_each(world: World) -> None:
    world.configure(intake={"data_types": ["新增", "更正", "补录"]})
    stems = [f"{number}月" for number in range(4)]
    for number, stem in enumerate(stems):
        world.sheet(stem, 3, seed=2 * number)
        world.sheet(f"补录/{stem}", 3, seed=2 * number + 1)
    batches = world.once()["batches"]
    assert {one["state"] for one in batches} == {"validated"}
    names = [path.name for path in world.forms.iterdir()]
    assert len(names) == 8
    assert sum(any(one["batch"] in name for one in batches) for name in names) == 4


def test_a_scan_of_other_data_is_refused_and_the_form_taken_away(world: World) -> None:
    world.sheet("一月", 5, seed=1)
    states(world)
    old = form_of(world, "一月")
    world.sheet("一月", 6, seed=2)  # replaces it
    world.put("一月.pdf", paper.confirmed(old))
    assert states(world)["一月"] == "rejected"
    (report,) = (json.loads(path.read_text()) for path in world.rejected.glob("*/report.json"))
    assert [one["rule"] for one in report["findings"]] == ["confirmation-code-mismatch"]
    assert world.left("forms", "drop") == []


def test_a_form_that_the_clerk_replaced_by_a_file_of_his_own_is_left_alone(world: World) -> None:
    world.sheet("一月", 5)
    states(world)
    form = form_of(world, "一月")
    (world.forms / "一月.pdf").write_bytes(b"mine")
    world.put("S.pdf", paper.confirmed(form))
    assert states(world) == {"一月": "closed"}
    assert (world.forms / "一月.pdf").read_bytes() == b"mine"


def test_a_scan_that_was_saved_over_its_form_is_not_drawn_over(world: World) -> None:
    world.sheet("一月", 3)
    (batch,) = (one["batch"] for one in world.once()["batches"])
    form = form_of(world, "一月")
    signed = paper.confirmed(form)
    for there, stays in ((signed, signed), (None, form), (form, form)):
        path = world.forms / "一月.pdf"
        path.unlink() if there is None else path.write_bytes(there)
        assert world.run("retry", batch).returncode == 0
        world.once()
        assert form_of(world, "一月") == stays
    world.configure(unit={"head": "另一人"})  # the form says something else now: ours is written anew
    world.run("retry", batch)
    world.once()
    assert form_of(world, "一月") != form


def test_an_early_scan_waits_for_its_data(world: World) -> None:
    sheet = world.sheet("一月", 5)
    kept, form = world.root / "一月.csv", world.root / "form.pdf"
    sheet.rename(kept)
    assert world.run("form", str(kept), "-o", str(form)).returncode == 0
    world.put("SCAN.pdf", paper.confirmed(form.read_bytes()))
    assert states(world) == {}
    world.put("一月.csv", kept.read_bytes())
    states(world)
    assert states(world) in ({}, {"一月": "closed"})
    assert manifests(world)["一月"]["form_code"] is True


@pytest.mark.parametrize(
    ("sign", "seal", "found"),
    [
        ("both", True, []),
        ("manager", True, ["confirmation-signature-missing"]),
        ("none", False, 2 * ["confirmation-signature-missing"] + ["confirmation-seal-missing"]),
    ],
)
def test_what_the_paper_lacks_is_a_warning_that_the_receiver_reads(
    world: World, sign: str, seal: bool, found: list[str]
) -> None:
    world.sheet("一月", 5)
    states(world)
    scan = world.root / "scan.pdf"
    scan.write_bytes(paper.confirmed(form_of(world, "一月"), 200, Scanner(-3, 1), sign=sign, seal=seal))
    told = world.ask("scan", str(scan))
    assert [one["rule"] for one in told["findings"]] == found
    world.put("一月.pdf", scan.read_bytes())
    assert states(world) == {"一月": "closed"}
    warned = manifests(world)["一月"]["warnings"]
    assert warned == {rule: found.count(rule) for rule in found}


def test_the_form_of_an_invalid_spreadsheet_is_refused(world: World) -> None:
    made = records.records(3)
    made[1]["性别"] = "9"
    bad, out = world.root / "bad.csv", world.root / "form.pdf"
    bad.write_bytes(records.csv_text(made).encode())
    done = world.run("form", str(bad), "-o", str(out))
    assert done.returncode == 1
    assert "bad-code" in done.stdout
    assert not out.exists()


def test_without_a_font_the_batch_waits_all_the_same(world: World) -> None:
    world.configure(confirmation={"font": str(world.root / "none.ttf")})
    world.sheet("一月", 5)
    assert states(world) == {"一月": "validated"}
    assert world.left("forms") == []
    assert "form.font_missing" in world.log
    assert "No form was written" in (world.drop / BOARD).read_text()
    world.scan("一月")
    assert states(world) == {"一月": "closed"}
    assert manifests(world)["一月"]["form_code"] is False


def test_the_code_names_the_batch_the_data_and_the_page(world: World) -> None:
    world.sheet("一月", 5)
    done = world.once()
    (batch,) = done["batches"]
    with pypdfium2.PdfDocument(form_of(world, "一月")) as pdf:
        said = pdf[0].get_textpage().get_text_range()
    line = re.search(r"EXCHANGED1(/[^/]+){3}/1/1", "".join(said.split()))
    code = parse(line[0]) if line else None
    assert code is not None
    shown = world.ask("show", batch["batch"])
    assert (code.batch, code.rows, code.page, code.pages) == (batch["batch"], 5, 1, 1)
    assert shown["digest"].startswith(f"sha256:{code.digest}")


def test_the_board_tells_of_a_scan_whose_form_was_printed_before_the_data_changed(world: World) -> None:
    world.sheet("一月", 3)
    states(world)
    (first,) = world.ask("list")["batches"]
    old = paper.confirmed(form_of(world, "一月"))
    world.sheet("一月", 4)
    states(world)
    world.put("SCAN0001.pdf", old)
    assert states(world) == {}
    told = (world.drop / BOARD).read_text()
    assert first["batch"] in told
    assert "print its new form" in told
    world.put("SCAN0001.pdf", signed := paper.confirmed(form_of(world, "一月")))
    assert states(world) == {"一月": "closed"}
    assert not (world.drop / BOARD).exists()
    world.put("SCAN0001.pdf", signed)
    assert states(world) == {}
    assert "was delivered" in (world.drop / BOARD).read_text()


def test_a_heap_of_scans_is_read_in_several_looks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop moves on between them: a watchdog would end a daemon that reads them all, and the next one, for ever."""
    world.sheet("一月", 3)
    states(world)
    signed = paper.confirmed(form_of(world, "一月"))
    for number in range(4):
        world.put(f"SCAN000{number}.pdf", signed if number == 3 else scans.scan())
    monkeypatch.setattr(intake, "READING", -1.0)
    with closing(Engine(config.load(world.file))) as engine:
        read: list[str] = []
        looks: list[int] = []
        real, look = engine._intake._codes, engine._intake.look
        engine._intake._codes = lambda path: (read.append(path.name), real(path))[1]  # type: ignore[func-returns-value]
        engine._intake.look = lambda: (looks.append(len(read)), look())[1]  # type: ignore[method-assign,func-returns-value]
        assert {one["state"] for one in engine.once()["batches"]} == {"closed"}
    assert sorted(read) == [f"SCAN000{number}.pdf" for number in range(4)]
    assert max(after - before for before, after in pairwise(looks)) == 1


@pytest.mark.parametrize("reading", [intake.READING, -1.0])
def test_pages_of_one_form_scanned_one_by_one_go_back_together_and_the_batch_waits_on(
    world: World, reading: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "READING", reading)
    world.put("一月.csv", records.csv_text(records.records(200)).encode())
    states(world)
    pages = [paper.saved([page], 200) for page in paper.printed(form_of(world, "一月"), 200)]
    assert len(pages) > 1
    for number, page in enumerate(pages):
        world.put(f"P{number}.pdf", page)
    with closing(Engine(config.load(world.file))) as engine:
        (back,) = engine.once()["batches"]
    assert (back["state"], back["reason"]) == ("rejected", "confirmation-orphan")
    told = (world.rejected / back["batch"] / "report.html").read_text()
    assert "goes on waiting" in told and "its pages in one PDF" in told
    assert "spreadsheet as it was given back" not in told
    assert [one["reason"] for one in world.ask("status")["waiting"]] == ["confirmation.waiting"]


def test_settings_that_change_while_a_batch_waits_leave_its_table_as_it_was(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3, 职业方向="—")
    assert world.once()["batches"][0]["state"] == "validated"
    world.configure(standard={"direction_placeholders": ["无"]}, intake={"settle": "0s", "limits": {"rows": 2}})
    world.scan("一月")
    assert [one["state"] for one in world.once()["batches"]] == ["closed"]


FAILING = """
import sys
from exchanged import cli
from exchanged.confirmation import confirm
from exchanged.conversation import JobError
def fails(*_):
    raise JobError("scan", "ValueError", "form/read.py:1")
confirm.look = fails
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_scan_at_which_the_program_fails_holds_up_nobody_elses_files(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3)
    world.once()
    world.scan("孤"), world.sheet("二月", 3, seed=2)
    argv = [sys.executable, "-c", FAILING, "--config", str(world.file), "once", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert [(one["stem"], one["state"]) for one in json.loads(done.stdout)["batches"]] == [("二月", "validated")]
    assert '"event":"daemon.step_failed"' in done.stderr


def test_a_scan_that_is_refused_is_known_by_its_code_too(world: World) -> None:
    """Not only a good one may be called as the scanner likes: what is wrong is told at once, and of its batch."""
    world.sheet("一月", 12)
    states(world)
    world.put("SCAN0001.pdf", paper.confirmed(form_of(world, "一月"), dpi=120))
    assert states(world) == {"一月": "rejected"}
    (report,) = world.rejected.glob("*/report.json")
    assert [one["rule"] for one in json.loads(report.read_text("utf-8"))["findings"]] == ["confirmation-resolution"]
    assert {"一月.csv", "SCAN0001.pdf"} <= {path.name for path in report.parent.iterdir()}
    assert world.left("forms", "drop") == []


def test_an_unsigned_copy_before_the_signed_page_is_no_missing_signature(world: World) -> None:
    world.sheet("一月", 12)
    states(world)
    form = form_of(world, "一月")
    unsigned = paper.confirmed(form, sign="none", seal=False)
    with pikepdf.open(io.BytesIO(paper.confirmed(form))) as pdf, pikepdf.open(io.BytesIO(unsigned)) as copy:
        pdf.pages.insert(0, copy.pages[0])
        world.put("SCAN0001.pdf", scans.save(pdf))
    assert states(world) == {"一月": "closed"}
    assert manifests(world)["一月"]["warnings"] == {}
