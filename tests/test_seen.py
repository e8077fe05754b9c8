"""What may not be looked at is not there: said as such, never a fault of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from exchanged import seen
from tests.support.world import World

PROGRAM = """
import json, os, sys
from pathlib import Path
from exchanged import seen
from exchanged.errors import NotYet
from exchanged.form.write import FontMissing, find_font
from exchanged.sealing.keyring import Keyring
from exchanged.sealing.process import clear_locks
os.setuid(65534)
locked = Path(sys.argv[1])
clear_locks(locked / "a")
told = [seen.folder(locked / "a"), seen.file(locked / "a" / "b"), seen.anything(locked / "a")]
for act in (lambda: find_font(str(locked / "a" / "b")), lambda: Keyring(locked / "a", (), "gpg", 5.0).blocks()):
    try:
        act()
    except (FontMissing, NotYet) as problem:
        told.append(type(problem).__name__)
print(json.dumps(told))
"""


FULL = ["prlimit", "--fsize=2000"]  # no file may become larger: as a disk that is full


def test_what_is_there_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert seen.folder(tmp_path) and seen.file(tmp_path / "a") and seen.anything(tmp_path / "a")
    assert not seen.folder(tmp_path / "a") and not seen.file(tmp_path) and not seen.anything(tmp_path / "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes the folder of another user")
def test_what_lies_in_a_locked_folder_is_not_there() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        locked = Path(folder, "locked")
        (locked / "a").mkdir(parents=True)
        (locked / "a" / "b").touch()
        locked.chmod(0o700)
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", PROGRAM, str(locked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(seen.__file__).parents[1])
    assert json.loads(done.stdout or "null") == [False, False, False, "FontMissing", "NotYet"], done.stderr


def test_names_that_are_no_text_are_unknown_not_damage(world: World) -> None:
    world.once()
    for words in (
        ("show", "\udcff\udcfe"),
        ("show", "批次"),
        ("withdraw", "\udcff", "--reason", "x"),
        ("trace", "\udcff"),
    ):
        done = world.run(*words)
        assert done.returncode in (0, 1, 2), (words, done.returncode, done.stderr)
        assert "damaged" not in done.stderr


def test_a_certificate_is_traced_with_blanks_in_its_number(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    number = world.sheet("一月", 3).read_text().splitlines()[1].split(",")[4]
    world.scan("一月")
    world.once()
    found = world.ask("trace", f" {number[:5]}\u200b{number[5:]} ")
    assert found["found"] and found == world.ask("trace", number)


def test_a_disk_that_fills_while_a_package_is_opened_is_told(world: World, tmp_path: Path) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3), world.scan("一月")
    batch = world.once()["batches"][0]["batch"]
    world.config["sealing"] |= {
        "gnupg_home": str(world.national.path),
        "sign_with": world.config["sealing"]["sign_with"],
    }
    world.configure()
    world.under = FULL
    done = world.run("open", str(world.inbox / f"{batch}.pgp"), "-o", str(tmp_path / "out"), "--json")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (3, "output.unwritable"), done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("words", [("check", "--report"), ("form", "-o")])
def test_a_disk_that_fills_while_an_output_is_written_is_no_wrong_usage(
    world: World, tmp_path: Path, words: tuple[str, str]
) -> None:
    command, option = words
    out = tmp_path / "out.pdf"
    world.under = FULL
    done = world.run(command, str(world.sheet("一月", 3)), option, str(out))
    assert done.returncode == 3, done.stderr
    assert not out.exists()


def test_a_caller_that_ignores_the_end_of_its_children_does_no_harm(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3), world.scan("一月")
    world.under = ["env", "--ignore-signal=CHLD"]
    assert [one["state"] for one in world.once()["batches"]] == ["closed"]
