"""`check --annotate` and `--report`: the marked workbook and the page, without configuration, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest

from tests.support.marked import reasons
from tests.support.records import csv_text, records
from tests.support.world import World


def run(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "EXCHANGED"))}
    return subprocess.run(
        [sys.executable, "-m", "exchanged", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**clean, "LANG": "C.UTF-8", **env},
    )


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "一月.csv"
    first, *rest = records(5)
    path.write_text(csv_text([{**first, "性别": "?"}, *rest]))
    path.chmod(0o640)
    return path


def test_it_writes_the_marked_workbook_and_the_page_beside_its_answer(wrong: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.xlsx", tmp_path / "out.html"
    done = run("check", wrong, "--annotate", out, "--report", page)
    assert done.returncode == 1 and str(out) in done.stdout and not done.stderr
    assert reasons(openpyxl.load_workbook(out).worksheets[1]) == {2: "【错误】性别：不在代码表中"}
    assert out.stat().st_mode & 0o777 == 0o640  # who may read the clerk's file may read this one
    assert "不在代码表中" in page.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"一月.csv", "out.xlsx", "out.html"}


def test_json_stands_alone_on_standard_output_and_has_the_keys_of_the_contract(wrong: Path, tmp_path: Path) -> None:
    done = run("check", wrong, "--json", "--limit", 1, "--annotate", tmp_path / "out.xlsx")
    keys = ["format", "verdict", "rows", "digest", "files", "counts", "findings", "summary"]
    assert list(json.loads(done.stdout)) == keys and not done.stderr
    assert (tmp_path / "out.xlsx").exists()


def test_a_valid_file_has_one_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_text(records(3)))
    done = run("check", tmp_path / "a.csv", "--annotate", tmp_path / "out.xlsx", LANG="en_GB.UTF-8")
    assert done.returncode == 0
    front = openpyxl.load_workbook(tmp_path / "out.xlsx").worksheets[0]
    assert "Nothing was found wrong" in str(front["A3"].value)


def test_an_earlier_output_is_replaced_whole(wrong: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    out.write_bytes(b"old")
    run("check", wrong, "--annotate", out)
    assert openpyxl.load_workbook(out)


def test_a_file_that_cannot_be_opened_has_none_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK\3\4 nothing")
    out = tmp_path / "out.xlsx"
    out.write_bytes(b"old")
    done = run("check", tmp_path / "a.xlsx", "--annotate", out)
    assert done.returncode == 1 and "没有生成" in done.stderr
    assert out.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("out", ["一月.csv", "nowhere/out.xlsx", ".", "link.xlsx", "/dev/null"])
def test_an_output_that_cannot_be_or_would_take_the_input_is_wrong_usage(wrong: Path, tmp_path: Path, out: str) -> None:
    before = wrong.read_bytes()
    (tmp_path / "link.xlsx").symlink_to(wrong)
    done = run("check", wrong, "--annotate", tmp_path / out)
    assert done.returncode == 2 and done.stderr and not done.stdout
    assert wrong.read_bytes() == before and Path("/dev/null").is_char_device()


def test_several_files_are_wrong_usage(wrong: Path, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(wrong.read_bytes())
    done = run("check", wrong, tmp_path / "b.csv", "--annotate", tmp_path / "out.xlsx")
    assert done.returncode == 2 and "一个文件" in done.stderr
    assert not (tmp_path / "out.xlsx").exists()


def test_the_page_may_not_take_the_place_of_the_input(wrong: Path) -> None:
    before = wrong.read_bytes()
    assert run("check", wrong, "--report", wrong).returncode == 2
    assert wrong.read_bytes() == before


def test_with_a_configuration_it_judges_as_the_daemon_would(world: World, tmp_path: Path) -> None:
    first, *rest = records(5)
    (tmp_path / "a.csv").write_text(csv_text([{**first, "姓名": "李"}, *rest]))
    world.configure(standard={"severity": {"name-suspicious": "hold"}})
    done = world.run("check", str(tmp_path / "a.csv"), "--annotate", str(tmp_path / "out.xlsx"))
    assert done.returncode == 0
    assert reasons(openpyxl.load_workbook(tmp_path / "out.xlsx").worksheets[1])[2].startswith("(hold)")


def test_the_report_and_the_workbook_are_two_files(wrong: Path, tmp_path: Path) -> None:
    done = run("check", wrong, "--annotate", tmp_path / "out", "--report", tmp_path / "." / "out", LANG="en_GB.UTF-8")
    assert done.returncode == 2 and "--report and --annotate" in done.stderr
    assert not (tmp_path / "out").exists()
