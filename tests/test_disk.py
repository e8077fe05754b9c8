"""Durable writing and destroying, on real files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from exchanged import disk, mounts


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


LEASED = """
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
signal.signal(signal.SIGIO, lambda *_: (time.sleep(0.2), fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)))
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
print("leased", flush=True)
time.sleep(60)
"""


def test_a_file_that_a_file_server_has_leased_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    argv = [sys.executable, "-c", LEASED, str(tmp_path / "a")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        if not server.stdout.readline():
            pytest.skip("no leases on this file system")
        assert disk.destroy(tmp_path / "a").method == "overwritten"
        server.kill()
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed_when_destroying(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    end = disk.destroy(tmp_path / "b")
    assert (end.method, end.caveats[0]) == ("unlinked", "not-overwritten")
    assert not (tmp_path / "b").is_symlink()
    assert (tmp_path / "a").read_text() == "x"


def _planted(folder: Path, others: Path) -> None:
    """Names that say that they are ours, put there by somebody else."""
    (folder / f".{'0' * 16}.gone").symlink_to(others)
    os.link(others / "file", folder / f".{'1' * 16}.part")
    os.mkfifo(folder / f".{'2' * 16}.part")
    (folder / f".{'3' * 16}.part").symlink_to(others / "file")
    inside = folder / f".{'4' * 16}.gone"
    inside.mkdir()
    (inside / "link").symlink_to(others)
    os.mkfifo(inside / "pipe")
    os.link(others / "file", inside / "second name")


def test_what_others_have_planted_loses_its_name_and_nothing_behind_it_is_touched(tmp_path: Path) -> None:
    others, folder = tmp_path / "others", tmp_path / "folder"
    others.mkdir(), folder.mkdir()
    (others / "file").write_text("theirs")
    _planted(folder, others)
    assert disk.sweep(folder) == 5
    assert list(folder.iterdir()) == []
    (folder / "link").symlink_to(others)
    disk.destroy_tree(folder / "link")
    assert list(folder.iterdir()) == []
    assert (others / "file").read_text() == "theirs"


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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's folder")
def test_what_cannot_be_destroyed_keeps_nothing_else() -> None:
    """A folder of somebody else's, with something in it, lets only its owner take that away."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        top, program = (
            Path(folder, "top"),
            (
                "import sys; from pathlib import Path; from exchanged import disk; import os; os.setuid(65534)\n"
                "try: disk.sweep(Path(sys.argv[1]))\nexcept PermissionError: print('told')"
            ),
        )
        for name in ("0" * 16, "1" * 16, "2" * 16):
            there = top / f".{name}.gone" / ("theirs" if name[0] == "1" else "ours")
            there.mkdir(parents=True)
            (there / "a").write_text("x"), (there.parent / "b").write_text("x")
        for path in (top, *top.rglob("*")):
            os.chown(path, *((0, 0) if path.parent.name == "theirs" or path.name == "theirs" else (65534, 65534)))
        Path(folder).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", program, str(top)],
            capture_output=True, text=True, check=False, cwd=Path(disk.__file__).parents[1],
        )  # fmt: skip
        assert done.stdout.strip() == "told", done.stderr
        assert sorted(path.name for path in top.rglob("*")) == [f".{'1' * 16}.gone", "a", "theirs"]


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


def test_what_a_pipe_brings_is_written_whole_and_no_more_than_is_allowed(tmp_path: Path) -> None:
    for most, whole in ((10, True), (9, False)):
        out, into = os.pipe()
        os.write(into, b"0123456789")
        os.close(into)
        target = tmp_path / str(most)
        if whole:
            assert disk.receive(out, target, most) == 10
            assert target.read_bytes() == b"0123456789"
            assert target.stat().st_mode & 0o777 == 0o600
        else:
            with pytest.raises(OSError, match="too large"):
                disk.receive(out, target, most)
        os.close(out)


def test_files_that_a_recovery_looks_for_lose_their_names_before_their_content(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_bytes(b"secret")
    held = [os.open(path, os.O_RDONLY) for path in paths]
    assert [end.method for end in disk.destroy_named(paths)] == ["overwritten", "overwritten"]
    assert list(tmp_path.iterdir()) == []
    for fd in held:
        assert os.fstat(fd).st_size == 0
        os.close(fd)
    assert disk.destroy_named([]) == []


def test_a_folder_is_destroyed_whole_and_again_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")
    disk.destroy_tree(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    disk.destroy_tree(tmp_path / "a")


def test_a_folder_that_becomes_a_link_while_it_is_destroyed_is_not_gone_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write there must not lead an overwriting to where only we may write."""
    others = tmp_path / "others"
    for folder in (others, tmp_path / "a" / "b"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("theirs")
    rename = os.rename

    def meddle(old: str, new: Path, **at: int) -> None:
        rename(old, new, **at)
        if old == "b":
            rename(new, tmp_path / "kept")
            new.symlink_to(others)

    monkeypatch.setattr(os, "rename", meddle)
    disk.destroy_tree(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "others"]
    assert (others / "file").read_text() == "theirs"


@pytest.mark.parametrize(
    ("kind", "options", "rotates", "caveats"),
    [
        ("tmpfs", "rw", False, ("swap",)),
        ("ext4", "rw", True, ("names",)),
        ("ext4", "rw,data=journal", True, ("data-journal", "names")),
        ("ext4", "rw,data=ordered", False, ("flash", "names")),
        ("btrfs", "rw", True, ("copy-on-write", "names")),
        ("overlay", "rw", False, ("copy-on-write", "flash", "names")),
        ("nfs4", "rw", True, ("remote", "names")),
        ("fuse.sshfs", "rw", True, ("remote", "names")),
    ],
)
def test_what_overwriting_cannot_promise_is_told_by_file_system_and_device(
    kind: str, options: str, rotates: bool, caveats: tuple[str, ...]
) -> None:
    assert mounts.caveats(kind, options, rotates) == caveats


def test_of_a_folder_that_is_gone_nothing_is_known(tmp_path: Path) -> None:
    assert disk.filesystem(tmp_path / "gone") == ("unknown", ("unknown",))


def test_a_folder_is_not_destroyed_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        disk.destroy(tmp_path / "a")
    assert (tmp_path / "a").is_dir()
