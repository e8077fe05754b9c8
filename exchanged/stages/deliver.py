"""Bring one sealed package to the server, so that it lies there verified under its final name.

Takes   the parcel, its batch name, a courier
Gives   Delivered: remote path, hash, how it was verified, whether it was there already, the server's key
Redo    looks first: a final file with our bytes is the work done, an unfinished one of ours is checked and continued;
        the same bytes go under the same names every time, and the rename never replaces a file
Ends    Held delivery.package_changed, delivery.conflict, delivery.gone (offered, looked, and it is nowhere);
        NotYet for everything that is the network's or the server's doing

Between the request to rename and its answer the outcome is unknown. `on_offer` is called before that request, so that
the engine can record it; a later call with `offered=True` then never sends a second time what may have been taken.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from exchanged.batch import Parcel
from exchanged.errors import Held, NotYet
from exchanged.transports import Courier, Denied, Endpoint, Entry, Progress, Server, Verify

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Delivered:
    """A package on the server, verified by `method`; `already` there before this call; `gone`: moved away at once."""

    remote: str
    sha256: str
    method: Verify
    already: bool
    host_key: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """The remote paths of one package: unfinished and final."""

    part: str
    final: str


def names(endpoint: Endpoint, batch: str) -> Names:
    """Where a batch's package lies. The batch name is ours: anything but a plain file name is a bug."""
    if not _NAME.fullmatch(batch):
        raise ValueError("not a batch name")
    folder = endpoint.temp or endpoint.inbox
    return Names(posixpath.join(folder, f".{batch}.pgp.part"), posixpath.join(endpoint.inbox, f"{batch}.pgp"))


