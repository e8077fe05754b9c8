"""What a reading gave, as plain Python values that tests can compare."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from exchanged.batch import Cells, Finding, Kind, Limits, Reading
from exchanged.reading import read


@dataclass
class Taken:
    """All rows of a reading. `kinds` holds 0 for every empty cell."""

    sheet: str | None
    header_row: int
    epoch_1904: bool
    findings: tuple[Finding, ...]
    numbers: list[int] = field(default_factory=list)
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    kinds: dict[str, list[int]] = field(default_factory=dict)

    @property
    def rules(self) -> list[str]:
        """The rules found, in order."""
        return [finding.rule for finding in self.findings]

    def cell(self, number: int, name: str) -> tuple[Kind, str | None]:
        """Kind and text of a cell by row number and field key."""
        at = self.numbers.index(number)
        return Kind(self.kinds[name][at]), self.texts[name][at]


def take(data: bytes, name: str = "表.xlsx", **limits: int) -> Taken:
    """Reads a file's bytes."""
    return taken(read(io.BytesIO(data), name, Limits(**limits)))


def take_path(path: Path) -> Taken:
    """Reads a file."""
    with path.open("rb") as source:
        return taken(read(source, path.name, Limits(file=1 << 30)))


def taken(reading: Reading) -> Taken:
    """Everything a reading gives."""
    found = Taken(reading.sheet, reading.header_row, reading.epoch_1904, reading.findings)
    for chunk in reading.chunks:
        found.numbers += chunk.numbers.tolist()
        for name, cells in {**chunk.columns, **({"": chunk.serial} if chunk.serial else {})}.items():
            assert len(cells.text) == len(chunk.numbers)
            cells.text.validate(full=True)
            found.texts.setdefault(name, []).extend(cells.text.to_pylist())
            found.kinds.setdefault(name, []).extend(_kinds(cells))
    return found


def _kinds(cells: Cells) -> list[int]:
    kind: Any = cells.kind
    if isinstance(kind, np.ndarray):
        return [int(k) for k in kind]
    silent = kind in (Kind.ERROR, Kind.FORMULA)
    if silent:
        raise AssertionError("one kind for all cells cannot tell which cells hold it")
    return [int(kind) if text is not None else 0 for text in cells.text.to_pylist()]
