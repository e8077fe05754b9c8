"""The history: every certificate number of every batch that passed its checks, hidden under the ledger's key.

Entering a batch and comparing it with what was reported before are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from exchanged.ledger.books import Books, Record
from exchanged.states import UNDONE, State

HASHED = 10_000  # records that are kept ready while a batch waits for its turn to enter them


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

    def validate(
        self,
        batch: Record,
        rows: Iterable[tuple[bytes, int, int, bytes]],
        correction: bool,
        judge: Callable[[list[tuple[str, int, int]]], Mapping[str, Any]],
        *,
        acting: bool = False,
    ) -> Mapping[str, Any]:
        """Compare a batch's (number, row, file, content) with the history, enter them and move the batch on.

        `judge` is told what the comparison found, as (rule, file, row), and gives the facts to record; when it raises,
        nothing has changed. Comparing and entering are one transaction, so two batches that hold the same number
        cannot both pass.
        """
        waiting = iter(rows)
        first = list(islice(waiting, HASHED))  # hashed before the change begins, so that nobody waits for it
        with self.change():
            self._db.execute(
                "CREATE TEMP TABLE IF NOT EXISTS incoming"
                " (head INTEGER, number BLOB, row INTEGER, file INTEGER, content BLOB)"
            )
            self._db.execute("DELETE FROM temp.incoming")
            incoming = ((_head(row[0]), *row) for row in chain(first, waiting))
            self._db.executemany("INSERT INTO temp.incoming VALUES (?, ?, ?, ?, ?)", incoming)
            facts = judge(self._against_history(batch, correction))
            self._db.execute(  # in the order of the index: hashes in any other would touch every page of a long history
                "INSERT INTO certificate SELECT head, number, ?, row, file, content FROM temp.incoming ORDER BY head",
                (batch.ordinal,),
            )
            self._move(batch, State.VALIDATED, "batch.validated", facts, acting)
            self._db.execute("DELETE FROM temp.incoming")
        return facts

    def _against_history(self, batch: Record, correction: bool) -> list[tuple[str, int, int]]:
        undone = ", ".join(f"'{state}'" for state in sorted(UNDONE))
        join = "LEFT" if correction else "CROSS"  # CROSS: look up each incoming number, never go through all known ones
        rows = self._db.execute(
            "SELECT i.file, i.row, max(b.ordinal) AS last, c.content = i.content AS same FROM temp.incoming i"  # noqa: S608
            f" {join} JOIN certificate c ON c.head = i.head AND c.number = i.number AND c.batch != ?1"
            f" {join} JOIN batch b ON b.ordinal = c.batch AND b.state NOT IN ({undone})"
            " GROUP BY i.file, i.row"
            " HAVING (last IS NULL AND ?2) OR (last IS NOT NULL AND (same OR NOT ?2)) ORDER BY i.file, i.row",
            (batch.ordinal, correction),
        )
        return [
            (
                "correction-unknown"
                if r["last"] is None
                else "already-reported"
                if r["same"]
                else "conflicts-with-history",
                r["file"],
                r["row"],
            )
            for r in rows
        ]

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