def deliver(
    parcel: Parcel,
    batch: str,
    courier: Courier,
    *,
    offered: bool = False,
    taken: bool = False,
    on_offer: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> Delivered:
    """Deliver one package; see the header. `progress` is told the bytes of every block sent or read back.

    taken: a person has looked, and says that the server took away what was offered.
    """
    where = names(courier.endpoint, batch)
    job = _Job(parcel, where, courier.endpoint, io.BytesIO(), progress, offered, taken)
    try:
        try:
            with _package(parcel) as source:
                return _bring(replace(job, source=source), courier, on_offer)
        except Held as changed:
            if changed.code != "delivery.package_changed":
                raise
            server, part, final = _arrive(courier, where)
            # after a restore from a backup it may lie there
            if final.kind != "file" or not _same(job, server, final):
                raise
            return _already(job, server, final, part, offered=offered)
    except NotYet:
        courier.close()  # whatever is still under way on that connection, nobody waits for it
        raise


def discard(batch: str, courier: Courier) -> bool:
    """Take away the unfinished upload of a batch that nobody will deliver any more. Raises NotYet.

    False where it is worth another try: it was not missing, and not forbidden.
    """
    try:
        courier.connect().remove(names(courier.endpoint, batch).part)
    except Denied as denied:
        return denied.reason != "failure"
    except NotYet:
        courier.close()
        raise
    return True


@dataclass(frozen=True, slots=True)
class _Job:
    parcel: Parcel
    names: Names
    endpoint: Endpoint
    source: BinaryIO
    progress: Progress | None
    offered: bool
    taken: bool


def _bring(job: _Job, courier: Courier, on_offer: Callable[[], None] | None) -> Delivered:
    server, part, final = _arrive(courier, job.names)
    if _there(server, final, job.names.final):
        return _already(job, server, final, part, offered=job.offered)
    if job.offered and not _there(server, part, job.names.part):
        return _vanished(job, server)
    _upload(job, server, part)
    method = _verify(job, server)
    final = server.look(job.names.final)[0]
    if _there(server, final, job.names.final):  # come meanwhile; some servers would let the rename replace it
        return _already(job, server, final, Entry("file"), offered=job.offered)
    if on_offer:
        on_offer()
    return _rename(job, server, method)


@contextlib.contextmanager
def _package(parcel: Parcel) -> Iterator[BinaryIO]:
    """The package, open, after its content has been held against the recorded hash."""
    try:
        fd = os.open(parcel.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise Held("delivery.package_changed", problem="missing") from None
    with os.fdopen(fd, "rb", buffering=0) as source:
        digest = hashlib.sha256()
        while block := source.read(_BLOCK):
            digest.update(block)
        if digest.hexdigest() != parcel.sha256 or source.tell() != parcel.bytes:
            raise Held("delivery.package_changed", problem="content")
        yield source


def _arrive(courier: Courier, paths: Names) -> tuple[Server, Entry, Entry]:
    """Connect and look. A kept connection may have died unnoticed: then, once, a new one."""
    kept = courier.kept()
    server = courier.connect()
    try:
        part, final = server.look(paths.part, paths.final)
    except NotYet:
        courier.close()
        if not kept:
            raise
        server = courier.connect(fresh=True)
        part, final = server.look(paths.part, paths.final)
    return server, part, final


def _there(server: Server, entry: Entry, path: str) -> bool:
    """Whether something lies there. Where the server does not let us ask, something does if it can be read."""
    if entry.kind != "unknown":
        return entry.kind != "absent"
    try:
        server.digest(path, 0)
    except Denied:
        return False
    return True


def _digest(job: _Job, server: Server, path: str) -> str | None:
    return server.digest(path, job.parcel.bytes, job.progress)


def _same(job: _Job, server: Server, entry: Entry) -> bool:
    """Whether the final file has our bytes; by its size only where it was so configured and reading is forbidden."""
    if entry.kind == "other" or (entry.kind == "file" and entry.size != job.parcel.bytes):
        return False
    try:
        if job.endpoint.verify == "hash":
            return server.server_digest(job.names.final) == job.parcel.sha256
        return _digest(job, server, job.names.final) == job.parcel.sha256
    except Denied as denied:
        if denied.reason == "forbidden" and job.endpoint.verify == "size" and entry.kind == "file":
            return True
        raise _trouble(job, server, denied) from None


def _already(job: _Job, server: Server, final: Entry, part: Entry, *, offered: bool) -> Delivered:
    try:
        same = _same(job, server, final)
    except NotYet as refused:
        if not offered or refused.code != "delivery.server_refused":
            raise
        # ours, of a rename whose answer was lost, or another's: nobody may take it for not delivered
        raise NotYet("delivery.outcome_unknown", reason=refused.code) from None
    if not same:
        raise Held("delivery.conflict", size=final.size, expected_size=job.parcel.bytes)
    if part.kind == "file":
        with contextlib.suppress(Denied):
            server.remove(job.names.part)
    return Delivered(job.names.final, job.parcel.sha256, job.endpoint.verify, True, server.host_key)


def _vanished(job: _Job, server: Server) -> Delivered:
    """The rename was asked for, its answer is not known, and neither name is there now: only a person can find out."""
    if not job.taken:
        raise Held("delivery.gone")
    return Delivered(job.names.final, job.parcel.sha256, job.endpoint.verify, True, server.host_key, gone=True)


def _prefix(job: _Job, size: int) -> str:
    digest, left = hashlib.sha256(), size
    job.source.seek(0)
    while left and (block := job.source.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _resumable(job: _Job, server: Server, part: Entry) -> int:
    """How many bytes of an unfinished upload are ours and need not be sent again."""
    if part.kind != "file" or not 0 < part.size <= job.parcel.bytes:
        return 0
    try:
        found = server.digest(job.names.part, part.size, job.progress)
    except Denied:
        return 0
    return part.size if found == _prefix(job, part.size) else 0


def _upload(job: _Job, server: Server, part: Entry) -> None:
    """Write the unfinished file, or what it lacks. It is not removed first: its being there says it was not renamed."""
    if part.kind == "other":
        raise Held("delivery.conflict", size=0, expected_size=job.parcel.bytes)
    over = False
    if part.kind != "absent":
        offset = _resumable(job, server, part)
        try:
            return _put(job, server, offset, over=True)
        except Denied:  # written once, never again: some servers forbid more
            with contextlib.suppress(Denied):
                server.remove(job.names.part)
        except NotYet as problem:
            if not offset or problem.code != "delivery.server_refused":
                raise
            over = True  # some servers cannot write on where a file ends
    try:
        return _put(job, server, over=over)
    except Denied as denied:
        raise _trouble(job, server, denied) from None


def _put(job: _Job, server: Server, offset: int = 0, *, over: bool = False) -> None:
    """Write the unfinished file from `offset` on. Raises Denied where it cannot be opened, NotYet where not written."""
    try:
        server.put(job.source, job.names.part, job.parcel.bytes, offset, job.progress, over=over)
    except Denied as denied:
        if denied.operation == "open":
            raise
        raise _trouble(job, server, denied) from None


def _clear(job: _Job, server: Server) -> None:
    """Take a useless unfinished file away, unless its absence would later be read as "renamed"."""
    if not job.offered:
        with contextlib.suppress(Denied):
            server.remove(job.names.part)


def _verify(job: _Job, server: Server) -> Verify:
    """Hold what lies on the server against the package before it gets its name."""
    method = job.endpoint.verify
    try:
        if method == "readback":
            good = _digest(job, server, job.names.part) == job.parcel.sha256
        elif method == "hash":
            good = server.server_digest(job.names.part) == job.parcel.sha256
        else:
            found = server.look(job.names.part)[0]
            if found.kind == "unknown":
                raise NotYet("delivery.server_refused", operation="stat", reason="unsupported")
            good = found == Entry("file", job.parcel.bytes)
    except Denied as denied:
        if denied.reason != "missing" or denied.operation != "open":
            raise _trouble(job, server, denied) from None
        good = False  # acknowledged, and forgotten
    if not good:
        _clear(job, server)
        raise NotYet("delivery.verification_failed", method=method)
    return method


def _rename(job: _Job, server: Server, method: Verify) -> Delivered:
    try:
        there = server.rename(job.names.part, job.names.final)
    except NotYet as lost:
        raise NotYet("delivery.outcome_unknown", reason=lost.code) from None
    except Denied as denied:
        final, part = server.look(job.names.final, job.names.part)
        if final.kind in ("file", "other"):
            return _already(job, server, final, part, offered=True)
        if part.kind == "absent":  # it was refused, and done all the same: somebody has taken it away
            raise NotYet("delivery.outcome_unknown", reason="delivery.server_refused") from None
        raise _trouble(job, server, denied) from None
    if there.kind == "unknown":
        try:
            there = _read(job, server)
        except NotYet as lost:
            raise NotYet("delivery.outcome_unknown", reason=lost.code) from None
    elif there.kind == "file" and method != "size" and not _still(job, server, there):
        there = Entry("other", there.size)
    if there.kind == "absent" and not job.endpoint.moved_away:
        raise Held("delivery.gone")
    if there.kind == "other" or (there.kind == "file" and there.size != job.parcel.bytes):
        raise Held("delivery.conflict", size=there.size, expected_size=job.parcel.bytes)
    gone = there.kind == "absent"
    return Delivered(job.names.final, job.parcel.sha256, method, False, server.host_key, gone)


def _read(job: _Job, server: Server) -> Entry:
    """What lies under the final name, by reading it. Where just that is forbidden, it was verified before."""
    try:
        if job.endpoint.verify == "hash":
            found: str | None = server.server_digest(job.names.final)
        else:
            found = _digest(job, server, job.names.final)
    except Denied as denied:
        return Entry("unknown" if denied.reason == "forbidden" else "absent")
    return Entry("file", job.parcel.bytes) if found == job.parcel.sha256 else Entry("other")


def _still(job: _Job, server: Server, there: Entry) -> bool:
    """Looked at once more under its final name. Only a difference counts: where it cannot be read, it was before."""
    try:
        return _same(job, server, there)
    except NotYet:
        return True


def _trouble(job: _Job, server: Server, denied: Denied) -> NotYet:
    """What a refusal means. SFTP says "failure" for most of it, so the server is asked about the likely causes."""
    folder = posixpath.dirname(job.names.part) or "."
    if denied.operation == "hash":
        return NotYet("delivery.hash_unsupported")
    if denied.reason == "missing" and denied.operation == "open" and not server.folder(folder):
        return NotYet("delivery.inbox_missing", folder="temp" if job.endpoint.temp else "inbox")
    room = server.room(folder) if denied.operation in ("open", "write", "fsync", "close") else None
    if denied.reason == "failure" and room is not None and room < job.parcel.bytes:
        _clear(job, server)
        return NotYet("delivery.server_full", free=room, needed=job.parcel.bytes)
    return NotYet("delivery.server_refused", operation=denied.operation, reason=denied.reason)
