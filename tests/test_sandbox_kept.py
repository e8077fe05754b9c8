"""Children that are kept: for the jobs of one batch, and for a few small batches in a row."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from exchanged.sandbox import SHELF, TURNS, JobError, Sandbox
from tests.test_sandbox import SMALL, box, deed, gone

__all__ = ["box"]


def test_jobs_of_one_thread_may_share_a_child_and_others_do_not(box: Sandbox) -> None:
    def pid() -> int:
        return int(box.run("echo", {}, limits=SMALL).value["pid"])

    with box.keep(1 << 30):
        first, second = pid(), pid()
        others: list[int] = []
        thread = threading.Thread(target=lambda: others.append(pid()))
        thread.start()
        thread.join()
    assert first == second
    assert first not in (*others, pid())


def turn(box: Sandbox, *, spent: bool = False, memory: int = 1 << 30) -> int:
    """One batch's turn with a child that may serve again; gives its process number."""
    with box.keep(memory, again=True):
        pid = int(box.run("echo", {}, limits=SMALL).value["pid"])
        if spent:
            box.spend()
        return pid


def test_a_child_may_serve_again_within_the_same_bounds_and_only_so_often(box: Sandbox) -> None:
    pids = [turn(box) for _ in range(TURNS + 1)]
    assert len(set(pids[:TURNS])) == 1
    assert pids[TURNS] != pids[0] and gone(pids[0])
    assert turn(box, memory=(1 << 30) + 1) != pids[TURNS]


def test_a_turn_without_a_job_takes_no_child_and_does_not_count(box: Sandbox) -> None:
    first = turn(box)
    with box.keep(1 << 30, again=True):
        assert turn_of_another_thread(box) == first
    for _ in range(TURNS):
        with box.keep(1 << 30, again=True):
            pass
    assert turn(box) == first


def turn_of_another_thread(box: Sandbox) -> int:
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(turn(box)))
    thread.start()
    thread.join()
    return pids[0]


def test_a_child_that_met_a_bad_file_or_a_fault_never_serves_again(box: Sandbox) -> None:
    first = turn(box, spent=True)
    assert gone(first)
    second = turn(box)
    with pytest.raises(JobError), box.keep(1 << 30, again=True):
        deed(box, "complain")
    assert gone(second)
    with pytest.raises(RuntimeError), box.keep(1 << 30, again=True):
        third = box.run("echo", {}, limits=SMALL).value["pid"]
        raise RuntimeError
    assert gone(third)


def test_children_that_wait_for_another_turn_are_ended_soon(box: Sandbox) -> None:
    waiting = turn(box)
    box.rest()
    assert turn(box) == waiting
    time.sleep(SHELF + 0.1)
    box.rest()
    assert gone(waiting) and box.pid is not None


def test_a_kept_child_that_died_is_replaced(box: Sandbox) -> None:
    with box.keep(1 << 30):
        first = box.run("echo", {}, limits=SMALL).value["pid"]
        os.kill(first, signal.SIGKILL)
        assert box.run("echo", {}, limits=SMALL).value["pid"] != first
