"""The list of faults is whole: every row has its number, and names tests that exist, or says why there is none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", (HERE / "README.md").read_text("utf-8"), re.M)
REASONS = ("not yet: ", "no test can ")


def written(file: str) -> set[str]:
    """The tests of a file."""
    path = HERE / file
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module([], [])
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}


def test_every_fault_has_its_row() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 97))


@pytest.mark.parametrize(("number", "told"), [pytest.param(row[0], row[2], id=row[0]) for row in ROWS])
def test_a_row_names_tests_that_exist_or_says_why_there_is_none(number: str, told: str) -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", told)
    assert [f"{file}::{name}" for file, name in named if name not in written(file)] == []
    assert named or any(reason in told for reason in REASONS), f"row {number} says nothing"


def test_every_suite_that_is_named_exists() -> None:
    text = (HERE / "README.md").read_text("utf-8").partition("## Figures")[0]
    named = re.findall(r"`((?:support/)?\w+\.py)`", text)
    assert named
    assert [name for name in named if not (HERE / name).is_file()] == []
