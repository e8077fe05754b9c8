"""Look whether a PDF is the scan of a signed form: safe to open, a picture of paper, with this batch's code on it.

`look` and `judge` are the daemon's side, `examine` the confined child's.

Takes   a PDF, and the table that its form was printed for
Gives   its number of pages, what was found wrong with it, whether its code ties it to the table
Redo    only reads
Ends    with findings whatever the file is, also one that exhausts or crashes the child
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from exchanged.batch import Fact, Finding
from exchanged.form.code import Code, parse
from exchanged.sandbox import Bounds, Died, Sandbox, blame

DPI = 150
COARSE, LARGE = 50, 40_000_000  # dpi and pixels of a page of a refused scan on which a code is looked for
MEMORY = 3 << 29
MEGABYTE = 1_000_000

_DEATHS = {"memory": "file-too-large", "time": "file-unreadable", "crash": "file-unreadable"}

Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """What a form must have been printed for. `digest`: "sha256:" and 64 hex digits."""

    digest: str
    rows: int


def bounds(size: int) -> Bounds:
    """What looking at so many bytes may use: ten pages of 600 dpi in JPEG 2000, 30 MB, take 20 seconds."""
    seconds = 15 + min(100, size // MEGABYTE)
    return Bounds(memory=MEMORY, cpu=seconds, wall=5.0 * seconds)


def look(
    scan: int, max_pages: int, sandbox: Sandbox, limits: Bounds | None = None, most: int | None = None
) -> dict[str, Any]:
    """Look at an open scan of at most `most` bytes in a confined child: as `examine`. A child that dies is a finding.

    Raises NotYet("check.crashed") when the child was killed from outside.
    """
    size = os.fstat(scan).st_size
    if most is not None and size > most:
        return _unfit("file-too-large", {"what": "bytes", "limit": most})
    try:
        return sandbox.run("scan", {"max_pages": max_pages}, [scan], limits=limits or bounds(size)).value
    except Died as end:
        blame(end)
        return _unfit(_DEATHS[end.reason], {})


def codes(found: Mapping[str, Any]) -> list[Code]:
    """The codes that stand on a scan, in the order of its pages."""
    return [code for one in found["forms"] if (code := parse(one["code"])) is not None]


def judge(found: Mapping[str, Any], table: Table | None) -> list[Found]:
    """What is wrong with a scan that has been looked at; for no table: as far as can be told from the scan alone."""
    if found["findings"]:
        return list(found["findings"])
    forms = found["forms"]
    if not forms:
        unseen = [_found("confirmation-seal-missing", {})] if found["stamped"] is False else []
        return [_found("confirmation-code-missing", {}), *unseen]
    return _mismatch(forms, table) or _unsigned(forms)


def _mismatch(forms: Sequence[Mapping[str, Any]], table: Table | None) -> list[Found]:
    """Codes of other data, of several forms, or not of every page."""
    known = [(form["page"], code) for form in forms if (code := parse(form["code"])) is not None]
    first = known[0][1]
    for page, code in known:
        if table is not None and not code.same_data(table.digest, table.rows):
            return [_found("confirmation-code-mismatch", {"page": page, "why": "other-data"})]
        if (code.batch, code.digest, code.rows, code.pages) != (first.batch, first.digest, first.rows, first.pages):
            return [_found("confirmation-code-mismatch", {"page": page, "why": "mixed-forms"})]
    missing = sorted(set(range(1, first.pages + 1)) - {code.page for _, code in known})
    if missing:
        facts: dict[str, Fact] = {"why": "page-missing", "missing": "、".join(map(str, missing)), "pages": first.pages}
        return [_found("confirmation-code-mismatch", facts)]
    return []


def _unsigned(forms: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Boxes without a signature and a seal that is not there, where the form's last page shows them."""
    last = max(
        (form for form in forms if form["signed"] is not None),
        key=lambda form: (len(form["signed"]), form["sealed"]),  # an unsigned copy may lie before it
        default=None,
    )
    if last is None:
        return []
    empty = [name for name in ("manager", "head") if name not in last["signed"]]
    found = [_found("confirmation-signature-missing", {"page": last["page"], "box": f"box-{name}"}) for name in empty]
    return found if last["sealed"] else [*found, _found("confirmation-seal-missing", {"page": last["page"]})]


