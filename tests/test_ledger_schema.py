"""Ledgers of other versions: older ones are brought up to date in place, newer ones are left alone."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.errors import IntegrityFailure, NotYet
from exchanged.ledger import GENESIS, Ledger, event_hash, store
from exchanged.secrets import Secrets
from tests.support.awards import Cert, History, checked

# what the first version wrote: not read from the program, so that it stays what it was
FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE batch (ordinal INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stem BLOB NOT NULL, pairing BLOB NOT NULL,
    data_type TEXT NOT NULL, state TEXT NOT NULL, held_from TEXT, reason TEXT, reason_facts TEXT NOT NULL DEFAULT '{}',
    acting INTEGER NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt REAL, cleared INTEGER NOT NULL DEFAULT 0, rows INTEGER, digest TEXT, created TEXT NOT NULL,
    updated TEXT NOT NULL, facts TEXT NOT NULL DEFAULT '{}') STRICT;
CREATE INDEX batch_waiting ON batch (cleared, state);
CREATE INDEX batch_pairing ON batch (pairing);
CREATE TABLE source (batch INTEGER NOT NULL REFERENCES batch (ordinal), position INTEGER NOT NULL, name BLOB NOT NULL,
    sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, claim TEXT NOT NULL, PRIMARY KEY (batch, position))
    STRICT, WITHOUT ROWID;
CREATE INDEX source_claim ON source (claim);
CREATE TABLE certificate (head INTEGER NOT NULL, number BLOB NOT NULL,
    batch INTEGER NOT NULL REFERENCES batch (ordinal),
    row INTEGER NOT NULL, file INTEGER NOT NULL, content BLOB NOT NULL) STRICT;
CREATE INDEX certificate_head ON certificate (head);
CREATE TABLE event (seq INTEGER PRIMARY KEY, time TEXT NOT NULL, batch TEXT, event TEXT NOT NULL, facts TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE INDEX event_batch ON event (batch);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""
OLD = "jx-20250101-old"
CERTS = [Cert(person=n, serial=n + 1) for n in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder as the first version left it: one reported batch, one event."""
    secrets = Secrets.load(tmp_path / "ledger.key")
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.executescript(FIRST)
        key = secrets.pseudonym(b"exchanged/key").hex()
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [("schema", "1"), ("ledger", "a" * 32), ("paused", ""), ("key", key)]
        )
        moment = "2025-01-01T00:00:00.000+08:00"
        db.execute(
            "INSERT INTO batch (id, stem, pairing, data_type, state, cleared, created, updated)"
            " VALUES (?, ?, x'00', '新增', 'closed', 1, ?, ?)",
            (OLD, secrets.conceal("旧"), moment, moment),
        )
        db.executemany("INSERT INTO certificate VALUES (?, ?, 1, ?, 0, ?)", certificates(secrets))
        hashed = event_hash("a" * 32, 1, moment, OLD, "batch.claimed", "{}", GENESIS)
        db.execute("INSERT INTO event VALUES (1, ?, ?, 'batch.claimed', '{}', ?, ?)", (moment, OLD, GENESIS, hashed))
    return tmp_path


def certificates(secrets: Secrets) -> Iterator[tuple[int, bytes, int, bytes]]:
    """The certificates as the first version entered them."""
    lines = (checked(CERTS).table or b"").split(b"\r\n")[1:-1]
    for row, (cert, line) in enumerate(zip(CERTS, lines, strict=True), 2):
        number = secrets.pseudonym(hashlib.sha256(cert.number.encode()).digest())
        content = secrets.pseudonym(hashlib.sha256(line).digest())
        yield int.from_bytes(number[:8], "big", signed=True), number, row, content


def opened(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.db", Secrets.load(folder / "ledger.key"))


def tables(folder: Path) -> dict[str, str]:
    """Everything that the database is made of, by name, without white space."""
    with sqlite3.connect(folder / "ledger.db") as db:
        made = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: "".join(word for line in sql.splitlines() for word in line.partition("--")[0].split())
            for name, sql in made}  # fmt: skip


