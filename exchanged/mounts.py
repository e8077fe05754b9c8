"""What kind of file system a path lies on, and what overwriting a file cannot promise there. Reads what Linux tells."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_COPY_ON_WRITE = {"btrfs", "zfs", "bcachefs", "f2fs", "overlay"}
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "sshfs", "glusterfs", "ceph"}


def described(device: int, path: str) -> tuple[str, tuple[str, ...]]:
    """Type of the file system that holds `path`, which lies on this device, and the caveats (`disk.Destroyed`)."""
    kind, options = _mount(path)
    return kind, caveats(kind, options, _rotates(device))


def caveats(kind: str, options: str, rotates: bool) -> tuple[str, ...]:
    """What overwriting cannot promise on a file system of this kind, mounted so, on such a device."""
    if kind in {"tmpfs", "ramfs"}:
        return ("swap",)
    caveats = []
    if kind in _COPY_ON_WRITE:
        caveats.append("copy-on-write")
    if kind in _REMOTE or kind.startswith("fuse"):
        caveats.append("remote")
    if "data=journal" in options:
        caveats.append("data-journal")
    if not rotates:
        caveats.append("flash")
    return (*caveats, "names")


def _mount(path: str) -> tuple[str, str]:
    """Type and options of the mount that holds `path`: the one with the longest mount point above it."""
    real, best = os.path.realpath(path), ("", "unknown", "")
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            left, _, right = line.partition(" - ")
            fields, tail = left.split(), right.split()
            point = re.sub(
                r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4]
            )  # as the kernel writes blanks
            above = real == point or real.startswith(point.rstrip("/") + "/")
            if above and len(point) >= len(best[0]):
                best = (point, tail[0], tail[2] if len(tail) > 2 else "")
    return best[1], best[2]


def _rotates(device: int) -> bool:
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    for where in (block / "queue/rotational", block / "../queue/rotational"):
        with contextlib.suppress(OSError):
            return where.read_text().strip() == "1"
    return False
