"""Durable writing and destroying, on real files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from exchanged import disk


def test_a_file_appears_whole_under_its_name_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    disk.write(tmp_path / "a", [b"one", b"two"], 0o640)
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_write_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    disk.write(tmp_path / "a", b"old")

    def broken() -> object:
        yield b"new"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        disk.write(tmp_path / "a", broken())  # type: ignore[arg-type]
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_destroyed_is_overwritten_before_its_name_goes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"secret" * 500_000)
    fd = os.open(path, os.O_RDONLY)
    other = os.open(path, os.O_RDONLY)
    end = disk.destroy(path)
    assert (end.method, end.bytes) == ("overwritten", 3_000_000)
    assert os.fstat(fd).st_size == 0
    assert list(tmp_path.iterdir()) == []
    os.close(fd)
    os.close(other)


def test_the_content_is_random_before_it_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "a", []
    path.write_bytes(b"secret" * 500_000)
    real = os.ftruncate

    def look(fd: int, size: int) -> None:
        with open(f"/proc/self/fd/{fd}", "rb") as file:  # noqa: PTH123
            seen.append(file.read())
        real(fd, size)

    monkeypatch.setattr(os, "ftruncate", look)
    disk.destroy(path)
    assert len(seen[0]) == 3_000_000
    assert b"secret" not in seen[0]


def test_destroying_what_is_gone_already_says_so(tmp_path: Path) -> None:
    assert disk.destroy(tmp_path / "a").method == "absent"


def test_a_link_is_not_followed_when_destroying(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        disk.destroy(tmp_path / "b")
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's file")
def test_a_file_that_is_not_ours_to_write_is_unlinked_and_that_is_recorded() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        path = Path(folder, "a")
        path.write_text("clerk")
        path.chmod(0o644)
        program = (
            f"import os, sys; sys.path.insert(0, {str(Path(disk.__file__).parents[1])!r}); from exchanged import disk;"
            f"from pathlib import Path; os.setuid(65534); end = disk.destroy(Path({str(path)!r}));"
            "print(end.method, end.caveats[0])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["unlinked", "not-overwritten"], done.stderr
        assert not path.exists()


def test_leftovers_of_interrupted_runs_are_swept_and_nothing_else(tmp_path: Path) -> None:
    ours = (".0123456789abcdef.part", ".0123456789abcdef.gone", ".fedcba9876543210.gone")
    for name in (*ours[:2], ".0123.part", "a.part", ".hidden", ".clerk.part", "b"):
        (tmp_path / name).write_text("x")
    (tmp_path / ours[2] / "deeper").mkdir(parents=True)
    (tmp_path / ours[2] / "deeper" / "a").write_text("x")
    assert disk.sweep(tmp_path) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [".0123.part", ".clerk.part", ".hidden", "a.part", "b"]


def test_a_copy_is_exact_and_hashed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(3_000_000))
    fd = os.open(tmp_path / "a", os.O_RDONLY)
    size, digest = disk.copy(fd, tmp_path / "b")
    os.close(fd)
    assert (size, digest) == (3_000_000, disk.sha256(tmp_path / "a"))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_an_fsync_that_fails_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(5, "EIO")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(disk.DurabilityLost):
        disk.write(tmp_path / "a", b"x")
    assert not issubclass(disk.DurabilityLost, Exception), "no handler of the engine's may swallow it"


def test_a_tmpfs_is_told_from_a_disk() -> None:
    if Path("/dev/shm").is_dir():
        assert disk.filesystem(Path("/dev/shm")) == ("tmpfs", ("swap",))
    kind, caveats = disk.filesystem(Path(__file__).parent)
    assert kind not in ("", "tmpfs")
    assert "swap" not in caveats


def test_more_than_was_allowed_through_a_pipe_is_an_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x" * 11)
    os.close(writing)
    with pytest.raises(OSError) as told:
        disk.receive(reading, tmp_path / "a", 10)
    os.close(reading)
    assert told.value.errno == errno.EFBIG


def test_nothing_to_destroy_is_no_trouble() -> None:
    assert disk.destroy_named([]) == []


@pytest.mark.parametrize(
    ("mount", "rotates", "caveats"),
    [
        (("btrfs", "rw"), True, ("copy-on-write", "names")),
        (("zfs", "rw"), True, ("copy-on-write", "names")),
        (("nfs4", "rw"), True, ("remote", "names")),
        (("cifs", "rw"), True, ("remote", "names")),
        (("fuse.sshfs", "rw"), True, ("remote", "names")),
        (("ext4", "rw,data=journal"), True, ("data-journal", "names")),
        (("ext4", "rw,data=ordered"), True, ("names",)),
        (("ext4", "rw"), False, ("flash", "names")),
        (("tmpfs", "rw"), False, ("swap",)),
    ],
)
def test_what_overwriting_cannot_promise_depends_on_the_file_system(
    mount: tuple[str, str], rotates: bool, caveats: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_mount", lambda *_: mount)
    monkeypatch.setattr(disk, "_rotates", lambda *_: rotates)
    assert disk._filesystem.__wrapped__(0, "/x") == (mount[0], caveats)


def test_a_folder_that_is_gone_has_an_unknown_file_system_and_a_device_of_no_disk_does_not_rotate(
    tmp_path: Path,
) -> None:
    assert disk.filesystem(tmp_path / "nowhere") == ("unknown", ("unknown",))
    assert not disk._rotates(os.makedev(0, 999))
