"""Counts how often a file name has come into being in a folder, by what the kernel says and not by what is left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MOVED_TO, _CREATE = 0x80, 0x100
_EVENT = struct.Struct("iIII")


class Births:
    """Watches one folder from now on. A rename into it counts, and so does the link that OpenSSH makes instead."""

    def __init__(self, folder: Path) -> None:
        self._fd = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or _LIBC.inotify_add_watch(self._fd, os.fsencode(folder), _MOVED_TO | _CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._names: list[str] = []

    def __enter__(self) -> Births:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def of(self, name: str) -> int:
        """How often this name has come into being so far."""
        return self.order().count(name)

    def order(self) -> list[str]:
        """The names that have come into being so far, one after another."""
        with contextlib.suppress(BlockingIOError):
            while raw := os.read(self._fd, 1 << 16):
                at = 0
                while at < len(raw):
                    length = _EVENT.unpack_from(raw, at)[3]
                    at += _EVENT.size + length
                    self._names.append(os.fsdecode(raw[at - length : at].rstrip(b"\0")))
        return self._names
