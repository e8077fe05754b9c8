"""The job of the fuzzing tests: one file, checked as always, and by every reader that can read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from exchanged.checking import Checked, check, table
from exchanged.reading import scan, xlsx
from exchanged.reading.bytescan import Unusual
from tests.support.checks import checks
from tests.support.jobs import Progress, Result


class NoScan(scan.Scanner):
    """Leaves every worksheet to the exact reader."""

    def blocks(self, blocks: Iterable[bytes]) -> Iterator[scan.Block]:
        raise Unusual


def judge(args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress) -> Result:
    """Says what was found, and what does not hold: the digest is that of the table, two readers agree."""
    file, name = (args["name"], files[0]), args["name"]
    made = check([file], checks(limit=0))
    wrong = []
    if made.digest and "sha256:" + hashlib.sha256(b"".join(table([file], checks()))).hexdigest() != made.digest:
        wrong.append("digest")
    if sum(made.counted.values()) != len(made.findings):
        wrong.append("counts")
    if name.endswith(".xlsx"):
        wrong += _differs(made, file)
    return {"rules": made.counted, "rows": made.rows, "wrong": wrong}, b""


def _differs(made: Checked, file: tuple[str, BinaryIO]) -> list[str]:
    """Where the exact reader is content the fast scan says the same; that may overlook what breaks outside the rows."""
    usual = xlsx.Scanner
    xlsx.Scanner = NoScan  # type: ignore[misc]
    try:
        exact = check([file], checks(limit=0))
    finally:
        xlsx.Scanner = usual  # type: ignore[misc]
    if "file-unreadable" in exact.counted or "file-too-large" in exact.counted:
        return []
    return [] if replace(exact, table=None) == replace(made, table=None) else ["readers"]
