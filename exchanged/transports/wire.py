"""SFTP version 3 as packets: requests go out in flights, answers come back by number.

Written on paramiko's channel instead of its SFTPClient, which hides the server's extensions, reads packets of any
announced length, and waits for an answer where several requests could travel together.
Ends in NotYet("delivery.timeout" | "delivery.connection_lost"); after that the connection is of no more use.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from exchanged.errors import NotYet
from exchanged.transports import Denied, Reason

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT = 1, 2, 3, 4, 5, 6, 7
REMOVE, STAT, RENAME = 13, 17, 18
STATUS, HANDLE, DATA, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 105, 200, 201
OK, EOF = 0, 1
READING, WRITING, CREATING, EMPTYING, EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20

LONGEST = 512 * 1024  # of any packet we accept
SLICE = 32 * 1024  # what must get through within one timeout
FLIGHT = 256 * 1024  # what a stream gathers before it sends, so that a small package goes in one flight
_REASONS: dict[int, Reason] = {2: "missing", 3: "forbidden", 8: "unsupported"}


class Channel(Protocol):
    """What is used of `paramiko.Channel`."""

    def settimeout(self, timeout: float) -> None: ...
    def send(self, s: bytes) -> int: ...
    def recv(self, nbytes: int) -> bytes: ...


class Reply(NamedTuple):
    """One answer: its kind and what follows its number."""

    kind: int
    body: bytes

    @property
    def status(self) -> int | None:
        return int.from_bytes(self.body[:4]) if self.kind == STATUS and len(self.body) >= 4 else None


def text(value: str | bytes) -> bytes:
    """A length-prefixed string of the protocol."""
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(4) + raw


def number(value: int) -> bytes:
    return value.to_bytes(4)


def long(value: int) -> bytes:
    return value.to_bytes(8)


def broken() -> NotYet:
    """The server said something that is no SFTP."""
    return NotYet("delivery.connection_lost", stage="protocol")


def take_text(body: bytes, at: int = 0) -> tuple[bytes, int]:
    """The string that starts at `at`, and where it ends."""
    end = at + 4 + int.from_bytes(body[at : at + 4])
    if end > len(body):
        raise broken()
    return body[at + 4 : end], end


def done(reply: Reply, operation: str) -> None:
    """Nothing, if the answer is "done"."""
    if reply.status != OK:
        raise denied(reply, operation)


def handle(reply: Reply, operation: str) -> bytes:
    """The handle the server gave."""
    if reply.kind != HANDLE:
        raise denied(reply, operation)
    return take_text(reply.body)[0]


def denied(reply: Reply, operation: str) -> Exception:
    """The refusal in an answer that is not what was asked for, without the server's words: nobody vouches for them."""
    if reply.status is None:
        return broken()
    return Denied(_REASONS.get(reply.status, "failure"), operation)


