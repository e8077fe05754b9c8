"""The corpus of scans: bombs, loops, lies, broken, locked and active files, and what only looks like that.

Each is answered in good order as its truth table says, in the confined child, within its memory and 20 seconds of
processor time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.sandbox import Bounds, Died, Sandbox
from exchanged.stages import confirm
from exchanged.standard.rules import RULES
from tests.support import imagefiles, scancorpus
from tests.support.scancorpus import Case
from tests.support.world import World

BOUNDS = Bounds(memory=confirm.MEMORY, cpu=20, wall=120)
CASES = scancorpus.cases()
NOBODYS = {"confirmation-code-missing", "confirmation-seal-missing"}  # warnings about every scan that is no form's


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def test_the_table_tells_the_truth_about_every_file_once() -> None:
    told = Counter((case.group, case.name) for case in CASES)
    there = Counter((group, name) for group, files in scancorpus.BUILT.items() for name in files)
    assert told == there
    assert {rule for case in CASES for rule in case.rules} <= RULES.keys()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_is_answered_in_good_order_and_as_what_it_is(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    died = list[Died]()
    monkeypatch.setattr(confirm, "blame", died.append)
    with tempfile.TemporaryFile() as file:
        file.write(case.build())
        file.flush()
        found = confirm.look(file.fileno(), 10, box, BOUNDS)
    assert list(dict.fromkeys(one["rule"] for one in found["findings"])) == list(case.rules)
    assert [one.reason for one in died] == (["memory"] if case.ends else [])


SOME = [case for number, case in enumerate(CASES) if number % 12 == 0 or case.ends]


@pytest.mark.slow
@pytest.mark.parametrize("case", SOME, ids=str)
def test_the_command_says_so_too(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "SCAN0001.pdf"
    path.write_bytes(case.build())
    done = subprocess.run(
        [sys.executable, "-m", "exchanged", "scan", str(path), "--json"],
        capture_output=True,
        text=True,
        timeout=BOUNDS.wall,
        check=False,
        env={**os.environ, "EXCHANGED_CONFIG": ""},
    )
    assert (done.returncode, done.stderr) == (1 if case.rules else 0, "")
    said = json.loads(done.stdout)
    assert said["verdict"] == ("invalid" if case.rules else "valid")
    assert set(said["summary"]["by_rule"]) - NOBODYS == set(case.rules)


@pytest.mark.slow
def test_a_drop_folder_full_of_them_goes_back_and_the_good_one_goes_on(world: World) -> None:
    """Every twentieth file of the corpus, each with a spreadsheet of its own, and a good batch among them."""
    some = [case for case in CASES[::20] if case.rules] + [next(case for case in CASES if case.ends)]
    built = {f"{number:02d}": case.build() for number, case in enumerate(some)}
    for number, (stem, content) in enumerate(built.items()):
        world.sheet(stem, rows=3, seed=number + 1)
        world.put(f"{stem}.pdf", content)
    world.sheet("good", rows=3, seed=99)
    world.scan("good")
    told = {one["stem"]: one for one in world.once()["batches"]}
    assert {stem: one["state"] for stem, one in told.items()} == {**dict.fromkeys(built, "rejected"), "good": "closed"}
    assert "Traceback" not in world.log
    for case, (stem, content) in zip(some, built.items(), strict=True):
        folder = world.rejected / told[stem]["batch"]
        assert (folder / f"{stem}.pdf").read_bytes() == content
        report = json.loads((folder / "report.json").read_text("utf-8"))
        assert set(report["summary"]["by_rule"]) - NOBODYS == set(case.rules)


def test_a_picture_that_is_no_pdf_goes_back_as_that_under_either_name(world: World) -> None:
    for number, (name, build) in enumerate(imagefiles.FILES.items()):
        world.put(f"{number:02d}-{name}", build())
        world.sheet(f"{number:02d}", rows=3, seed=number + 1)
        world.put(f"{number:02d}.pdf", build())
    told = world.once()["batches"]
    assert [one["state"] for one in told] == ["rejected"] * 2 * len(imagefiles.FILES)
    for one in told:
        report = json.loads((world.rejected / one["batch"] / "report.json").read_text("utf-8"))
        assert report["summary"]["by_rule"] == {"file-type": 1}


def test_a_scan_over_the_limit_of_a_file_is_not_opened(world: World) -> None:
    world.configure(intake={"limits": {"file": "20KB"}})
    world.sheet("large", rows=3)
    world.scan("large")
    (told,) = world.once()["batches"]
    report = json.loads((world.rejected / told["batch"] / "report.json").read_text("utf-8"))
    assert report["summary"]["by_rule"] == {"file-too-large": 1}
