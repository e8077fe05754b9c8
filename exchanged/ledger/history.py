"""The history: every certificate number of every batch that passed its checks, hidden under the ledger's key.

Entering a batch and comparing it with what was reported before are one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from exchanged.ledger import known, proof, screening
from exchanged.ledger.books import Books, Record
from exchanged.secrets import Secrets
from exchanged.states import State

HASHED = 10_000  # records that are kept ready while a batch waits for its turn to enter them
PLACES = 1000  # findings that are given with their place; some of every rule before more of one
SAMPLE = 20
PROVEN = 3  # since this version of the schema all that is in the tables follows from the events

Entry = tuple[bytes, int, int, bytes, int, bytes | None, int, int | None, int | None, int, int, int | None]
"""HMAC of the number, row, file, HMAC of the line, marks (`Mark`), HMAC of the person, qualification, level, day,
centre, prefix, serial. Qualification, centre and prefix are places among the terms from 1 on, 0 for none."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The records of a batch in the order in which they are sent, and the HMACs of the terms they name."""

    terms: Sequence[bytes]
    rows: Iterable[Entry]


@dataclass(frozen=True, slots=True)
class Question:
    """What a batch is compared for: whether it corrects, by which rules of scope history and screen, and thresholds."""

    corrects: bool
    rules: Collection[str]
    thresholds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """One finding: its rule, where it is, and facts. `file` counts the batch's files from 0."""

    rule: str
    file: int
    row: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing found: how many findings by rule, and the first of them with their places.

    corrects: of a correction, which earlier batch each of its records corrects: pairs of a batch and its records, which
    count from 1, as text ("1-3,7"), in the order of the batches; None for other batches.
    """

    counts: Mapping[str, int]
    places: Sequence[Place]
    corrects: list[dict[str, str]] | None


@dataclass(frozen=True, slots=True)
class Reported:
    """Where a certificate number stands: the batch, its state, the row, and the HMAC of the record."""

    batch: str
    state: State
    row: int
    file: int
    content: bytes


class Ledger(Books):
    """The open ledger of one unit."""

    def __init__(self, path: Path, secrets: Secrets) -> None:
        super().__init__(path, secrets)
        self.prepare(f"CREATE TEMP TABLE {table}" for table in screening.TABLES)

    def _upgrade(self, found: int) -> None:
        """Bring older tables up to date. What their events do not tell is written down as it is found now."""
        super()._upgrade(found)
        if 0 < found < PROVEN:
            for batch, told in proof.inventory(self._db):
                self._append("batch.inventoried", batch, told)

    def validate(
        self,
        batch: Record,
        entries: Entries,
        question: Question,
        judge: Callable[[Comparison], Mapping[str, Any]],
        *,
        acting: bool = False,
    ) -> Mapping[str, Any]:
        """Compare a batch's records with the history, enter them and move the batch on.

        `judge` is told what the comparison found, and gives the facts to record; when it raises, nothing has changed.
        Comparing and entering are one transaction, so two batches that hold the same number cannot both pass.
        """
        waiting = iter(entries.rows)
        first = list(islice(waiting, HASHED))  # hidden before the change begins, so that nobody waits for it
        with self.change():
            self._bring(entries.terms, chain(first, waiting))
            facts = judge(self._compare(question))
            facts = {**facts, "index": self._enter(batch)}
            self._move(batch, State.VALIDATED, "batch.validated", facts, acting)
            self._empty()
        return facts

    def corrected(self, batch: Record) -> list[dict[str, str]]:
        """What a correction that has been entered corrects now: batches that were undone since are left out.

        As `Comparison.corrects`; reads the whole history.
        """
        with self.change():
            known.entered(self._db, batch.ordinal)
            corrects = known.corrected(self._db)
            self._empty()
        return corrects

    def _empty(self) -> None:
        for table in screening.TABLES:
            self._db.execute(f"DELETE FROM temp.{table.partition(' ')[0]}")  # noqa: S608

    def _bring(self, terms: Sequence[bytes], rows: Iterator[Entry]) -> None:
        """Put the records into `temp.incoming`."""
        self._db.executemany("INSERT OR IGNORE INTO term (hmac) VALUES (?)", ((term,) for term in terms))
        ids: list[int | None] = [None]
        ids += [self._db.execute("SELECT id FROM term WHERE hmac = ?", (term,)).fetchone()[0] for term in terms]
        self._db.executemany(
            "INSERT INTO temp.incoming VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (record, _head(number), number, row, file, content, marks, person, ids[what], level, day, ids[centre],
                 ids[prefix], serial)
                for record, (number, row, file, content, marks, person, what, level, day, centre, prefix, serial)
                in enumerate(rows, 1)
            ),
        )  # fmt: skip

    def _enter(self, batch: Record) -> str:
        """Each table in the order of its key: hashes in any other would touch every page of a long history.

        Gives the digest of what was entered.
        """
        last = self._db.execute("SELECT coalesce(max(rowid), 0) FROM certificate").fetchone()[0]
        self._db.execute(
            "INSERT INTO certificate SELECT head, number, ?, row, file, content FROM temp.incoming ORDER BY head",
            (batch.ordinal,),
        )
        for statement in screening.KEEP:
            self._db.execute(statement, {"batch": batch.ordinal})
        return proof.index(self._db, last)

    def _compare(self, question: Question) -> Comparison:
        known.compare(self._db, question.corrects, question.rules)
        screening.screen(self._db, question.rules, question.thresholds)
        counts = dict(self._db.execute("SELECT rule, count(*) FROM temp.found GROUP BY rule").fetchall())
        corrects = known.corrected(self._db) if question.corrects else None
        return Comparison(counts, self._places() if counts else (), corrects)

    def _places(self) -> list[Place]:
        rows = self._db.execute(
            "SELECT f.rule, i.file, i.row, f.facts FROM"
            " (SELECT *, row_number() OVER (PARTITION BY rule ORDER BY record) AS nth FROM temp.found) f"
            " JOIN temp.incoming i ON i.record = f.record ORDER BY f.nth > ?, f.record, f.rule LIMIT ?",
            (SAMPLE, PLACES),
        )
        return [Place(rule, file, row, _facts(facts)) for rule, file, row, facts in rows]

    def verify(self, *, whole: bool = True) -> int:
        """Prove that nothing was altered; gives the number of events. Raises IntegrityFailure naming what is bad first.

        whole: also the database's structure and every certificate, which takes about five seconds a million.
        """
        with self.apart() as db:
            if whole:
                proof.sound(db)
            events = proof.chain(db, self.id)
            proof.books(db)
            if whole:
                proof.certificates(db)
        return events

    def trace(self, number: bytes) -> list[Reported]:
        """Where a certificate number (its HMAC) stands, in order of claiming."""
        query = (
            "SELECT b.id, b.state, c.row, c.file, c.content FROM certificate c JOIN batch b ON b.ordinal = c.batch"
            " WHERE c.head = ? AND c.number = ? ORDER BY b.ordinal, c.file, c.row"
        )
        with self.reading():
            return [
                Reported(r[0], State(r[1]), r[2], r[3], r[4]) for r in self._db.execute(query, (_head(number), number))
            ]


def _head(number: bytes) -> int:
    """What the narrow index holds of a number's HMAC."""
    return int.from_bytes(number[:8], "big", signed=True)


def _facts(text: str) -> dict[str, Any]:
    """Facts as a finding has them: those that do not apply are left out."""
    return {name: value for name, value in json.loads(text).items() if value is not None}
