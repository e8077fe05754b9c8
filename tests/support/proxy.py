"""A TCP proxy that misbehaves on order: cuts at any byte of either direction, resets, stalls, slices, delays."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import threading
import time
from collections.abc import Callable
from typing import Literal

Cut = Literal["close", "reset", "stall"]
_LIBC = ctypes.CDLL(None, use_errno=True)


class Proxy:
    """A TCP proxy to a local port. Each connection dies, or falls silent, after so many bytes in one direction.

    up and down: bytes let through towards and from the server (None = all). how: what happens then; stall = True is
    short for it. times: how many connections are treated so; later ones go through. slices: bytes passed on at a time,
    each `delay` seconds after the one before. at: the address it listens at. turns: how often the talk turned to the
    server.
    """

    def __init__(
        self,
        target: int,
        up: int | None = None,
        down: int | None = None,
        *,
        how: Cut = "close",
        stall: bool = False,
        times: int = 1,
        slices: int = 65536,
        delay: float = 0.0,
        at: str = "127.0.0.1",
    ) -> None:
        self.target, self.times = target, times
        self._limits = {"seen_up": up, "seen_down": down}
        self.how: Cut = "stall" if stall else how
        self.slices, self.delay = slices, delay
        self.seen_up = self.seen_down = 0
        self.count = self.turns = 0
        self._last = ""
        self._when: Callable[[], bool] = lambda: True
        self._open: list[socket.socket] = []
        family = socket.AF_INET6 if ":" in at else socket.AF_INET
        self._listener = socket.create_server((at, 0), family=family)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._listener)
        for sock in self._open:
            _end(sock)

    def arm(self, direction: Literal["up", "down"], more: int, when: Callable[[], bool] = lambda: True) -> None:
        """Let through only so many more bytes of the only connection there is, and what comes before `when` says so."""
        counter = f"seen_{direction}"
        self._when = when
        self._limits[counter] = getattr(self, counter) + more

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bad = self.count < self.times
            self.count += 1
            self._open += [near, far]
            threading.Thread(target=self._pump, args=(near, far, bad, "seen_up"), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, bad, "seen_down"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, bad: bool, counter: str) -> None:
        passed = 0
        while True:
            try:
                data = source.recv(self.slices)
                if not data:
                    _end(source), _end(sink)
                    return
                limit = self._limits[counter] if bad else None
                over = limit is not None and passed + len(data) > limit and self._when()
                if over and limit is not None:
                    data = data[: max(0, limit - passed)]
                if self.delay:
                    time.sleep(self.delay)
                # counted before it is passed on: whoever has received it finds it counted
                passed += len(data)
                self.turns += counter == "seen_up" and self._last == "seen_down"
                self._last = counter
                setattr(self, counter, getattr(self, counter) + len(data))
                sink.sendall(data)
                if over:
                    if self.how != "stall":
                        _end(source, self.how), _end(sink, self.how)
                    return
            except OSError:
                _end(source), _end(sink)
                return


def _end(sock: socket.socket, how: Cut = "close") -> None:
    """End a connection: with all it has sent still arriving, or by a reset that throws away what is under way."""
    with contextlib.suppress(OSError):
        if how == "reset":  # closing would wait for the other thread in recv: connecting to nowhere resets at once
            _LIBC.connect(sock.fileno(), bytes(16), 16)
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
