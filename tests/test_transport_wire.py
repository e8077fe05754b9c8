"""SFTP as servers speak it, word by word: what they may leave out, what they say in other words, what is no answer."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchanged.errors import NotYet
from exchanged.transports import Denied, Entry
from exchanged.transports import wire as w
from exchanged.transports.probe import probe
from exchanged.transports.server import Folder, Handle
from exchanged.transports.sftp import CHECKS, LIMITS, POSIX, STATVFS, Sftp, SftpServer
from exchanged.transports.wire import Wire
from tests.support import oddserver as odd
from tests.support.rawsftp import HANDLE, UNSUPPORTED, Answer, raw
from tests.support.sshd import Sshd

SHA = bytes(range(32))


@contextmanager
def connected(port: int) -> Iterator[SftpServer]:
    courier = Sftp(odd.endpoint(port))
    try:
        yield courier.connect()
    finally:
        courier.close()


def lost(trouble: NotYet) -> tuple[str, object]:
    return trouble.code, trouble.facts["stage"]


@pytest.mark.parametrize("prefix", [b"", w.text("check-file")])
def test_the_servers_hash_is_read_with_and_without_the_name_of_the_request(prefix: bytes) -> None:
    answers = {w.OPEN: HANDLE, w.EXTENDED: (w.EXTENDED_REPLY, prefix + w.text("sha256") + SHA)}
    with raw(answers, CHECKS) as (port, _), connected(port) as server:
        assert server.server_digest("/a") == SHA.hex()


@pytest.mark.parametrize("body", [w.text("md5") + SHA[:16], w.text("sha256") + SHA[:31], w.text("sha256") + 2 * SHA])
def test_a_hash_of_another_kind_or_length_is_no_hash(body: bytes) -> None:
    with raw({w.OPEN: HANDLE, w.EXTENDED: (w.EXTENDED_REPLY, body)}, CHECKS) as (port, _), connected(port) as server:
        with pytest.raises(Denied) as denied:
            server.server_digest("/a")
        assert (denied.value.reason, denied.value.operation) == ("unsupported", "hash")


@pytest.mark.parametrize("nonsense", [(w.HANDLE, w.text("x")), (w.STATUS, b"\x00")])
def test_an_answer_to_another_question_ends_the_connection(nonsense: Answer) -> None:
    with raw({w.LSTAT: nonsense}) as (port, _), connected(port) as server:
        with pytest.raises(NotYet) as caught:
            server.look("/a")
        assert lost(caught.value) == ("delivery.connection_lost", "protocol")


def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(w.text(bytes([w.VERSION]) + w.number(3)))
        wire = Wire(near, 1.0)
        far.sendall(w.text(bytes([w.STATUS]) + w.number(77) + w.number(w.OK)))
        with pytest.raises(NotYet) as caught:
            wire.one(w.LSTAT, w.text("/a"))
        assert lost(caught.value) == ("delivery.connection_lost", "protocol")


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (UNSUPPORTED, 32 * 1024),
        ((w.EXTENDED_REPLY, w.long(1)), 32 * 1024),
        ((w.EXTENDED_REPLY, struct.pack(">4Q", 0, 0, 0, 0)), 32 * 1024),
        ((w.EXTENDED_REPLY, struct.pack(">4Q", 0, 100_000, 0, 0)), 100_000),
        ((w.EXTENDED_REPLY, struct.pack(">4Q", 0, 1 << 40, 0, 0)), 255 * 1024),
    ],
)
def test_no_more_is_read_at_a_time_than_the_server_allows(limits: Answer, most: int) -> None:
    lengths: list[int] = []

    def read(body: bytes) -> Answer:
        offset, length = struct.unpack(">QI", body[-12:])
        lengths.append(length)
        return (w.DATA, w.text(b"x" * length)) if offset < 400_000 else (w.STATUS, w.number(w.EOF))

    answers = {w.OPEN: HANDLE, w.READ: read, w.EXTENDED: limits}
    with raw(answers, [LIMITS]) as (port, _), connected(port) as server:
        assert server.digest("/a", 400_000) == hashlib.sha256(b"x" * 400_000).hexdigest()
    assert max(lengths) == most


def test_a_server_that_is_silent_while_it_is_greeted_keeps_no_connection() -> None:
    def late(_body: bytes) -> Answer:
        time.sleep(3.0)
        return UNSUPPORTED

    with raw({w.EXTENDED: late}, [LIMITS]) as (port, asked):
        courier = Sftp(odd.endpoint(port, timeout=1.0))
        with pytest.raises(NotYet) as caught:
            courier.connect()
        assert caught.value.code == "delivery.timeout"
        assert not courier.kept()
        ends = time.monotonic() + 10
        while asked[-1] and time.monotonic() < ends:
            time.sleep(0.05)
        assert asked == [w.EXTENDED, 0], "we have hung up"


def test_room_is_unknown_where_the_server_does_not_say_or_says_it_in_other_words(tmp_path: Path) -> None:
    with odd.odd_server(tmp_path) as port:
        (line,) = (one for one in probe(Sftp(odd.endpoint(port))) if one.name == "room")
        assert (line.ok, dict(line.facts)) == (True, {})
    for answer in (UNSUPPORTED, (w.EXTENDED_REPLY, bytes(63))):
        with raw({w.EXTENDED: answer}, [STATVFS]) as (port, _), connected(port) as server:
            assert server.room("/") is None


@pytest.mark.parametrize(("files", "left", "free"), [(10, 5, 4096 * 7), (10, 0, 0), (0, 0, 4096 * 7)])
def test_there_is_no_room_where_no_more_files_may_be_made(files: int, left: int, free: int) -> None:
    said = struct.pack(">11Q", 512, 4096, 100, 9, 7, files, left, left, 0, 0, 255)
    with raw({w.EXTENDED: (w.EXTENDED_REPLY, said)}, [STATVFS]) as (port, _), connected(port) as server:
        assert server.room("/") == free


def test_a_file_shorter_than_expected_is_not_read_to_the_end_that_it_does_not_have(tmp_path: Path) -> None:
    reads: list[int] = []

    class Counts(Folder):
        def open(self, path: str, flags: int, attr: object) -> object:  # type: ignore[override]
            handle = super().open(path, flags, attr)  # type: ignore[arg-type]

            class Counted(Handle):
                def read(self, offset: int, length: int) -> bytes | int:
                    reads.append(offset)
                    return super().read(offset, length)

            handle.__class__ = Counted  # type: ignore[assignment]
            return handle

    (tmp_path / "a").write_bytes(b"short")
    with odd.odd_server(tmp_path, Counts) as port, connected(port) as server:
        assert server.digest("/a", 200_000_000) is None
        assert server.look("/a") == [Entry("file", 5)], "the connection is in step"
    assert len(reads) < 500  # of some 6,000


def test_what_is_sent_and_read_back_is_told_as_progress(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "package").write_bytes(os.urandom(100_000))
    courier, sent, read = Sftp(sshd.endpoint(tmp_path)), [], []
    server = courier.connect()
    with (tmp_path / "package").open("rb") as source:
        server.put(source, str(tmp_path / "there"), 100_000, progress=sent.append)
    server.digest(str(tmp_path / "there"), 100_000, read.append)
    courier.close()
    assert (sum(sent), sum(read)) == (100_000, 100_000)
    assert len(sent) > 1


def test_a_source_that_cannot_be_read_closes_the_line_for_answers_are_still_under_way(
    sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "package").write_bytes(b"x" * 100_000)
    courier = Sftp(sshd.endpoint(tmp_path))
    server = courier.connect()
    with (tmp_path / "package").open("rb") as source:

        def fails(_count: int) -> None:
            source.close()

        with pytest.raises(ValueError, match="closed file"):
            server.put(source, str(tmp_path / "there"), 100_000, progress=fails)
    assert not server.line.alive()
    courier.close()


class Late:
    """A channel whose bytes come one at a time, each a little later."""

    def __init__(self, each: float) -> None:
        self.each = each

    def settimeout(self, timeout: float) -> None:
        assert timeout > 0

    def send(self, s: bytes) -> int:
        return len(s)

    def recv(self, nbytes: int) -> bytes:
        time.sleep(self.each)
        return b"\x00"


def test_a_server_that_gives_byte_after_byte_makes_no_progress() -> None:
    with pytest.raises(NotYet) as caught:
        Wire(Late(0.04), 0.1)
    assert lost(caught.value) == ("delivery.timeout", "receive")


def test_a_server_that_is_gone_before_it_has_answered_is_a_lost_connection() -> None:
    near, far = socket.socketpair()

    def hang_up() -> None:
        far.recv(1, socket.MSG_PEEK)
        far.close()  # with our greeting unread: our side is reset

    with near:
        other = threading.Thread(target=hang_up)
        other.start()
        with pytest.raises(NotYet) as caught:
            Wire(near, 2.0)
        other.join()
    assert lost(caught.value) == ("delivery.connection_lost", "receive")


def test_a_channel_that_takes_nothing_more_is_a_lost_connection() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(w.text(bytes([w.VERSION]) + w.number(3)))
        wire = Wire(near, 1.0)
        near.shutdown(socket.SHUT_WR)
        with pytest.raises(NotYet) as caught:
            wire.one(w.LSTAT, w.text("/a"))
        assert lost(caught.value) == ("delivery.connection_lost", "send")


def test_a_channel_that_was_closed_for_us_is_a_lost_connection() -> None:
    with raw({}) as (port, _), connected(port) as server:
        server._wire._channel.shutdown_write()  # type: ignore[attr-defined]
        with pytest.raises(NotYet) as caught:
            server.look("/a")
        assert lost(caught.value) == ("delivery.connection_lost", "send")


@pytest.mark.parametrize("greeting", [bytes([w.HANDLE]) + w.number(3), bytes([w.VERSION]) + b"\x00\x00\x03"])
def test_a_server_that_greets_with_something_else_is_no_sftp_server(greeting: bytes) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(w.text(greeting))
        with pytest.raises(NotYet) as caught:
            Wire(near, 1.0)
    assert lost(caught.value) == ("delivery.connection_lost", "protocol")


def test_a_server_that_knows_only_the_rename_that_replaces_is_asked_for_it_where_nothing_lies_there() -> None:
    there: list[Answer] = [(w.STATUS, w.number(2))]  # nothing there, until something is renamed

    def renamed(_body: bytes) -> Answer:
        there[0] = (w.ATTRS, w.number(1) + w.long(10))
        return w.STATUS, w.number(w.OK)

    answers = {w.RENAME: UNSUPPORTED, w.LSTAT: lambda _: there[0], w.EXTENDED: renamed}
    with raw(answers, [POSIX]) as (port, asked), connected(port) as server:
        assert server.rename("/a", "/b") == Entry("file", 10)
        with pytest.raises(Denied):
            server.rename("/c", "/b")
        assert asked.count(w.EXTENDED) == 1
    with raw({w.RENAME: UNSUPPORTED}) as (port, asked), connected(port) as server:
        with pytest.raises(Denied):
            server.rename("/a", "/b")
        assert w.EXTENDED not in asked, "it does not offer it"
