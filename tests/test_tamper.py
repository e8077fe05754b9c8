"""Whatever is done to the ledger or the evidence behind the program's back is noticed, and nothing is sent until then.

A sample of the flipped bits; `make torture` flips one in every byte.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import tamper


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A state folder with a past, and its heads over time."""
    state = tmp_path_factory.mktemp("past") / "state"
    return state, tamper.past(state)


@pytest.fixture
def state(kept: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of it to be tampered with."""
    shutil.copytree(kept[0], tmp_path / "state")
    return tmp_path / "state"


def test_a_ledger_that_nobody_touched_is_sound(state: Path, kept: tuple[Path, list[str]]) -> None:
    assert tamper.noticed(state) is None
    assert [tamper.noticed(state, head) for head in kept[1]] == [None] * 6


@pytest.mark.parametrize("crime", tamper.CRIMES)
def test_a_crime_is_noticed(state: Path, crime: str) -> None:
    tamper.CRIMES[crime](state)
    assert tamper.noticed(state) is not None


def test_a_flipped_bit_is_noticed_or_changes_nothing(kept: tuple[Path, list[str]], tmp_path: Path) -> None:
    for offset, bit in tamper.flips(kept[0] / "ledger.db", 150):
        assert tamper.flipped(kept[0], tmp_path / "copy", offset, bit) is None


def test_an_older_copy_is_told_by_the_head_that_a_package_names(tmp_path: Path) -> None:
    state, older = tmp_path / "state", tmp_path / "older"
    heads = tamper.past(state)
    shutil.copytree(state, older)
    with closing(tamper.opened(state)) as ledger:
        ledger.record("daemon.started", pid=1)
        head = ledger.head()
    assert tamper.noticed(state, head) is None
    assert tamper.noticed(older) is None, "by itself it is sound"
    assert tamper.noticed(older, heads[-1]) is None
    assert tamper.noticed(older, head) == "ledger.head_missing"


def test_a_removed_wal_is_noticed(state: Path, tmp_path: Path) -> None:
    """What had not come to the main file yet is lost with it: a batch of which there are files or evidence."""
    copy = tmp_path / "copy"
    with closing(tamper.opened(state)) as ledger:
        tamper.enter(ledger, state, 6)
        shutil.copytree(state, copy)
    assert tamper.noticed(copy) is None
    shutil.rmtree(copy)
    with closing(tamper.opened(state)) as ledger:
        tamper.enter(ledger, state, 7)
        shutil.copytree(state, copy)
        (copy / "ledger.db-wal").unlink()
        (copy / "ledger.db-shm").unlink()
    assert tamper.noticed(copy) == "ledger.older"


def test_a_flipped_bit_of_the_wal_is_noticed_with_the_head_at_hand(state: Path, tmp_path: Path) -> None:
    """SQLite takes a WAL as ended where it is damaged: then the last events are missing."""
    name, before = "ledger.db-wal", tmp_path / "open"
    with closing(tamper.opened(state)) as ledger:
        tamper.enter(ledger, state, 6)
        shutil.copytree(state, before)
        head = ledger.head()
    for offset, bit in tamper.flips(before / name, 60):
        assert tamper.flipped(before, tmp_path / "copy", offset, bit, name, head) is None
