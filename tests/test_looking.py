"""Those who only look: where nothing can be written, and beside a daemon at work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from exchanged import api, reserve
from tests.support import scans
from tests.support.faults import log_of, said
from tests.support.mounts import fill, mount, mounted
from tests.support.world import World

pytestmark = pytest.mark.slow


def test_where_there_is_no_room_for_a_copy_either_the_reserve_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file system for everything."""

    def full(*_: object, **__: object) -> None:
        raise FileNotFoundError("no usable temporary directory")

    with mounted(world.state, "size=48m"):
        world.drop_sheet("一月", 3)
        world.once()
        fill(world.state)
        monkeypatch.setattr("tempfile.TemporaryDirectory", full)
        monkeypatch.setattr("exchanged.statefolder.SHM", str(world.root / "none"))
        assert [one["stem"] for one in api.open_exchange(world.file).list()] == ["一月"]


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_who_only_asks_is_answered_where_nothing_can_be_written(
    world: World, tmp_path: Path, how: str, killed: bool
) -> None:
    """Rows 10 and 12: SQLite writes in order to read; what a killed daemon had only in its log is told too."""
    (tmp_path / "tmp").mkdir()
    world.under = ["env", f"TMPDIR={tmp_path / 'tmp'}"]
    with mounted(world.state, "size=48m"):
        world.drop_sheet("一月", 3)
        world.scan("一月")
        world.once()
        if killed:
            daemon = world.daemon()
            world.drop_sheet("二月", 3, seed=2)
            world.scan("二月")
            world.wait(lambda: len(said(log_of(world), "evidence.written")) == 1)
            daemon.kill()
            daemon.wait()
        parts = ["ledger.db", *(["ledger.db-wal"] if killed else [])]
        left = {part: (world.state / part).read_bytes() for part in parts}
        name = world.ask("list")["batches"][0]["batch"]
        questions = (("list",), ("show", name), ("trace", "1" * 16), ("audit",), ("status",))
        told = [world.ask(*question) for question in questions]
        assert (len(told[0]["batches"]), told[1]["state"], told[3]["ok"]) == (1 + killed, "closed", True)
        for part, content in left.items():  # who asks has tidied up
            (world.state / part).write_bytes(content)
        if how == "full":
            reserve.release(world.state)
            fill(world.state)
        else:
            mount("-o", "remount,ro", str(world.state))
        again = [world.ask(*question) for question in questions]
        assert [one for one in again[:4] if one not in told] == []
        assert again[4]["trouble"] == ("disk.read_only" if how == "read-only" else "disk.full")
        assert all(world.run(*question).returncode == 0 for question in questions if question[0] != "trace")
        assert (world.run("hold").returncode, list((tmp_path / "tmp").iterdir())) == (3, [])
        assert (world.state / "ledger.db").read_bytes() == left["ledger.db"]


def test_an_audit_beside_a_busy_daemon_raises_no_alarm(world: World) -> None:
    world.run("hold")
    pdf, stop, wrong = scans.scan(dpi=150), threading.Event(), []
    for number in range(20):
        world.sheet(f"批{number}", 3, seed=number), world.put(f"批{number}.pdf", pdf)
    world.once()
    world.run("release")

    def look() -> None:
        exchange = api.open_exchange(world.file)
        while not stop.is_set():
            wrong.extend(exchange.audit()["problems"])

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for one in lookers:
        one.start()
    world.once()
    stop.set()
    for one in lookers:
        one.join()
    assert wrong == []


def test_the_daily_verification_needs_no_room_on_any_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from exchanged import inspector

    def full(*_: object, **__: object) -> None:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    world.once()
    one = inspector.Inspector(world.file, lambda _: None)
    one._due = 0.0
    one.look()
    assert one._child is not None
    assert one._child.wait(60) == 0
    assert one._found()["ok"] is True
    assert (world.state / "ledger.db").exists()
