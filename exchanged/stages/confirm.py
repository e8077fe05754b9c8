"""Look whether a PDF is the scan of a signed form: safe to open, and a picture of paper.

`look` is the daemon's side, `examine` the confined child's.

Takes   a PDF in the spool
Gives   its number of pages and what was found wrong with it
Redo    only reads
Ends    with findings whatever the file is, also one that exhausts or crashes the child
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from exchanged.batch import Fact, Finding
from exchanged.sandbox import Bounds, Died, Sandbox, blame

DPI = 150
BOUNDS = Bounds(memory=3 << 29, cpu=20, wall=120.0)

Found = dict[str, Any]


def look(scan: Path, max_pages: int, sandbox: Sandbox) -> dict[str, Any]:
    """Look at a scan in a confined child: `pages` and `findings` (rule, facts). A child that dies is a finding.

    Raises NotYet("check.crashed") when the child was killed from outside.
    """
    with scan.open("rb", buffering=0) as file:
        try:
            return sandbox.run("scan", {"max_pages": max_pages}, [file.fileno()], limits=BOUNDS).value
        except Died as end:
            blame(end)
            return {"pages": 0, "findings": [{"rule": "file-unreadable", "facts": {}}]}


def finding(one: Mapping[str, Any], overrides: Mapping[str, str], name: str | None) -> Finding:
    """What was found about a scan, with the severity in force."""
    from exchanged.standard import rules

    return Finding(one["rule"], rules.severity(one["rule"], overrides), file=name, facts=one.get("facts", {}))


def examine(source: BinaryIO, max_pages: int = 10) -> dict[str, Any]:
    """Examine one scan: `{"pages": n, "findings": [{"rule", "facts"}]}`, findings in page order.

    To be called in a child process only: a hostile file may exhaust memory or time, or crash the libraries.
    """
    from exchanged.reading import pdf

    data = source.read()
    try:
        whole = pdf.structure(io.BytesIO(data), max_pages)
        findings = [_found("confirmation-active", {"kind": whole.active})] if whole.active else []
        if not 1 <= whole.pages <= max_pages:
            findings.append(_found("confirmation-pages", {"pages": whole.pages, "most": max_pages}))
        else:
            findings += _pages(data, whole)
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
