"""How wide a sheet's columns are, as far as it says: xlsx and ods; old .xls in `biff`.

Takes   an open archive, and which sheet
Gives   0-based column -> width in digits of the default font with the margins, as xlsx stores it; only what is set
Redo    it only reads, and no further than to the sheet's first row
"""

from __future__ import annotations

import re

from exchanged.reading.archive import SMALL, Archive, Handler, local, safe_parser
from exchanged.reading.exact import COLUMNS

_LENGTH = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)(cm|mm|in|pt|px)")
_PIXELS = {"cm": 96 / 2.54, "mm": 96 / 25.4, "in": 96.0, "pt": 96 / 72, "px": 1.0}
_CHARACTER = 7  # pixels of a digit in the default font


class _Seen(Exception):
    """The columns have all been seen."""


def of_xlsx(archive: Archive, member: str) -> dict[int, float]:
    """Widths of an xlsx worksheet's columns."""
    found: dict[int, float] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "sheetData":
            raise _Seen
        if name == "col" and "width" in attributes:
            first, last = int(attributes.get("min", "0")), int(attributes.get("max", "0"))
            _note(found, first - 1, last, float(attributes["width"]))

    _parse(archive, member, start)
    return found


def of_ods(archive: Archive, sheet: str) -> dict[int, float]:
    """Widths of an ods table's columns."""
    found: dict[int, float] = {}
    styles: dict[str, float] = {}
    style, table, column = "", "", 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal style, table, column
        name = local(tag)
        if name == "style":
            style = attributes.get("style:name", "")
        elif name == "table-column-properties":
            styles[style] = _characters(attributes.get("style:column-width", ""))
        elif name == "table":
            table, column = attributes.get("table:name", ""), 0
        elif name == "table-column" and table == sheet:
            first, column = column, column + max(1, int(attributes.get("table:number-columns-repeated", "1")))
            _note(found, first, column, styles.get(attributes.get("table:style-name", ""), 0.0))
        elif name == "table-row" and table == sheet:
            raise _Seen

    _parse(archive, "content.xml", start)
    return found


def _note(found: dict[int, float], first: int, last: int, width: float) -> None:
    if len(found) >= COLUMNS or width <= 0:
        return
    found.update(dict.fromkeys(range(max(first, 0), min(last, COLUMNS)), width))


def _characters(length: str) -> float:
    match = _LENGTH.fullmatch(length)
    return float(match[1]) * _PIXELS[match[2]] / _CHARACTER if match else 0.0


def _parse(archive: Archive, member: str, start: Handler) -> None:
    parser = safe_parser()
    parser.StartElementHandler = start
    try:
        for block in archive.xml(member, SMALL):
            parser.Parse(block, False)
    except _Seen:
        return
