"""What people get in their hands: the report of a rejected batch and the slip of a reported one. No cell values.

Takes   the result of a check or the facts of a batch
Gives   files by name, as bytes, for whoever writes them down
Redo    only computes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchanged.batch import Finding
from exchanged.report import document

__all__ = ["reports", "slips"]


def reports(
    batch: str,
    stem: str,
    result: Mapping[str, Any],
    findings: Sequence[Finding],
    language: str,
    note: str | None = None,
    *,
    marked: Sequence[str] = (),
    altered: Sequence[str] = (),
) -> dict[str, bytes]:
    """`report.html` for people and `report.json` for programs, of a batch that goes back to its clerk.

    note: why, where no finding says it (`withdrawn`). marked: names of the annotated workbooks. altered: names
    of files that are not what the clerk dropped: they were changed here, or are gone.
    """
    from exchanged.report import html

    said = document.check(result, language, findings=findings)
    rest = {name: value for name, value in said.items() if name != "format"}
    said = {
        "format": document.REPORT,
        "batch": batch,
        "stem": stem,
        **({"note": note} if note else {}),
        **({"altered": list(altered)} if altered else {}),
        "annotated": list(marked),
        **rest,
    }
    return {"report.html": document.encoded(html.page(said, language)), "report.json": document.as_json(said)}


def slips(facts: Mapping[str, Any], language: str = "zh") -> dict[str, bytes]:
    """The clerk's proof by file ending, `txt` and `json`."""
    from exchanged.report import slip

    return {"txt": document.encoded(slip.text_of(facts, language)), "json": document.as_json(slip.document(facts))}