class Wire:
    """One SFTP session on an open channel. `extensions` are those the server announced, with their data."""

    def __init__(self, channel: Channel, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout
        self._out = bytearray()
        self._in = bytearray()
        self._waiting: dict[int, Reply | None] = {}
        self._unwanted: set[int] = set()
        self._last = 0
        self.used = time.monotonic()
        self.extensions = self._greet()

    def ask(self, kind: int, *fields: bytes) -> int:
        """Put a request into the next flight; its number."""
        self._last = (self._last + 1) & 0xFFFFFFFF
        self._waiting[self._last] = None
        size = 5 + sum(map(len, fields))
        self._out += struct.pack(">IBI", size, kind, self._last)
        for part in fields:
            self._out += part
        return self._last

    def fly(self, least: int = 1) -> None:
        """Send what was asked so far, unless it is less than so many bytes."""
        if len(self._out) < least:
            return
        flight, self._out = memoryview(bytes(self._out)), bytearray()
        while flight:
            try:
                sent = self._send(bytes(flight[:SLICE]))
            except TimeoutError:
                raise NotYet("delivery.timeout", stage="send") from None
            except Exception:  # whatever paramiko's thread died of: it reads what anybody has sent
                raise NotYet("delivery.connection_lost", stage="send") from None
            flight = flight[sent:]
        self.used = time.monotonic()

    def answer(self, request: int) -> Reply:
        """The answer to one request, waiting for it."""
        while (reply := self._waiting[request]) is None:
            self.fly()
            self._receive()
        del self._waiting[request]
        return reply

    def answers(self, *requests: int) -> list[Reply]:
        """Send the flight and wait for the answers to all of these."""
        self.fly()
        return [self.answer(request) for request in requests]

    def one(self, kind: int, *fields: bytes) -> Reply:
        """One request that travels alone."""
        return self.answers(self.ask(kind, *fields))[0]

    def tell(self, kind: int, *fields: bytes) -> None:
        """Send a request whose answer nobody needs."""
        request = self.ask(kind, *fields)
        del self._waiting[request]
        self._unwanted.add(request)
        self.fly()

    def _send(self, piece: bytes) -> int:
        self._channel.settimeout(self._timeout)
        if not (sent := self._channel.send(piece)):
            raise EOFError
        return sent

    def _greet(self) -> dict[str, bytes]:
        self._out += struct.pack(">IBI", 5, INIT, 3)
        self.fly()
        packet = self._packet()
        if packet[0] != VERSION or len(packet) < 5:
            raise broken()
        found, at = {}, 5
        while at < len(packet):
            name, at = take_text(packet, at)
            data, at = take_text(packet, at)
            found[name.decode("ascii", "replace")] = data
        return found

    def _receive(self) -> None:
        packet = self._packet()
        request = int.from_bytes(packet[1:5])
        if len(packet) >= 5 and request in self._unwanted:
            self._unwanted.remove(request)
        elif len(packet) >= 5 and self._waiting.get(request, packet) is None:
            self._waiting[request] = Reply(packet[0], packet[5:])
        else:
            raise broken()
        self.used = time.monotonic()

    def _packet(self) -> bytes:
        self._fill(4)
        size = int.from_bytes(self._in[:4])
        if not 0 < size <= LONGEST:
            raise broken()
        self._fill(4 + size)
        packet = bytes(self._in[4 : 4 + size])
        del self._in[: 4 + size]
        return packet

    def _fill(self, wanted: int) -> None:
        """Receive until `wanted` bytes lie ready. Progress is a slice, or all that is wanted, within one timeout."""
        deadline, goal = time.monotonic() + self._timeout, min(wanted, len(self._in) + SLICE)
        while len(self._in) < wanted:
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self._channel.settimeout(left)
                piece = self._channel.recv(wanted + SLICE)
            except TimeoutError:
                raise NotYet("delivery.timeout", stage="receive") from None
            except Exception:  # as above
                piece = b""
            if not piece:
                raise NotYet("delivery.connection_lost", stage="receive")
            self._in += piece
            if len(self._in) >= goal:
                deadline, goal = time.monotonic() + self._timeout, min(wanted, len(self._in) + SLICE)


class Stream:
    """Many requests, at most `depth` under way, which may change meanwhile; answers taken in order.

    `finish` waits for every answer still due and raises the first refusal only then, so that the session stays in step.
    """

    def __init__(self, wire: Wire, depth: int) -> None:
        self._wire = wire
        self.depth = depth
        self._due: deque[tuple[int, Callable[[Reply], None]]] = deque()
        self._refused: Denied | None = None

    def add(self, take: Callable[[Reply], None], kind: int, *fields: bytes) -> None:
        """Send one more; its answer goes to `take`. First waits for an answer when too many are due."""
        self._due.append((self._wire.ask(kind, *fields), take))
        self._wire.fly(FLIGHT)
        while len(self._due) >= self.depth:
            self._land()

    def land(self) -> None:
        """Wait for all answers that are due."""
        while self._due:
            self._land()

    def finish(self) -> None:
        """The same, and raise the first refusal."""
        self.land()
        if self._refused:
            raise self._refused

    @property
    def refused(self) -> bool:
        """Whether sending more is of no use."""
        return self._refused is not None

    def _land(self) -> None:
        request, take = self._due.popleft()
        reply = self._wire.answer(request)
        try:
            take(reply)
        except Denied as refusal:
            self._refused = self._refused or refusal
