"""The work that is done in a confined child: opening spreadsheets and scans. Composed here, run by the sandbox.

Takes   JSON arguments, open files
Gives   a JSON value, and bytes where there are some
Redo    only reads and computes
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, BinaryIO

from exchanged.batch import Checks, Limits

Progress = Callable[[int], None]

_tables: dict[str, bytes] = {}  # by digest: the small table that this child checked last, until it is packed


def to_checks(value: dict[str, Any]) -> Checks:
    """`Checks` as it came through JSON."""
    lists = {name: tuple(each) for name, each in value.items() if isinstance(each, list)}
    return Checks(**{**value, **lists, "limits": Limits(**value["limits"])})


def check(
    args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress
) -> tuple[dict[str, Any], bytearray]:
    """Read and check spreadsheets; with `index` also what the ledger is told of every record."""
    from exchanged import checking

    named = list(zip(args["names"], files, strict=True))
    checked = checking.check(named, to_checks(args["checks"]), index=args["index"], progress=progress)
    _tables.clear()
    if checked.table is not None and checked.digest:
        _tables[checked.digest] = checked.table
    return checked.to_dict(), checked.index


def annotate(
    args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress
) -> tuple[dict[str, Any], bytes]:
    """Write one of the spreadsheets to `out` with everything marked that is wrong with it: an xlsx.

    `made` is false where the spreadsheet cannot be written again: no data was found in it, or more than an xlsx holds.
    """
    from exchanged import marking

    if out is None:
        raise ValueError("annotate needs an output")
    named = list(zip(args["names"], files, strict=True))
    return {"made": marking.annotate(out, named, args["at"], to_checks(args["checks"]), args["told"], progress)}, b""


def pack(
    args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress
) -> tuple[dict[str, Any], bytes]:
    """Write the inside of a package to `out`, the last file is the scan.

    The table is the one this child has just checked, else made anew from the spreadsheets; the manifest has its digest.
    """
    from exchanged import checking
    from exchanged.sealing import package

    if out is None:
        raise ValueError("pack needs an output")
    kept = _tables.pop(json.loads(args["manifest"])["digest"], None)
    sheets = list(zip(args["names"], files[:-1], strict=True))
    table = [kept] if kept is not None else checking.table(sheets, to_checks(args["checks"]))
    digest = package.pack(
        out, args["manifest"].encode(), table, args["table_bytes"], files[-1], args["scan_bytes"], args["sealed_at"]
    )
    return {"table": digest}, b""


def scan(
    args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress
) -> tuple[dict[str, Any], bytes]:
    """Look at a confirmation scan."""
    from exchanged.stages import confirm

    return confirm.examine(files[0], args["max_pages"]), b""


def form(
    args: dict[str, Any], files: list[BinaryIO], out: BinaryIO | None, progress: Progress
) -> tuple[dict[str, Any], bytes]:
    """Draw the filled-in form; no bytes where the font cannot be used."""
    from exchanged.form import write

    try:
        return {}, write.draw(write.Form(**args["form"]), args["font"])
    except write.FontMissing:
        return {}, b""
