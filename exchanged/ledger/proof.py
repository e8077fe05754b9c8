"""Whether the ledger is what it was: the chain of events, the books against it, the certificates against their digest.

Takes   a connection that sees one state of the database
Gives   nothing, or the number of events
Ends    IntegrityFailure ledger.damaged, ledger.tampered (the first bad event), ledger.altered (the batch)

The books (batches, their files, whether delivery is paused) are what the events add up to; where those of an earlier
version say too little, from the event on with which the upgrade wrote down what it found. Not proven is what only says
when a batch is tried next and why it was not done: nothing follows from it but an earlier or later try.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain as joined
from typing import Any

from exchanged.errors import IntegrityFailure
from exchanged.ledger.store import GENESIS, event_hash, tables
from exchanged.states import State

_NO_FACTS = frozenset({"batch.scan_attached", "batch.deferred", "batch.retried", "evidence.written"})
_MOVES = {f"batch.{state}": state for state in State}


def sound(db: sqlite3.Connection) -> None:
    """The database's own structure is whole, and its tables, indexes and triggers are those that were made."""
    whole = db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
    dangling = db.execute("PRAGMA foreign_key_check").fetchone()
    kept = db.execute("SELECT value FROM meta WHERE key = 'tables'").fetchone()
    if not whole or dangling or kept[0] != tables(db):
        raise IntegrityFailure("ledger.damaged")


def chain(db: sqlite3.Connection, ledger: str) -> int:
    """Every event follows from the one before it. Gives the number of events."""
    expected, previous = 1, GENESIS
    for row in db.execute("SELECT * FROM event ORDER BY seq"):
        good = event_hash(ledger, row[0], row[1], row[2], row[3], row[4], previous)
        if row["seq"] != expected or row["previous"] != previous or row["hash"] != good:
            raise IntegrityFailure("ledger.tampered", seq=expected)
        expected, previous = expected + 1, good
    return expected - 1


def books(db: sqlite3.Connection) -> None:
    """Every batch is where its events brought it, with the facts and files that they brought; none is missing."""
    entered = [row[0] for row in db.execute("SELECT batch FROM event WHERE event = 'batch.claimed' ORDER BY seq")]
    if [row[0] for row in db.execute("SELECT id FROM batch ORDER BY ordinal")] != entered:
        raise IntegrityFailure("ledger.altered")
    for batch in entered:
        if _written(db, batch) != _told(db, batch):
            raise IntegrityFailure("ledger.altered", batch=batch)
    last = "SELECT event FROM event WHERE event IN ('delivery.paused', 'delivery.resumed') ORDER BY seq DESC LIMIT 1"
    told, kept = db.execute(last).fetchone(), db.execute("SELECT value FROM meta WHERE key = 'paused'").fetchone()
    if (told is not None and told[0] == "delivery.paused") is not bool(kept[0]):
        raise IntegrityFailure("ledger.altered")


@dataclass(slots=True)
class _Book:
    """What is proven of a batch. Names are hidden; of them the digest of what hides them is."""

    stem: str = ""
    pairing: str = ""
    data_type: str = ""
    state: State | None = None
    held_from: State | None = None
    cleared: bool = False
    rows: int | None = None
    digest: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)


def _written(db: sqlite3.Connection, batch: str) -> _Book:
    """A batch as its row has it."""
    row = db.execute("SELECT * FROM batch WHERE id = ?", (batch,)).fetchone()
    sources = db.execute(
        "SELECT position, name, sha256, bytes, claim FROM source WHERE batch = ? ORDER BY position", (row["ordinal"],)
    )
    return _Book(
        _hash(row["stem"]), row["pairing"].hex(), row["data_type"], State(row["state"]),
        State(row["held_from"]) if row["held_from"] else None, bool(row["cleared"]), row["rows"], row["digest"],
        json.loads(row["facts"]), [{**one, "name": _hash(one["name"])} for one in map(dict, sources)],
    )  # fmt: skip


def _hash(hidden: bytes) -> str:
    return hashlib.sha256(hidden).hexdigest()


def _told(db: sqlite3.Connection, batch: str) -> _Book:
    """A batch as its events have it."""
    book = _Book()
    since = "ifnull((SELECT max(seq) FROM event WHERE batch = ?1 AND event = 'batch.inventoried'), 0)"
    query = f"SELECT event, facts FROM event WHERE batch = ?1 AND seq >= {since} ORDER BY seq"  # noqa: S608
    for event, text in db.execute(query, (batch,)):
        facts = json.loads(text)
        if event == "batch.inventoried":
            book = _inventoried(facts)
        elif event == "batch.claimed":
            book.stem, book.pairing, book.data_type = facts["stem"], facts["pairing"], facts["data_type"]
            book.state, book.sources = State.CLAIMED, facts["sources"]
        elif event == "batch.scan_attached":
            book.sources.insert(0, facts)
        elif event == "intake.destroyed":
            book.facts["originals"] = [*book.facts.get("originals", []), *facts["originals"]]
        elif event == "evidence.written":
            book.cleared = True
        elif event not in _NO_FACTS:
            book.facts |= facts
            _move(book, event, facts)
    return book


