"""Servers that lie, lose, swallow or babble: what reaches the ledger is right, or a named trouble."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest

from exchanged.batch import Parcel
from exchanged.errors import Held, NotYet, Problem
from exchanged.stages.deliver import deliver
from exchanged.transports.probe import probe
from exchanged.transports.server import Folder, Handle
from exchanged.transports.sftp import Sftp
from tests.support import oddserver as odd

BATCH = "jx-20261123-0123456789ab"
FINAL, PART = f"{BATCH}.pgp", f".{BATCH}.pgp.part"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Parcel:
    data = os.urandom(50_000)
    (tmp_path / "package").write_bytes(data)
    return Parcel(str(tmp_path / "package"), len(data), hashlib.sha256(data).hexdigest())


def send(package: Parcel, port: int, offered: bool = False, taken: bool = False, **over: Any) -> Any:
    courier = Sftp(odd.endpoint(port, **over))
    try:
        return deliver(package, BATCH, courier, offered=offered, taken=taken)
    finally:
        courier.close()


def trouble(call: Callable[[], Any], kind: type[Problem] = NotYet) -> str:
    with pytest.raises(kind) as caught:
        call()
    return caught.value.code


def right(file: Path, package: Parcel) -> bool:
    return hashlib.sha256(file.read_bytes()).hexdigest() == package.sha256


@pytest.mark.parametrize("folder", [Folder, odd.Stingy])
def test_a_plain_server_and_one_that_gives_little_at_a_time_get_the_package(
    root: Path, package: Parcel, folder: type[Folder]
) -> None:
    with odd.odd_server(root, folder) as port:
        assert not send(package, port).already
        assert send(package, port).already
    assert right(root / FINAL, package)


@pytest.mark.parametrize("verify", ["readback", "hash"])
def test_bytes_stored_wrongly_never_get_the_final_name(
    root: Path, package: Parcel, verify: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(paramiko.sftp_server._hash_class, "sha256", hashlib.sha256)  # type: ignore[attr-defined]
    with odd.odd_server(root, odd.Flips) as port:
        assert trouble(lambda: send(package, port, verify=verify)) == "delivery.verification_failed"
    assert list(root.iterdir()) == []


def test_the_servers_own_hash_is_enough_where_it_is_so_configured(
    root: Path, package: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(paramiko.sftp_server._hash_class, "sha256", hashlib.sha256)  # type: ignore[attr-defined]
    with odd.odd_server(root) as port:
        assert send(package, port, verify="hash").method == "hash"
        assert send(package, port, verify="hash").already
        (root / FINAL).write_bytes(b"?" * package.bytes)
        assert trouble(lambda: send(package, port, verify="hash"), Held) == "delivery.conflict"


def test_a_server_with_weak_hashes_only_does_not_verify(root: Path, package: Parcel) -> None:
    with odd.odd_server(root) as port:
        assert trouble(lambda: send(package, port, verify="hash")) == "delivery.hash_unsupported"


def test_a_file_that_is_gone_after_the_rename_is_delivered_only_where_that_is_configured(
    root: Path, package: Parcel
) -> None:
    with odd.odd_server(root, odd.Swallows) as port:
        assert trouble(lambda: send(package, port), Held) == "delivery.gone"
        assert trouble(lambda: send(package, port, offered=True), Held) == "delivery.gone"
        assert len(list((root / "taken").iterdir())) == 1
        done = send(package, port, moved_away=True)
        assert (done.gone, done.already) == (True, False)
        assert trouble(lambda: send(package, port, moved_away=True, offered=True), Held) == "delivery.gone"
        again = send(package, port, moved_away=True, offered=True, taken=True)
        assert (again.gone, again.already) == (True, True)
    assert len(list((root / "taken").iterdir())) == 2


def test_a_rename_that_worked_but_was_called_a_failure_is_found_by_looking(root: Path, package: Parcel) -> None:
    with odd.odd_server(root, odd.Mumbles) as port:
        assert send(package, port).already
    assert right(root / FINAL, package)


def test_a_file_cut_short_by_the_rename_is_held(root: Path, package: Parcel) -> None:
    with odd.odd_server(root, odd.Clips) as port:
        assert trouble(lambda: send(package, port), Held) == "delivery.conflict"


def test_a_server_where_files_are_written_once_gets_a_new_part(root: Path, package: Parcel) -> None:
    (root / PART).write_bytes(Path(package.path).read_bytes()[:20_000])
    with odd.odd_server(root, odd.Once) as port:
        send(package, port)
    assert right(root / FINAL, package)
    assert [entry.name for entry in root.iterdir()] == [FINAL]


def test_a_rename_that_is_answered_too_late_is_unknown_and_then_found(root: Path, package: Parcel) -> None:
    with odd.odd_server(root, odd.Sleeps) as port:
        assert trouble(lambda: send(package, port, timeout=0.5)) == "delivery.outcome_unknown"
        for _ in range(100):
            if (root / FINAL).exists():
                break
            time.sleep(0.05)
        assert send(package, port, offered=True).already


def test_reading_that_is_forbidden_falls_back_to_nothing(root: Path, package: Parcel) -> None:
    class Blind(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            return super().open(path, flags, attr) if flags & 3 else paramiko.sftp.SFTP_PERMISSION_DENIED

    with odd.odd_server(root, Blind) as port:
        assert trouble(lambda: send(package, port)) == "delivery.server_refused"
        assert send(package, port, verify="size").method == "size"
        assert send(package, port, verify="size").already


def test_a_final_file_that_cannot_be_compared_is_neither_taken_for_ours_nor_replaced(
    root: Path, package: Parcel
) -> None:
    class Fails(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            return super().open(path, flags, attr) if flags & 3 else paramiko.sftp.SFTP_FAILURE

    (root / FINAL).write_bytes(Path(package.path).read_bytes())
    with odd.odd_server(root, Fails) as port:
        assert trouble(lambda: send(package, port)) == "delivery.server_refused"
    assert [entry.name for entry in root.iterdir()] == [FINAL]


def test_a_part_that_cannot_be_gone_on_with_is_a_trouble_with_a_name(root: Path, package: Parcel) -> None:
    class Refuses(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            handle = super().open(path, flags, attr)

            class Never(Handle):
                def write(self, offset: int, data: Any) -> int:
                    return int(paramiko.sftp.SFTP_PERMISSION_DENIED)

            if isinstance(handle, Handle):
                handle.__class__ = Never
            return handle

    (root / PART).write_bytes(Path(package.path).read_bytes()[:20_000])
    with odd.odd_server(root, Refuses) as port:
        assert trouble(lambda: send(package, port)) == "delivery.server_refused"
    assert not (root / FINAL).exists()


def test_a_wrong_part_of_what_was_offered_stays_for_its_absence_would_say_that_it_was_renamed(
    root: Path, package: Parcel
) -> None:
    (root / PART).write_bytes(Path(package.path).read_bytes()[:20_000])
    with odd.odd_server(root, odd.Flips) as port:
        assert trouble(lambda: send(package, port, offered=True)) == "delivery.verification_failed"
    assert [entry.name for entry in root.iterdir()] == [PART]


BABBLE: dict[str, tuple[Callable[[socket.socket], Any], set[str]]] = {
    "hangs up": (lambda client: client.close(), {"delivery.unreachable"}),
    "no banner": (lambda client: client.sendall(b"220 ready\r\n" * 500), {"delivery.unreachable"}),
    "endless line": (
        lambda client: [client.sendall(b"x" * 65536) for _ in range(64)],
        {"delivery.unreachable"},
    ),
    "old protocol": (lambda client: client.sendall(b"SSH-1.5-old\r\n"), {"delivery.session_refused"}),
    "huge packet": (
        lambda client: client.sendall(b"SSH-2.0-x\r\n" + b"\x7f\xff\xff\xff" + b"\x14" * 4_000_000),
        {"delivery.unreachable"},
    ),
    "silence": (lambda client: time.sleep(2), {"delivery.timeout", "delivery.unreachable"}),
}


@pytest.mark.parametrize("kind", BABBLE)
def test_what_is_no_ssh_server_is_unreachable_within_the_timeout(package: Parcel, kind: str) -> None:
    handler, codes = BABBLE[kind]
    kept: list[socket.socket] = []

    def handle(client: socket.socket) -> None:
        kept.append(client)
        threading.Thread(target=_quietly, args=(handler, client), daemon=True).start()

    with odd.tcp(handle) as port:
        started = time.monotonic()
        assert trouble(lambda: send(package, port, timeout=1.0)) in codes
        assert time.monotonic() - started < 5
    for client in kept:
        client.close()


def _quietly(handler: Callable[[socket.socket], Any], client: socket.socket) -> None:
    try:
        handler(client)
    except OSError:
        return


SPEECH: dict[str, tuple[bytes, str]] = {
    "text": (b"This account is disabled.\r\n", "delivery.session_refused"),
    "huge packet": (b"\xff\xff\xff\xff" + b"x" * 1000, "delivery.session_refused"),
    "empty packet": (b"\x00\x00\x00\x00", "delivery.session_refused"),
    "bad extension": (b"\x00\x00\x00\x09\x02\x00\x00\x00\x03\x00\x00\xff\xff", "delivery.session_refused"),
    "wrong answer": (
        b"\x00\x00\x00\x05\x02\x00\x00\x00\x03\x00\x00\x00\x05\x65\x00\x00\x00\x63",
        "delivery.connection_lost",
    ),
    "silence": (b"", "delivery.timeout"),
}


@pytest.mark.parametrize("kind", SPEECH)
def test_what_is_no_sftp_server_ends_the_connection(package: Parcel, kind: str) -> None:
    said, code = SPEECH[kind]

    def speak(channel: paramiko.Channel) -> None:
        channel.sendall(said)
        channel.recv(1000)
        time.sleep(2)

    with odd.subsystem(speak) as port:
        started = time.monotonic()
        assert trouble(lambda: send(package, port, timeout=1.0)) == code
        assert time.monotonic() - started < 5


def test_a_final_file_that_may_not_be_read_is_neither_believed_nor_touched(root: Path, package: Parcel) -> None:
    class Shut(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            return paramiko.sftp.SFTP_PERMISSION_DENIED

    (root / FINAL).write_bytes(Path(package.path).read_bytes())
    with odd.odd_server(root, Shut) as port:
        assert trouble(lambda: send(package, port)) == "delivery.server_refused"
    assert [entry.name for entry in root.iterdir()] == [FINAL]


def test_a_file_that_cannot_be_read_any_more_once_it_has_its_name_was_verified_before(
    root: Path, package: Parcel
) -> None:
    class Shuts(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            return paramiko.sftp.SFTP_PERMISSION_DENIED if path.endswith(FINAL) else super().open(path, flags, attr)

    with odd.odd_server(root, Shuts) as port:
        done = send(package, port)
    assert (done.already, done.method) == (False, "readback")
    assert right(root / FINAL, package)


def test_an_unfinished_file_that_takes_no_more_bytes_is_left_and_said(root: Path, package: Parcel) -> None:
    class Stuffed(Handle):
        def write(self, offset: int, data: Any) -> int:
            return paramiko.sftp.SFTP_FAILURE

    class Takes(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            handle = super().open(path, flags, attr)
            if isinstance(handle, Handle):
                handle.__class__ = Stuffed
            return handle

    begun = Path(package.path).read_bytes()[:20_000]
    (root / PART).write_bytes(begun)
    with odd.odd_server(root, Takes) as port:
        with pytest.raises(NotYet) as caught:
            send(package, port)
        assert (caught.value.code, caught.value.facts["operation"]) == ("delivery.server_refused", "write")
    assert (root / PART).exists()


def test_an_unfinished_file_of_an_offered_package_stays_for_its_absence_would_say_that_it_was_renamed(
    root: Path, package: Parcel
) -> None:
    (root / PART).write_bytes(b"?" * 10)
    with odd.odd_server(root, odd.Flips) as port:
        assert trouble(lambda: send(package, port, offered=True)) == "delivery.verification_failed"
        assert [entry.name for entry in root.iterdir()] == [PART]
    with odd.odd_server(root) as port:
        assert not send(package, port, offered=True).already
    assert right(root / FINAL, package)


def test_the_probe_says_that_what_it_reads_back_is_not_what_it_wrote_and_leaves_nothing(root: Path) -> None:
    with odd.odd_server(root, odd.Flips) as port:
        last = probe(Sftp(odd.endpoint(port)))[-1]
    assert (last.name, last.ok, last.code) == ("verify", False, "delivery.verification_failed")
    assert list(root.iterdir()) == []


def test_what_the_server_acknowledged_and_forgot_is_not_verified(root: Path, package: Parcel) -> None:
    class Forgets(Folder):
        def open(self, path: str, flags: int, attr: Any) -> Any:
            handle = super().open(path, flags, attr)
            if flags & 3 and isinstance(handle, Handle):
                self._real(path).unlink()
            return handle

    with odd.odd_server(root, Forgets) as port:
        assert trouble(lambda: send(package, port)) == "delivery.verification_failed"
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "swapped"])
def test_what_lies_under_the_final_name_after_the_rename_must_be_the_package(
    root: Path, package: Parcel, kind: str
) -> None:
    class Exchanges(Folder):
        def rename(self, oldpath: str, newpath: str) -> int:
            result = super().rename(oldpath, newpath)
            self._real(newpath).unlink()
            if kind == "folder":
                self._real(newpath).mkdir()
            else:
                self._real(newpath).write_bytes(b"?" * package.bytes)
            return result

    with odd.odd_server(root, Exchanges) as port:
        assert trouble(lambda: send(package, port), Held) == "delivery.conflict"
