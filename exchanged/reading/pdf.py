"""What a PDF is made of: opened strictly, every object looked at, nothing drawn.

Takes   an open PDF
Gives   its `Structure`: pages, what in it could act, and how heavy it would be to draw
Redo    only reads
Ends    Unfit when the file is no sound, open PDF
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import pikepdf

from exchanged.batch import Facts

OBJECTS = 100_000  # of a file; ten scanned pages with text behind them have some hundreds
PIXELS = 150_000_000  # of one image; A3 at 600 dpi has 70 million
CONTENT = 8 << 20  # bytes of drawing orders of one page, unpacked
DRAWINGS = 20_000  # of one page, forms in forms multiplied out
DEPTH = 8

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


class Unfit(Exception):
    """The file cannot be examined: the rule it breaks, and facts."""

    def __init__(self, rule: str, **facts: str | int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.facts: Facts = facts


@dataclass(frozen=True, slots=True)
class Structure:
    """pages: as the page tree says. active: the gravest thing that could act, or None. units: points a user unit."""

    pages: int
    active: str | None
    units: tuple[float, ...]


def structure(source: BinaryIO, max_pages: int) -> Structure:
    """Look at every object of the file. Pages beyond `max_pages` are counted, not looked into. Raises Unfit."""
    pikepdf.settings.set_qpdf_limits(flate_max_memory=CONTENT, run_length_max_memory=CONTENT)
    with _opened(source) as pdf:
        try:
            return _structure(pdf, max_pages)
        except (pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            raise Unfit("file-unreadable", why="damaged") from None


def _opened(source: BinaryIO) -> pikepdf.Pdf:
    head = source.read(5)
    if head != b"%PDF-":
        raise Unfit("file-unreadable", why="header")
    source.seek(0)
    try:
        pdf = pikepdf.open(source, attempt_recovery=False, suppress_warnings=True)
    except pikepdf.PasswordError:
        raise Unfit("file-encrypted") from None
    except pikepdf.PdfError:
        if _names_encryption(source):
            raise Unfit("file-encrypted") from None
        raise Unfit("file-unreadable", why="damaged") from None
    if pdf.is_encrypted:
        pdf.close()
        raise Unfit("file-encrypted")
    return pdf


def _names_encryption(source: BinaryIO) -> bool:
    """Whether a trailer asks for a way of encrypting that the library does not know."""
    size = source.seek(0, 2)
    source.seek(max(0, size - 65536))
    return b"/Encrypt" in source.read()


def _structure(pdf: pikepdf.Pdf, max_pages: int) -> Structure:
    declared = pdf.Root.Pages.get("/Count")
    if not isinstance(declared, int):
        raise Unfit("file-unreadable", why="damaged")
    if declared > OBJECTS or len(pdf.objects) > OBJECTS:
        if declared > max_pages:
            return Structure(declared, None, ())
        raise Unfit("file-too-large", why="objects", most=OBJECTS)
    active = _active(pdf)
    if declared > max_pages or declared < 1:
        return Structure(declared, active, ())
    pages = list(pdf.pages)
    if _repaired(pdf) or len(pages) != declared:
        raise Unfit("file-unreadable", why="damaged")
    for number, page in enumerate(pages, 1):
        _Weighing(number).page(page)
    if _repaired(pdf):
        raise Unfit("file-unreadable", why="damaged")
    return Structure(declared, active, tuple(float(page.obj.get("/UserUnit", 1)) for page in pages))


def _repaired(pdf: pikepdf.Pdf) -> bool:
    """Whether the library had to guess. A page without a list of its resources is no guess."""
    return any("Resources is missing" not in str(warning) for warning in pdf.get_warnings())


def _active(pdf: pikepdf.Pdf) -> str | None:
    found: set[str] = set()
    for each in _dictionaries(pdf):
        keys = set(each.keys())
        found.update(kind for kind, signs in _ACTIONS.items() if any(_shows(each, keys, *sign) for sign in signs))
        if _acts_by_itself(each, keys):
            found.add("action")
        if isinstance(each, pikepdf.Stream):
            if "/F" in keys:
                found.add("remote")  # the stream's data lie in another file
            _limit_pixels(each)
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


def _limit_pixels(stream: Any) -> None:
    if _name(stream.get("/Subtype")) == "/Image" and int(stream.Width) * int(stream.Height) > PIXELS:
        raise Unfit("file-too-large", why="pixels", most=PIXELS)


def _dictionaries(pdf: pikepdf.Pdf) -> Iterator[Any]:
    """Every dictionary and stream of the file, whether anything refers to it or not."""
    containers = (pikepdf.Dictionary, pikepdf.Stream, pikepdf.Array)
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
            stack.extend(value for value in inner if isinstance(value, containers) and not value.is_indirect)


def _tiles(pattern: Any) -> bool:
    """A pattern that repeats a drawing. No scan has one, and there is no telling how often it is drawn."""
    return isinstance(pattern, pikepdf.Stream)


class _Weighing:
    """Counts what drawing a page would take, before anything draws it: forms may draw forms, many times each."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._content = 0
        self._known: dict[tuple[int, int], int] = {}

    def page(self, page: pikepdf.Page) -> None:
        contents = page.obj.get("/Contents")
        parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
        data = b"\n".join(self._read(part) for part in parts if isinstance(part, pikepdf.Stream))
        self._drawings(data, page.resources, DEPTH)

    def _read(self, stream: Any) -> bytes:
        try:
            data: bytes = stream.read_bytes()
        except pikepdf.PdfError:
            raise self._too_much("content", CONTENT) from None
        self._content += len(data)
        if self._content > CONTENT:
            raise self._too_much("content", CONTENT)
        return data

    def _drawings(self, data: bytes, resources: Any, depth: int) -> int:
        if not isinstance(resources, pikepdf.Dictionary):
            return 1
        if any(_tiles(each) for _, each in resources.get("/Pattern", {}).items()):
            raise Unfit("confirmation-not-scanned", page=self._number, cover=0, why="drawing")
        objects: Any = resources.get("/XObject", {})
        forms = [each for _, each in objects.items() if _name(each.get("/Subtype")) == "/Form"]
        heaviest = max((self._form(form, resources, depth) for form in forms), default=1)
        total = 1 + data.count(b"Do") * heaviest
        if total > DRAWINGS:
            raise self._too_much("drawings", DRAWINGS)
        return total

    def _form(self, form: Any, resources: Any, depth: int) -> int:
        if not depth:
            raise self._too_much("nesting", DEPTH)
        if form.objgen not in self._known:
            self._known[form.objgen] = self._drawings(self._read(form), form.get("/Resources", resources), depth - 1)
        return self._known[form.objgen]

    def _too_much(self, why: str, most: int) -> Unfit:
        return Unfit("file-too-large", why=why, page=self._number, most=most)