def _inventoried(facts: dict[str, Any]) -> _Book:
    told = {name: value for name, value in facts.items() if name != "index"}
    held_from = told["held_from"]
    return _Book(**{**told, "state": State(told["state"]), "held_from": State(held_from) if held_from else None})


def _move(book: _Book, event: str, facts: dict[str, Any]) -> None:
    after = book.held_from if event == "batch.released" else _MOVES.get(event)
    if after is not None:
        book.held_from = book.state if after is State.HELD else None
        book.state = after
        book.rows = facts.get("rows", book.rows)
        book.digest = facts.get("digest", book.digest)


def inventory(db: sqlite3.Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every batch as it is in books whose events do not tell all of it, as facts of an event from which all follows."""
    entered = _entered(db)
    for ordinal, batch in db.execute("SELECT ordinal, id FROM batch ORDER BY ordinal").fetchall():
        yield batch, {**asdict(_written(db, batch)), "index": entered.get(ordinal)}


# --- the index: what was entered of each certificate -----------------------------------------------------------------


def _term(column: str) -> str:
    return f"ifnull((SELECT hex(hmac) FROM term WHERE id = {column}), '-')"  # noqa: S608


_SPACE = " || ' ' || "
_LINES = {  # what is proven of each row, as text, without its batch
    "certificate": _SPACE.join(("head", "hex(number)", "row", "file", "hex(content)")),
    "award": _SPACE.join(("hex(person)", "head", "day", _term("qualification"), "ifnull(level, '-')")),
    "issue": _SPACE.join((_term("centre"), "day", "head")),
    "serial": _SPACE.join((_term("prefix"), "serial")),
}
_ORDER = {
    "certificate": "rowid",
    "award": "person, batch, head",
    "issue": "centre, day, batch, head",
    "serial": "prefix, serial, batch",
}
_OWN = {  # the same rows of a batch that has just been entered from `temp.incoming`: no look-up in a long history
    "certificate": "certificate WHERE rowid > ? ORDER BY rowid",
    "award": "(SELECT person, head, day, qualification, level, min(record) FROM temp.incoming WHERE person IS NOT NULL"
    " AND day IS NOT NULL GROUP BY person, head) ORDER BY person, head",
    "issue": "(SELECT DISTINCT centre, day, head FROM temp.incoming WHERE centre IS NOT NULL AND day IS NOT NULL)"
    " ORDER BY centre, day, head",
    "serial": "(SELECT DISTINCT prefix, serial FROM temp.incoming WHERE serial IS NOT NULL) ORDER BY prefix, serial",
}


def index(db: sqlite3.Connection, after: int) -> str:
    """Digest of all that has just been entered of a batch's certificates. after: the last certificate before them."""
    hashed = []
    for table, line in _LINES.items():
        own = hashlib.sha256()
        values = (after,) if table == "certificate" else ()
        for rows in _texts(db, f"SELECT {line} FROM {_OWN[table]}", values):  # noqa: S608
            own.update("".join([f"{row[0]}\n" for row in rows]).encode())
        hashed.append(own)
    return _joined(hashed)


def certificates(db: sqlite3.Connection) -> None:
    """What is known of the certificates of every batch that passed its checks is what was entered then."""
    query = (
        "SELECT b.ordinal, json_extract(e.facts, '$.index') AS entered FROM event e JOIN batch b ON b.id = e.batch"
        " WHERE e.event IN ('batch.validated', 'batch.inventoried') AND entered IS NOT NULL"
    )
    told = {row[0]: row[1] for row in db.execute(query)}
    found = _entered(db)
    for ordinal in sorted(told.keys() | found.keys()):
        if told.get(ordinal) != found.get(ordinal):
            raise _altered(db, ordinal)


def _entered(db: sqlite3.Connection) -> dict[int, str]:
    """The digest of every batch's certificates, by its ordinal, as they are now."""
    hashed: dict[int, list[Any]] = {}
    for at, (table, line) in enumerate(_LINES.items()):
        query = f"SELECT batch, {line} FROM {table} ORDER BY {_ORDER[table]}"  # noqa: S608
        for batch, text in joined.from_iterable(_texts(db, query)):
            if batch not in hashed:
                hashed[batch] = [hashlib.sha256() for _ in _LINES]
            hashed[batch][at].update(f"{text}\n".encode())
    return {batch: _joined(own) for batch, own in hashed.items()}


def _texts(db: sqlite3.Connection, query: str, values: Sequence[int] = ()) -> Iterator[list[tuple[Any, ...]]]:
    """Rows as plain tuples, a good many at a time."""
    cursor = db.cursor()
    cursor.row_factory = None
    cursor.execute(query, values)
    while rows := cursor.fetchmany(1000):
        yield rows


def _joined(hashed: Iterable[Any]) -> str:
    return hashlib.sha256("".join(one.hexdigest() for one in hashed).encode()).hexdigest()


def _altered(db: sqlite3.Connection, ordinal: int) -> IntegrityFailure:
    row = db.execute("SELECT id FROM batch WHERE ordinal = ?", (ordinal,)).fetchone()
    return IntegrityFailure("ledger.altered", **({"batch": str(row[0])} if row else {}))
