"""The national catalogue of vocational qualifications: which name was right on which day.

Editions are data files with validity dates. A certificate is judged by the edition in force on its issue date; those
issued before the first edition are not judged. Dates are `YYYY-MM-DD`, both ends inclusive, an empty end is open.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path

from exchanged.batch import Facts
from exchanged.editions import Entry, Unusable, read
from exchanged.errors import ConfigError
from exchanged.standard.codes import code
from exchanged.standard.tables import DATA, rows

LEAVING_FROM = "2020-09-30"
"""First day on which a qualification of unknown exit batch may already have left; its last day is in the data."""

EDITION_FILES = ("catalogue-2017.csv", "catalogue-2021.csv")
_NAMED = 8  # so many names of an item are told
_BEHIND = re.compile(r"[(\[{【〔〖<《〈/—–-]")
_CLOSING = re.compile(r"[)\]}】〕〗>》〉]")
_RENAMED = {row["old"]: row["new"] for row in rows("catalogue-renamed")}


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
        self._forces: dict[tuple[str, str], Mapping[str, Entry]] = {}

    @classmethod
    def load(cls, extra_paths: Sequence[str | Path] = ()) -> Catalogue:
        """The editions of the standard and those in further files of the same columns.

        A name that a later file gives again for the same edition replaces what earlier files say about it. Raises
        ConfigError, with every file that cannot be used and the line, when a further file is wrong.
        """
        if not extra_paths:
            return _national()
        by_file = [read(DATA / name) for name in EDITION_FILES]
        problems = []
        for number, path in enumerate(extra_paths):
            try:
                by_file.append(read(Path(path)))
            except Unusable as found:
                problems.append(found.at(number))
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

    @cached_property
    def turns(self) -> tuple[str, ...]:
        """The days on which the answer to any question here may become another, in order."""
        days = {start for start, _ in self._starts}
        for entry in self._all():
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

    def proposal(self, qualification: str, issue_date: str) -> Facts:
        """What to write for a name that is not in force then, in the catalogue's words, never those of the cell.

        `qualification` and `direction`, or `rest` (`direction`, `level`): the name has its direction or level behind
        it, as in X（Y）. `candidate`: the one name that is meant, written otherwise, renamed, or its item's only one.
        `among`: it is an item of these names. `left`, `start`: its last or first day in the catalogue.
        """
        edition = self.edition(issue_date)
        if edition is None:
            return {}
        in_force = self._in_force(edition, issue_date)
        wanted = _fold(qualification)
        if wanted in in_force:
            return {"candidate": in_force[wanted].name}
        if qualification in _RENAMED and (renamed := in_force.get(_fold(_RENAMED[qualification]))):
            return {"candidate": renamed.name}
        return self._apart(wanted, in_force) or _of_item(wanted, in_force.values()) or self._when(wanted, issue_date)

    def _apart(self, wanted: str, in_force: Mapping[str, Entry]) -> Facts:
        """X（Y）, X-Y and the like, where X is a name in force."""
        for found in _BEHIND.finditer(wanted):
            if entry := in_force.get(wanted[: found.start()]):
                rest = _CLOSING.split(wanted[found.end() :], maxsplit=1)[0]
                told = {"rest": "level" if code("level", rest) else "direction"}
                return {"qualification": entry.name} | ({"direction": rest} if rest in entry.directions else told)
        return {}

    def _when(self, wanted: str, issue_date: str) -> Facts:
        """The last day on which a name was in the catalogue before, else its first one after."""
        same = [entry for entry in self._all() if _fold(entry.name) == wanted]
        ends = [entry.end for entry in same if entry.end and entry.end < issue_date]
        starts = [entry.start for entry in same if entry.start > issue_date]
        return {"left": max(ends)} if ends else {"start": min(starts)} if starts else {}

    def _in_force(self, edition: str, issue_date: str) -> Mapping[str, Entry]:
        """The names in force on a day, by how they are compared."""
        known = self._forces.get((edition, issue_date))
        if known is None:
            entries = (entry for group in self._entries[edition].values() for entry in group)
            told = {_fold(entry.name): entry for entry in entries if _verdict(entry, issue_date) != "not-in-catalogue"}
            known = self._forces[edition, issue_date] = told
        return known

    def _all(self) -> Iterator[Entry]:
        return (entry for names in self._entries.values() for group in names.values() for entry in group)


def _of_item(wanted: str, entries: Iterable[Entry]) -> Facts:
    """The names of the item that a cell names instead."""
    names = sorted({entry.name for entry in entries if _fold(entry.item) == wanted})
    if len(names) > 1:
        return {"among": "，".join(names[:_NAMED]) + ("……" if len(names) > _NAMED else "")}
    return {"candidate": names[0]} if names else {}


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


@cache
def _national() -> Catalogue:
    """The editions of the standard alone, read once in a process; nothing changes a catalogue."""
    return Catalogue(_latest([read(DATA / name) for name in EDITION_FILES]))
