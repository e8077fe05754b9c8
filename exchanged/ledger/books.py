"""What the ledger knows of batches: their states and facts, and the clerks' files.

A batch moves by compare-and-set together with its event, in one transaction. What came from clerks is kept only as HMAC
or encrypted, under a key that lies beside the ledger, not in it (`Secrets`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from exchanged.errors import IntegrityFailure, NotYet
from exchanged.ledger.clock import Clock
from exchanged.ledger.delivery import Delivery
from exchanged.ledger.store import now, to_json
from exchanged.secrets import Secrets
from exchanged.states import OPERATOR, TERMINAL, UNDONE, State, may_move

FAR = 86400.0  # seconds: longer than any try is put off; a later one was planned by a clock that ran ahead


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the clerk's: its name, digest and size, its place in the batch (0 = the scan), and its claim."""

    position: int
    name: str
    sha256: str
    bytes: int
    claim: str


@dataclass(frozen=True, slots=True)
class Record:
    """A batch as the ledger knows it."""

    ordinal: int
    id: str
    stem: str
    data_type: str
    state: State
    held_from: State | None
    reason: str | None
    reason_facts: Mapping[str, Any]
    acting: bool
    crashes: int
    attempts: int
    next_attempt: float | None
    cleared: bool
    rows: int | None
    digest: str | None
    created: str
    updated: str
    facts: Mapping[str, Any]


def _digest(hidden: bytes) -> str:
    """What an event says of something that is hidden."""
    return hashlib.sha256(hidden).hexdigest()


