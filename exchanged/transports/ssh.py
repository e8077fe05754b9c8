"""A logged-in SSH connection to a host whose key is pinned, with an SFTP session on it.

Takes   an Endpoint
Gives   a Line: the session's wire, the server's fingerprint
Ends    NotYet: unreachable, timeout, host_key_mismatch (before anything of ours is shown), identity_missing,
        login_refused, session_refused, connection_lost
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko

from exchanged.errors import NotYet
from exchanged.transports import Endpoint, keys
from exchanged.transports.wire import Wire

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

logging.getLogger("paramiko").addHandler(
    logging.NullHandler()
)  # what it says goes to our log or nowhere, never to stderr

CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr")
WINDOW = 8 << 20  # what the server may send ahead: decides the speed of reading back over a long line
STRANGER = 1 << 20  # bytes we read from a server before it has let us in
KEEPALIVE = 30
REFUSED = (2, 14)  # "protocol error", as OpenSSH calls the end of its patience, and "no more authentication methods"
ENDING = 0.5  # seconds in which a line that was cut is known to be
DIAL_FACTOR = 3  # the whole of connecting may take this many timeouts


class Socket(socket.socket):
    """A TCP socket that gives up where paramiko would try for ever: a peer that takes nothing, or talks without end."""

    def __init__(self, plain: socket.socket, patience: float) -> None:
        super().__init__(plain.family, plain.type, plain.proto, plain.detach())
        self.patience = patience
        self.allowance: int | None = STRANGER
        self._blocked: float | None = None

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        try:
            sent = super().send(data, flags)
        except TimeoutError:
            now = time.monotonic()
            self._blocked = self._blocked or now
            if now - self._blocked > self.patience:
                raise ConnectionAbortedError(errno.ETIMEDOUT, "stalled") from None
            raise
        self._blocked = None
        return sent

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        if self.allowance is not None:
            self.allowance -= len(data)
            if self.allowance < 0:
                raise ConnectionAbortedError(errno.EMSGSIZE, "too much before login")
        return data

    def end(self) -> None:
        """Wake whoever waits on it. Closing is left to paramiko's thread, which may still be reading."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Line:
    """A live connection."""

    wire: Wire
    host_key: str
    cipher: str
    _transport: paramiko.Transport
    _socket: Socket

    def alive(self) -> bool:
        return self._transport.is_active()

    def close(self) -> None:
        # paramiko waits for its thread, which looks up only ten times a second unless its socket ends
        self._socket.end()
        self._transport.close()


class _Transport(paramiko.Transport):
    """Remembers why the server has said goodbye: so it tells one that refuses from one that is busy or goes down."""

    dismissed = 0  # reason of RFC 4253, section 11.1

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        self.dismissed = message.get_int()
        message.rewind()
        super()._parse_disconnect(message)  # type: ignore[misc]


def dial(endpoint: Endpoint) -> Line:
    """Connect, check the host key, log in, start SFTP."""
    plain = Socket(_reach(endpoint), endpoint.timeout)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        plain.end()

    limit = threading.Timer(DIAL_FACTOR * endpoint.timeout, expire)
    limit.daemon = True
    limit.start()
    try:
        return _start(endpoint, plain)
    except BaseException as error:
        plain.close()
        if expired.is_set() and isinstance(error, NotYet):
            raise NotYet("delivery.timeout", stage="connect") from None
        raise
    finally:
        limit.cancel()


def _reach(endpoint: Endpoint) -> socket.socket:
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=endpoint.timeout)
    except TimeoutError:
        raise NotYet("delivery.timeout", stage="connect") from None
    except (socket.gaierror, UnicodeError):  # a name that nobody has, or that nobody can have
        raise NotYet("delivery.unreachable", error="name") from None
    except OSError as error:
        raise NotYet("delivery.unreachable", error=errno.errorcode.get(error.errno or 0, "unknown")) from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _start(endpoint: Endpoint, plain: Socket) -> Line:
    pins = keys.pinned(endpoint.host_keys, endpoint.host, endpoint.port)
    transport = _Transport(plain)
    try:
        _prefer(transport, pins, endpoint.timeout)
        host_key = _shake(transport, pins, endpoint)
        _login(transport, endpoint)
        plain.allowance = None
        transport.set_keepalive(KEEPALIVE)
        wire = _greeted(transport, _session(transport, endpoint.timeout), endpoint.timeout)
        return Line(wire, host_key, str(getattr(transport, "remote_cipher", "")), transport, plain)
    except BaseException:
        plain.end()
        transport.close()
        raise


