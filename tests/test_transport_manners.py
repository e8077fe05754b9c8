"""Servers that keep the protocol in their own way, as object stores, gateways and other programs do."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import paramiko
import pytest
from paramiko import common

from exchanged.batch import Parcel
from exchanged.errors import Held, NotYet
from exchanged.stages.deliver import deliver
from exchanged.transports import Denied
from exchanged.transports import wire as w
from exchanged.transports.probe import probe
from exchanged.transports.server import Folder, Handle
from exchanged.transports.sftp import FSYNC, LIMITS, Sftp
from tests.support import oddserver as odd
from tests.support.rawsftp import HANDLE, UNSUPPORTED, Answer, raw
from tests.test_transport_odd import BATCH, FINAL, PART, package, right, root, send, trouble
from tests.test_transport_wire import connected

__all__ = ["package", "root"]
DENIED, UNKNOWN = paramiko.sftp.SFTP_PERMISSION_DENIED, paramiko.sftp.SFTP_OP_UNSUPPORTED
BUSY_NOW = "登录失败次数过多，连接断开".encode("gbk")


class Blind(Folder):
    """Does not say what lies where."""

    def lstat(self, path: str) -> Any:
        return DENIED

    stat = lstat


class Nothing(Blind):
    """Says that it has renamed."""

    def rename(self, oldpath: str, newpath: str) -> int:
        return paramiko.sftp.SFTP_OK


class Taken(Blind, odd.Swallows):
    """Takes what it has renamed."""


class Clipped(Blind, odd.Clips):
    """Loses a byte while it renames."""


class Closed(Blind):
    """Lets nobody read what has its final name."""

    def open(self, path: str, flags: int, attr: Any) -> Any:
        return DENIED if path.endswith(FINAL) and self._real(path).exists() else super().open(path, flags, attr)


@pytest.mark.parametrize(
    ("folder", "moved_away", "ends"),
    [
        (Nothing, False, "delivery.gone"),
        (Taken, False, "delivery.gone"),
        (Taken, True, "gone"),
        (Clipped, False, "delivery.conflict"),
        (Blind, False, "there"),
        (Closed, False, "there"),
    ],
)
def test_what_a_server_does_not_tell_is_read_before_it_counts_as_delivered(
    root: Path, package: Parcel, folder: type[Folder], moved_away: bool, ends: str
) -> None:
    with odd.odd_server(root, folder) as port:
        if "." in ends:
            assert trouble(lambda: send(package, port, moved_away=moved_away), Held) == ends
            return
        done = send(package, port, moved_away=moved_away)
    assert (done.already, done.gone) == (False, ends == "gone")
    assert ends == "gone" or right(root / FINAL, package)


@pytest.mark.parametrize("folder", [Blind, Closed])
def test_the_probe_needs_no_more_than_a_delivery(root: Path, folder: type[Folder]) -> None:
    with odd.odd_server(root, folder) as port:
        assert all(line.ok for line in probe(Sftp(odd.endpoint(port))))
        refused = probe(Sftp(odd.endpoint(port, verify="size")))[-1]
    assert (refused.name, refused.code, refused.facts["operation"]) == ("verify", "delivery.server_refused", "stat")


def test_a_server_that_looks_before_it_has_renamed_is_asked_again(root: Path, package: Parcel) -> None:
    class Late(Folder):
        hidden: ClassVar[set[str]] = set()

        def rename(self, oldpath: str, newpath: str) -> int:
            self.hidden.add(newpath)
            return super().rename(oldpath, newpath)

        def lstat(self, path: str) -> Any:
            if path in self.hidden:
                self.hidden.remove(path)
                return paramiko.sftp.SFTP_NO_SUCH_FILE
            return super().lstat(path)

    with odd.odd_server(root, Late) as port:
        assert not send(package, port).gone
    assert right(root / FINAL, package)


def test_a_file_is_closed_only_when_every_write_was_answered() -> None:
    """A server that answers each request when it is done with it would close the file first."""
    ahead: list[bool] = []

    def speak(channel: paramiko.Channel) -> None:
        def exactly(size: int) -> bytes:
            got = b""
            while len(got) < size:
                got += channel.recv(size - len(got)) or b"\0" * size
            return got

        exactly(9)
        channel.sendall(w.text(bytes([w.VERSION]) + w.number(3)))
        for kind in (w.OPEN, w.WRITE, w.CLOSE):
            packet = exactly(int.from_bytes(exactly(4)))
            assert packet[0] == kind
            time.sleep(0.3)
            ahead.append(channel.recv_ready())
            answer = (w.HANDLE, w.text("1")) if kind == w.OPEN else (w.STATUS, w.number(w.OK))
            channel.sendall(w.text(bytes([answer[0]]) + packet[1:5] + answer[1]))

    with odd.subsystem(speak) as port, connected(port) as server:
        from io import BytesIO

        server.put(BytesIO(b"x" * 100), "/a", 100)
    assert ahead == [False, False, False]


def test_a_foreign_file_that_comes_meanwhile_is_kept_also_where_a_rename_replaces(root: Path, package: Parcel) -> None:
    class Replaces(Folder):
        def rename(self, oldpath: str, newpath: str) -> int:
            self._real(oldpath).replace(self._real(newpath))
            return paramiko.sftp.SFTP_OK

    def foreign(_bytes: int) -> None:
        (root / FINAL).write_bytes(b"another's")

    with odd.odd_server(root, Replaces) as port:
        courier = Sftp(odd.endpoint(port))
        assert trouble(lambda: deliver(package, BATCH, courier, progress=foreign), Held) == "delivery.conflict"
        courier.close()
    assert (root / FINAL).read_bytes() == b"another's"


def test_an_upload_is_begun_anew_where_the_server_cannot_go_on_with_it(root: Path, package: Parcel) -> None:
    class Whole(Handle):
        end = 0

        def write(self, offset: int, data: Any) -> int:
            if offset != self.end:
                return paramiko.sftp.SFTP_FAILURE
            self.end += len(data)
            return super().write(offset, data)

    class Store(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            handle = super().open(path, flags, attr)
            if isinstance(handle, Handle):
                handle.__class__ = Whole
            return handle

    (root / PART).write_bytes(Path(package.path).read_bytes()[:20_000])
    with odd.odd_server(root, Store) as port:
        assert not send(package, port).already
    assert right(root / FINAL, package)


def test_a_server_that_cannot_make_a_file_on_a_condition_gets_it_without(root: Path, package: Parcel) -> None:
    class Plain(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            return UNKNOWN if flags & os.O_EXCL else super().open(path, flags, attr)

    with odd.odd_server(root, Plain) as port:
        assert all(line.ok for line in probe(Sftp(odd.endpoint(port))))
        assert not send(package, port).already
    assert right(root / FINAL, package)


@pytest.mark.parametrize(("answer", "works"), [(UNSUPPORTED, True), ((w.STATUS, w.number(4)), False)])
def test_an_fsync_that_is_announced_and_unknown_is_as_if_it_were_not_announced(answer: Answer, works: bool) -> None:
    from io import BytesIO

    with raw({w.OPEN: HANDLE, w.EXTENDED: answer}, [FSYNC]) as (port, asked), connected(port) as server:
        if works:
            server.put(BytesIO(b"x"), "/a", 1)
        else:
            with pytest.raises(Denied):
                server.put(BytesIO(b"x"), "/a", 1)
        assert asked == [w.OPEN, w.WRITE, w.EXTENDED, w.CLOSE]


@pytest.mark.parametrize(("told", "most"), [(16_384, 16_384), (1, 1024), (1 << 20, 32_768), (0, 32_768)])
def test_no_more_is_written_and_read_at_a_time_than_the_server_says(told: int, most: int) -> None:
    from io import BytesIO

    written: list[int] = []

    def write(body: bytes) -> Answer:
        written.append(int.from_bytes(body[13:17]))
        return w.STATUS, w.number(w.OK)

    limits = (w.EXTENDED_REPLY, struct.pack(">4Q", 0, told, told, 0))
    answers = {w.OPEN: HANDLE, w.WRITE: write, w.EXTENDED: limits}
    with raw(answers, [LIMITS]) as (port, _), connected(port) as server:
        server.put(BytesIO(b"x" * 100_000), "/a", 100_000)
    assert (max(written), sum(written)) == (most, 100_000)


def test_a_server_that_gives_little_at_a_time_is_asked_for_the_rest_at_once() -> None:
    """One question at a time would take a round trip for every little piece."""
    lengths: list[int] = []

    def read(body: bytes) -> Answer:
        offset, length = struct.unpack(">QI", body[-12:])
        lengths.append(length)
        left = min(length, 4096, max(0, 200_000 - offset))
        return (w.DATA, w.text(bytes(offset // 1000 % 251 for offset in range(offset, offset + left)))) if left else (
            w.STATUS, w.number(w.EOF)
        )  # fmt: skip

    whole = hashlib.sha256(bytes(offset // 1000 % 251 for offset in range(200_000))).hexdigest()
    with raw({w.OPEN: HANDLE, w.READ: read}) as (port, _), connected(port) as server:
        assert server.digest("/a", 200_000) == whole
        first, lengths[:] = lengths[:], []
        assert server.digest("/a", 200_000) == whole
    assert set(first) - set(range(4097)) <= {32_768, 200_000 % 32_768}, "no rest is asked for in one piece"
    assert max(lengths) == 4096, "and afterwards nobody asks for more"


def test_one_short_answer_slows_nothing_down() -> None:
    lengths: list[int] = []

    def read(body: bytes) -> Answer:
        offset, length = struct.unpack(">QI", body[-12:])
        lengths.append(length)
        left = min(length, 500 if not offset else length, max(0, 200_000 - offset))
        return (w.DATA, w.text(b"x" * left)) if left else (w.STATUS, w.number(w.EOF))

    with raw({w.OPEN: HANDLE, w.READ: read}) as (port, _), connected(port) as server:
        for _ in range(2):
            lengths.clear()
            assert server.digest("/a", 200_000) == hashlib.sha256(b"x" * 200_000).hexdigest()
    assert lengths.count(32_768) == 6


# --- what the server says in passing is bytes: paramiko wants them to be UTF-8 ------------------------------------


def says(kind: int, *parts: Any) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(bytes([kind]) if isinstance(kind, int) else kind)
    for part in parts:
        {bool: message.add_boolean, int: message.add_int, bytes: message.add_string}[type(part)](part)
    return message


def goodbye(reason: int) -> Callable[[], paramiko.Message]:
    return lambda: says(common.cMSG_DISCONNECT, reason, BUSY_NOW, b"")


MUTTERS: dict[str, tuple[int, Callable[[], paramiko.Message], str]] = {
    "goodbye in key exchange": (30, goodbye(12), "delivery.unreachable"),
    "goodbye before login": (common.MSG_SERVICE_REQUEST, goodbye(12), "delivery.connection_lost"),
    "too many failures": (common.MSG_USERAUTH_REQUEST, goodbye(2), "delivery.login_refused"),
    "no session": (
        common.MSG_CHANNEL_OPEN,
        lambda: says(common.cMSG_CHANNEL_OPEN_FAILURE, 0, 1, BUSY_NOW, b""),
        "delivery.connection_lost",
    ),
}


@pytest.mark.parametrize("kind", MUTTERS)
def test_what_is_said_in_another_encoding_is_a_trouble_of_the_server_and_no_bug(package: Parcel, kind: str) -> None:
    at, said, code = MUTTERS[kind]

    def accept(client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        transport.add_server_key(odd.HOST_KEY)
        read = transport.packetizer.read_message

        def listen() -> Any:
            number, message = read()
            if number == at:
                transport._send_message(said())  # type: ignore[attr-defined]
            return number, message

        transport.packetizer.read_message = listen  # type: ignore[method-assign]
        door = odd.Door(frozenset({odd.USER_KEY.asbytes()}), Path("/nonexistent"))
        transport.start_server(event=threading.Event(), server=door)

    with odd.tcp(accept) as port:
        assert trouble(lambda: send(package, port), NotYet) == code
