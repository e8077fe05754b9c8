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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
_SERIAL = frozenset({"序号", "NO.", "NO", "#"})
OURS = "[exchanged]"
"""Stands in the header of the reason column of an annotated workbook: a cell's text is what every program keeps."""

Row = Mapping[int, str]


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
def names() -> tuple[dict[str, str], dict[str, str]]:
    """Standard name -> field key, and alias -> field key; both as they are compared."""
    standard: dict[str, str] = {}
    alias: dict[str, str] = {}
    table = files("exchanged.reading").joinpath("headers.csv").read_text("utf-8")
    for line in csv.DictReader(table.splitlines()):
        (standard if line["standard"] == "yes" else alias)[line["header"]] = line["field"]
    return standard, alias


@cache
def title(field: str) -> str:
    """The standard's Chinese name of a field key."""
    return next(name for name, key in names()[0].items() if key == field)


def plain(text: str) -> str:
    """A header as it is compared: NFKC, without white space, invisible characters, asterisks and notes in brackets."""
    if text in names()[0]:
        return text
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if not (c.isspace() or c in _STARS or unicodedata.category(c) in ("Cf", "Cc")))
    before = None
    while before != text:
        before, text = text, _NOTE.sub("", text)
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
    standard, alias = names()
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
    wrong += _missing(fields, strange, alias)
    named = frozenset(column for column, text in row.items() if text.strip())
    findings = [
        Finding(rule, Severity.ERROR, file, sheet, number, title(field) if field else None, facts)
        for rule, field, facts in wrong
    ]
    return Layout(number, fields, serial, named, frozenset(ours)), findings


def _missing(
    fields: Mapping[str, int], strange: list[tuple[int, str]], alias: Mapping[str, str]
) -> list[tuple[str, str | None, dict[str, Fact]]]:
    wrong: list[tuple[str, str | None, dict[str, Fact]]] = []
    candidates: dict[str, tuple[int, str]] = {}
    for column, name in strange:
        field = alias.get(name)
        if field and field not in fields and field not in candidates:
            candidates[field] = (column, name)
        else:
            wrong.append(("column-unknown", None, {"position": letters(column)}))
    for field in names()[0].values():
        if field in candidates:
            column, name = candidates[field]
            wrong.append(("column-missing", field, {"candidate": name, "position": letters(column)}))
        elif field not in fields:
            wrong.append(("column-missing", field, {}))
    return wrong


def unnamed(column: int, row: int, file: str, sheet: str | None) -> Finding:
    """Data in a column without a header: column-unknown at its first row."""
    return Finding("column-unknown", Severity.ERROR, file, sheet, row, None, {"position": letters(column)})
