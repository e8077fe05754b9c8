"""SFTP by public key to a pinned host, over one kept connection.

Takes   an Endpoint; then remote paths of our own making, never names the server sent
Gives   a `Server` of the contract in `exchanged.transports`
Ends    Denied for one refused operation, NotYet for a connection that is lost, stalled or cannot be made
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from exchanged.errors import NotYet
from exchanged.transports import Denied, Endpoint, Entry, Progress, ssh
from exchanged.transports import wire as w

BLOCK = 32 * 1024  # of a write: every server takes it, larger ones are no faster, and its answer is the only progress
LARGEST = 255 * 1024
SMALLEST = 1024  # nobody is believed who wants less at a time
UNDER_WAY = 4 << 20  # bytes asked for and not yet there: enough for a long line, and no buffer fills up
FSYNC, POSIX, STATVFS, LIMITS = (f"{name}@openssh.com" for name in ("fsync", "posix-rename", "statvfs", "limits"))
CHECKS = ("check-file-handle", "check-file")
_SIZE, _OWNER, _MODE = 1, 2, 4


def _synced(reply: w.Reply) -> None:
    """Some servers announce fsync and do not know it: then it is as if they had not."""
    try:
        w.done(reply, "fsync")
    except Denied as refusal:
        if refusal.reason != "unsupported":
            raise


def _done(operation: str) -> Callable[[w.Reply], None]:
    return lambda reply: w.done(reply, operation)


def _data(reply: w.Reply) -> bytes:
    """What was read; nothing at the end of the file."""
    if reply.status == w.EOF:
        return b""
    if reply.kind != w.DATA:
        raise w.denied(reply, "read")
    return w.take_text(reply.body)[0]


def _sha256(body: bytes) -> str:
    """The hash in a check-file answer: some servers put "check-file" before the algorithm's name."""
    name, at = w.take_text(body)
    if name == b"check-file":
        name, at = w.take_text(body, at)
    if name != b"sha256" or len(body) - at != 32:
        raise Denied("unsupported", "hash")
    return body[at:].hex()


def _entry(reply: w.Reply, operation: str) -> Entry:
    if reply.kind != w.ATTRS:
        refusal = w.denied(reply, operation)
        if not isinstance(refusal, Denied):
            raise refusal
        if refusal.reason == "missing":
            return Entry("absent")
        return Entry("unknown")
    flags, at = int.from_bytes(reply.body[:4]), 4
    size = int.from_bytes(reply.body[at : at + 8]) if flags & _SIZE else None
    at += 8 * bool(flags & _SIZE) + 8 * bool(flags & _OWNER)
    mode = int.from_bytes(reply.body[at : at + 4]) if flags & _MODE else stat.S_IFREG
    if not stat.S_ISREG(mode):
        return Entry("other")
    return Entry("unknown") if size is None else Entry("file", size)


