"""Look whether a PDF is the scan of a signed form: safe to open, and a picture of paper.

Takes   an open PDF
Gives   its number of pages and what was found wrong with it
Redo    only reads
Ends    with findings whatever the file is; only a file that exhausts or crashes the child gives none
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from exchanged.batch import Fact

DPI = 150

Found = dict[str, Any]


def examine(source: BinaryIO, max_pages: int = 10) -> dict[str, Any]:
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
