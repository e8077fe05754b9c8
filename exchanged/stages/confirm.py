"""Look whether a PDF is the scan of a signed form: safe to open, and a picture of paper.

Takes   an open PDF
Gives   its number of pages and what was found wrong with it
Redo    only reads
Ends    never by bad input: whatever is wrong is a finding; `judge` also makes one of a child that died over the file
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from exchanged.batch import Fact
from exchanged.sandbox import Bounds, Died, Sandbox

MAX_PAGES = 10
DPI = 150
BOUNDS = Bounds(memory=1536 << 20, cpu=20, wall=60.0)

Found = dict[str, Any]


def judge(sandbox: Sandbox, scan: int, max_pages: int = MAX_PAGES) -> dict[str, Any]:
    """`examine` the open file `scan` in a child of its own. A file that kills the child is unreadable."""
    try:
        return sandbox.run("scan", {"max_pages": max_pages}, [scan], limits=BOUNDS).value
    except Died as died:
        return {"pages": 0, "findings": [_found("file-unreadable", {"why": died.reason})]}


def examine(source: BinaryIO, max_pages: int = MAX_PAGES) -> dict[str, Any]:
    """Examine one scan: `{"pages": n, "findings": [{"rule", "facts"}]}`, findings in page order.

    To be called in a child process only: a hostile file may exhaust memory or time, or crash the libraries.
    """
    from exchanged.reading import pdf

    try:
        whole = pdf.structure(source, max_pages)
        findings = [_found("confirmation-active", {"kind": whole.active})] if whole.active else []
        if not 1 <= whole.pages <= max_pages:
            findings.append(_found("confirmation-pages", {"pages": whole.pages, "most": max_pages}))
        else:
            source.seek(0)
            findings += _pages(source.read(), whole)
    except pdf.Unfit as unfit:
        return {"pages": 0, "findings": [_found(unfit.rule, unfit.facts)]}
    return {"pages": whole.pages, "findings": findings}


def _pages(data: bytes, whole: Any) -> list[Found]:
    from exchanged.reading import pdf, raster

    with raster.Raster(data) as pages:
        if len(pages) != whole.pages:
            raise pdf.Unfit("file-unreadable", why="damaged")
        sheets = [pages.sheet(index, whole.units[index]) for index in range(whole.pages)]
        findings = [each for number, sheet in enumerate(sheets, 1) for each in _page(number, sheet)]
        if all(sheet.empty or (_scanned(sheet) and pages.blank(index)) for index, sheet in enumerate(sheets)):
            findings.append(_found("confirmation-blank", {}))
    return findings


def _page(number: int, sheet: Any) -> list[Found]:
    if not _scanned(sheet):
        why = "text" if sheet.text else "picture"
        return [_found("confirmation-not-scanned", {"page": number, "cover": round(sheet.cover * 100), "why": why})]
    if sheet.dpi < DPI:
        return [_found("confirmation-resolution", {"page": number, "dpi": sheet.dpi, "least": DPI})]
    return []


def _scanned(sheet: Any) -> bool:
    from exchanged.reading import raster

    return sheet.cover >= raster.COVER and not sheet.text


def _found(rule: str, facts: Mapping[str, Fact]) -> Found:
    return {"rule": rule, "facts": dict(facts)}