class SftpServer:
    """The far end of one live line."""

    def __init__(self, line: ssh.Line) -> None:
        self.line = line
        self._wire = line.wire
        self._reads, self._writes = self._blocks()
        self._short = 0  # bytes of the last answer that was shorter than asked for

    @property
    def host_key(self) -> str:
        return self.line.host_key

    def offers(self, extension: str) -> bool:
        """Whether the server announced this extension."""
        return extension in self._wire.extensions

    def look(self, *paths: str) -> list[Entry]:
        asked = [self._wire.ask(w.LSTAT, w.text(path)) for path in paths]
        return [_entry(reply, "stat") for reply in self._wire.answers(*asked)]

    def folder(self, path: str) -> bool:
        """Whether a folder lies there, links followed. Where the server does not say, writing will tell."""
        reply = self._wire.one(w.STAT, w.text(path))
        if reply.kind == w.ATTRS and not int.from_bytes(reply.body[:4]) & _MODE:
            return True
        return _entry(reply, "stat").kind in ("other", "unknown")

    def put(
        self,
        source: BinaryIO,
        path: str,
        size: int,
        offset: int = 0,
        progress: Progress | None = None,
        *,
        over: bool = False,
    ) -> None:
        handle = w.text(self._over(path, offset) if over else self._new(path))
        stream = w.Stream(self._wire, UNDER_WAY // self._writes)
        with self._in_step():
            source.seek(offset)
            while offset < size and not stream.refused and (block := source.read(min(self._writes, size - offset))):
                stream.add(_done("write"), w.WRITE, handle, w.long(offset), w.text(block))
                offset += len(block)
                if progress:
                    progress(len(block))
            stream.land()  # some servers do not keep the order of what is under way: the file would be closed first
            if self.offers(FSYNC):
                stream.add(_synced, w.EXTENDED, w.text(FSYNC), handle)
            stream.add(_done("close"), w.CLOSE, handle)
            stream.finish()

    def digest(self, path: str, size: int, progress: Progress | None = None) -> str | None:
        handle = w.text(self._open(path, w.READING))
        hashed, whole = hashlib.sha256(), True
        stream = w.Stream(self._wire, UNDER_WAY // self._reads)

        def take(reply: w.Reply, offset: int, length: int) -> None:
            nonlocal whole
            due = deque([(reply, offset, length)])
            while due and whole:
                reply, offset, length = due.popleft()
                data = _data(reply)
                hashed.update(data)
                if progress:
                    progress(len(data))
                whole = 0 < len(data) <= length
                if whole and len(data) < length:  # a server may give less than was asked for
                    due.extendleft(reversed(self._rest(handle, offset + len(data), offset + length, len(data))))
                    if len(data) == self._short:  # always so much, then
                        self._reads = min(self._reads, max(SMALLEST, len(data)))
                        stream.depth = UNDER_WAY // self._reads
                    self._short = len(data)

        def ends(reply: w.Reply) -> None:
            nonlocal whole
            whole = whole and not _data(reply)

        offset = 0
        with self._in_step():
            while offset < size and whole and not stream.refused:
                length = min(self._reads, size - offset)
                stream.add(
                    partial(take, offset=offset, length=length), w.READ, handle, w.long(offset), w.number(length)
                )
                offset += length
            stream.add(ends, w.READ, handle, w.long(size), w.number(1))
            try:
                stream.finish()
            finally:
                self._wire.tell(w.CLOSE, handle)
        return hashed.hexdigest() if whole else None

    def _rest(self, handle: bytes, start: int, end: int, given: int) -> list[tuple[w.Reply, int, int]]:
        """What was not given of a piece, asked for at once in pieces of what was: answers, their places, lengths."""
        step = max(SMALLEST, given)
        pieces = [(at, min(step, end - at)) for at in range(start, end, step)]
        asked = [self._wire.ask(w.READ, handle, w.long(at), w.number(length)) for at, length in pieces]
        return [(reply, *piece) for reply, piece in zip(self._wire.answers(*asked), pieces, strict=True)]

    def server_digest(self, path: str) -> str:
        handle = w.text(self._open(path, w.READING))
        try:
            return self._checked(handle)
        finally:
            self._wire.tell(w.CLOSE, handle)

    def _checked(self, handle: bytes) -> str:
        # the draft names the request check-file-handle; some servers listen to the announced name only
        for name in CHECKS if any(map(self.offers, CHECKS)) else ():
            fields = (w.text(name), handle, w.text("sha256"), w.long(0), w.long(0), w.number(0))
            reply = self._wire.one(w.EXTENDED, *fields)
            if reply.kind == w.EXTENDED_REPLY:
                return _sha256(reply.body)
        raise Denied("unsupported", "hash")

    def rename(self, old: str, new: str) -> Entry:
        asked = (self._wire.ask(w.RENAME, w.text(old), w.text(new)), self._wire.ask(w.LSTAT, w.text(new)))
        renamed, there = self._wire.answers(*asked)
        try:
            w.done(renamed, "rename")
        except Denied as refusal:
            # this one replaces what is there, so it serves only where there is no other and nothing is there
            if refusal.reason != "unsupported" or not self.offers(POSIX) or _entry(there, "stat").kind != "absent":
                raise
            w.done(self._wire.one(w.EXTENDED, w.text(POSIX), w.text(old), w.text(new)), "rename")
            return self.look(new)[0]
        entry = _entry(there, "stat")
        return self.look(new)[0] if entry.kind == "absent" else entry  # some servers look before they have renamed

    def remove(self, path: str) -> None:
        w.done(self._wire.one(w.REMOVE, w.text(path)), "remove")

    def room(self, path: str) -> int | None:
        if not self.offers(STATVFS):
            return None
        reply = self._wire.one(w.EXTENDED, w.text(STATVFS), w.text(path))
        if reply.kind != w.EXTENDED_REPLY or len(reply.body) < 64:
            return None
        _, unit, _, _, free, files, _, files_free = struct.unpack(">8Q", reply.body[:64])
        return 0 if files and not files_free else int(unit * free)

    @contextlib.contextmanager
    def _in_step(self) -> Iterator[None]:
        """Anything but a refusal leaves answers under way that nobody will take: such a line is closed."""
        try:
            yield
        except Denied:
            raise
        except BaseException:
            self.line.close()
            raise

    def _open(self, path: str, flags: int) -> bytes:
        return w.handle(self._wire.one(w.OPEN, w.text(path), w.number(flags), w.number(0)), "open")

    def _over(self, path: str, offset: int) -> bytes:
        return self._open(path, w.WRITING | w.CREATING | (0 if offset else w.EMPTYING))

    def _new(self, path: str) -> bytes:
        """Open a new file; not every server can make one on the condition that there is none."""
        try:
            return self._open(path, w.WRITING | w.CREATING | w.EXCLUSIVE)
        except Denied as refusal:
            if refusal.reason in ("missing", "forbidden") or self.look(path)[0].kind != "absent":
                raise
            return self._over(path, 0)

    def _blocks(self) -> tuple[int, int]:
        """How much to read and to write at a time: the usual, or what the server says that it takes."""
        if not self.offers(LIMITS):
            return BLOCK, BLOCK
        reply = self._wire.one(w.EXTENDED, w.text(LIMITS))
        if reply.kind != w.EXTENDED_REPLY or len(reply.body) < 24:
            return BLOCK, BLOCK
        reads, writes = (int.from_bytes(reply.body[at : at + 8]) or BLOCK for at in (8, 16))
        return max(SMALLEST, min(reads, LARGEST)), max(SMALLEST, min(writes, BLOCK))


class Sftp:
    """The courier: one connection, made when first needed, kept while it is used.

    The connection serves one thread at a time; `rest` and `close` may be called from any.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()
        self._server: SftpServer | None = None
        self._ended = False

    def connect(self, *, fresh: bool = False) -> SftpServer:
        with self._lock:
            if fresh or (self._server is not None and not self._server.line.alive()):
                self._drop()
            if self._server is None:
                self._go_on()
                line = ssh.dial(self.endpoint)
                try:
                    self._server = SftpServer(line)
                    self._go_on()
                except BaseException:
                    self._server = None
                    line.close()
                    raise
            return self._server

    def _go_on(self) -> None:
        if self._ended:
            raise NotYet("delivery.connection_lost", stage="connect")

    def kept(self) -> bool:
        return self._server is not None

    def rest(self) -> None:
        with self._lock:
            if self._server and time.monotonic() - self._server.line.wire.used > self.endpoint.idle:
                self._drop()

    def close(self) -> None:
        with self._lock:
            self._drop()

    def end(self) -> None:
        self._ended = True
        if (server := self._server) is not None:
            server.line.close()

    def _drop(self) -> None:
        if self._server is not None:
            self._server.line.close()
            self._server = None
