"""What in a PDF could do something: scripts, programs, files, forms, wherever in the file they stand.

Takes   an open PDF, every object of which is looked at, whether anything refers to it or not
Gives   the gravest thing that could act, or None
Redo    only reads
Ends    Unfit for a file of too many parts, or with a stream that is too large
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pikepdf

from exchanged.reading.packing import Weight
from exchanged.reading.unfit import too_large

OBJECTS = 100_000  # of a file; ten scanned pages with text behind them have some hundreds
PARTS = 2_000_000  # dictionaries, arrays and what is in them

# What a dictionary's entries say it could do, gravest first: key, the values that matter (None: any).
_ACTIONS: dict[str, tuple[tuple[str, frozenset[str] | None], ...]] = {
    "launch": (("/S", frozenset({"/Launch"})),),
    "script": (("/JS", None), ("/JavaScript", None), ("/S", frozenset({"/JavaScript"}))),
    "attachment": (
        ("/EF", None),
        ("/EmbeddedFiles", None),
        ("/Type", frozenset({"/EmbeddedFile"})),
        ("/Subtype", frozenset({"/FileAttachment"})),
    ),
    "form": (("/XFA", None), ("/S", frozenset({"/SubmitForm", "/ImportData"}))),
    "media": (
        ("/Subtype", frozenset({"/RichMedia", "/Movie", "/Sound", "/Screen", "/3D"})),
        ("/S", frozenset({"/Rendition", "/Movie", "/Sound", "/RichMediaExecute", "/GoTo3DView"})),
    ),
    "remote": (("/S", frozenset({"/GoToR", "/GoToE"})),),
}
_HARMLESS_ON_OPENING = frozenset({"/GoTo", "/Named"})
_ADDRESSES = ("http", "https", "mailto", "ftp", "tel")  # that a link may lead to


def active(pdf: pikepdf.Pdf) -> str | None:
    """The gravest thing in the file that could act: launch script attachment form media remote action."""
    found: set[str] = set()
    weight = Weight()
    for each in _dictionaries(pdf):
        keys = set(each.keys())
        found.update(kind for kind, signs in _ACTIONS.items() if any(_shows(each, keys, *sign) for sign in signs))
        if _acts_by_itself(each, keys):
            found.add("action")
        if "/URI" in keys and _strange(each["/URI"]):
            found.add("script")
        if isinstance(each, pikepdf.Stream):
            if "/F" in keys:
                found.add("remote")  # the stream's data lie in another file
            weight.add(each)
    return gravest(found)


def gravest(found: set[str]) -> str | None:
    """The worst of these kinds."""
    return next((kind for kind in [*_ACTIONS, "action"] if kind in found), None)


def _shows(each: Any, keys: set[str], key: str, values: frozenset[str] | None) -> bool:
    if key not in keys:
        return False
    return values is None or _name(each[key]) in values


def _name(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.Name) else ""


def _acts_by_itself(each: Any, keys: set[str]) -> bool:
    if "/AA" in keys and isinstance(each["/AA"], pikepdf.Dictionary) and len(each["/AA"]):
        return True
    if "/OpenAction" not in keys or not isinstance(each["/OpenAction"], pikepdf.Dictionary):
        return False
    return _name(each["/OpenAction"].get("/S")) not in _HARMLESS_ON_OPENING


def _strange(address: Any) -> bool:
    """Whether an address is none of the web's, but one that a program runs or opens."""
    if not isinstance(address, pikepdf.String):
        return False
    text = "".join(char for char in str(address) if char.isprintable() and char != " ").lower()
    scheme, colon, _ = text.partition(":")
    return bool(colon) and scheme.isalnum() and scheme not in _ADDRESSES


def _dictionaries(pdf: pikepdf.Pdf) -> Iterator[Any]:
    """Every dictionary and stream of the file."""
    containers = (pikepdf.Dictionary, pikepdf.Stream, pikepdf.Array)
    parts = 0
    for top in chain([pdf.trailer], pdf.objects):
        stack: list[Any] = [top]
        while stack:
            each = stack.pop()
            if isinstance(each, pikepdf.Array):
                inner: Any = each
            elif isinstance(each, (pikepdf.Dictionary, pikepdf.Stream)):
                yield each
                inner = [value for _, value in each.items()]
            else:
                continue
            parts += len(inner)
            if parts > PARTS:
                raise too_large("objects", PARTS)
            stack.extend(value for value in inner if isinstance(value, containers) and not value.is_indirect)
