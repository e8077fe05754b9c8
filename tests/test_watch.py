"""What the drop folder's watcher and the intake do about those who keep files and folders open."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from exchanged import config
from exchanged.daemon import Bell, Watch
from exchanged.drop import Group, Item
from exchanged.engine import Engine
from exchanged.stages.intake import Intake
from tests.support.world import World


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The thread that is expected to end says nothing."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    yield


def wait_for(told: Callable[[], object], seconds: float = 10.0) -> bool:
    ends = time.monotonic() + seconds
    while not (found := told()) and time.monotonic() < ends:
        time.sleep(0.02)
    return bool(found)


def test_a_watch_that_went_blind_is_started_again(tmp_path: Path, quiet: None) -> None:
    """A folder that is removed and made again while somebody looks into it ends the library's reader."""
    bell = Bell()
    watch = Watch(tmp_path, bell)
    watch.check()
    folder = tmp_path / "二月"
    looking = None
    for _ in range(2):
        folder.mkdir()
        time.sleep(0.3)
        looking = looking or os.open(folder, os.O_RDONLY)
        folder.rmdir()
        time.sleep(0.3)
    os.close(looking or 0)
    assert wait_for(lambda: not watch._alive()), "the library has learnt to bear it: this test can go"
    watch.check()
    assert watch._alive()
    bell.heard()
    (tmp_path / "一月.csv").touch()
    assert wait_for(bell.heard)
    watch.stop()


def test_a_file_that_is_opened_for_writing_after_the_look_is_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3)
    opened: list[BinaryIO] = []
    rename = Intake._rename

    def beside(self: Intake, group: Group, token: str) -> list[tuple[Item, Path]] | None:
        moved = rename(self, group, token)
        if moved and not opened:
            opened.append(moved[0][1].open("r+b"))
        return moved

    monkeypatch.setattr(Intake, "_rename", beside)
    with closing(Engine(config.load(world.file))) as engine:
        engine.recover()
        engine.tick()
        assert [path.name for path in world.drop.iterdir() if path.suffix == ".csv"] == ["一月.csv"]
        assert engine.ledger.batches() == []
        opened[0].close()
        assert wait_for(lambda: engine.tick() and engine.ledger.batches())