class Books(Clock, Delivery):
    """Batches and the clerks' files."""

    def __init__(self, path: Path, secrets: Secrets) -> None:
        self._secrets = secrets
        super().__init__(path)
        known, own = self.remembered("key"), secrets.pseudonym(b"exchanged/key").hex()
        if known is None:
            self.remember("key", own)
        elif known != own:
            self._hidden_under_another_key()

    def _hidden_under_another_key(self) -> NoReturn:
        """The key is not the one that the ledger names: it is missing, or the ledger names a wrong one."""
        with self.reading():
            row = self._db.execute("SELECT stem FROM batch ORDER BY ordinal DESC LIMIT 1").fetchone()
        if row:
            self._secrets.reveal(row["stem"])
            raise IntegrityFailure("ledger.damaged")
        raise NotYet("ledger.key_missing", again=False)

    def _reveal(self, hidden: bytes) -> str:
        """What was hidden under the key, which is known to be the right one."""
        try:
            return self._secrets.reveal(hidden)
        except NotYet:
            raise IntegrityFailure("ledger.damaged") from None

    # --- batches --------------------------------------------------------------------------------------------------

    def claim(
        self,
        batch: str,
        stem: str,
        data_type: str,
        pairing: bytes,
        sources: Sequence[Source],
        replaces: Record | None = None,
    ) -> None:
        """Enter a new batch in state `claimed` with its files; one that it replaces becomes `superseded` with it.

        Where the operator holds that, the new one is held too.
        """
        moment = now()
        with self.change():
            if replaces is not None:
                self._move(replaces, State.SUPERSEDED, "batch.superseded", {"replaced_by": batch})
            hidden = self._secrets.conceal(stem)
            cursor = self._db.execute(
                "INSERT INTO batch (id, stem, pairing, data_type, state, created, updated, next_attempt)"
                " VALUES (?, ?, ?, ?, 'claimed', ?, ?, 0)",
                (batch, hidden, pairing, data_type, moment, moment),
            )
            files = self._add_sources(cursor.lastrowid or 0, sources)
            facts = {"data_type": data_type, "stem": _digest(hidden), "pairing": pairing.hex(), "sources": files}
            self._append("batch.claimed", batch, facts)
            if replaces is not None and replaces.reason == OPERATOR and (held := self.batch(batch)):
                self._move(held, State.HELD, "batch.held", {"reason": OPERATOR, "reason_facts": {}})

    def attach(self, batch: Record, scan: Source) -> None:
        """Add the scan to a batch that waits for it, and wake the batch, unless it is held: why stays with it."""
        with self.change():
            self._expect(batch)
            (file,) = self._add_sources(batch.ordinal, [scan])
            if batch.state is not State.HELD:
                self._db.execute(
                    "UPDATE batch SET next_attempt = 0, attempts = 0, reason = NULL WHERE ordinal = ?", (batch.ordinal,)
                )
            self._db.execute("UPDATE batch SET updated = ? WHERE ordinal = ?", (now(), batch.ordinal))
            self._append("batch.scan_attached", batch.id, file)

    def _add_sources(self, ordinal: int, sources: Iterable[Source]) -> list[dict[str, Any]]:
        """Enter files; gives them as the event has them."""
        told = []
        for one in sorted(sources, key=lambda source: source.position):
            name = self._secrets.conceal(one.name)
            row = (ordinal, one.position, name, one.sha256, one.bytes, one.claim)
            self._db.execute("INSERT INTO source VALUES (?, ?, ?, ?, ?, ?)", row)
            told.append({**asdict(one), "name": _digest(name)})
        return told

    def sources(self, batch: Record) -> list[Source]:
        """The clerk's files of a batch: the scan (position 0) if it has come, then the spreadsheets."""
        query = "SELECT * FROM source WHERE batch = ? ORDER BY position"
        with self.reading():
            rows = self._db.execute(query, (batch.ordinal,)).fetchall()
            return [Source(r["position"], self._reveal(r["name"]), r["sha256"], r["bytes"], r["claim"]) for r in rows]

    def hide(self, value: Any) -> str:
        """Something a clerk may have written, as a fact that only this unit can read again."""
        return self._secrets.conceal(json.dumps(value)).hex()

    def shown(self, hidden: str | None) -> Any:
        """What `hide` hid; None for nothing."""
        return json.loads(self._reveal(bytes.fromhex(hidden))) if hidden else None

    def batch_of(self, claim: str) -> str | None:
        """The batch that files became which came through this claim folder; None when they have not been entered."""
        query = (
            "SELECT b.id FROM source s JOIN batch b ON b.ordinal = s.batch WHERE s.claim = ?"
            " ORDER BY b.ordinal DESC LIMIT 1"
        )
        with self.reading():
            row = self._db.execute(query, (claim,)).fetchone()
        return str(row[0]) if row else None

    def destroyed(self, claim: str, ends: Sequence[Mapping[str, Any]]) -> str:
        """Record how the files of a claim ended in the drop folder; gives the batch that they became."""
        with self.change():
            row = self._db.execute(
                "SELECT b.ordinal, b.id, b.facts FROM source s JOIN batch b ON b.ordinal = s.batch WHERE s.claim = ?"
                " ORDER BY b.ordinal DESC LIMIT 1",
                (claim,),
            ).fetchone()
            facts = json.loads(row["facts"])
            facts["originals"] = [*facts.get("originals", []), *ends]
            self._db.execute("UPDATE batch SET facts = ? WHERE ordinal = ?", (to_json(facts), row["ordinal"]))
            self._append("intake.destroyed", row["id"], {"originals": ends})
            return str(row["id"])

    def knows_destroyed(self, claim: str) -> bool:
        """Whether it is recorded how the files of a claim ended."""
        query = (
            "SELECT 1 FROM source s JOIN batch b ON b.ordinal = s.batch"
            " JOIN json_each(b.facts, '$.originals') o ON json_extract(o.value, '$.claim') = s.claim"
            " WHERE s.claim = ? LIMIT 1"
        )
        with self.reading():
            return self._db.execute(query, (claim,)).fetchone() is not None

    def claimed_digests(self, claim: str) -> list[str]:
        """SHA-256 of every file that was entered through this claim folder."""
        query = (
            "SELECT sha256 FROM source WHERE claim = ?1 AND batch = (SELECT max(batch) FROM source WHERE claim = ?1)"
        )
        with self.reading():
            return [row[0] for row in self._db.execute(query, (claim,))]

    def _expect(self, batch: Record, still: bool = False) -> None:
        row = self._db.execute("SELECT state, updated FROM batch WHERE ordinal = ?", (batch.ordinal,)).fetchone()
        if row is None or row["state"] != batch.state or (still and row["updated"] != batch.updated):
            raise NotYet("batch.moved_meanwhile")

    def begin(self, batch: Record) -> None:
        """Note, before a step acts, that it is about to."""
        with self.change():
            self._expect(batch)
            begun = "acting = 1, next_attempt = 0, updated = ?"
            self._db.execute(f"UPDATE batch SET {begun} WHERE ordinal = ?", (now(), batch.ordinal))  # noqa: S608

    def move(
        self, batch: Record, after: State, event: str | None = None, *, acting: bool = False, still: bool = False,
        **facts: Any,
    ) -> None:  # fmt: skip
        """Move a batch by compare-and-set, merge the facts into what is known of it, and append the event.

        acting: the next step begins at once, in this process; saves a `begin`. still: only if nothing at all has
        happened to it since: another process may be at work with it.
        """
        with self.change():
            if still:
                self._expect(batch, still)
            self._move(batch, after, event or f"batch.{after}", facts, acting)

    def _move(self, batch: Record, after: State, event: str, facts: Mapping[str, Any], acting: bool = False) -> None:
        self._expect(batch)
        may_move(batch.state, after)
        held = batch.state if after is State.HELD else None
        row = self._db.execute("SELECT facts FROM batch WHERE ordinal = ?", (batch.ordinal,)).fetchone()
        known = json.loads(row["facts"])
        self._db.execute(
            "UPDATE batch SET state = ?, held_from = ?, reason = ?, reason_facts = ?, acting = ?, crashes = 0,"
            " attempts = 0, next_attempt = ?, rows = coalesce(?, rows), digest = coalesce(?, digest), updated = ?,"
            " facts = ? WHERE ordinal = ?",
            (
                after, held, facts.get("reason"), to_json(facts.get("reason_facts", {})), acting,
                None if after is State.HELD else 0,
                facts.get("rows"), facts.get("digest"), now(), to_json({**known, **facts}), batch.ordinal,
            ),
        )  # fmt: skip
        if after in UNDONE | {State.VALIDATED, State.DELIVERED, State.HELD}:  # corrections may wait for it
            self._db.execute("UPDATE batch SET next_attempt = 0 WHERE cleared = 0 AND reason = 'correction.waiting'")
        self._append(event, batch.id, facts)

    def defer(self, batch: Record, reason: str, facts: Mapping[str, Any], next_attempt: float | None) -> None:
        """Leave a batch in its state with a reason and the time of its next try (null: only when someone acts)."""
        with self.change():
            self._expect(batch)
            self._db.execute(
                "UPDATE batch SET acting = 0, attempts = attempts + 1, reason = ?, reason_facts = ?, next_attempt ="
                " CASE WHEN next_attempt < 0 THEN 0 ELSE ? END, updated = ? WHERE ordinal = ?",
                (reason, to_json(facts), next_attempt, now(), batch.ordinal),
            )
            if reason != batch.reason:  # the same failure again is one event, not hundreds
                self._append("batch.deferred", batch.id, {"reason": reason, **facts})

    def wait(self, batch: Record, reason: str, facts: Mapping[str, Any], until: float | None) -> None:
        """Let a batch wait for someone outside, or for another batch (no failed attempt)."""
        with self.change():
            self._expect(batch)
            self._db.execute(
                "UPDATE batch SET acting = 0, reason = ?, reason_facts = ?, next_attempt = ?, updated = ?"
                " WHERE ordinal = ?",
                (reason, to_json(facts), until, now(), batch.ordinal),
            )
            if reason == "delivery.waiting" and not self.paused:  # released meanwhile
                self.end_pause()
            self._db.execute(  # the scan may have come after the step had found that there was none
                "UPDATE batch SET reason = NULL, next_attempt = 0 WHERE ordinal = ? AND reason = 'confirmation.waiting'"
                " AND EXISTS (SELECT 1 FROM source WHERE batch = batch.ordinal AND position = 0)",
                (batch.ordinal,),
            )

    def wake(self, batch: Record, event: str) -> None:
        """Let a waiting batch be tried at once, by the operator's word; one at work, again when this try has failed."""
        with self.change():
            self._expect(batch)
            changed = "next_attempt = -acting, updated = iif(acting, updated, ?)"  # nothing has happened to its step
            self._db.execute(f"UPDATE batch SET {changed} WHERE ordinal = ?", (now(), batch.ordinal))  # noqa: S608
            self._append(event, batch.id, {})

    def wake_all(self, reason: str) -> None:
        """What every batch with this reason waited for has come: let each be tried at once."""
        with self.change():
            self._db.execute("UPDATE batch SET next_attempt = 0 WHERE cleared = 0 AND reason = ?", (reason,))

    def crashed(self) -> list[Record]:
        """At start: batches whose step was at work when the process ended; counts it against each."""
        with self.change():
            # what was found at an earlier try is not true any more
            changed = "acting = 0, crashes = crashes + 1, reason = NULL, updated = ?"
            self._db.execute(f"UPDATE batch SET {changed} WHERE acting = 1", (now(),))  # noqa: S608
        return [batch for batch in self.batches(open_only=True) if batch.crashes]

    def note(self, batch: Record, event: str, **facts: Any) -> None:
        """Record a fact that a step must find again if it is interrupted."""
        with self.change():
            self._expect(batch)
            row = self._db.execute("SELECT facts FROM batch WHERE ordinal = ?", (batch.ordinal,)).fetchone()
            merged = to_json({**json.loads(row["facts"]), **facts})
            self._db.execute(
                "UPDATE batch SET facts = ?, updated = ? WHERE ordinal = ?", (merged, now(), batch.ordinal)
            )
            self._append(event, batch.id, facts)

    def clear(self, batch: Record, **facts: Any) -> None:
        """Note that nothing of a finished batch is left but its evidence, and why it went back, if it did."""
        why = f"CASE WHEN state = '{State.REJECTED}' THEN json_extract(facts, '$.reason') END"
        query = f"UPDATE batch SET cleared = 1, reason = {why}, reason_facts = '{{}}', updated = ? WHERE ordinal = ?"  # noqa: S608
        with self.change():
            self._db.execute(query, (now(), batch.ordinal))
            self._append("evidence.written", batch.id, facts)

    def proven(self) -> dict[str, str]:
        """Batches whose evidence was written, each with the SHA-256 of the file."""
        query = "SELECT batch, json_extract(facts, '$.sha256') FROM event WHERE event = 'evidence.written' ORDER BY seq"
        with self.reading():
            return {batch: str(sha256) for batch, sha256 in self._db.execute(query)}

    def batches(self, *, open_only: bool = False, last: int = -1) -> list[Record]:
        """Batches in order of claiming; `open_only`: those for which something is left to do; the `last` so many."""
        query = f"SELECT * FROM batch {'WHERE cleared = 0' if open_only else ''} ORDER BY ordinal DESC LIMIT ?"  # noqa: S608
        with self.reading():
            return [self._record(row) for row in reversed(self._db.execute(query, (last,)).fetchall())]

    def open_count(self) -> int:
        """How many batches are not finished."""
        with self.reading():
            return int(self._db.execute("SELECT count(*) FROM batch WHERE cleared = 0").fetchone()[0])

    def due(self, states: Sequence[State], moment: float, most: int) -> list[Record]:
        """Batches in one of these states whose time has come, oldest first; finished ones until they are cleared."""
        marks = ", ".join("?" * len(states))
        query = (
            "SELECT * FROM batch WHERE ordinal IN (SELECT ordinal FROM batch"  # noqa: S608
            f" WHERE cleared = 0 AND state IN ({marks}) AND (next_attempt <= ? OR next_attempt > ?"
            " AND reason NOT LIKE '%.waiting') ORDER BY ordinal LIMIT ?) ORDER BY ordinal"
        )
        with self.reading():
            rows = self._db.execute(query, (*states, moment, moment + FAR, most)).fetchall()
            return [self._record(row) for row in rows]

    def batch(self, batch: str) -> Record | None:
        with self.reading():
            row = self._db.execute("SELECT * FROM batch WHERE id = ?", (batch,)).fetchone()
            return self._record(row) if row else None

    def paired(self, pairing: bytes) -> list[Record]:
        """Batches of one lane and stem that are not finished, newest first."""
        query = "SELECT * FROM batch WHERE pairing = ? AND cleared = 0 ORDER BY ordinal DESC"
        with self.reading():
            rows = self._db.execute(query, (pairing,)).fetchall()
            return [record for record in map(self._record, rows) if record.state not in TERMINAL]

    def unconfirmed(self) -> list[Record]:
        """Valid batches that wait for their scan, newest first."""
        query = (
            "SELECT * FROM batch b WHERE cleared = 0 AND (state = ? OR (state = ? AND held_from = ?))"
            " AND NOT EXISTS (SELECT 1 FROM source s WHERE s.batch = b.ordinal AND s.position = 0)"
            " ORDER BY ordinal DESC"
        )
        with self.reading():
            rows = self._db.execute(query, (State.VALIDATED, State.HELD, State.VALIDATED)).fetchall()
        return [self._record(row) for row in rows]

    def count_named(self, name: str) -> int:
        """How many batches have this id, or this and a hyphen and more."""
        with self.reading():
            return len(self._db.execute("SELECT 1 FROM batch WHERE id BETWEEN ?1 AND ?1 || '-~'", (name,)).fetchall())

    def _record(self, row: sqlite3.Row) -> Record:
        return Record(
            row["ordinal"], row["id"], self._reveal(row["stem"]), row["data_type"], State(row["state"]),
            State(row["held_from"]) if row["held_from"] else None, row["reason"], json.loads(row["reason_facts"]),
            bool(row["acting"]), row["crashes"], row["attempts"], row["next_attempt"], bool(row["cleared"]),
            row["rows"], row["digest"], row["created"], row["updated"], json.loads(row["facts"]),
        )  # fmt: skip

    def last_manifest(self) -> str | None:
        """Digest of the manifest that was delivered last."""
        query = (
            "SELECT json_extract(b.facts, '$.manifest') FROM event e JOIN batch b ON b.id = e.batch"
            " WHERE e.event = 'batch.delivered' ORDER BY e.seq DESC LIMIT 1"
        )
        with self.reading():
            row = self._db.execute(query).fetchone()
        return row[0] if row else None
