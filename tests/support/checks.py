"""Check rows without files of one's own: rows in, findings out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exchanged.batch import Checks
from exchanged.checking import Checked, check
from tests.support.records import HEADERS, csv_text, records

TODAY = "2026-11-20"

Spot = tuple[str, int | None, str | None]


def checks(**over: Any) -> Checks:
    """What a check depends on, on the tests' day."""
    return Checks(**{"today": TODAY, **over})


def sheet(
    rows: Iterable[Mapping[str, str]], name: str = "a.csv", headers: Sequence[str] = HEADERS
) -> tuple[str, io.BytesIO]:
    """Rows as a CSV file that lies nowhere."""
    return name, io.BytesIO(csv_text(rows, headers).encode())


def run(rows: Iterable[Mapping[str, str]], *, index: bool = False, **over: Any) -> Checked:
    """Check rows as one file."""
    return check([sheet(rows)], checks(**over), index=index)


def spots(checked: Checked) -> list[Spot]:
    """Rule, row and column of every finding."""
    return [(finding.rule, finding.row, finding.column) for finding in checked.findings]


def found(rows: Iterable[Mapping[str, str]], **over: Any) -> list[Spot]:
    """The findings on rows checked as one file; the first row is row 2."""
    return spots(run(rows, **over))


def one(**cells: str) -> dict[str, str]:
    """A valid row with some cells changed, by Chinese name."""
    return {**records(1, today=TODAY)[0], **cells}
