"""Finds the header row among a sheet's first rows and says which column holds which field.

Takes   the filled text cells of the first 20 rows
Gives   the best header row (at least three standard names) with a layout of columns and its findings
Redo    it only computes
Ends    None when no row is a header; names are compared, never guessed: an alias is a finding with a candidate
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files

from exchanged.batch import Fact, Finding, Severity

LOOK = 20
ENOUGH = 3
_NOTE = re.compile(
    r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|【[^【】]*】|〔[^〔〕]*〕|〖[^〖〗]*〗|<[^<>]*>|《[^《》]*》|〈[^〈〉]*〉"
)
_STARS = frozenset("*∗⁎✱✲★☆※﹡")
_KNOWN_BY = frozenset({"name", "certificate_number", "id_number"})
OURS = "[exchanged]"
"""Stands in the header of the reason column of an annotated workbook: a cell's text is what every program keeps."""
_SERIAL = frozenset({"序号", "顺序号", "行号", "NO.", "NO", "#"})
_LONGEST = 1000  # characters of a header with all its notes
_LIKE = 0.6  # share of the characters that a header has in common with a name for which it may stand
_TRADITIONAL = str.maketrans("別證發書編號類碼職業資級機關鑒鑑機構", "别证发书编号类码职业资级机关鉴鉴机构")

Row = Mapping[int, str]
Proposal = tuple[str, dict[str, Fact]]  # a field that a column may stand for, and the facts of the finding


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the data is: header row (1-based), 0-based columns of fields, of running numbers, of all with a header.

    `ours` are the columns among them that hold the reasons of an earlier rejection: they are passed over.
    """

    row: int
    fields: Mapping[str, int]
    serial: int | None
    named: frozenset[int]
    ours: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Number of columns up to the last one with a header."""
        return max(self.named) + 1

    @property
    def wanted(self) -> dict[int, str]:
        """0-based column -> field key; the running numbers are the field ``""``."""
        columns = {column: field for field, column in self.fields.items()}
        if self.serial is not None:
            columns[self.serial] = ""
        return columns


@cache
def names() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Standard name -> field key, and alias -> keys of the fields it may mean; both as they are compared."""
    standard: dict[str, str] = {}
    alias: dict[str, tuple[str, ...]] = {}
    table = files("exchanged.reading").joinpath("headers.csv").read_text("utf-8")
    for line in csv.DictReader(table.splitlines()):
        header, field = line["header"], line["field"]
        if line["standard"] == "yes":
            standard[header] = field
        else:
            alias[header] = (*alias.get(header, ()), field)
    return standard, alias


@cache
def title(field: str) -> str:
    """The standard's Chinese name of a field key."""
    return next(name for name, key in names()[0].items() if key == field)


def plain(text: str) -> str:
    """A header as it is compared: NFKC, without white space, invisible characters, asterisks and notes in brackets."""
    if text in names()[0] or len(text := text.strip()) > _LONGEST:
        return text
    before = None
    while before != text:  # what is taken out may bring together what composes
        before, text = text, unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if not (c.isspace() or c in _STARS or unicodedata.category(c) in ("Cf", "Cc")))
        text = _NOTE.sub("", text)
    return text


def is_ours(text: str) -> bool:
    """Is this the header of a reason column that we added, in whatever way it was saved since?"""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return OURS in "".join(c for c in folded if not (c.isspace() or unicodedata.category(c) in ("Cf", "Cc")))


def letters(column: int) -> str:
    """The spreadsheet's name of a 0-based column: 0 is A, 26 is AA."""
    out = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        out = chr(65 + rest) + out
    return out


def score(row: Row) -> int:
    """How many different standard names stand in a row."""
    standard = names()[0]
    return len({standard[name] for name in map(plain, row.values()) if name in standard})


