"""Screening of a batch together with what was reported before, as set operations.

Takes   `temp.incoming`, the batch's records with the marks that comparing its rows has left; `temp.known`, which of
        their numbers the history has
Gives   rows of `temp.found`: the rule, the record, its facts as JSON
Law     what is found is what `exchanged.standard.screening` says, of both together. A record of the history counts in
        its newest version, unless its batch was undone or this batch has its number: a correction takes its place

A finding stands at a row of this batch. Where the later record was reported already, and the batch brings the earlier
one, it stands there: at a person's last award before the excess, at the award from which the level rises, at the serial
before the gap; the last two only where the history had not shown the rise or the gap by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

from exchanged.standard.index import Mark
from exchanged.states import UNDONE

YEAR = 365  # days
STEPS = 2  # levels

STANDS = f"b.state NOT IN ({', '.join(repr(str(state)) for state in sorted(UNDONE))})"
"""Whether what a batch `b` holds was reported, or will be."""

TABLES = (
    "incoming (record INTEGER PRIMARY KEY, head INTEGER, number BLOB, row INTEGER, file INTEGER, content BLOB,"
    " marks INTEGER, person BLOB, qualification INTEGER, level INTEGER, day INTEGER, centre INTEGER, prefix INTEGER,"
    " serial INTEGER)",
    "known (record INTEGER, head INTEGER, certificate INTEGER, batch INTEGER, same INTEGER)",
    "person (id INTEGER PRIMARY KEY, person BLOB, qualification INTEGER, level INTEGER, day INTEGER, record INTEGER,"
    " batch INTEGER)",
    "busy (centre INTEGER, day INTEGER, own INTEGER, before INTEGER, PRIMARY KEY (centre, day)) WITHOUT ROWID",
    "found (rule TEXT, record INTEGER, facts TEXT)",
)

# `a` counts: it stands, this batch does not have its number, and no later batch that stands has it.
# IS NOT TRUE: for NOT IN, SQLite goes through all of `known` at every row it does not find there, looking for a NULL
_COUNTS = f"""{STANDS} AND ((a.head, a.batch) IN (SELECT head, batch FROM temp.known)) IS NOT TRUE AND NOT EXISTS (
    SELECT 1 FROM certificate n CROSS JOIN batch b ON b.ordinal = n.batch AND {STANDS}
    WHERE n.head = a.head AND n.batch <> a.batch
    AND n.rowid > (SELECT max(o.rowid) FROM certificate o WHERE o.head = a.head AND o.batch = a.batch))"""  # noqa: S608

_EARLIER = f"""
INSERT INTO temp.person (person, qualification, level, day, batch)
SELECT a.person, a.qualification, a.level, a.day, a.batch
FROM (SELECT person FROM temp.incoming WHERE person IS NOT NULL AND day IS NOT NULL GROUP BY person) i
CROSS JOIN award a ON a.person = i.person CROSS JOIN batch b ON b.ordinal = a.batch
WHERE a.day BETWEEN (SELECT min(day) FROM temp.incoming) - :span AND (SELECT max(day) FROM temp.incoming) + :span
AND {_COUNTS}"""  # noqa: S608

_OWN = f"""
INSERT INTO temp.person (person, qualification, level, day, record)
SELECT person, qualification, level, day, record FROM temp.incoming
WHERE person IS NOT NULL AND day IS NOT NULL
AND (marks & {Mark.AGAIN.value} OR person IN (SELECT person FROM temp.person))"""  # noqa: S608

# `count`: how many lie within the days up to this award. `last`: day and record of the batch's last award so far.
_MANY_AWARDS = f"""
INSERT INTO temp.found
WITH counted AS (
    SELECT person, record, day, row_number() OVER w AS nth,
        row_number() OVER w - count(*) OVER (
            PARTITION BY person ORDER BY day RANGE BETWEEN UNBOUNDED PRECEDING AND {YEAR} PRECEDING) AS count,
        max(CASE WHEN record IS NOT NULL THEN (day << 32) + record END) OVER w AS last
    FROM temp.person
    WINDOW w AS (PARTITION BY person ORDER BY day, record)),
over AS (
    SELECT max(count) OVER (PARTITION BY person) AS count,
        first_value(last) OVER (PARTITION BY person ORDER BY record IS NULL, nth) & 4294967295 AS record
    FROM counted WHERE count > :many AND last >> 32 > day - {YEAR})
SELECT DISTINCT 'many-awards', record, json_object('count', count, 'limit', :many) FROM over"""  # noqa: S608

_RISES = """
SELECT id, record, batch, lag(record) OVER w AS other, lag(batch) OVER w AS before,
    lag(level) OVER w - level AS steps, day - lag(day) OVER w AS days
FROM temp.person WHERE qualification IS NOT NULL AND level IS NOT NULL {more}
WINDOW w AS (PARTITION BY person, qualification ORDER BY day, level DESC, record)"""

_LEVEL_JUMP = f"""
INSERT INTO temp.found
WITH rise AS ({_RISES.format(more="")}),
told AS (SELECT id FROM ({_RISES.format(more="AND record IS NULL")}) WHERE steps >= {STEPS} AND days < :jump)
SELECT 'level-jump', coalesce(r.record, r.other), json_object('steps', r.steps, 'days', r.days,
    'first', o.row, 'first_file', CASE WHEN o.file <> i.file THEN o.file + 1 END, 'batch', b.id)
