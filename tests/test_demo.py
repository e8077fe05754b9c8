"""The demonstration runs the real thing, so it is the shortest proof that the whole way works."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exchanged import api
from exchanged.demo import samples


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="ex", dir="/tmp") as folder:
        yield Path(folder) / "d"


def demo(place: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from pathlib import Path; from exchanged import demo; sys.exit(demo.run(Path(sys.argv[1]), 'en'))"
    )
    command = [sys.executable, "-c", code, str(place)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)


@pytest.mark.slow
def test_the_whole_way_ends_well_and_leaves_everything_to_be_looked_at(place: Path) -> None:
    run = demo(place)
    assert run.returncode == 0, run.stdout + run.stderr
    states = sorted(batch["state"] for batch in api.open_exchange(place / "exchanged.yaml").list())
    assert states == ["closed", "closed", "rejected"]
    packages = list((place / "national" / "server" / "inbox").iterdir())
    assert len(packages) == 2
    assert not [path for path in (place / "drop").rglob("*") if path.is_file()]
    opened = sorted(path.name for path in (place / "national" / "opened").rglob("*") if path.is_file())
    assert opened == sorted(["certificates.csv", "confirmation.pdf", "manifest.json"] * 2)
    assert not re.search(r"\b(demo|state|kind|rule)\.[a-z_]+\b", run.stdout), "a text is missing"


@pytest.mark.slow
def test_what_arrived_is_what_was_dropped(place: Path) -> None:
    assert demo(place).returncode == 0
    dropped = {row["证书编号"] for seed, count in ((1, 200), (2, 120)) for row in samples.rows(count, seed)}
    arrived = {
        row["证书编号"]
        for path in (place / "national" / "opened").glob("*/certificates.csv")
        for row in csv.DictReader(io.StringIO(path.read_text("utf-8")))
    }
    assert arrived == dropped


def test_a_directory_with_something_in_it_is_left_alone(place: Path) -> None:
    place.mkdir()
    (place / "mine.txt").write_text("keep")
    run = demo(place)
    assert run.returncode != 0
    assert [path.name for path in place.iterdir()] == ["mine.txt"]


def test_the_good_samples_are_good_and_the_wrong_ones_wrong_in_a_dozen_ways(tmp_path: Path) -> None:
    good = samples.write_csv(tmp_path / "good.csv", samples.rows(50, 1))
    wrong = samples.write_xlsx(tmp_path / "wrong.xlsx", samples.spoilt(40, 3), "title")
    assert api.check([good])["verdict"] == "valid"
    found = api.check([wrong])
    assert found["verdict"] == "invalid"
    assert len(found["summary"]["by_rule"]) >= 12
