"""Several at once: two daemons, a daemon and the operator's commands, and those who only look."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchanged.errors import NotYet
from exchanged.statefolder import lock, locked
from tests.support.judge import judge
from tests.support.races import race
from tests.support.world import World


@pytest.mark.slow
def test_of_two_daemons_started_at_once_exactly_one_wins(world: World) -> None:
    for _ in range(6):
        race(world)
    judge(world)


def test_looking_whether_someone_works_takes_nothing(tmp_path: Path) -> None:
    """Two that look at the same moment do not see each other, and no start fails because someone looks."""
    done, seen = threading.Event(), threading.Semaphore(0)

    def look() -> None:
        while not done.is_set():
            if locked(tmp_path):
                seen.release()

    assert not locked(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        try:
            for turn in range(300):
                with lock(tmp_path):
                    assert locked(tmp_path)
                    with pytest.raises(NotYet, match=r"daemon\.running"), lock(tmp_path):
                        raise AssertionError
                    if turn % 100 == 0:
                        assert seen.acquire(timeout=60)
        finally:
            done.set()
    for looker in lookers:
        looker.result()
    assert not locked(tmp_path)


def test_a_lock_ends_with_its_process_whatever_its_children_do(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3)
    daemon = world.daemon()
    world.wait(lambda: world.ask("list")["batches"])
    daemon.kill()
    daemon.wait()
    assert not locked(world.state)


@pytest.mark.slow
def test_a_daemon_and_the_operator_get_along(world: World) -> None:
    world.configure(intake={"settle": "0s", "rescan": "1s"})
    daemon = world.daemon()
    world.wait(lambda: locked(world.state))
    dropped, done = {}, threading.Event()
    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(bother, world, number, done) for number in range(4)]
        try:
            for number in range(6):
                stem = f"第{number}批"
                dropped[stem] = world.drop_sheet(stem, 3, seed=number)
                time.sleep(1)
                world.scan(stem)
        finally:
            done.set()
    for worker in workers:
        assert worker.result() > 0
    released = [one["batch"] for one in world.ask("list")["batches"] if one["state"] == "held"]
    if released:
        world.run("release", *released)
    world.run("release")
    world.wait(lambda: len(closed(world)) == 6, 150)
    daemon.terminate()
    assert daemon.wait(30) == 0
    judge(world, dropped, log=(world.root / "log").read_text())


def bother(world: World, number: int, done: threading.Event) -> int:
    """Give commands until it is enough; gives how many. None may end in any way that is not documented."""
    commands = (("once", "--json"), ("audit", "--json"), ("status", "--json"), ("hold",), ("release",))
    told = 0
    while not done.is_set():
        words = commands[(told + number) % len(commands)]
        ended = world.run(*words)
        assert ended.returncode == {"once": 3}.get(words[0], 0), (words, ended.stdout, ended.stderr)
        if words[0] == "once":
            assert json.loads(ended.stdout)["code"] == "daemon.running"
        for batch in world.ask("list")["batches"]:
            for word in ("hold", "release", "retry")[number % 3 :]:
                ended = world.run(word, batch["batch"])
                assert ended.returncode in (0, 3), (word, ended.stderr)
        told += 1
    return told


def closed(world: World) -> list[str]:
    return [one["batch"] for one in world.ask("list")["batches"] if one["state"] == "closed"]


def test_a_second_daemon_says_that_there_is_one(world: World) -> None:
    world.daemon()
    world.wait(lambda: locked(world.state))
    second = world.run("run")
    assert second.returncode == 3
    assert "folders.state" in second.stderr or "state folder" in second.stderr