FROM rise r
LEFT JOIN temp.incoming i ON i.record = r.record
LEFT JOIN temp.incoming o ON o.record = r.other AND r.record IS NOT NULL
LEFT JOIN batch b ON b.ordinal = CASE WHEN r.record IS NULL THEN r.batch ELSE r.before END
WHERE r.steps >= {STEPS} AND r.days < :jump
AND (r.record IS NOT NULL OR r.other IS NOT NULL AND r.id NOT IN told)"""  # noqa: S608

# what may be too many is told by the index alone; only that is counted exactly
_BUSY = f"""
INSERT INTO temp.busy
WITH own AS (
    SELECT centre, day, count(*) AS own FROM temp.incoming WHERE centre IS NOT NULL AND day IS NOT NULL
    GROUP BY centre, day),
near AS MATERIALIZED (
    SELECT * FROM own WHERE own + (
        SELECT count(*) FROM (
            SELECT 1 FROM issue a WHERE a.centre = own.centre AND a.day = own.day LIMIT :burst + 1)) > :burst),
whole AS MATERIALIZED (
    SELECT centre, day, own, (
        SELECT count(*) FROM issue a CROSS JOIN batch b ON b.ordinal = a.batch
        WHERE a.centre = near.centre AND a.day = near.day AND {_COUNTS}) AS before FROM near)
SELECT centre, day, own, before FROM whole WHERE own + before > :burst"""  # noqa: S608

_DAILY_BURST = """
INSERT INTO temp.found
WITH numbered AS (
    SELECT i.record, w.own, w.before, row_number() OVER (PARTITION BY i.centre, i.day ORDER BY i.record) AS nth
    FROM temp.incoming i CROSS JOIN temp.busy w ON w.centre = i.centre AND w.day = i.day)
SELECT 'daily-burst', record, json_object('count', own + before, 'limit', :burst)
FROM numbered WHERE nth = max(1, :burst - before + 1)"""

_USED = f"""(
    SELECT s.serial FROM serial s CROSS JOIN batch b ON b.ordinal = s.batch AND {STANDS}
    WHERE s.prefix = edge.prefix AND s.serial {{which}} LIMIT 1)"""  # noqa: S608

# only serials at the edges of what the batch has side by side can have a gap beside them
_SERIAL_GAP = f"""
INSERT INTO temp.found
WITH edge AS MATERIALIZED (
    SELECT record, prefix, serial, marks, lag(serial) OVER w AS below, lead(serial) OVER w AS above
    FROM temp.incoming WHERE marks & {(Mark.FIRST | Mark.LAST).value} AND serial IS NOT NULL
    WINDOW w AS (PARTITION BY prefix ORDER BY serial)),
near AS MATERIALIZED (
    SELECT *, {_USED.format(which="<= edge.serial ORDER BY s.serial DESC")} AS lower,
        {_USED.format(which="> edge.serial ORDER BY s.serial")} AS higher FROM edge),
gap AS (
    SELECT record, 'before' AS side, serial - max(ifnull(below, 0), ifnull(lower, 0)) - 1 AS missing FROM near
    WHERE marks & {Mark.FIRST.value} AND ifnull(below, lower) IS NOT NULL
    UNION ALL
    SELECT record, 'after', higher - serial - 1 FROM near
    WHERE marks & {Mark.LAST.value} AND lower IS NULL AND higher <= ifnull(above, higher))
SELECT 'serial-gap', record, json_object('missing', missing, 'side', side, 'limit', :gap)
FROM gap WHERE missing > :gap"""  # noqa: S608

_OF_PEOPLE = {"many-awards": _MANY_AWARDS, "level-jump": _LEVEL_JUMP}

KEEP = (
    "INSERT OR IGNORE INTO award SELECT person, :batch, head, day, qualification, level FROM temp.incoming"
    " WHERE person IS NOT NULL AND day IS NOT NULL ORDER BY person, head, record",
    "INSERT OR IGNORE INTO issue SELECT centre, day, :batch, head FROM temp.incoming"
    " WHERE centre IS NOT NULL AND day IS NOT NULL ORDER BY centre, day, head",
    "INSERT OR IGNORE INTO serial SELECT prefix, serial, :batch FROM temp.incoming"
    " WHERE serial IS NOT NULL ORDER BY prefix, serial",
)
"""Enter what screening will ask of this batch later."""


def screen(db: sqlite3.Connection, rules: Collection[str], thresholds: Mapping[str, int]) -> None:
    """Put into `temp.found` what these rules find. Rules that are not named cost nothing."""
    values = {
        "many": thresholds["many-awards"],
        "jump": thresholds["level-jump-days"],
        "burst": thresholds["daily-burst"],
        "gap": thresholds["serial-gap"],
        "span": max(YEAR, thresholds["level-jump-days"]),
    }
    asked = {"serial-gap": _SERIAL_GAP}
    if not _OF_PEOPLE.keys().isdisjoint(rules):
        several = db.execute(_EARLIER, values).rowcount + db.execute(_OWN).rowcount
        asked |= _OF_PEOPLE if several else {}
    if "daily-burst" in rules and db.execute(_BUSY, values).rowcount:
        asked["daily-burst"] = _DAILY_BURST
    for rule in asked.keys() & set(rules):
        db.execute(asked[rule], values)