def finding(one: Mapping[str, Any], overrides: Mapping[str, str], name: str | None) -> Finding:
    """What was found about a scan, with the severity in force."""
    from exchanged.standard import rules

    return Finding(one["rule"], rules.severity(one["rule"], overrides), file=name, facts=one.get("facts", {}))


def examine(source: BinaryIO, max_pages: int = 10) -> dict[str, Any]:
    """Examine one scan: `pages`, `findings` (rule, facts) in page order, `forms` and `stamped`.

    forms: for every page with a code of ours `page`, `code`, and on a form's last page `signed` (boxes with something
    written in) and `sealed`. stamped: whether a page in colour has a red round seal, where there is no code; else None.

    To be called in a child process only: a hostile file may exhaust memory or time, or crash the libraries.
    """
    from exchanged.reading import pdf
    from exchanged.reading.unfit import Unfit

    data = source.read()
    seen: dict[str, Any] = {"forms": [], "stamped": None}
    try:
        whole = pdf.structure(io.BytesIO(data), max_pages)
        findings = [_found("confirmation-active", {"kind": whole.active})] if whole.active else []
        if not 1 <= whole.pages <= max_pages:
            findings.append(_found("confirmation-pages", {"pages": whole.pages, "most": max_pages}))
        else:
            pictured, seen = _pages(data, whole)
            findings += pictured
    except Unfit as unfit:
        return _unfit(unfit.rule, unfit.facts)
    return {"pages": whole.pages, "findings": findings, **seen}


def _pages(data: bytes, whole: Any) -> tuple[list[Found], dict[str, Any]]:
    from exchanged.reading import raster
    from exchanged.reading.unfit import Unfit

    with raster.Raster(data) as pages:
        if len(pages) != whole.pages:
            raise Unfit("file-unreadable", why="damaged")
        sheets = [pages.sheet(index, whole) for index in range(whole.pages)]
        findings = [each for number, sheet in enumerate(sheets, 1) for each in _page(number, sheet)]
        if all(sheet.empty or (_scanned(sheet) and pages.blank(index, sheet)) for index, sheet in enumerate(sheets)):
            findings.append(_found("confirmation-blank", {}))
        if not findings:
            return findings, _forms(pages, sheets)
        try:
            return findings, {"forms": _codes(pages, sheets), "stamped": None}
        except Exception:  # it is refused as it is, whatever else is odd about it
            return findings, {"forms": [], "stamped": None}


def _codes(pages: Any, sheets: Sequence[Any]) -> list[dict[str, Any]]:
    """Only the codes on a scan that is refused, to know whose it is."""
    from exchanged.form import read
    from exchanged.reading import raster

    forms: list[dict[str, Any]] = []
    for index, sheet in enumerate(sheets):
        if sheet.cover >= raster.COVER and sheet.dpi >= COARSE and sheet.pixels <= LARGE:
            found = read.find(*pages.picture(index, sheet))
            if found is not None:
                forms.append({"page": index + 1, "code": found.code.text, "signed": None, "sealed": None})
    return forms


def _forms(pages: Any, sheets: Sequence[Any]) -> dict[str, Any]:
    """What is read back from the pages."""
    from exchanged.form import ink, read

    forms: list[dict[str, Any]] = []
    stamped: bool | None = None
    for index, sheet in enumerate(sheets):
        picture, dpi = pages.picture(index, sheet)
        found = read.find(picture, dpi)
        if found is None:
            if picture.ndim == 3 and not stamped:
                stamped = ink.stamped(picture, dpi / read.MM)
            continue
        last = found.code.page == found.code.pages
        marks = ink.marks(picture, found.place) if last else None
        signed = list(marks.signed) if marks else None
        sealed = marks.sealed if marks else None
        forms.append({"page": index + 1, "code": found.code.text, "signed": signed, "sealed": sealed})
    return {"forms": forms, "stamped": None if forms else stamped}


def _unfit(rule: str, facts: Mapping[str, Fact]) -> dict[str, Any]:
    """The answer about a file that cannot be examined."""
    return {"pages": 0, "findings": [_found(rule, facts)], "forms": [], "stamped": None}


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
