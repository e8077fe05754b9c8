"""A ledger with a past, what can be done to it behind the program's back, and whether that is noticed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from exchanged import evidence
from exchanged.batch import Checks
from exchanged.comparison import question
from exchanged.errors import IntegrityFailure, NotYet
from exchanged.ledger import Entries, Ledger, Source
from exchanged.secrets import Secrets
from exchanged.states import State

# what only says when a batch is tried next, or was last touched; and what is kept beside the events for convenience
UNPROVEN = {
    "batch": {"reason", "reason_facts", "acting", "crashes", "attempts", "next_attempt", "created", "updated"},
    "meta": {"value"},
}
PROVEN_META = ("schema", "ledger", "key", "paused")


def past(state: Path) -> list[str]:
    """Make a state folder with batches in several states and their evidence; gives the heads at several times."""
    state.mkdir(parents=True, exist_ok=True)
    for name in ("spool", "outbox", "evidence"):
        (state / name).mkdir()
    heads = []
    with closing(opened(state)) as ledger:
        for number in range(6):
            enter(ledger, state, number)
            heads.append(ledger.head())
        ledger.pause(True)
        ledger.pause(False)
    return heads


def opened(state: Path) -> Ledger:
    return Ledger(state / "ledger.db", Secrets.load(state / "ledger.key"))


def enter(ledger: Ledger, state: Path, number: int) -> None:
    """The first ones are closed with evidence, then one each is rejected, held and waiting."""
    name, claim = f"jx-20260101-{number:010x}", f"{number:016x}"
    sources = [Source(0, f"第{number}批.pdf", "b" * 64, 100, claim), Source(1, f"第{number}批.csv", "a" * 64, 9, claim)]
    ledger.claim(name, f"第{number}批", "新增", bytes(32), sources)
    facts = {"rows": 10, "digest": f"sha256:{number:064x}", "holds": 0}
    ledger.begin(_now(ledger, name))
    asked = question(Checks("2026-01-01"), False)
    ledger.validate(_now(ledger, name), _entries(number), asked, lambda _: facts)
    if number == 5:
        (state / "spool" / name).mkdir()
        return
    if number == 4:
        ledger.move(_now(ledger, name), State.HELD, reason="operator.hold")
        (state / "spool" / name).mkdir()
        return
    if number == 3:
        ledger.move(_now(ledger, name), State.REJECTED, errors=1)
    else:
        for after in (State.CONFIRMED, State.SEALED, State.DELIVERED, State.CLOSED):
            ledger.move(_now(ledger, name), after, **{str(after): True})
    batch = _now(ledger, name)
    told = evidence.build(ledger, batch, ledger.sources(batch), "exchanged 0")
    ledger.clear(batch, sha256=evidence.write(state / "evidence", told))


def _entries(number: int) -> Entries:
    """Ten certificates of one centre, in two occupations, with running serials."""
    terms = [random.Random(f"term {name}").randbytes(32) for name in ("centre", "prefix", "welder", "cook")]
    rows = []
    for row in range(2, 12):
        chance = random.Random(f"{number} {row}")
        person, what, day, serial = chance.randbytes(16), 3 + row % 2, 20000 + number, number * 10 + row
        rows.append((chance.randbytes(32), row, 0, bytes(32), 0, person, what, 4, day, 1, 2, serial))
    return Entries(terms, rows)


def _now(ledger: Ledger, name: str) -> Any:
    return ledger.batch(name)


def noticed(state: Path, head: str | None = None) -> str | None:
    """What a start and an audit say of a state folder; None when they find nothing."""
    try:
        with closing(opened(state)) as ledger:
            ledger.verify()
            evidence.check(ledger, state)
            audit = evidence.audit(ledger, state, head)
    except (IntegrityFailure, NotYet) as problem:
        return problem.code
    return None if audit["ok"] else str(audit["problems"][0]["code"])


def proven(path: Path) -> list[Any]:
    """Everything in a ledger that the program reads and that is proven."""
    found: list[Any] = []
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        found.append(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall())
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall():
            name = table.decode()
            columns = [row[1].decode() for row in db.execute(f"PRAGMA table_info({name})")]
            kept = [column for column in columns if column not in UNPROVEN.get(name, ())]
            found.append((name, sorted(map(repr, db.execute(f"SELECT {', '.join(kept)} FROM {name}")))))
        found += [db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall() for key in PROVEN_META]
    return found


def flips(path: Path, count: int | None, seed: int = 0) -> Iterator[tuple[int, int]]:
    """Offsets of a file, each with one bit: some of them, or all."""
    size, chance = path.stat().st_size, random.Random(seed)
    offsets: Sequence[int] = range(size) if count is None else sorted(chance.sample(range(size), min(count, size)))
    for offset in offsets:
        yield offset, 1 << chance.randrange(8)


def flipped(
    state: Path, copy: Path, offset: int, bit: int, name: str = "ledger.db", head: str | None = None
) -> str | None:
    """Flip a bit of a copy's ledger, or of a file beside it. Says what is wrong when nobody noticed that.

    It is not wrong where all that is proven is the same.
    """
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy)
    with (copy / name).open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bit]))
    if noticed(copy, head) is not None:
        return None
    same = proven(copy / "ledger.db") == proven(state / "ledger.db")
    return None if same else f"bit {bit:08b} of byte {offset} was flipped, and nobody noticed"


def sql(*statements: str) -> Callable[[Path], None]:
    """Someone with a database tool, who takes the triggers out of his way and puts them back."""

    def act(state: Path) -> None:
        with closing(sqlite3.connect(state / "ledger.db", isolation_level=None)) as db:
            guards = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            before, after = [f"DROP TRIGGER {name}" for name, _ in guards], [made for _, made in guards]
            for statement in (*before, *statements, *after):
                db.execute(statement)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    return act


def unguarded(state: Path) -> None:
    with closing(sqlite3.connect(state / "ledger.db", isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_stays")


def cut(part: float) -> Callable[[Path], None]:
    """The end of the file is gone."""

    def act(state: Path) -> None:
        path = state / "ledger.db"
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * part))

    return act


def without(name: str) -> Callable[[Path], None]:
    def act(state: Path) -> None:
        (state / name).unlink()

    return act


def changed(name: str) -> Callable[[Path], None]:
    """One character of a file is another."""

    def act(state: Path) -> None:
        path = state / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    return act


_LAST = "(SELECT max(seq) FROM event)"
_FIRST = "SELECT stem FROM batch WHERE ordinal = 1"
_SOURCE = "SELECT batch, 2, name, sha256, bytes, claim FROM source WHERE batch = 6 AND position = 1"
_EVENT = f"SELECT seq + 1, time, batch, event, facts, hash, hash FROM event WHERE seq = {_LAST}"
_AWARD = "batch = 2 AND head = (SELECT min(head) FROM award WHERE batch = 2)"
_STRANGE = "SELECT person, 99, head, day, qualification, level FROM award"
_EVIDENCE = "evidence/jx-20260101-0000000001.json"
_EDITS = {
    "a batch is said to be released": "UPDATE batch SET state = 'validated', held_from = NULL WHERE state = 'held'",
    "findings for a person are gone": "UPDATE batch SET facts = json_set(facts, '$.holds', -1) WHERE ordinal = 6",
    "a closed batch is said to be sealed": "UPDATE batch SET state = 'sealed' WHERE ordinal = 1",
    "a closed batch is said not to be cleared": "UPDATE batch SET cleared = 0 WHERE ordinal = 1",
    "another digest": "UPDATE batch SET digest = 'sha256:0' WHERE ordinal = 2",
    "fewer rows": "UPDATE batch SET rows = 9 WHERE ordinal = 2",
    "another lane": "UPDATE batch SET data_type = '更正' WHERE ordinal = 6",
    "another pairing": "UPDATE batch SET pairing = x'00' WHERE ordinal = 6",
    "another batch's name": f"UPDATE batch SET stem = ({_FIRST}) WHERE ordinal = 6",
    "another source": "UPDATE source SET sha256 = 'c' WHERE batch = 6 AND position = 1",
    "a source less": "DELETE FROM source WHERE batch = 6 AND position = 0",
    "a source more": f"INSERT INTO source {_SOURCE}",
    "a certificate less": "DELETE FROM certificate WHERE rowid = 5",
    "a certificate more": "INSERT INTO certificate SELECT * FROM certificate WHERE rowid = 5",
    "another certificate": "UPDATE certificate SET content = x'00' WHERE rowid = 5",
    "a certificate of another batch": "UPDATE certificate SET batch = 6 WHERE rowid = 5",
    "all certificates of a batch less": "DELETE FROM certificate WHERE batch = 2",
    "an award less": f"DELETE FROM award WHERE {_AWARD}",
    "an award of another day": "UPDATE award SET day = day - 700 WHERE batch = 1",
    "an award of another person": f"UPDATE award SET person = zeroblob(16) WHERE {_AWARD}",
    "awards of a batch that never was": f"INSERT INTO award {_STRANGE}",
    "an issue of another day": "UPDATE issue SET day = 1 WHERE batch = 1",
    "a serial less": "DELETE FROM serial WHERE batch = 3 AND serial % 2",
    "a serial more": "INSERT INTO serial VALUES (2, 999, 1)",
    "another term": "UPDATE term SET hmac = zeroblob(32) WHERE id = 1",
    "terms are swapped": "UPDATE term SET id = 9 - id",
    "delivery is said to be paused": "UPDATE meta SET value = 'yes' WHERE key = 'paused'",
    "another key": "UPDATE meta SET value = 'x' WHERE key = 'key'",
    "an event is edited": "UPDATE event SET facts = '{}' WHERE seq = 9",
    "an event is dated back": "UPDATE event SET time = '2020-01-01T00:00:00.000+00:00' WHERE seq = 9",
    "an event is deleted": "DELETE FROM event WHERE seq = 9",
    "the last event is deleted": f"DELETE FROM event WHERE seq = {_LAST}",
    "the last events are deleted": f"DELETE FROM event WHERE seq > {_LAST} - 6",
    "an event is inserted": f"INSERT INTO event {_EVENT}",
}
CRIMES: dict[str, Callable[[Path], object]] = {
    **{name: sql(statement) for name, statement in _EDITS.items()},
    "a batch less": sql(
        "DELETE FROM source WHERE batch = 6",
        "DELETE FROM certificate WHERE batch = 6",
        "DELETE FROM batch WHERE ordinal = 6",
    ),
    "two events are swapped": sql(
        "UPDATE event SET seq = -1 WHERE seq = 8",
        "UPDATE event SET seq = 8 WHERE seq = 9",
        "UPDATE event SET seq = 9 WHERE seq = -1",
    ),
    "a guard is gone": unguarded,
    "half of the file is gone": cut(0.5),
    "the last page is gone": lambda state: cut(1 - 4096 / (state / "ledger.db").stat().st_size)(state),
    "the file is empty": cut(0),
    "the file is gone": without("ledger.db"),
    "the key is gone": without("ledger.key"),
    "the key is another": changed("ledger.key"),
    "evidence is gone": without(_EVIDENCE),
    "evidence is changed": changed(_EVIDENCE),
    "evidence of a batch that never was": lambda state: (state / "evidence" / "jx-1-x.json").write_text("{}"),
    "files of a batch that never was": lambda state: (state / "spool" / "jx-1-x").mkdir(),
    "a package of a batch that never was": lambda state: (state / "outbox" / "jx-1-x.pgp").write_text("x"),
}
