"""The only code that opens the database: transactions, and events in a hash chain.

Every change is one transaction (`BEGIN IMMEDIATE`, WAL, synchronous=FULL) that is durable when the call returns.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from exchanged.disk import DurabilityLost, sync_folder
from exchanged.errors import IntegrityFailure, NotYet

SCRIPTS = ("ledger.sql", "screening.sql", None)  # what each version of the schema has added to the one before it
SCHEMA = len(SCRIPTS)  # the third has other events, not other tables
GENESIS = "0" * 64
PASSING = tuple(
    f"SQLITE_{name}" for name in ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "READONLY", "NOMEM", "PROTOCOL")
)
FULL = ("SQLITE_FULL", "SQLITE_IOERR")
UNSURE = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")
BUSY = 30.0  # seconds to wait for another writer


def now() -> str:
    """This instant, RFC 3339 with the machine's zone, to the millisecond."""
    return dt.datetime.now().astimezone().isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Event:
    seq: int
    time: str
    batch: str | None
    event: str
    facts: Mapping[str, Any]
    previous: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """As evidence has it. The facts are not copied, as `asdict` would."""
        return {name: getattr(self, name) for name in self.__slots__}


def event_hash(ledger: str, seq: int, time: str, batch: str | None, event: str, facts: str, previous: str) -> str:
    """SHA-256 over the event's fields in canonical JSON: what the next event and the evidence refer to."""
    text = json.dumps([ledger, seq, time, batch, event, facts, previous], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def to_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Store:
    """One open database. Safe to use from several threads: one at a time changes it, and one at a time reads.

    Reading has a connection of its own, so that nobody who only looks waits for another's commit.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changing, self._looking = threading.Lock(), threading.RLock()
        self._owner: int | None = None  # the thread that is changing it
        self._own: set[str] = set()  # hashes of events that this process has appended
        self._heard = 0
        self._named = False  # whether the name of the log that belongs to it is known to be durable
        self.relief: Callable[[], object] = lambda: None  # makes room for the next change where there is none
        try:
            self._writer = _connect(path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=FULL")
            self._writer.execute("PRAGMA foreign_keys=ON")
            if path.stat().st_mode & 0o777 != 0o600:
                path.chmod(0o600)
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only=ON")
            self._prepare()
            self._heard = self._last_seq()
        except sqlite3.DatabaseError as error:
            raise trouble(error) from None

    @property
    def _db(self) -> sqlite3.Connection:
        """The connection of this thread: within a change it sees what it has changed."""
        return self._writer if self._owner == threading.get_ident() else self._reader

    def _prepare(self) -> None:
        """Make the tables of a new ledger, or those that an older one lacks. Raises NotYet for a newer one."""
        if self._schema() < SCHEMA:
            with self.change():
                found = self._schema()  # once more: another process may have done it meanwhile
                self._upgrade(found)
        if self._schema() != SCHEMA:
            raise NotYet("ledger.newer", again=False)
        self.id = self._meta("ledger")

    def _schema(self) -> int:
        """The version of the schema, 0 where there are no tables."""
        with self.reading():
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                return 0
            found = self._meta("schema")
            return int(found) if found.isascii() and found.isdigit() else SCHEMA + 1

    def _upgrade(self, found: int) -> None:
        for script in filter(None, SCRIPTS[found:]):
            for statement in _statements(resources.files(__package__).joinpath(script).read_text("utf-8")):
                self._db.execute(statement)
        if not found:
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", [("ledger", uuid.uuid4().hex), ("paused", "")])
        self.id = self._meta("ledger")
        kept = [("schema", str(SCHEMA)), ("tables", tables(self._db))]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", kept)

    def _meta(self, key: str) -> str:
        value = self.remembered(key)
        if value is None:
            raise IntegrityFailure("ledger.damaged")
        return value

    def remembered(self, key: str) -> str | None:
        """A value that is kept beside the events."""
        with self.reading():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def remember(self, key: str, value: str | None) -> None:
        """Keep a value beside the events, or forget it."""
        with self.change():
            self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
            if value is not None:
                self._db.execute("INSERT INTO meta VALUES (?, ?)", (key, value))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep other readers out while reading. Raises NotYet, or IntegrityFailure when it is damaged."""
        with self._looking if self._owner != threading.get_ident() else contextlib.nullcontext(), _understood():
            yield

    @contextlib.contextmanager
    def apart(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the ledger as it is now, however long that takes; nobody waits for it."""
        with _understood(), contextlib.closing(_connect(self._path)) as connection:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            yield connection

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """One write transaction. Raises NotYet("ledger.unavailable") when the ledger cannot be written now."""
        with self._changing:
            self._owner = threading.get_ident()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    if self._writer.in_transaction:  # where the disk is full, sqlite has rolled it back itself
                        self._writer.execute("ROLLBACK")
                    raise
                self.commit()
            except sqlite3.DatabaseError as error:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                if (getattr(error, "sqlite_errorname", None) or "").startswith(FULL):
                    self.relief()
                raise trouble(error) from None
            finally:
                self._owner = None

    def prepare(self, statements: Iterable[str]) -> None:
        """Run statements that only concern this connection: no other writer has to wait for them, or they for it."""
        with self._changing, _understood():
            for statement in statements:
                self._writer.execute(statement)

    def commit(self) -> None:
        """The instant at which a change has happened."""
        self._writer.execute("COMMIT")
        # sqlite does this too when it first writes to the log, but passes over an error
        if not self._named and self._writer.total_changes:
            with contextlib.suppress(OSError):  # cannot be opened just now: at the next change
                sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        with self._changing, self._looking:
            self._reader.close()
            self._writer.close()

    def patience(self, seconds: float) -> None:
        """How long to wait for another program that holds the ledger."""
        for connection in (self._writer, self._reader):
            connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def bytes(self) -> int:
        """How large the database is."""
        return self._path.stat().st_size

    def changes(self) -> tuple[int, int] | None:
        """Differs from an earlier answer when anything has been written to the ledger since, by whomever.

        None while it is being written to: entering a large batch takes minutes.
        """
        # between two transactions: none is counted that readers cannot see yet
        if not self._changing.acquire(blocking=False):
            return None
        try:
            with _understood():
                version = int(self._writer.execute("PRAGMA data_version").fetchone()[0])
                return version, self._writer.total_changes
        finally:
            self._changing.release()

    # --- events ---------------------------------------------------------------------------------------------------

    def head(self) -> str:
        """Hash of the last event."""
        with self.reading():
            row = self._db.execute("SELECT hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return str(row[0]) if row else GENESIS

    def record(self, event: str, batch: str | None = None, **facts: Any) -> None:
        """Append an event that moves no batch."""
        with self.change():
            self._append(event, batch, facts)

    def _append(self, event: str, batch: str | None, facts: Mapping[str, Any]) -> None:
        last = self._db.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, GENESIS)
        time, text = now(), to_json(facts)
        hashed = event_hash(self.id, seq, time, batch, event, text, previous)
        self._own.add(hashed)
        self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, time, batch, event, text, previous, hashed)
        )

    def events(self, batch: str | None = None) -> list[Event]:
        """All events in order, or those of one batch."""
        which, values = ("", ()) if batch is None else ("WHERE batch = ?", (batch,))
        with self.reading():
            rows = self._db.execute(f"SELECT * FROM event {which} ORDER BY seq", values).fetchall()  # noqa: S608
            return [Event(r[0], r[1], r[2], r[3], json.loads(r[4]), r[5], r[6]) for r in rows]

    def _last_seq(self) -> int:
        with self.reading():
            return int(self._db.execute("SELECT ifnull(max(seq), 0) FROM event").fetchone()[0])

    def others(self) -> list[tuple[str, str | None, dict[str, Any]]]:
        """What other processes have appended since this was asked last: events, with batch and facts."""
        query = "SELECT seq, hash, event, batch, facts FROM event WHERE seq > ? ORDER BY seq"
        with self.reading():
            rows = self._db.execute(query, (self._heard,)).fetchall()
        found = [(row["event"], row["batch"], json.loads(row["facts"])) for row in rows if row["hash"] not in self._own]
        self._heard = rows[-1]["seq"] if rows else self._heard
        self._own.difference_update(row["hash"] for row in rows)
        return found

    def happened(self, event: str) -> bool:
        """Whether the chain has an event of this hash."""
        with self.reading():
            return self._db.execute("SELECT 1 FROM event WHERE hash = ?", (event,)).fetchone() is not None


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """What goes wrong in asking means: not now, or a value that was never written so."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise trouble(error) from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError):
        raise IntegrityFailure("ledger.damaged") from None


def tables(db: sqlite3.Connection) -> str:
    """Digest of what defines the tables: whoever changes them records it anew."""
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def trouble(error: sqlite3.DatabaseError) -> NotYet | IntegrityFailure | DurabilityLost:
    """What an error of the database means: something that passes, a failed fsync, a ledger that is not what it was."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(UNSURE):
        return DurabilityLost(name)
    if name.startswith(PASSING):
        return NotYet("ledger.unavailable", error=name)
    return IntegrityFailure("ledger.damaged")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