def of_records(row: Row) -> bool:
    """Does a header row name what every record is known by? That of a sheet which explains the codes does not."""
    standard = names()[0]
    return not _KNOWN_BY.isdisjoint(standard.get(plain(text)) for text in row.values())


def best(rows: Iterable[tuple[int, Row]]) -> tuple[int, Row] | None:
    """The row with most standard names, the first of equals; None when no row has enough."""
    found, most = None, ENOUGH - 1
    for number, row in rows:
        if (points := score(row)) > most:
            found, most = (number, row), points
        if most == len(set(names()[0].values())):
            break  # no row can have more
    return found


def layout(number: int, row: Row, file: str, sheet: str | None) -> tuple[Layout, list[Finding]]:
    """The columns of a header row, and what is wrong with them."""
    standard = names()[0]
    fields: dict[str, int] = {}
    serial: int | None = None
    wrong: list[tuple[str, str | None, dict[str, Fact]]] = []
    strange: list[tuple[int, str]] = []
    ours: set[int] = set()
    for column, text in sorted(row.items()):
        name = plain(text)
        if name in standard and standard[name] not in fields:
            fields[standard[name]] = column
        elif name in standard:
            wrong.append(("column-duplicate", standard[name], {"position": letters(column)}))
        elif name.upper() in _SERIAL and serial is None:
            serial = column
        elif is_ours(text):
            ours.add(column)
        else:
            strange.append((column, name))
    wrong += _missing(fields, strange)
    named = frozenset(column for column, text in row.items() if text.strip())
    findings = [
        Finding(rule, Severity.ERROR, file, sheet, number, title(field) if field else None, facts)
        for rule, field, facts in wrong
    ]
    return Layout(number, fields, serial, named, frozenset(ours)), findings


def _missing(
    fields: Mapping[str, int], strange: list[tuple[int, str]]
) -> list[tuple[str, str | None, dict[str, Fact]]]:
    missing = [field for field in names()[0].values() if field not in fields]
    proposed: dict[str, dict[str, Fact]] = {}
    taken: set[int] = set()
    for means in (_alias, _resembling):  # what is known to be meant comes before what only looks like it
        for column, name in strange:
            found = None if column in taken else means(name, [field for field in missing if field not in proposed])
            if found:
                taken.add(column)
                proposed[found[0]] = {**found[1], "position": letters(column)}
    wrong: list[tuple[str, str | None, dict[str, Fact]]] = [
        ("column-unknown", None, {"position": letters(column)}) for column, _ in strange if column not in taken
    ]
    return wrong + [("column-missing", field, proposed.get(field, {})) for field in missing]


def _alias(name: str, missing: Sequence[str]) -> Proposal | None:
    """The one missing field that this name of ours is used for elsewhere, and the name as a fact."""
    meant = [field for field in names()[1].get(name.upper(), ()) if field in missing]
    return (meant[0], {"candidate": name}) if len(meant) == 1 else None


def _resembling(name: str, missing: Sequence[str]) -> Proposal | None:
    """The one missing field whose name this resembles most. Its text is the clerk's, so no fact tells it."""
    if name.upper() in names()[1]:
        return None
    name = name.translate(_TRADITIONAL)
    likeness = {field: _likeness(name, title(field)) for field in missing}
    most = max(likeness.values(), default=0.0)
    best = [field for field, share in likeness.items() if share == most]
    return (best[0], {}) if most >= _LIKE and len(best) == 1 else None


def _likeness(name: str, wanted: str) -> float:
    if len(name) > 40 or len(name) < 2:
        return 0.0
    if name in wanted or wanted in name:
        return 1.0 - abs(len(name) - len(wanted)) / 100
    return SequenceMatcher(None, name, wanted, autojunk=False).ratio()


def unnamed(column: int, row: int, file: str, sheet: str | None) -> Finding:
    """Data in a column without a header: column-unknown at its first row."""
    return Finding("column-unknown", Severity.ERROR, file, sheet, row, None, {"position": letters(column)})
