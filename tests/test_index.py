"""What the confined child tells the ledger of a batch: an entry for every record, hashes and numbers only."""

from __future__ import annotations

import hashlib
from datetime import date

import numpy as np
import pytest

from exchanged import indexing
from exchanged.checking import check, table
from exchanged.stages.check import oldest
from exchanged.standard.index import ENTRY, FIELDS, NEVER, NO_DAY, NOBODY, Mark, earliest, opened
from tests.support.awards import Cert, checked
from tests.support.checks import TODAY, checks, one, run, sheet
from tests.support.records import HEADERS, records

ROWS = records(3, today=TODAY)


def sha256(text: str | bytes) -> bytes:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).digest()


def entries(payload: bytearray) -> list[dict[str, object]]:
    """The entries by field, terms in place of their numbers."""
    terms, packed = opened(payload)
    found = [dict(zip(FIELDS, entry, strict=True)) for entry in packed]
    for entry in found:
        for key in ("qualification", "centre", "prefix"):
            entry[key] = terms[int(str(entry[key])) - 1] if entry[key] else None
    return found


def test_an_entry_holds_what_the_ledger_asks_for_and_no_text() -> None:
    files = [sheet(ROWS, "a.csv"), sheet([one(鉴定中心='"', 证书编号="2614000000199999")], "b.csv")]
    found = entries(check(files, checks(), index=True).index)
    lines = b"".join(table(files, checks())).split(b"\r\n")[1:-1]
    rows = [*ROWS, one(鉴定中心='"', 证书编号="2614000000199999")]
    for at, (entry, row, line) in enumerate(zip(found, rows, lines, strict=True)):
        assert (entry["file"], entry["row"]) == ((0, at + 2) if at < 3 else (1, 2))
        assert entry["number"] == sha256(row["证书编号"])
        assert entry["content"] == sha256(line)
        assert entry["person"] == sha256(f"201\0{row['证件号码']}")[:16]
        assert entry["qualification"] == sha256(f"qualification\0{row['职业资格']}")
        assert entry["centre"] == sha256(f"centre\0{row['鉴定中心']}")
        assert entry["prefix"] == sha256(f"prefix\0{row['证书编号'][:11]}")
        assert entry["serial"] == int(row["证书编号"][11:])
        assert entry["level"] == int(row["技能等级"])
        assert entry["day"] == (date.fromisoformat(row["发证日期"]) - date(1970, 1, 1)).days


LEFT_OUT = {
    "证件号码": ("person", NOBODY),
    "证件类型": ("person", NOBODY),
    "发证日期": ("day", NO_DAY),
    "职业资格": ("qualification", None),
    "技能等级": ("level", 0),
    "鉴定中心": ("centre", None),
    "证书编号": ("serial", 0),
}


@pytest.mark.parametrize("name", HEADERS)
def test_what_is_wrong_is_left_out_and_its_row_is_marked(name: str) -> None:
    (right,), (entry,) = (entries(run([one(**cells)], index=True).index) for cells in ({}, {name: "\ufffd"}))
    field, nothing = LEFT_OUT.get(name, ("marks", int(str(right["marks"])) | Mark.WRONG))
    assert entry[field] == nothing
    assert right[field] != nothing
    assert int(str(entry["marks"])) & Mark.WRONG


def test_the_earliest_day_is_that_of_the_records_that_have_one() -> None:
    dated = [one(发证日期=day) for day in ("2026-01-05", "2026-01-03", "2026-02-30", "2026-01-04")]
    files = [sheet(dated[:1], "a.csv"), sheet(dated[1:], "b.csv"), sheet([one(发证日期="")], "c.csv")]
    for some, day in ((files, "2026-01-03"), (files[:1], "2026-01-05"), (files[2:], None)):
        index = check(some, checks(), index=True).index
        days = [int(str(entry["day"])) for entry in entries(index) if entry["day"] != NO_DAY]
        assert earliest(index) == min(days, default=NEVER)
        assert oldest(index) == day


def marks(*certs: Cert) -> list[Mark]:
    return [Mark(int(str(entry["marks"]))) for entry in entries(checked(certs, index=True).index)]


def test_marks_say_what_comparing_the_rows_has_found() -> None:
    both = Mark.FIRST | Mark.LAST
    assert marks(Cert(), Cert(person=1, body=1)) == [both, both]
    assert marks(Cert(), Cert(body=1)) == [both | Mark.AGAIN] * 2
    assert marks(Cert(), Cert(person=1, serial=101)) == [Mark.FIRST, Mark.LAST]
    assert marks(Cert(), Cert(person=1, serial=103)) == [both, both]
    assert marks(Cert(), Cert(person=1, centre=1)) == [both, Mark.TWICE | Mark.WRONG]


def test_two_descriptions_of_an_entry_are_one() -> None:
    assert indexing._ENTRY.itemsize == ENTRY.size
    assert (
        [field[1] for field in indexing._ENTRY.fields.values()]
        == [  # type: ignore[union-attr]
            sum(np.dtype(kind).itemsize for kind in indexing._TYPES[:at]) for at in range(len(FIELDS))
        ]
    )


def test_the_index_is_made_only_when_asked_for() -> None:
    assert run(ROWS).index == b""
    assert len(run(ROWS, index=True).index) > len(ROWS) * ENTRY.size


def test_a_term_stands_once() -> None:
    terms, packed = opened(checked([Cert(person=n, serial=n + 1) for n in range(400)], index=True).index)
    assert (len(terms), len(list(packed))) == (3, 400)
