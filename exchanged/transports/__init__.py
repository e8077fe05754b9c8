"""How packages get across: the contract of a transport, and the dict of those there are.

A transport knows nothing of batches. It offers a `Courier`, which keeps one connection to the server, and the `Server`
at the other end of it. Both end only in `NotYet` (with a `delivery.` code) or `Denied`, the server's own refusal of
one operation, which the caller understands better than the transport does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import BinaryIO, Literal, Protocol, cast

Verify = Literal["readback", "hash", "size"]
Reason = Literal["missing", "forbidden", "failure", "unsupported"]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where packages go, as whom, and what that server is known to do.

    identity: gives the private key's text (PEM or OpenSSH), asked for at every login.
    host_keys: pinned public keys ("ssh-ed25519 AAAA…"), or paths of known_hosts files.
    temp: folder for unfinished uploads, else they lie in `inbox` under a hidden name.
    moved_away: the server may take a file out of `inbox` as soon as it has its final name.
    timeout: seconds without any progress after which a connection is given up; idle: seconds an unused one is kept.
    """

    host: str
    user: str
    identity: Callable[[], bytes] = field(repr=False)
    host_keys: tuple[str, ...]
    inbox: str
    port: int = 22
    temp: str | None = None
    verify: Verify = "readback"
    moved_away: bool = False
    timeout: float = 30.0
    idle: float = 120.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies under a remote name: `unknown` where the server does not let us look. Size in bytes, of files only."""

    kind: Literal["file", "other", "absent", "unknown"]
    size: int = 0


class Denied(Exception):
    """The server answered, and refused this one operation; the connection goes on."""

    def __init__(self, reason: Reason, operation: str) -> None:
        super().__init__(f"{operation}: {reason}")
        self.reason = reason
        self.operation = operation


class Server(Protocol):
    """The other end of a live connection. Paths are remote; every operation raises Denied or NotYet."""

    @property
    def host_key(self) -> str:
        """The fingerprint of the server's key, "SHA256:…"."""

    def folder(self, path: str) -> bool:
        """Whether a folder lies there, links followed."""

    def look(self, *paths: str) -> list[Entry]:
        """What lies under each path; links are not followed."""

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
        """Write bytes `offset` to `size` of `source`, made durable where offered. The file is new unless `over`."""

    def digest(self, path: str, size: int, progress: Progress | None = None) -> str | None:
        """SHA-256 (hex) of the file, by reading it; None if it has not exactly `size` bytes."""

    def server_digest(self, path: str) -> str:
        """The same, computed by the server. Denied("unsupported") where it offers no SHA-256."""

    def rename(self, old: str, new: str) -> Entry:
        """Give a file its final name, never over an existing one; what lies there afterwards."""

    def remove(self, path: str) -> None:
        """Remove one file."""

    def room(self, path: str) -> int | None:
        """Free bytes for us on the server, None where it does not say."""


class Courier(Protocol):
    """Keeps one connection to one server."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it goes."""

    def connect(self, *, fresh: bool = False) -> Server:
        """The server at the end of the kept connection, or of a new one. Raises NotYet."""

    def kept(self) -> bool:
        """Whether a connection is being kept."""

    def rest(self) -> None:
        """Close the connection if nothing has used it for `Endpoint.idle` seconds."""

    def close(self) -> None:
        """Close the connection."""

    def end(self) -> None:
        """Close the connection for good, without waiting for whoever is at work on it or making it."""


TRANSPORTS = {"sftp": "exchanged.transports.sftp:Sftp"}


def courier(name: str, endpoint: Endpoint) -> Courier:
    """A courier of the named transport; loads its library only now, connects only when asked to."""
    # paramiko takes 50 ms to load invoke, for a kind of line in an ssh_config; we read none
    sys.modules.setdefault("invoke", cast(ModuleType, None))
    module, _, factory = TRANSPORTS[name].partition(":")
    return cast(Courier, getattr(import_module(module), factory)(endpoint))
