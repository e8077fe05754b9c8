"""Ledgers that are full, meddled with, or under another key: each is told for what it is, and nothing is half done."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from exchanged.disk import DurabilityLost
from exchanged.errors import IntegrityFailure, NotYet
from exchanged.ledger import Ledger, Record, Source, store
from exchanged.secrets import Secrets
from exchanged.states import State
from tests.support.mounts import mounted

BATCH = "jx-20260101-0123456789"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return opened(tmp_path)


def opened(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.db", Secrets.load(folder / "ledger.key"))


def claimed(ledger: Ledger, name: str = BATCH, replaces: Record | None = None) -> Record:
    source = Source(1, "一月.csv", "a" * 64, 9, f"claim of {name}")
    ledger.claim(name, "一月", "新增", hashlib.sha256(b"1").digest(), [source], replaces)
    return again(ledger, name)


def again(ledger: Ledger, name: str = BATCH) -> Record:
    batch = ledger.batch(name)
    assert batch is not None
    return batch


def behind_its_back(folder: Path, *crimes: str) -> None:
    with sqlite3.connect(folder / "ledger.db") as db:
        for crime in crimes:
            db.execute(crime)
    db.close()


def test_a_ledger_that_cannot_grow_makes_room_once_and_loses_nothing(ledger: Ledger) -> None:
    batch, asked = claimed(ledger), []
    before = ledger.events()
    ledger._writer.execute("PRAGMA max_page_count = 1")  # sqlite takes the size it has: it cannot grow any more
    ledger.relief = lambda: asked.append(ledger._writer.execute("PRAGMA max_page_count = 1000000"))
    with pytest.raises(NotYet) as caught:
        ledger.note(batch, "delivery.offered", offered="x" * 100_000)
    assert (caught.value.code, caught.value.facts["error"]) == ("ledger.unavailable", "SQLITE_FULL")
    assert len(asked) == 1
    assert (ledger.events(), dict(again(ledger).facts)) == (before, {})
    ledger.note(batch, "delivery.offered", offered="x" * 100_000)
    assert ledger.verify() == len(before) + 1


def test_a_disk_that_fills_in_the_middle_of_a_large_change_is_full_and_the_ledger_whole(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with mounted(state, "size=2m"):
        ledger = opened(state)
        batch = claimed(ledger)
        with pytest.raises(NotYet) as caught:  # more than sqlite keeps in memory: written before the change is over
            ledger.note(batch, "delivery.offered", offered="x" * 8_000_000)
        assert caught.value.code == "ledger.unavailable"
        assert dict(again(ledger).facts) == {}
        ledger.note(batch, "delivery.offered", offered="x")
        assert ledger.verify() == 2
        ledger.close()


def test_a_ledger_without_its_marks_is_damaged(ledger: Ledger, tmp_path: Path) -> None:
    behind_its_back(tmp_path, "DELETE FROM meta WHERE key = 'paused'")
    with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
        _ = ledger.paused


@pytest.mark.parametrize(
    "crime",
    [
        f"UPDATE batch SET state = 'closed' WHERE id = '{BATCH}'",
        "UPDATE batch SET facts = '{}', rows = 5",
        "INSERT INTO batch (id, stem, pairing, data_type, state, created, updated)"
        " SELECT 'jx-2', stem, pairing, data_type, state, created, updated FROM batch",
        "UPDATE meta SET value = 'yes' WHERE key = 'paused'",
    ],
)
def test_books_that_say_more_than_the_events_are_altered_and_a_quick_look_sees_it_too(
    ledger: Ledger, tmp_path: Path, crime: str
) -> None:
    claimed(ledger)
    ledger.verify(whole=False)
    behind_its_back(tmp_path, crime)
    for whole in (True, False):
        with pytest.raises(IntegrityFailure, match=r"ledger\.altered"):
            ledger.verify(whole=whole)


def test_an_event_that_is_not_the_one_that_was_recorded_is_named_by_its_number(ledger: Ledger, tmp_path: Path) -> None:
    for pid in range(3):
        ledger.record("daemon.started", pid=pid)
    trigger = (
        "CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
    )
    behind_its_back(tmp_path, "DROP TRIGGER event_stays", "UPDATE event SET facts = '{}' WHERE seq = 2", trigger)
    with pytest.raises(IntegrityFailure) as caught:
        ledger.verify(whole=False)
    assert (caught.value.code, caught.value.facts["seq"]) == ("ledger.tampered", 2)


def test_a_key_that_is_new_beside_a_ledger_without_batches_is_the_wrong_key(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    (tmp_path / "ledger.key").write_bytes(b"x" * 32)
    with pytest.raises(NotYet, match=r"ledger\.key_missing"):
        opened(tmp_path)


def test_a_ledger_that_names_another_key_than_its_batches_are_hidden_under_is_damaged(
    ledger: Ledger, tmp_path: Path
) -> None:
    claimed(ledger)
    ledger.close()
    behind_its_back(tmp_path, "UPDATE meta SET value = 'ff' WHERE key = 'key'")
    with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
        opened(tmp_path)


def test_a_name_that_cannot_be_shown_though_the_key_is_right_is_damage(ledger: Ledger, tmp_path: Path) -> None:
    claimed(ledger)
    behind_its_back(tmp_path, "UPDATE batch SET stem = zeroblob(40)")
    with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
        ledger.batches()


def test_what_is_written_in_no_way_that_this_program_writes_is_damage(ledger: Ledger, tmp_path: Path) -> None:
    claimed(ledger)
    behind_its_back(tmp_path, "UPDATE batch SET facts = 'no json'")
    with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
        ledger.batches()


def test_a_ledger_without_a_table_is_damaged_for_whoever_reads_compares_or_asks(ledger: Ledger, tmp_path: Path) -> None:
    batch = claimed(ledger)
    behind_its_back(tmp_path, "DROP TABLE source")
    for ask in (lambda: ledger.sources(batch), ledger.unconfirmed, lambda: ledger.verify(whole=False)):
        with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
            ask()


def test_a_batch_that_is_replaced_is_superseded_in_the_same_instant(ledger: Ledger) -> None:
    first = claimed(ledger)
    second = claimed(ledger, "jx-2", first)
    assert (again(ledger).state, second.state) == (State.SUPERSEDED, State.CLAIMED)
    assert ledger.verify() == 3
    with pytest.raises(NotYet, match=r"batch\.moved_meanwhile"):
        claimed(ledger, "jx-3", first)
    assert ledger.batch("jx-3") is None


def test_how_the_clerks_files_ended_is_found_again_by_their_claim(ledger: Ledger) -> None:
    claim = f"claim of {BATCH}"
    assert ledger.batch_of(claim) is None
    assert ledger.claimed_digests(claim) == []
    claimed(ledger)
    assert (ledger.batch_of(claim), ledger.claimed_digests(claim)) == (BATCH, ["a" * 64])
    assert not ledger.knows_destroyed(claim)
    assert ledger.destroyed(claim, [{"claim": claim, "method": "overwritten"}]) == BATCH
    assert ledger.knows_destroyed(claim)
    assert ledger.destroyed(claim, [{"claim": claim, "method": "absent"}]) == BATCH
    assert [one["method"] for one in again(ledger).facts["originals"]] == ["overwritten", "absent"]
    assert ledger.verify() == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_IOERR_FSYNC", DurabilityLost),
        ("SQLITE_IOERR_DIR_FSYNC", DurabilityLost),
        ("SQLITE_IOERR_WRITE", NotYet),
        ("SQLITE_READONLY_DBMOVED", NotYet),
        ("SQLITE_CORRUPT", IntegrityFailure),
        (None, IntegrityFailure),
    ],
)
def test_what_sqlite_says_is_something_that_passes_or_damage_or_the_end_of_the_process(
    name: str | None, kind: type[BaseException]
) -> None:
    error: Any = sqlite3.OperationalError("…")
    if name:
        error.sqlite_errorname = name
    assert type(store.trouble(error)) is kind


def test_a_scan_that_comes_wakes_its_batch_but_not_one_that_is_held(ledger: Ledger) -> None:
    for name, held in (("jx-1", False), ("jx-2", True)):
        ledger.move(claimed(ledger, name), State.VALIDATED)
        ledger.wait(again(ledger, name), "confirmation.waiting", {}, 9e9)
        if held:
            ledger.move(again(ledger, name), State.HELD, reason="operator.hold", reason_facts={})
        ledger.attach(again(ledger, name), Source(0, "一月.pdf", "b" * 64, 9, f"scan of {name}"))
        batch = again(ledger, name)
        assert (batch.next_attempt, batch.reason) == ((None, "operator.hold") if held else (0, None))
        assert [one.position for one in ledger.sources(batch)] == [0, 1]
    ledger.verify()


def test_the_chain_knows_its_own_events_by_their_hash(ledger: Ledger) -> None:
    claimed(ledger)
    assert [ledger.happened(event.hash) for event in ledger.events()] == [True]
    assert ledger.happened(ledger.head())
    assert not ledger.happened("0" * 64)


def test_the_name_of_the_log_is_made_durable_once_whatever_sqlite_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[BaseException | None] = [OSError("no descriptor left"), DurabilityLost("fsync failed"), None]
    synced: list[Path] = []

    def sync(folder: Path) -> None:
        synced.append(folder)
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(store, "sync_folder", sync)
    with pytest.raises(DurabilityLost):
        opened(tmp_path)  # its first change makes the tables, the next has to do with the key
    ledger = opened(tmp_path)
    ledger.remember("a", "1")
    ledger.remember("a", "2")
    assert (synced, ledger.remembered("a")) == ([tmp_path] * 3, "2")


def test_of_many_that_open_a_new_ledger_at_once_all_have_the_same_key(tmp_path: Path) -> None:
    """As when a service is started for the first time while somebody asks for its status."""
    program = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace as N
from exchanged.statefolder import look_at_ledger, open_ledger
state, start = Path(sys.argv[1]), float(sys.argv[2])
settings = N(folders=N(state=state))
while time.monotonic() < start:
    pass
if int(sys.argv[3]) % 2:
    with look_at_ledger(settings) as (ledger, secrets):
        print(ledger.id, secrets.pseudonym(b"x").hex(), ledger.batches())
else:
    ledger, secrets = open_ledger(settings)
    print(ledger.id, secrets.pseudonym(b"x").hex(), ledger.batches())
    ledger.close()
"""
    for number in range(5):
        state = tmp_path / str(number)
        state.mkdir(mode=0o700)
        start = time.monotonic() + 1.0
        words = [sys.executable, "-c", program, str(state), str(start)]
        four = [
            subprocess.Popen([*words, str(one)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for one in range(4)
        ]
        said = [one.communicate(timeout=60) for one in four]
        assert len({out for out, _ in said}) == 1, said
        assert [one.returncode for one in four] == [0] * 4, said
