"""The ledger: compare-and-set, the chain, the certificate index, and what it never holds."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanged.batch import Checks
from exchanged.comparison import question
from exchanged.disk import DurabilityLost
from exchanged.errors import IntegrityFailure, NotYet
from exchanged.ledger import GENESIS, Comparison, Entries, Entry, Ledger, Record, Source, store
from exchanged.secrets import Secrets
from exchanged.states import MOVES, ROUTE, TERMINAL, IllegalMove, State, may_move


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return opened(tmp_path)


def opened(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.db", Secrets.load(folder / "ledger.key"))


def claimed(ledger: Ledger, name: str = "jx-20260101-0123456789", stem: str = "一月") -> Record:
    ledger.claim(
        name, stem, "新增", hashlib.sha256(stem.encode()).digest(), [Source(1, f"{stem}.csv", "a" * 64, 9, "t")]
    )
    return again(ledger, name)


def again(ledger: Ledger, name: str) -> Record:
    batch = ledger.batch(name)
    assert batch is not None
    return batch


def number(value: int) -> bytes:
    return hashlib.sha256(str(value).encode()).digest()


def rows(*pairs: tuple[int, int]) -> list[Entry]:
    """(certificate, content) pairs as records of one file, from row 2 on; screening has nothing to ask of them."""
    return [
        (number(one), row, 0, number(content), 0, None, 0, None, None, 0, 0, None)
        for row, (one, content) in enumerate(pairs, 2)
    ]


def enter(ledger: Ledger, batch: Record, found: list[Entry], correction: bool = False) -> list[tuple[str, int, int]]:
    """Enter a batch unless something is found, and say what."""
    told: list[tuple[str, int, int]] = []

    def judge(comparison: Comparison) -> dict[str, Any]:
        told.extend((one.rule, one.file, one.row) for one in comparison.places)
        if told:
            raise ValueError
        return {"rows": len(found)}

    try:
        ledger.validate(batch, Entries([], found), question(Checks("2026-01-01"), correction), judge)
    except ValueError:
        assert again(ledger, batch.id).state is batch.state
    return told


def test_a_batch_moves_only_from_where_it_is(ledger: Ledger) -> None:
    batch = claimed(ledger)
    ledger.move(batch, State.VALIDATED)
    with pytest.raises(NotYet, match=r"batch\.moved_meanwhile"):
        ledger.move(batch, State.REJECTED)
    assert again(ledger, batch.id).state is State.VALIDATED


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_an_illegal_move_raises_and_changes_nothing(before: State, after: State) -> None:
    if after in MOVES[before]:
        may_move(before, after)
    else:
        with pytest.raises(IllegalMove):
            may_move(before, after)


def test_the_route_leads_from_claimed_to_closed_by_legal_moves() -> None:
    state, seen = State.CLAIMED, []
    while state not in TERMINAL:
        seen.append(state)
        may_move(state, ROUTE[state].done)
        state = ROUTE[state].done
    assert state is State.CLOSED
    assert seen == [State.CLAIMED, State.VALIDATED, State.CONFIRMED, State.SEALED, State.DELIVERED]


def test_what_steps_find_out_adds_up(ledger: Ledger) -> None:
    batch = claimed(ledger)
    ledger.note(batch, "delivery.offered", offered="then")
    ledger.move(batch, State.VALIDATED, rows=3, digest="sha256:x", warnings={})
    known = again(ledger, batch.id)
    assert (known.rows, known.digest) == (3, "sha256:x")
    assert known.facts == {"offered": "then", "rows": 3, "digest": "sha256:x", "warnings": {}}


def test_the_ledger_holds_no_name_a_clerk_gave(ledger: Ledger, tmp_path: Path) -> None:
    claimed(ledger, stem="张三的表")
    ledger.close()
    for path in tmp_path.iterdir():
        assert "张三".encode() not in path.read_bytes()
    assert again(opened(tmp_path), "jx-20260101-0123456789").stem == "张三的表"


def test_another_key_cannot_read_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    claimed(ledger)
    ledger.close()
    (tmp_path / "ledger.key").write_bytes(b"x" * 32)
    with pytest.raises(NotYet, match=r"ledger\.key_missing"):
        opened(tmp_path).batches()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Secrets.load(tmp_path / "ledger.key")
    (tmp_path / "ledger.key").chmod(0o644)
    with pytest.raises(NotYet):
        Secrets.load(tmp_path / "ledger.key")


def test_a_number_is_traced_through_every_batch(ledger: Ledger) -> None:
    first = claimed(ledger, "jx-1-a", "甲")
    enter(ledger, first, rows((5, 1), (1, 1)))
    (place,) = ledger.trace(number(1))
    assert (place.batch, place.row, place.state) == ("jx-1-a", 3, State.VALIDATED)
    assert ledger.trace(number(99)) == []


def test_the_chain_is_whole_after_any_number_of_events(ledger: Ledger) -> None:
    assert (ledger.head(), ledger.verify()) == (GENESIS, 0)
    for count in range(1, 20):
        ledger.record("daemon.started", pid=count)
        assert ledger.verify() == count


@pytest.mark.parametrize(
    "crime",
    [
        "UPDATE event SET facts = '{}' WHERE seq = 2",
        "UPDATE event SET time = '2020-01-01T00:00:00+00:00' WHERE seq = 1",
        "DELETE FROM event WHERE seq = 2",
        "UPDATE event SET hash = previous WHERE seq = 3",
        "INSERT INTO event SELECT 4, time, batch, event, facts, hash, hash FROM event WHERE seq = 3",
    ],
)
def test_a_rewritten_history_is_noticed(ledger: Ledger, tmp_path: Path, crime: str) -> None:
    for count in range(3):
        ledger.record("daemon.started", pid=count)
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("DROP TRIGGER event_stays")
        db.execute("DROP TRIGGER event_kept")
        db.execute(crime)
    with pytest.raises(IntegrityFailure):
        opened(tmp_path).verify()


def test_events_cannot_be_changed_by_accident(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record("daemon.started", pid=1)
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute("DELETE FROM event")


def test_a_ledger_is_opened_and_read_while_another_process_writes(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(ledger)
    monkeypatch.setattr(store, "BUSY", 0.0)
    with sqlite3.connect(tmp_path / "ledger.db") as writer:
        writer.execute("BEGIN IMMEDIATE")
        beside = opened(tmp_path)
        assert [one.stem for one in beside.batches()] == ["一月"]
        with pytest.raises(NotYet, match=r"ledger\.unavailable"):
            beside.record("daemon.started", pid=1)
        writer.rollback()
        beside.record("daemon.started", pid=1)


def test_what_is_no_database_is_a_damaged_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database, but long enough to look like a file of something" * 40)
    with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
        opened(tmp_path)


def test_many_threads_move_each_batch_once(ledger: Ledger) -> None:
    batch, won = claimed(ledger), []

    def race() -> None:
        try:
            ledger.move(batch, State.VALIDATED)
            won.append(1)
        except NotYet:
            pass

    threads = [threading.Thread(target=race) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    ledger.verify()


def test_a_death_during_a_step_counts_against_its_batch_until_it_moves(ledger: Ledger) -> None:
    batch = claimed(ledger)
    for count in (1, 2):
        ledger.begin(again(ledger, batch.id))
        (crashed,) = ledger.crashed()
        assert crashed.crashes == count
    ledger.move(again(ledger, batch.id), State.VALIDATED)
    assert ledger.crashed() == []


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32))
def test_a_pseudonym_is_the_hmac_of_a_key_that_comes_from_the_master_key(value: bytes, master: bytes) -> None:
    key = hmac.digest(master, b"exchanged/pseudonym/1", "sha256")
    assert Secrets(master).pseudonym(value) == hmac.digest(key, value, "sha256")


@given(st.text())
def test_what_is_hidden_can_be_shown_and_differs_every_time(text: str) -> None:
    secrets = Secrets(b"k" * 32)
    assert secrets.reveal(secrets.conceal(text)) == text
    assert secrets.conceal(text) != secrets.conceal(text)


def test_a_step_that_found_no_scan_does_not_put_to_sleep_what_has_got_one_since(ledger: Ledger) -> None:
    ledger.move(claimed(ledger), State.VALIDATED)
    batch = again(ledger, "jx-20260101-0123456789")
    ledger.begin(batch)
    ledger.attach(batch, Source(0, "一月.pdf", "b" * 64, 9, "u"))
    ledger.wait(batch, "confirmation.waiting", {}, 9e9)
    assert (again(ledger, batch.id).next_attempt, again(ledger, batch.id).reason) == (0, None)


def test_a_ledger_that_lost_what_it_remembers_is_damaged(ledger: Ledger) -> None:
    ledger._writer.execute("DELETE FROM meta WHERE key = 'paused'")
    with pytest.raises(IntegrityFailure) as told:
        _ = ledger.paused
    assert told.value.code == "ledger.damaged"


def test_a_name_that_was_never_hidden_by_us_is_damage(ledger: Ledger) -> None:
    batch = claimed(ledger)
    ledger._writer.execute("UPDATE batch SET stem = ?", (bytes(40),))
    with pytest.raises(IntegrityFailure) as told:
        ledger.batch(batch.id)
    assert told.value.code == "ledger.damaged"


def test_an_empty_ledger_is_not_gone_on_with_under_another_key(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    (tmp_path / "ledger.key").unlink()
    with pytest.raises(NotYet) as told:
        opened(tmp_path)
    assert (told.value.code, told.value.again) == ("ledger.key_missing", False)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("SQLITE_BUSY_SNAPSHOT", NotYet, "ledger.unavailable"),
        ("SQLITE_FULL", NotYet, "ledger.unavailable"),
        ("SQLITE_IOERR_READ", NotYet, "ledger.unavailable"),
        ("SQLITE_CORRUPT_INDEX", IntegrityFailure, "ledger.damaged"),
        ("SQLITE_NOTADB", IntegrityFailure, "ledger.damaged"),
    ],
)
def test_an_error_of_the_database_passes_or_is_damage(name: str, kind: type[Exception], code: str) -> None:
    error = sqlite3.OperationalError()
    error.sqlite_errorname = name
    told = store.trouble(error)
    assert isinstance(told, kind)
    assert getattr(told, "code", None) == code


@pytest.mark.parametrize("name", store.UNSURE)
def test_after_a_failed_fsync_of_the_database_nothing_is_sure(name: str) -> None:
    error = sqlite3.OperationalError()
    error.sqlite_errorname = name
    assert isinstance(store.trouble(error), DurabilityLost)
