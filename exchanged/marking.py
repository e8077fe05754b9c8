"""Write a clerk's spreadsheet once more, with everything marked that is wrong with it.

Takes   the open spreadsheets of a batch with the clerk's names, which one to write, what a check depends on
Gives   an annotated workbook, written to a file or pipe
Redo    it only reads and computes
Ends    False where there is nothing to mark: no data could be told in the file, or no xlsx could hold it. Meant to run
        in a child process with limits, since the files are not to be trusted
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from exchanged import checking, filenames
from exchanged.batch import Checks, Severity
from exchanged.reading import whole
from exchanged.reading.exact import column_of
from exchanged.reading.whole import Place, Whole
from exchanged.report import annotated, front
from exchanged.report.marks import Collector

_last: list[tuple[object, checking.Everything]] = []


def annotate(
    out: BinaryIO,
    files: Sequence[tuple[str, BinaryIO]],
    at: int,
    checks: Checks,
    told: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
) -> bool:
    """Write the file with index `at`, in the order of the names, to `out`.

    What was found is remembered for the next of the same files: they are compared with each other, so each needs all.
    `told`: `language`; `given_back`, whether the batch was, after a comparison with the history that also screened it;
    `more`, groups of findings that no check of the files makes, each with rule, severity, file (index, or None for
    what is about none of them), column, facts and rows.
    """
    ordered = sorted(files, key=lambda file: filenames.order(file[0]))
    everything = _everything(ordered, checks, not told["given_back"], progress)
    reading = everything.readings[at]
    if not reading.header_row:
        return False
    bare = frozenset(
        _column(finding.facts)
        for finding in everything.findings
        if finding.file == reading.file and finding.row != reading.header_row and "position" in finding.facts
    )
    found = whole.read(ordered[at][1], reading.file, checks.limits, Place(reading.sheet, reading.header_row, bare))
    if found is None:
        return False
    sheet = _sheet(everything, found, at, [name for name, _ in ordered], told)
    return _written(out, sheet, _told(everything, at, told), checks.limits.unpacked)


def _everything(
    files: Sequence[tuple[str, BinaryIO]], checks: Checks, screened: bool, progress: Callable[[int], None] | None
) -> checking.Everything:
    key = (checks, screened, [(name, _identity(file)) for name, file in files])
    if _last and _last[0][0] == key:
        return _last[0][1]
    _last.clear()
    everything = checking.everything(files, checks, screened=screened, progress=progress)
    if len(files) > 1:
        _last.append((key, everything))
    return everything


def _identity(file: BinaryIO) -> object:
    """Which file this is, and in which state; nothing that could be met again for what lies only in memory."""
    try:
        state = os.fstat(file.fileno())
    except OSError:
        return object()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _written(out: BinaryIO, sheet: annotated.Sheet, told: front.Told, most: int) -> bool:
    try:
        annotated.write(out, sheet, told, most)
    except annotated.TooLong:
        return False
    return True


def _column(facts: Mapping[str, Any]) -> int:
    return column_of(str(facts["position"]))


def _sheet(
    everything: checking.Everything, found: Whole, at: int, names: Sequence[str], told: Mapping[str, Any]
) -> annotated.Sheet:
    reading = everything.readings[at]
    collector = Collector(names, found.layout.fields, told["language"])
    collector.hits(everything.hits, everything.table, at)
    last = annotated.last_row(everything.table, at, found.layout.row)
    place = annotated.reason_column(found)
    for finding in everything.findings:
        if finding.file != reading.file:
            continue
        beside = place if finding.row == reading.header_row else None
        collector.finding(finding, _column(finding.facts) if "position" in finding.facts else beside)
    for group in told["more"]:
        if group["file"] in (at, None):
            column, facts, rows = group["column"], group["facts"], group["rows"]
            collector.group(group["rule"], Severity(group["severity"]), column, facts, rows)
    return annotated.Sheet(
        found, collector.marks(), last, place, reading.sheet or _stem(reading.file), reading.epoch_1904
    )


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _told(everything: checking.Everything, at: int, told: Mapping[str, Any]) -> front.Told:
    reading = everything.readings[at]
    return front.Told(
        reading.file,
        reading.sheet,
        everything.records[at],
        len(everything.readings),
        told["given_back"],
        annotated.COMMENTS,
    )
