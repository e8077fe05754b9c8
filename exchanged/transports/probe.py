"""Try everything a delivery needs, with a small file of no content worth reading: connect, write, rename, delete.

Takes   a courier
Gives   one line for each thing tried, in order; after a failure nothing that depends on it is tried
Redo    the file's name is random and it is removed, also after a failure
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from time import monotonic

from exchanged.batch import Facts
from exchanged.errors import NotYet
from exchanged.transports import Courier, Denied, Server, Verify

CONTENT = b"exchanged probe\n"


@dataclass(frozen=True, slots=True)
class ProbeLine:
    """One thing tried. `code` is the reason where it failed, else None."""

    name: str
    ok: bool
    code: str | None = None
    facts: Facts = field(default_factory=dict)


class _Failed(Exception):
    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


def probe(courier: Courier) -> list[ProbeLine]:
    """Lines connect, folders, write, verify, rename, delete, room; never raises NotYet."""
    lines: list[ProbeLine] = []
    try:
        _run(courier, lines)
    except _Failed:
        courier.close()
    return lines


def _run(courier: Courier, lines: list[ProbeLine]) -> None:
    endpoint = courier.endpoint
    name = f".exchanged-probe-{secrets.token_hex(8)}"
    part, final = posixpath.join(endpoint.temp or endpoint.inbox, name + ".part"), posixpath.join(endpoint.inbox, name)
    with _line(lines, "connect") as facts:
        started = monotonic()
        server = courier.connect()
        facts |= {"host_key": server.host_key, "milliseconds": round((monotonic() - started) * 1000)}
    with _line(lines, "folders"):
        for kind, folder in (("inbox", endpoint.inbox), ("temp", endpoint.temp)):
            if folder and not server.folder(folder):
                raise _Failed("delivery.inbox_missing", folder=kind)
    with _removed(server, part, final):
        with _line(lines, "write"):
            server.put(BytesIO(CONTENT), part, len(CONTENT))
        with _line(lines, "verify") as facts:
            facts |= {"method": endpoint.verify}
            _verify(server, part, endpoint.verify)
        with _line(lines, "rename"):
            there = server.rename(part, final)
            if there.kind == "absent" and not endpoint.moved_away:
                raise _Failed("delivery.gone")
        if there.kind != "absent":
            with _line(lines, "delete"):
                server.remove(final)
    with _line(lines, "room") as facts:
        room = server.room(endpoint.inbox)
        facts |= {} if room is None else {"free": room}


def _verify(server: Server, path: str, method: Verify) -> None:
    checks: dict[Verify, Callable[[], object]] = {
        "readback": lambda: server.digest(path, len(CONTENT)) == hashlib.sha256(CONTENT).hexdigest(),
        "hash": lambda: server.server_digest(path) == hashlib.sha256(CONTENT).hexdigest(),
        "size": lambda: _size(server, path) == len(CONTENT),
    }
    if not checks[method]():
        raise _Failed("delivery.verification_failed", method=method)


def _size(server: Server, path: str) -> int:
    found = server.look(path)[0]
    if found.kind == "unknown":
        raise Denied("unsupported", "stat")
    return found.size


@contextlib.contextmanager
def _removed(server: Server, *paths: str) -> Iterator[None]:
    """Leave nothing behind when something fails half-way."""
    try:
        yield
    except _Failed:
        for path in paths:
            with contextlib.suppress(Denied, NotYet):
                server.remove(path)
        raise


@contextlib.contextmanager
def _line(lines: list[ProbeLine], name: str) -> Iterator[dict[str, str | int]]:
    facts: dict[str, str | int] = {}
    try:
        yield facts
    except Denied as denied:
        code = "delivery.hash_unsupported" if denied.operation == "hash" else "delivery.server_refused"
        failed = _Failed(code, operation=denied.operation, reason=denied.reason)
    except NotYet as trouble:
        failed = _Failed(trouble.code, **trouble.facts)
    except _Failed as failure:
        failed = failure
    else:
        lines.append(ProbeLine(name, True, None, facts))
        return
    lines.append(ProbeLine(name, False, failed.code, facts | failed.facts))
    raise failed
