"""Connecting to servers that are slow at any stage of it, want more than a key, or have no name."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from exchanged.errors import NotYet
from exchanged.transports.server import Door
from exchanged.transports.sftp import Sftp
from tests.support import oddserver as odd
from tests.support.sshd import SSHD, Sshd


def trouble(port: int, **over: object) -> NotYet:
    courier = Sftp(odd.endpoint(port, **over))
    with pytest.raises(NotYet) as caught:
        courier.connect()
    assert not courier.kept()
    return caught.value


@contextlib.contextmanager
def hesitant(door: type[Door]) -> Iterator[int]:
    """A server whose door takes its time; its port."""

    def accept(client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        transport.add_server_key(odd.HOST_KEY)
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            transport.start_server(
                event=threading.Event(), server=door(frozenset({odd.USER_KEY.asbytes()}), Path("/nowhere"))
            )

    with odd.tcp(accept) as port:
        yield port


def test_a_login_that_is_not_answered_is_a_timeout_and_no_refusal() -> None:
    class Slow(Door):
        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            time.sleep(4)
            return super().check_auth_publickey(username, key)

    with hesitant(Slow) as port:
        slow = trouble(port, timeout=1.5)
    assert (slow.code, dict(slow.facts)) == ("delivery.timeout", {"stage": "login"})


def test_a_session_that_never_begins_is_given_up_when_the_whole_of_connecting_takes_too_long() -> None:
    class Stuck(Door):
        def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
            time.sleep(12)
            return False

    with hesitant(Stuck) as port:
        started = time.monotonic()
        stuck = trouble(port, timeout=1.0)
        assert time.monotonic() - started < 10
    assert (stuck.code, dict(stuck.facts)) == ("delivery.timeout", {"stage": "connect"})


def test_a_machine_that_does_not_answer_at_all_is_a_timeout() -> None:
    with contextlib.ExitStack() as open_, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # what its queue takes; whoever comes then gets no answer
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        silent = trouble(full.getsockname()[1], timeout=0.5)
    assert (silent.code, dict(silent.facts)) == ("delivery.timeout", {"stage": "connect"})


@pytest.mark.parametrize("host", ["nowhere.invalid", "two..dots", f"{'x' * 64}.example.org"])
def test_a_name_that_nobody_has_is_unreachable(host: str) -> None:
    nobody = trouble(22, host=host)
    assert (nobody.code, dict(nobody.facts)) == ("delivery.unreachable", {"error": "name"})


@pytest.mark.skipif(SSHD is None, reason="no sshd")
def test_a_server_that_wants_a_password_too_has_not_let_us_in(tmp_path: Path) -> None:
    server = Sshd(
        tmp_path / "sshd", extra="PasswordAuthentication yes\nAuthenticationMethods publickey,password"
    ).start()
    try:
        courier = Sftp(server.endpoint("/"))
        with pytest.raises(NotYet) as caught:
            courier.connect()
        assert caught.value.code == "delivery.login_refused"
        assert str(caught.value.facts["key"]).startswith("SHA256:")
    finally:
        server.stop()


def test_a_server_that_shuts_an_address_out_is_not_taken_for_a_network_that_is_down() -> None:
    """As OpenSSH does from 9.8 on for some minutes, after a few refused logins."""

    def accept(client: socket.socket) -> None:
        client.sendall(b"Not allowed at this time\r\n")
        client.close()

    with odd.tcp(accept) as port:
        refused = trouble(port)
    assert (refused.code, dict(refused.facts)) == ("delivery.unreachable", {"error": "greeting"})