def schema(folder: Path) -> str:
    with sqlite3.connect(folder / "ledger.db") as db:
        return str(db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0])


def test_an_older_ledger_becomes_what_a_new_one_is(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    opened(folder).close()
    new = tmp_path_factory.mktemp("new")
    opened(new).close()
    assert tables(folder) == tables(new)
    assert schema(folder) == schema(new) == "3"


def test_an_older_ledger_keeps_all_it_knew(folder: Path) -> None:
    ledger = opened(folder)
    assert (ledger.id, ledger.verify()) == ("a" * 32, 2), "the upgrade wrote down what it found"
    (batch,) = ledger.batches()
    assert (batch.id, batch.stem, batch.cleared) == (OLD, "旧", True)
    number = Secrets.load(folder / "ledger.key").pseudonym_of(CERTS[0].number)
    assert [(one.batch, one.row) for one in ledger.trace(number)] == [(OLD, 2)]
    ledger.record("daemon.started", pid=1)
    assert ledger.verify() == 3


def test_the_numbers_of_an_older_ledger_are_known_though_not_screened(folder: Path) -> None:
    past = History(folder)
    changed = Cert(person=1, serial=2, centre=1)
    _, found = past.enter([CERTS[0], changed, Cert(person=5, level=2, day=1)])
    assert [(one.rule, one.row, one.facts) for one in found.places] == [
        ("already-reported", 2, {"batch": OLD}),
        ("conflicts-with-history", 3, {"batch": OLD}),
    ]
    _, found = past.enter([changed], corrects=True)
    assert (found.counts, found.corrects) == ({"already-reported": 1}, [{"batch": "jx-20260101-0001", "records": "1"}])
    past.ledger.close()


def test_an_upgrade_that_fails_half_way_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(folder)
    whole = store._statements

    def broken(script: str) -> Iterator[str]:
        yield from list(whole(script))[:2]
        yield "CREATE TABLE award (nonsense"

    with monkeypatch.context() as patched:
        patched.setattr(store, "_statements", broken)
        with pytest.raises(IntegrityFailure):
            opened(folder)
    assert (tables(folder), schema(folder)) == (before, "1")
    opened(folder).close()
    assert schema(folder) == "3"


def test_a_kill_during_an_upgrade_changes_nothing(folder: Path) -> None:
    before = tables(folder)
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom exchanged.ledger import Ledger, store\n"
        "from exchanged.secrets import Secrets\n"
        "store.Store.commit = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder = Path(sys.argv[1])\nLedger(folder / 'ledger.db', Secrets.load(folder / 'ledger.key'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], timeout=60, check=False)
    assert done.returncode == -9
    assert (tables(folder), schema(folder)) == (before, "1")
    assert opened(folder).verify() == 2


def test_many_may_open_an_older_ledger_at_once(folder: Path) -> None:
    trouble: list[BaseException] = []

    def look() -> None:
        try:
            ledger = opened(folder)
            assert ledger.verify() == 2
            ledger.close()
        except BaseException as problem:
            trouble.append(problem)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert schema(folder) == "3"


@pytest.mark.parametrize("newer", ["4", "99", "2.1", "two"])
def test_a_ledger_of_a_newer_program_is_left_alone(folder: Path, newer: str) -> None:
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (newer,))
    before = tables(folder)
    with pytest.raises(NotYet, match=r"ledger\.newer"):
        opened(folder)
    assert (tables(folder), schema(folder)) == (before, newer)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE certificate SET content = x'00' WHERE rowid = 2",
        "UPDATE batch SET state = 'withdrawn'",
        "UPDATE batch SET pairing = x'01'",
        "DELETE FROM certificate",
    ],
)
def test_what_an_upgrade_found_is_proven_from_then_on(folder: Path, edit: str) -> None:
    opened(folder).close()
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute(edit)
    with pytest.raises(IntegrityFailure, match=r"ledger\.altered"):
        opened(folder).verify()
