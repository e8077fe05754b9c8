"""The parts of an xlsx workbook around its sheets: which sheets, strings, styles that show dates, calendar."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from exchanged.reading.archive import Archive, local
from exchanged.reading.trouble import damaged

SHEETS = 255
_FORMAT = 4096
_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]|General|G/通用格式', re.I | re.S)


@dataclass(frozen=True, slots=True)
class Workbook:
    """Sheets as (name, member) in order, members of strings and styles where there are any, the 1904 switch."""

    sheets: tuple[tuple[str, str], ...]
    strings: str | None
    styles: str | None
    epoch_1904: bool


def open_workbook(archive: Archive) -> Workbook:
    """Finds the worksheets, hidden ones too, through the package's relations."""
    main = next(
        (target for kind, target in _relations(archive, "").values() if kind == "officeDocument"), "xl/workbook.xml"
    )
    relations = _relations(archive, main)
    found: list[tuple[str, str]] = []
    switch = {"date1904": False}

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "workbookPr":
            switch["date1904"] = attributes.get("date1904", "0") in ("1", "true", "on")
        elif name == "sheet":
            identity = next((v for k, v in attributes.items() if local(k) == "id" and k != "sheetId"), "")
            kind, target = relations.get(identity, ("", ""))
            if kind == "worksheet":
                found.append((attributes.get("name", ""), target))

    archive.parse(main, start)
    if not found or len(found) > SHEETS or len({member for _, member in found}) != len(found):
        raise damaged("sheets")
    parts = dict(relations.values())
    strings, styles = parts.get("sharedStrings"), parts.get("styles")
    return Workbook(
        tuple(found),
        strings if strings and strings in archive else None,
        styles if styles and styles in archive else None,
        switch["date1904"],
    )


def _relations(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """Relations of a part: identity -> (last word of the type, member)."""
    folder, name = posixpath.split(part)
    member = posixpath.join(folder, "_rels", f"{name}.rels")
    found: dict[str, tuple[str, str]] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "").replace("\\", "/")
            target = (
                target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            )
            found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], target)

    if member in archive:
        archive.parse(member, start)
    return found


def date_styles(archive: Archive, member: str | None) -> tuple[bool, ...]:
    """For each cell style, in order, whether a number in it is shown as a date."""
    formats: dict[int, bool] = {}
    styles: list[int] = []
    inside = [False]

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "numFmt" and "numFmtId" in attributes:
            formats[int(attributes["numFmtId"])] = is_date_format(attributes.get("formatCode", ""))
        elif name == "cellXfs":
            inside[0] = True
        elif name == "xf" and inside[0]:
            styles.append(int(attributes.get("numFmtId", "0")))

    def end(tag: str) -> None:
        if local(tag) == "cellXfs":
            inside[0] = False

    if member:
        archive.parse(member, start, end)
    return tuple(formats.get(number, number in _DATES) for number in styles)


def is_date_format(code: str) -> bool:
    """Whether a number format shows years, months, days or times. A format has at most 255 characters."""
    if len(code) > _FORMAT:
        return False
    bare = _QUOTED.sub("", code)
    return bool(re.search(r"[ymdhs]|aaa", bare, re.I))
