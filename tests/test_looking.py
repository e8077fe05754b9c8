"""Commands that only ask, where nothing can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged import api, reserve
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
        assert again[4]["trouble"] == ("disk.read_only" if how == "read-only" else None)
        assert all(world.run(*question).returncode == 0 for question in questions if question[0] != "trace")
        assert (world.run("hold").returncode, list((tmp_path / "tmp").iterdir())) == (3, [])
        assert (world.state / "ledger.db").read_bytes() == left["ledger.db"]
