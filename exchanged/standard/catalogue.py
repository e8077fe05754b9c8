"""The national catalogue of vocational qualifications: which name was right on which day.

Editions are data files with validity dates. A certificate is judged by the edition in force on its issue date; those
issued before the first edition are not judged. Dates are `YYYY-MM-DD`, both ends inclusive, an empty end is open.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from exchanged.errors import ConfigError, ConfigProblem
from exchanged.standard.tables import DATA, rows

LEAVING_FROM = "2020-09-30"
"""First day on which a qualification of unknown exit batch may already have left; its last day is in the data."""

EDITION_FILES = ("catalogue-2017.csv", "catalogue-2021.csv")
_COLUMNS = frozenset({"edition", "name", "occupation", "direction", "effective_from", "effective_to", "exit_batch"})
_BRACKETED = re.compile(r"(.+?)[（(]([^（()）]+)[）)]")
_RENAMED = {row["old"]: row["new"] for row in rows("catalogue-renamed")}


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


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition, the first day it was in force, the last one (None: still in force), and how many names it holds."""

    name: str
    start: str
    end: str | None
    entries: int


class Catalogue:
    """All editions, ready to be asked. Make it with `load`."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, dict[str, list[Entry]]] = {}
        for entry in entries:
            self._entries.setdefault(entry.edition, {}).setdefault(entry.name, []).append(entry)
        starts = {
            edition: min(entry.start for group in names.values() for entry in group)
            for edition, names in self._entries.items()
        }
        self._starts = sorted((start, edition) for edition, start in starts.items())
        self._names = frozenset(name for names in self._entries.values() for name in names)

    @classmethod
    def load(cls, extra_paths: Sequence[str | Path] = ()) -> Catalogue:
        """The editions of the standard and those in further files of the same columns.

        A name that a later file gives again for the same edition replaces what earlier files say about it. Raises
        ConfigError, with every file that cannot be used and the line, when a further file is wrong.
        """
        if not extra_paths:
            return _national()
        by_file = [_read(DATA / name) for name in EDITION_FILES]
        problems = []
        for number, path in enumerate(extra_paths):
            try:
                by_file.append(_read(Path(path)))
            except _Unusable as unusable:
                problems.append(ConfigProblem(f"standard.catalogues[{number}]", unusable.code, {"line": unusable.line}))
        if problems:
            raise ConfigError(tuple(problems))
        return cls(_latest(by_file))

    def edition(self, issue_date: str) -> str | None:
        """The edition in force on that day, or None before the first one."""
        in_force = [edition for start, edition in self._starts if start <= issue_date]
        return in_force[-1] if in_force else None

    def editions(self) -> tuple[Edition, ...]:
        """Every edition, the oldest first."""
        ends = [_day_before(start) for start, _ in self._starts[1:]]
        return tuple(
            Edition(name, start, end, len(self._entries[name]))
            for (start, name), end in zip(self._starts, [*ends, None], strict=True)
        )

    def turns(self) -> tuple[str, ...]:
        """The days on which the answer to any question here may become another, in order."""
        days = {start for start, _ in self._starts}
        for entry in (entry for names in self._entries.values() for group in names.values() for entry in group):
            days |= {entry.start} | ({_next_day(entry.end)} if entry.end else set())
            days |= {LEAVING_FROM} if entry.exit_batch == "unknown" else set()
        return tuple(sorted(days))

    def judge(self, qualification: str, issue_date: str) -> str:
        """`ok`, `not-in-catalogue`, `catalogue-leaving` (it was leaving then, in a batch not known), or `unchecked`."""
        edition = self.edition(issue_date)
        if edition is None:
            return "unchecked"
        verdicts = {_verdict(entry, issue_date) for entry in self._entries[edition].get(qualification, ())}
        return next((verdict for verdict in ("ok", "catalogue-leaving") if verdict in verdicts), "not-in-catalogue")

    def directions(self, qualification: str, issue_date: str) -> frozenset[str]:
        """The 职业方向 that the edition of that day lists for a qualification; empty where it lists none."""
        entries = self._entries.get(self.edition(issue_date) or "", {}).get(qualification, ())
        return frozenset().union(*(entry.directions for entry in entries))

    def split(self, qualification: str) -> tuple[str, str] | None:
        """职业资格 and 职业方向 apart, for `X（Y）` where X is a name of the catalogue and `X（Y）` is none.

        Both are texts of the catalogue, never of the cell: the direction is empty where the catalogue does not list it.
        """
        found = _BRACKETED.fullmatch(qualification)
        if not found or qualification in self._names or found[1] not in self._names:
            return None
        listed = {each for group in self._groups(found[1]) for entry in group for each in entry.directions}
        return found[1], found[2] if found[2] in listed else ""

    def proposal(self, qualification: str, issue_date: str) -> str | None:
        """The one name in force then that a wrong one means: written otherwise, renamed, or its item's only one."""
        edition = self.edition(issue_date)
        if edition is None:
            return None
        in_force = self._in_force(edition, issue_date)
        wanted = _fold(qualification)
        same = {name for name in in_force if _fold(name) == wanted} or {
            _RENAMED.get(qualification, "")
        } & in_force.keys()
        found = same or {name for name, items in in_force.items() if qualification in items}
        found -= {qualification}
        return found.pop() if len(found) == 1 else None

    def _in_force(self, edition: str, issue_date: str) -> dict[str, set[str]]:
        return {
            name: {entry.item for entry in group}
            for name, group in self._entries[edition].items()
            if any(_verdict(entry, issue_date) != "not-in-catalogue" for entry in group)
        }

    def _groups(self, name: str) -> Iterable[list[Entry]]:
        return (names[name] for names in self._entries.values() if name in names)


def _verdict(entry: Entry, issue_date: str) -> str:
    if issue_date < entry.start or (entry.end and issue_date > entry.end):
        return "not-in-catalogue"
    if entry.exit_batch == "unknown" and issue_date >= LEAVING_FROM:
        return "catalogue-leaving"
    return "ok"


def _fold(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split())


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat() if day < "9999-12-31" else day


def _latest(by_file: Sequence[Sequence[Entry]]) -> Iterable[Entry]:
    kept: dict[tuple[str, str], list[Entry]] = {}
    for entries in by_file:
        kept |= {(entry.edition, entry.name): [] for entry in entries}
        for entry in entries:
            kept[entry.edition, entry.name].append(entry)
    return (entry for group in kept.values() for entry in group)


class _Unusable(Exception):
    def __init__(self, code: str, line: int) -> None:
        super().__init__(code)
        self.code = code
        self.line = line


def _read(path: Path) -> list[Entry]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.DictReader(source, strict=True)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                raise _Unusable("config.catalogue_columns", 1)
            entries = [_entry(row, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise _Unusable("config.catalogue_unreadable", 0) from problem
    if not entries:
        raise _Unusable("config.catalogue_empty", 1)
    return entries


def _entry(row: dict[str, str | None], line: int) -> Entry:
    cell = {column: unicodedata.normalize("NFC", (row.get(column) or "").strip()) for column in _COLUMNS}
    name = cell["occupation"] or cell["name"]
    if not (name and cell["edition"]):
        raise _Unusable("config.catalogue_row", line)
    if not _is_date(cell["effective_from"]) or (cell["effective_to"] and not _is_date(cell["effective_to"])):
        raise _Unusable("config.catalogue_date", line)
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


@cache
def _national() -> Catalogue:
    """The editions of the standard alone, read once in a process; nothing changes a catalogue."""
    return Catalogue(_latest([_read(DATA / name) for name in EDITION_FILES]))
