"""A kill, a full disk, a broken disk at the system calls of a batch's life: nothing lost, twice, or left behind.

A sample of all the points; `make torture` tries every one. What had once gone wrong is tried by name.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.lives import LIVES
from tests.support.sweep import Point, Stage, points, strike, strike_where
from tests.support.syscalls import Call

SAMPLE = {"kill": 11, "kill-early": 4, "kill-child": 1, "ENOSPC": 4, "EIO": 5, "EROFS": 2}  # points of each life


def sample(stage: Stage, life: str, fault: str) -> list[Point]:
    """Some points of a life, spread over all of it; the same ones at every run."""
    (chosen,) = [one for one in LIVES if one.name == life]
    found = list(points(stage, fault, [chosen]))
    count = min(SAMPLE[fault], len(found))
    first = random.Random(f"{life} {fault}").random()
    return [found[int(len(found) * (step + first) / count)] for step in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("fault", SAMPLE)
@pytest.mark.parametrize("life", [life.name for life in LIVES])
def test_a_fault_at_any_call_loses_nothing_sends_nothing_twice_and_leaves_nothing(
    stage: Stage, life: str, fault: str
) -> None:
    found = sample(stage, life, fault)
    assert found or fault in ("kill-early", "kill-child")
    for point in found:
        try:
            strike(stage, point)
        except AssertionError as error:
            raise AssertionError(f"{point}: {error}") from None


def first(name: str, *parts: str, skip: int = 0) -> Callable[[Call], bool]:
    """Picks the first call of this name whose paths have all of these parts, or a later one."""
    left = skip

    def here(call: Call) -> bool:
        nonlocal left
        if not call.name.startswith(name) or not all(part in " ".join(call.paths) for part in parts):
            return False
        left -= 1
        return left < 0

    return here


@pytest.mark.parametrize(
    ("life", "phase", "here"),
    [
        pytest.param("withdrawn", 2, first("unlink", "/spool/"), id="withdrawn: given back, being destroyed"),
        pytest.param("withdrawn", 2, first("rename", "/rejected/"), id="withdrawn: being given back"),
        pytest.param("both", 0, first("unlink", "/spool/", skip=1), id="delivered: one of its files destroyed"),
        pytest.param("rejected", 0, first("rmdir", "/drop/.exchanged", skip=1), id="claimed: empty folder left"),
        pytest.param("both", 0, first("rename", "/spool/"), id="entered, and its folder has no name yet"),
        pytest.param("both", 0, first("unlink", "/drop/", skip=1), id="entered, one original destroyed"),
        pytest.param("folder", 0, first("rename", "/drop/", skip=1), id="claimed: one file of three taken"),
        pytest.param("both", 0, first("link", ".#lk"), id="gpg holds a lock"),
        pytest.param("rejected", 0, first("open", "annotated.xlsx"), id="given back: its workbook is being made"),
        pytest.param("printed", 1, first("unlink", "/forms/"), id="confirmed: its form is being taken away"),
    ],
)
def test_a_kill_where_it_once_hurt(stage: Stage, life: str, phase: int, here: Callable[[Call], bool]) -> None:
    assert strike_where(stage, life, phase, "kill", here)


@pytest.mark.parametrize("what", ["ledger.db-wal", "/spool/", "/outbox/", "/evidence", "/receipts"])
def test_an_fsync_that_fails_ends_the_process(stage: Stage, what: str) -> None:
    assert strike_where(stage, "both", 0, "EIO", lambda call: call.name in ("fsync", "fdatasync") and what in call.path)


@pytest.mark.parametrize("fault", ["ENOSPC", "EROFS"])
def test_a_ledger_that_cannot_be_written_stops_the_work_and_nothing_else(stage: Stage, fault: str) -> None:
    assert strike_where(stage, "later", 1, fault, first("pwrite64" if fault == "ENOSPC" else "open", "ledger.db-wal"))


@pytest.mark.parametrize("call", ["open", "rename"])
def test_a_form_is_taken_away_though_the_scan_came_while_nobody_was_there(stage: Stage, call: str) -> None:
    """Killed at writing the form; the next start finds the scan beside it, and never offers the form again."""
    assert strike_where(stage, "later", 0, "kill-early", first(call, "/forms/"))
    assert strike_where(stage, "later", 0, "kill-early", first("pwrite64", "ledger.db-wal", skip=20))


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EROFS"])
def test_a_state_folder_that_takes_no_lock_is_said_to_be_so(stage: Stage, fault: str) -> None:
    assert strike_where(stage, "both", 0, fault, first("open", "/state/lock"))


@pytest.mark.parametrize("call", ["mkdir", "chmod"])
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EROFS"])
def test_a_state_folder_that_takes_no_other_folders_is_said_to_be_so(stage: Stage, fault: str, call: str) -> None:
    assert strike_where(stage, "both", 0, fault, first(call, "/state/outbox"))


def test_an_error_that_sqlite_passes_over_does_not_stop_the_work(stage: Stage) -> None:
    """The name of its log is synced once more, by ourselves: see `test_ledger_odd.py`."""
    assert strike_where(stage, "held", 4, "EIO", lambda call: call.name == "fdatasync" and call.path.endswith("/state"))


def test_what_gpg_could_not_take_away_is_taken_away_at_the_end(stage: Stage) -> None:
    unlinked = first("unlink", "/.#lk", skip=2)
    # the names that end in x are tried while it locks, and it waits a minute for those
    assert strike_where(stage, "printed", 1, "EIO", lambda call: not call.path.endswith("x") and unlinked(call))
