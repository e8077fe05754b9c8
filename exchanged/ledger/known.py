"""What the history knows of the certificate numbers of a batch, as set operations.

Takes   `temp.incoming`, the batch's records
Gives   `temp.known`, each earlier record with one of their numbers; rows of `temp.found` by the rules of scope history;
        what a correction corrects
Law     earlier means entered earlier, in a batch that was not undone since. To correct is to replace the newest
        version: a correction must differ from it, and may be what an older one was. Other batches may repeat no number
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from exchanged.ledger.screening import STANDS
from exchanged.standard.index import Mark

# CROSS: look up each incoming number, never go through all known ones
_KNOWN = f"""
INSERT INTO temp.known SELECT i.record, i.head, c.rowid, c.batch, c.content = i.content
FROM temp.incoming i CROSS JOIN certificate c ON c.head = i.head AND c.number = i.number
CROSS JOIN batch b ON b.ordinal = c.batch AND {STANDS}"""  # noqa: S608

_REPORTED = f"""
INSERT INTO temp.found
WITH newest AS (
    SELECT record, max(certificate) AS newest, max(CASE WHEN same THEN certificate END) AS twin
    FROM temp.known GROUP BY record)
SELECT CASE WHEN n.twin IS NULL THEN 'conflicts-with-history' ELSE 'already-reported' END, n.record,
    json_object('batch', b.id)
FROM newest n JOIN temp.incoming i ON i.record = n.record
JOIN certificate c ON c.rowid = ifnull(n.twin, n.newest) JOIN batch b ON b.ordinal = c.batch
WHERE NOT i.marks & {Mark.WRONG.value} AND CASE WHEN n.twin IS NULL THEN :conflicts ELSE :already END
AND (n.twin = n.newest OR NOT :corrects)"""  # noqa: S608

_UNKNOWN = f"""
INSERT INTO temp.found SELECT 'correction-unknown', record, '{{}}' FROM temp.incoming
WHERE NOT marks & {Mark.WRONG.value} AND record NOT IN (SELECT record FROM temp.known)"""  # noqa: S608

# the same, once the batch has been entered
_ENTERED = f"""
INSERT INTO temp.known
WITH own AS (
    SELECT rowid AS id, head, number, row_number() OVER (ORDER BY file, row) AS record
    FROM certificate WHERE batch = :batch)
SELECT o.record, c.head, c.rowid, c.batch, NULL
FROM own o CROSS JOIN certificate c ON c.head = o.head AND c.number = o.number AND c.batch <> :batch AND c.rowid < o.id
CROSS JOIN batch b ON b.ordinal = c.batch AND {STANDS}"""  # noqa: S608

_CORRECTED = """
WITH newest AS (SELECT record, max(certificate) AS newest FROM temp.known GROUP BY record),
earlier AS (
    SELECT c.batch, n.record, n.record - row_number() OVER (PARTITION BY c.batch ORDER BY n.record) AS run
    FROM newest n JOIN certificate c ON c.rowid = n.newest)
SELECT b.id, min(e.record), max(e.record) FROM earlier e JOIN batch b ON b.ordinal = e.batch
GROUP BY e.batch, e.run ORDER BY e.batch, min(e.record)"""


def compare(db: sqlite3.Connection, corrects: bool, rules: Collection[str]) -> None:
    """Fill `temp.known`, and put into `temp.found` what these rules find."""
    db.execute(_KNOWN)
    db.execute(
        _REPORTED,
        {
            "already": "already-reported" in rules,
            "conflicts": "conflicts-with-history" in rules and not corrects,
            "corrects": corrects,
        },
    )
    if corrects and "correction-unknown" in rules:
        db.execute(_UNKNOWN)


def entered(db: sqlite3.Connection, ordinal: int) -> None:
    """Fill `temp.known` for a batch that has been entered: what was there before it, and was not undone since."""
    db.execute(_ENTERED, {"batch": ordinal})


def corrected(db: sqlite3.Connection) -> list[dict[str, str]]:
    """Which batch has the newest version of each number: batches as claimed, and the records ("1-3,7") of this one."""
    found: dict[str, list[str]] = {}
    for earlier, first, last in db.execute(_CORRECTED):
        found.setdefault(earlier, []).append(str(first) if first == last else f"{first}-{last}")
    return [{"batch": earlier, "records": ",".join(runs)} for earlier, runs in found.items()]
