"""Room that is kept for the ledger."""

from __future__ import annotations

from pathlib import Path

from exchanged import disk, reserve
from tests.support.mounts import mounted


def test_room_is_kept_once_and_given_back_once(tmp_path: Path) -> None:
    assert not reserve.release(tmp_path)
    reserve.keep(tmp_path)
    kept = (tmp_path / reserve.NAME).stat()
    assert kept.st_size == reserve.SIZE
    assert kept.st_blocks * 512 >= reserve.SIZE, "a file of holes keeps no room"
    reserve.keep(tmp_path)
    assert (tmp_path / reserve.NAME).stat().st_ino == kept.st_ino, "one that is whole is left alone"
    assert reserve.release(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_half_a_reserve_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / reserve.NAME).write_bytes(b"x" * 1000)
    reserve.keep(tmp_path)
    assert (tmp_path / reserve.NAME).stat().st_size == reserve.SIZE


def test_nothing_is_kept_where_the_work_needs_the_room_and_nothing_is_said_where_there_is_no_folder(
    tmp_path: Path,
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with mounted(small, f"size={reserve.SIZE + reserve.BESIDE}"):
        reserve.keep(small)
        assert list(small.iterdir()) == []
        assert disk.free(small) <= reserve.SIZE + reserve.BESIDE
    reserve.keep(tmp_path / "nowhere")
    assert not reserve.release(tmp_path / "nowhere")
