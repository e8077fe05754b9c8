"""The power goes at any moment: what had not been synced is lost, or half there. A sample; `make torture` tries all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.diskmodel import Disk, fingerprint
from tests.support.lives import LIVES
from tests.support.mutant import MUTANTS
from tests.support.powercut import caught, cuts, half_done, mutants, record, record_recovery, suffer
from tests.support.sweep import NAMED, Stage

SAMPLE = 3  # disks of each life


@pytest.mark.slow
@pytest.mark.parametrize("life", [life.name for life in LIVES])
def test_a_power_cut_loses_nothing_sends_nothing_twice_and_leaves_nothing(stage: Stage, life: str) -> None:
    phases = len(NAMED[life].phases)
    for phase in range(phases):
        recording = record(stage, NAMED[life], phase)
        assert half_done(recording) == []
        found = list(cuts(recording, range(1)))
        for cut in random.Random(life).sample(found, min(len(found), -(-SAMPLE // phases))):
            try:
                suffer(stage, cut)
            except AssertionError as error:
                raise AssertionError(f"{life}.{phase} after {cut.after}: {error}") from None


@pytest.mark.slow
@pytest.mark.parametrize("killed", [None, 47])
def test_a_folder_is_claimed_and_put_back_for_good(stage: Stage, killed: int | None) -> None:
    """Where the names lie in a folder of their own, that is what has to be synced, not only the lane."""
    life = NAMED["folder"]
    recording = record_recovery(stage, life, 0, killed) if killed else record(stage, life, 0)
    assert recording
    where = "drop/" if killed else "sync state/ledger.db-wal"
    for cut in [one for one in cuts(recording, range(1)) if where in one.after][:8]:
        suffer(stage, cut)


NOTICED_IN = {"batches given back in place": "rejected"}  # the others where a batch is delivered


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_precaution_that_is_taken_out_is_missed(stage: Stage, name: str) -> None:
    recording = record(stage, NAMED[NOTICED_IN.get(name, "both")], 0, ("tests.support.mutant", name))
    tried, said = caught(stage, recording, set())
    assert said is not None, f"{tried} disks and no complaint"


@pytest.mark.slow
def test_an_fsync_that_is_left_out_is_missed(stage: Stage) -> None:
    recording = record(stage, NAMED["both"], 0)
    known: set[str] = set()
    assert list(cuts(recording, known=known))
    without = dict(mutants(recording))
    assert caught(stage, without["sync state/spool/.*.part/1 #1"], known)[1] is not None


# --- the model of a disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Disk:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "old").write_bytes(b"old")
    return Disk(tmp_path, ("a", "b"))


def test_what_is_synced_stays(model: Disk) -> None:
    model.create("a/new")
    model.write("a/new", 0, b"x" * 1000)
    model.sync("a/new")
    model.sync("a")
    assert all(state["a/new"] == b"x" * 1000 for state in model.states(range(20)))


def test_a_file_without_its_folders_entry_may_be_gone_and_an_entry_without_bytes_empty(model: Disk) -> None:
    model.create("a/new")
    model.write("a/new", 0, b"x" * 1000)
    found = [state.get("a/new") for state in model.states(range(200))]
    assert {None, b"", b"x" * 512, b"x" * 1000} <= set(found)


def test_a_rename_to_another_folder_is_never_half(model: Disk) -> None:
    model.mkdir("b/in")
    model.rename("a/old", "b/in/new")
    found = [("a/old" in state, state.get("b/in/new")) for state in model.states(range(100))]
    assert set(found) == {(True, None), (False, b"old")}
    model.sync("a")
    assert {("a/old" in state, state.get("b/in/new")) for state in model.states(range(100))} == {(False, b"old")}


def test_of_a_folders_changes_the_first_ones_stay(model: Disk) -> None:
    for name in "123":
        model.create(f"a/{name}")
    found = {tuple(sorted(path for path in state if path.startswith("a/"))) for state in model.states(range(200))}
    assert ("a/2", "a/old") not in found
    assert {("a/old",), ("a/1", "a/old"), ("a/1", "a/2", "a/old"), ("a/1", "a/2", "a/3", "a/old")} <= found


def test_what_was_overwritten_may_be_new_under_its_old_name(model: Disk) -> None:
    model.rename("a/old", "a/gone")
    model.write("a/gone", 0, b"NEW")
    model.sync("a/gone")
    assert b"NEW" in [state.get("a/old") for state in model.states(range(20))]
    assert len({fingerprint(state) for state in model.states(range(20))}) == 2


def test_a_name_that_is_given_again_is_not_lost_by_what_it_named_before(model: Disk) -> None:
    model.mkdir("a/folder")
    model.sync("a")
    model.remove("a/folder")
    model.mkdir("a/folder")
    model.mkdir("a/folder/below")
    model.rename("a/old", "a/folder/below/old")
    model.sync("a/folder/below")
    model.sync("a")
    for state in model.states(range(20)):
        assert state["a/folder/below/old"] == b"old"


def test_a_renamed_file_is_found_in_one_place(model: Disk) -> None:
    """However many folders above it are new."""
    model.mkdir("b/one")
    model.mkdir("b/one/two")
    model.rename("a/old", "b/one/two/old")
    for state in model.states(range(50)):
        assert ("a/old" in state) != ("b/one/two/old" in state)
