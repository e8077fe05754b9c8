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
