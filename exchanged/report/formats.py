"""How the cells of an annotated workbook look: every kind of cell, and how grave what is wrong with it is.

Takes   an xlsxwriter workbook
Gives   its formats by family, slot and gravity. Errors and warnings differ in colour, border and letters

Text cells are formatted as text, so that what a clerk types over them stays text too: of a number with 18 digits a
spreadsheet program keeps 15.
"""

from __future__ import annotations

from typing import Any

from exchanged.report.sheetxml import BLANK, DATE, ERROR, GUARDED, LONG, MOMENT, NUMBER, TEXT

FIELD, OTHER, HEADER, TITLE, REASON = range(5)
FAMILIES = range(5)
_AS_TEXT = {"num_format": "@"}
_SLOTS: dict[int, dict[str, Any]] = {
    TEXT: _AS_TEXT,
    GUARDED: _AS_TEXT | {"quote_prefix": True},
    NUMBER: {},
    LONG: {"num_format": "0"},
    DATE: {"num_format": "yyyy-mm-dd"},
    MOMENT: {"num_format": "yyyy-mm-dd hh:mm:ss"},
    ERROR: {},
    BLANK: {},
}
_FAMILIES: dict[int, dict[str, Any]] = {
    FIELD: {},
    OTHER: {},
    HEADER: {"bold": True, "bg_color": "#E7ECF2", "bottom": 1, "text_wrap": True, "valign": "vcenter"},
    TITLE: {},
    REASON: {"num_format": "@"},
}
GRAVE: dict[int, dict[str, Any]] = {
    0: {},
    1: {"bg_color": "#FFF2CC", "font_color": "#7F5F00", "italic": True, "border": 3, "border_color": "#BF8F00"},
    2: {"bg_color": "#E6DCF2", "font_color": "#5B2E91", "underline": 1, "border": 6, "border_color": "#7A4DB0"},
    3: {"bg_color": "#FFD9D6", "font_color": "#9C0006", "bold": True, "border": 2, "border_color": "#C00000"},
}
_REASONS: dict[int, dict[str, Any]] = {
    weight: {name: value for name, value in look.items() if name in ("font_color", "bold", "italic")}
    for weight, look in GRAVE.items()
}


def properties(family: int, slot: int, gravity: int) -> dict[str, Any]:
    """What xlsxwriter is told about one kind of cell."""
    kept_as_text = family == FIELD and slot in (NUMBER, LONG, BLANK)
    look = _REASONS if family == REASON else GRAVE
    return {**_FAMILIES[family], **(_AS_TEXT if kept_as_text else _SLOTS[slot]), **look[gravity]}