def _prefer(transport: paramiko.Transport, pins: tuple[bytes, ...], timeout: float) -> None:
    """Strong algorithms only; pinned kinds of host key first, the others still heard so that a change can be named."""
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = timeout
    options = transport.get_security_options()
    options.ciphers = CIPHERS
    options.digests = [name for name in options.digests if name.startswith("hmac-sha2-")]
    options.kex = [name for name in options.kex if not name.endswith("sha1")]
    wanted = [kind for kind in keys.kinds(pins) if kind in options.key_types]
    options.key_types = [*wanted, *(kind for kind in options.key_types if kind not in wanted)]


def _shake(transport: paramiko.Transport, pins: tuple[bytes, ...], endpoint: Endpoint) -> str:
    """Exchange keys and hold the server's against the pins; its fingerprint."""
    try:
        transport.start_client(timeout=endpoint.timeout)
        offered = transport.get_remote_server_key().asbytes() if transport.initial_kex_done else None
    except paramiko.ssh_exception.IncompatiblePeer:
        raise NotYet("delivery.session_refused", operation="algorithms") from None
    except Exception:  # paramiko raises whatever its thread died of, and that reads what anybody has sent
        said = "handshake" if transport.remote_version else "greeting"
        raise NotYet("delivery.unreachable", error=said) from None
    if offered is None:
        raise NotYet("delivery.timeout", stage="handshake")
    if offered not in pins:
        expected = ",".join(keys.fingerprint(pin) for pin in pins) or keys.NOBODY
        facts = {"expected": expected, "offered": keys.fingerprint(offered)}
        if not pins:
            facts["unpinned"] = f"{endpoint.host}:{endpoint.port}"
        raise NotYet("delivery.host_key_mismatch", again=True, **facts)
    return keys.fingerprint(offered)


@contextlib.contextmanager
def _patience(transport: paramiko.Transport, timeout: float, stage: str, refused: NotYet) -> Iterator[None]:
    """Tell a refusal from a lost connection and from silence; paramiko raises the same for all three."""
    started = time.monotonic()
    try:
        yield
    except Exception:  # as above
        if not transport.is_active():
            raise NotYet("delivery.connection_lost", stage=stage) from None
        if time.monotonic() - started >= timeout:
            raise NotYet("delivery.timeout", stage=stage) from None
        raise refused from None


def _login(transport: _Transport, endpoint: Endpoint) -> None:
    key = keys.identity(endpoint.identity)
    refused = NotYet("delivery.login_refused", key=keys.fingerprint(key.asbytes()))
    try:
        with _patience(transport, endpoint.timeout, "login", refused):
            transport.auth_publickey(endpoint.user, key)
    except NotYet:
        if transport.dismissed in REFUSED:  # it allows no second try, and hangs up instead of saying no
            raise refused from None
        raise
    if not transport.is_authenticated():
        raise refused


def _session(transport: paramiko.Transport, timeout: float) -> paramiko.Channel:
    with _patience(transport, timeout, "session", NotYet("delivery.session_refused", operation="session")):
        channel = transport.open_session(window_size=WINDOW, timeout=timeout)
        channel.invoke_subsystem("sftp")
        return channel


def _greeted(transport: paramiko.Transport, channel: paramiko.Channel, timeout: float) -> Wire:
    """The session, once it has answered as SFTP; a login script that prints, or an account without SFTP, does not."""
    try:
        return Wire(channel, timeout)
    except NotYet as lost:
        if lost.code != "delivery.connection_lost":
            raise
        transport.join(ENDING)  # of a line that was cut the channel ends first
        if transport.is_active():
            raise NotYet("delivery.session_refused", operation="protocol") from None
        raise
