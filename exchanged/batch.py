"""The values that travel between the parts of `exchanged`. They compute nothing and import nothing of ours.

Rows are numbered as the spreadsheet program shows them (1-based). Columns of a table are named by the
`key` of the field standard (`name`, `gender`, …); findings name them by the standard's Chinese field name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Rows = npt.NDArray[np.int32]

Fact = str | int
Facts = Mapping[str, Fact]


class Severity(StrEnum):
    """What a finding does: `error` rejects the batch, `hold` stops it for a person, `warn` is told, `off` is silent."""

    ERROR = "error"
    HOLD = "hold"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found wrong, by rule, place and facts.

    Facts never hold text from a cell: only names, codes and numbers of our own (field names, limits, row numbers,
    catalogue entries, code points), so a finding may be shown anywhere.
    """

    rule: str
    severity: Severity
    file: str | None = None
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    facts: Facts = field(default_factory=dict)


class Kind(IntEnum):
    """What a cell was in its file. One byte a cell in `Cells.kind`."""

    EMPTY = 0
    TEXT = 1
    NUMBER = 2
    DATE = 3
    BOOL = 4
    ERROR = 5  # a spreadsheet error such as #N/A
    FORMULA = 6  # a formula without a stored value, or with a number that stands in for one


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of a chunk as read: text (null where empty) and the kind of every cell.

    `kind` is one `Kind` when all non-empty cells are of that kind, else an array of uint8, one a row.
    Numbers stand as their shortest exact text ("5", "0.5", "1.1010119900101123e+17"), dates as "2018-05-11" or
    "2018-05-11 08:30:00", booleans as "TRUE"/"FALSE"; the text of ERROR and FORMULA cells is null, but of a FORMULA
    that has a number for a stand-in (0, as a rule) it is that.
    """

    text: pa.StringArray
    kind: Kind | npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive data rows of one sheet. `serial` is the left-out column of running numbers, if there is one."""

    numbers: Rows
    columns: Mapping[str, Cells]
    serial: Cells | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One spreadsheet, opened: where its data is, what was found wrong with it as a file, and its rows in chunks.

    When `findings` holds an error of scope `file` other than a column's, `chunks` is empty.
    """

    file: str
    sheet: str | None
    header_row: int
    epoch_1904: bool
    findings: tuple[Finding, ...]
    chunks: Iterator[Chunk]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a spreadsheet may be at most. Bytes, counts, bytes after inflating."""

    file: int = 200_000_000
    rows: int = 2_000_000
    columns: int = 200
    unpacked: int = 2_000_000_000


THRESHOLDS: Mapping[str, int] = {"many-awards": 4, "level-jump-days": 365, "daily-burst": 2000, "serial-gap": 100}
"""Where screening begins to ask: most awards of one person in 365 days, days within which a rise of two levels is too
fast, most certificates of one centre on one day, most serials that may be missing between two certificates."""

NEVER_OFF = frozenset({"required", "bad-code", "bad-date", "too-long"})
"""Rules of a cell that cannot be switched off, as those of a whole file cannot."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Everything a check depends on beside the spreadsheets themselves; travels to the child process as JSON.

    today: ISO date of the check. severity: overrides by rule. thresholds: those of THRESHOLDS.
    catalogues: paths of further edition files.
    limit: how many findings are returned with their place (0 = all); the summary always counts all.
    """

    today: str
    severity: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, int] = field(default_factory=lambda: dict(THRESHOLDS))
    direction_placeholders: tuple[str, ...] = ("无", "—", "-", "/")
    issuer_codes: tuple[str, ...] = ()
    centres: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    catalogues: tuple[str, ...] = ()
    limits: Limits = Limits()
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Parcel:
    """A sealed package: where it lies, its size in bytes and its SHA-256 (64 hex digits)."""

    path: str
    bytes: int
    sha256: str
