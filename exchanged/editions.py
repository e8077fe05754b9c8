"""The file of a catalogue: its rows, or why it cannot be used.

Both sides read it: the configuration, which names further files and must know that they are right, and the standard.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from exchanged.errors import ConfigProblem

_COLUMNS = frozenset({"edition", "name", "occupation", "direction", "effective_from", "effective_to", "exit_batch"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One qualification of one edition. `name` is what 职业资格 must say: the occupation, else the item's name."""

    edition: str
    name: str
    item: str
    directions: frozenset[str]
    start: str
    end: str
    exit_batch: str


class Unusable(Exception):
    """A file cannot be used: a message code, and the line (0: the whole file)."""

    def __init__(self, code: str, line: int) -> None:
        super().__init__(code)
        self.code = code
        self.line = line

    def at(self, number: int) -> ConfigProblem:
        """As a problem of the configuration, which names the file at this place."""
        return ConfigProblem(f"standard.catalogues[{number}]", self.code, {"line": self.line})


def read(path: Path) -> list[Entry]:
    """All rows of a file. Raises Unusable."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source, strict=True)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                raise Unusable("config.catalogue_columns", 1)
            entries = [_entry(row, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise Unusable("config.catalogue_unreadable", 0) from problem
    if not entries:
        raise Unusable("config.catalogue_empty", 1)
    return entries


def problem(number: int, path: Path) -> ConfigProblem | None:
    """Why a file that the configuration names at this place cannot be used; None where it can."""
    try:
        read(path)
    except Unusable as found:
        return found.at(number)
    return None


def _entry(row: dict[str, str | None], line: int) -> Entry:
    cell = {column: unicodedata.normalize("NFC", (row.get(column) or "").strip()) for column in _COLUMNS}
    name = cell["occupation"] or cell["name"]
    if not (name and cell["edition"]):
        raise Unusable("config.catalogue_row", line)
    if not _is_date(cell["effective_from"]) or (cell["effective_to"] and not _is_date(cell["effective_to"])):
        raise Unusable("config.catalogue_date", line)
    directions = frozenset(each.strip() for each in cell["direction"].split("|") if each.strip())
    return Entry(
        cell["edition"],
        name,
        cell["name"],
        directions,
        cell["effective_from"],
        cell["effective_to"],
        cell["exit_batch"],
    )


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
