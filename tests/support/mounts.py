"""Small file systems of their own under the folders of an installation: full, without inodes, read-only, gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs in place of a folder, with what was in it. Skips where nothing may be mounted."""
    inside = folder.with_name(f"{folder.name}.before")
    shutil.copytree(folder, inside)
    mount("-t", "tmpfs", "-o", f"{options},mode={folder.stat().st_mode & 0o777:o}", "tmpfs", str(folder))
    try:
        shutil.copytree(inside, folder, dirs_exist_ok=True)
        shutil.rmtree(inside)
        yield folder
    finally:
        unmount(folder)


class Image:
    """An ext4 of its own in place of a folder, that can be made to break as a bad disk breaks it, and be repaired."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder.with_name(f"{folder.name}.ext4")
        if not shutil.which("mkfs.ext4"):
            pytest.skip("mkfs.ext4 is not installed (Debian: apt-get install e2fsprogs)")
        with self._file.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(self._file)], check=True)

    def attach(self) -> None:
        """Mount it; what the folder held before is hidden."""
        mount("-o", "loop", str(self._file), str(self.folder))
        shutil.rmtree(self.folder / "lost+found")
        self.folder.chmod(0o700)

    def spoil(self) -> None:
        """The kernel finds an error: from now on nothing can be written, not even through open files."""
        mount("-o", "remount,abort", str(self.folder))

    def repair(self) -> None:
        """Check it and mount it anew."""
        unmount(self.folder)
        subprocess.run(["fsck.ext4", "-p", "-f", str(self._file)], capture_output=True, check=False)
        mount("-o", "loop", str(self._file), str(self.folder))


def mount(*arguments: str) -> None:
    """mount(8), or a reason to skip."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root mounts file systems")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Take a file system away, used or not."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def fill(folder: Path, leave: int = 0) -> Path:
    """Use up the room of a file system but for so many bytes. Gives the file to delete."""
    filler = folder / ".filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while (room := _free(folder) - leave) > 0:
            if not file.write(b"\0" * min(room, 1 << 20)):
                break
    return filler


def use_inodes(folder: Path) -> Path:
    """Use up the inodes. Gives the folder to delete."""
    many = folder / ".many"
    many.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1_000_000):
            (many / str(number)).touch()
    return many


def _free(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize
