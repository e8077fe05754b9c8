"""The corpus of scans: every file that is built or committed, by group and name, and the truth about each.

`tests/corpus/scans/truth.csv` has a line for each: group, name, the rules it is answered with (none where it is to
be accepted), and what else: `ends` where the child meets its bound of memory.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import activepdf, brokenpdf, heavypdf, imagefiles

FOLDER = Path(__file__).parents[1] / "corpus" / "scans"
Build = Callable[[], bytes]

BUILT: Mapping[str, Mapping[str, Build]] = {
    "script": activepdf.SCRIPTS,
    "active": activepdf.OTHERS,
    "harmless": activepdf.HARMLESS,
    "locked": brokenpdf.LOCKED,
    "picture": heavypdf.PICTURES,
    "tree": brokenpdf.TREES,
    "stream": brokenpdf.STREAMS,
    "drawing": brokenpdf.DRAWINGS,
    "page": brokenpdf.BOXES,
    "piece": brokenpdf.PIECES,
    "other": imagefiles.FILES,
    "program": {path.stem: path.read_bytes for path in sorted(FOLDER.glob("*.pdf"))},
}


@dataclass(frozen=True)
class Case:
    """One file and the truth about it."""

    group: str
    name: str
    rules: tuple[str, ...]
    ends: bool

    def build(self) -> bytes:
        return BUILT[self.group][self.name]()

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


def cases() -> list[Case]:
    """The truth table."""
    with (FOLDER / "truth.csv").open(encoding="utf-8", newline="") as file:
        return [
            Case(one["group"], one["name"], tuple(one["rules"].split()), one["note"] == "ends")
            for one in csv.DictReader(file)
        ]
