"""状态.txt in the drop folder: what waits, for what, until when; rewritten only when that changes."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest

from exchanged import config, drop
from exchanged.drop import BOARD, ignored
from exchanged.engine import Engine
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("warm")


def shown(world: World) -> str:
    path = world.drop / BOARD
    return path.read_text() if path.exists() else ""


def mark(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns


@pytest.fixture
def quick(world: World) -> World:
    world.configure(intake={"settle": "1s", "rescan": "1s"})
    return world


def test_the_clerk_reads_what_waits_until_nothing_waits(quick: World) -> None:
    quick.drop.chmod(0o2750)
    quick.daemon()
    quick.sheet("一月")
    quick.scan("二月")
    quick.wait(lambda: "● 一月" in shown(quick) and "● 二月.pdf" in shown(quick))
    text = shown(quick)
    batch = quick.ask("list")["batches"][0]["batch"]
    days = time.strftime("%Y-%m-%d", time.localtime(time.time() + 30 * 86400))
    assert batch in text
    assert len(re.findall(rf"waits until +{days}", text)) == 2
    assert "the spreadsheet" in text
    assert (quick.drop / BOARD).stat().st_mode & 0o777 == 0o640
    before = mark(quick.drop / BOARD)
    time.sleep(3)  # three rescans and rounds
    assert mark(quick.drop / BOARD) == before
    quick.scan("一月")
    quick.wait(lambda: "● 一月" not in shown(quick))
    assert "● 二月.pdf" in shown(quick)
    quick.sheet("二月", seed=2)
    quick.wait(lambda: not (quick.drop / BOARD).exists())
    quick.wait(lambda: {one["state"] for one in quick.ask("list")["batches"]} == {"closed"})


def test_scans_that_wait_in_lanes_and_held_batches_stand_on_the_same_board(quick: World) -> None:
    quick.scan("更正/三月")
    quick.sheet("一月")
    quick.once()
    batch = quick.ask("list")["batches"][0]["batch"]
    quick.run("hold", batch)
    quick.daemon()
    quick.wait(lambda: "held" in shown(quick))
    assert "● 更正/三月.pdf" in shown(quick)
    assert "Tell the operator." in shown(quick)
    assert not (quick.drop / "更正" / BOARD).exists()
    quick.run("release", batch)
    quick.wait(lambda: "Tell the operator." not in shown(quick) and "● 一月" in shown(quick))


def test_a_paused_delivery_and_a_server_that_is_away_are_told(quick: World) -> None:
    quick.sheet("一月")
    quick.scan("一月")
    quick.run("hold")
    quick.once()
    assert "delivery was paused by the operator" in shown(quick)
    quick.server.stop()
    quick.run("release")
    quick.once()
    assert "next try" in shown(quick)
    assert "delivery was paused" not in shown(quick)


def test_a_restart_leaves_a_true_board_alone_and_mends_a_changed_one(quick: World) -> None:
    quick.sheet("一月")
    quick.once()
    path = quick.drop / BOARD
    before, text = mark(path), path.read_bytes()
    quick.once()
    assert mark(path) == before
    path.write_text("x")
    quick.once()
    assert path.read_bytes().splitlines()[2:] == text.splitlines()[2:]
    path.unlink()
    path.symlink_to(quick.root / "elsewhere")
    quick.once()
    assert not path.is_symlink()
    assert not (quick.root / "elsewhere").exists()


def test_a_board_that_cannot_be_written_stops_nothing(quick: World) -> None:
    (quick.drop / BOARD / "x").mkdir(parents=True)
    daemon = quick.daemon()
    quick.sheet("一月")
    quick.wait(lambda: b"intake.board_failed" in (quick.root / "log").read_bytes())
    quick.scan("一月")
    quick.wait(lambda: list(quick.receipts.glob("*.txt")))
    assert daemon.poll() is None
    assert (quick.root / "log").read_bytes().count(b"intake.board_failed") == 1


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_the_board_is_never_taken_for_a_clerks_file(form: str, quick: World) -> None:
    name = unicodedata.normalize(form, BOARD)  # type: ignore[arg-type]
    assert ignored(name)
    assert ignored(name.upper())
    assert ignored("状态．ｔｘｔ")
    assert not ignored("状态.csv")
    if form == "NFC":
        old = quick.put(name, b"by hand")
        quick.put(f"更正/{name}", b"a copy")
        os.utime(old)
        assert quick.once() == {"format": "exchanged-once/1", "batches": [], "pending": 0, "rejected": 0}


def test_what_an_interrupted_writing_left_in_the_drop_folder_is_cleared_and_nothing_of_others(world: World) -> None:
    for name in (".0123456789abcdef.part", ".下载.part"):
        (world.drop / name).write_text("x")
    world.once()
    assert [path.name for path in world.drop.iterdir()] == [".下载.part"]


def test_files_in_folders_of_folders_are_told_since_nobody_looks_there(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.put("夹/深/一月.csv", b"x")
    (world.drop / "夹" / "@eaDir").mkdir()
    world.once()
    assert "1 folder(s) inside a sub-folder" in shown(world)
    (world.drop / "夹" / "深").rename(world.drop / "深")
    world.once()
    assert not shown(world)


def test_what_somebody_has_open_or_may_not_be_taken_stands_there_by_name(
    quick: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "LONG", 0.1)
    quick.sheet("一月", 3)
    quick.sheet("二月/甲", 3, seed=1)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "二月" and access(path, mode))
    with closing(Engine(config.load(quick.file))) as engine, (quick.drop / "一月.csv").open("r+b"):
        engine.recover()
        for _ in range(8):
            engine.tick()
            time.sleep(0.2)
        engine.post(final=True)
        said = shown(quick)
    assert re.search(r"● 一月\.csv\s+why it waits\s+still open in a program", said)
    assert re.search(r"● 二月\s+why it waits\s+may not be read", said)


def test_another_drop_folder_begins_with_a_board_of_its_own(quick: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was open in the former folder is not looked for in the new one."""
    monkeypatch.setattr(drop, "LONG", 0.1)
    quick.sheet("一月", 3)
    with closing(Engine(config.load(quick.file))) as engine, (quick.drop / "一月.csv").open("r+b"):
        engine.recover()
        for _ in range(8):
            engine.tick()
            time.sleep(0.2)
        assert engine._lying
        other = quick.root / "other"
        other.mkdir()
        quick.configure(folders={"drop": str(other)})
        engine.reload(config.load(quick.file))
        engine.post(final=True)
        assert list(other.iterdir()) == []
