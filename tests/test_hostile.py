"""Files made to hurt are answered by a finding, in good order: no child is ended by its bounds.

In the confined child, with the memory that a file of that size gets and 20 seconds of processor time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.sandbox import Bounds, Died, Sandbox
from exchanged.stages import check as checking
from tests.support import hostile
from tests.support.checks import checks
from tests.support.hostile import Build


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "build", "rule"),
    [pytest.param(name, build, rule, id=f"{name[2:]}: {told}") for name, told, build, rule in hostile.ALL],
)
def test_a_hostile_file_is_answered_in_good_order(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, build: Build, rule: str
) -> None:
    usual, died = checking.bounds, list[Died]()

    def at_most(size: int) -> Bounds:
        return replace(usual(size), cpu=20, wall=120)

    monkeypatch.setattr(checking, "bounds", at_most)
    monkeypatch.setattr(checking, "blame", died.append)
    path = tmp_path / name
    path.write_bytes(build())
    result, _ = checking.check([(name, path)], checks(), box)
    assert died == []
    assert rule in result["summary"]["by_rule"] or not (rule or result["findings"])
    if rule.startswith(("file-", "table-", "header-")):
        assert [finding["rule"] for finding in result["findings"]] == [rule]
