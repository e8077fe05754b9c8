"""What a PDF is made of: opened strictly, every object looked at, nothing drawn.

Takes   an open PDF
Gives   its `Structure`: pages, what in it could act, and how heavy it would be to draw
Redo    only reads
Ends    Unfit when the file is no sound, open PDF
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import pikepdf

from exchanged.reading import sniff
from exchanged.reading.acting import OBJECTS, active, gravest
from exchanged.reading.unfit import Unfit, too_large

MAGIC = b"%PDF-"
CONTENT = 8 << 20  # bytes of drawing orders of one page, unpacked
DRAWINGS = 20_000  # of one page, forms in forms multiplied out
DEPTH = 8
MARKS = 2000  # pieces of marked content, one in the other; a page of PCLm opens one with each strip and ends none
REVISIONS = 30  # of a file; one that is saved again and again has some

Size = tuple[int, int]  # width and height in pixels

_NO_GUESS = (  # what the library says of files that common programs write, and that are read without guessing
    "Resources is missing",
    "reported number of objects",  # of pdfunite
    "xref entry for the xref stream itself is missing",  # of updates that some programs append
)
_MARKED = re.compile(rb"\b(?:BDC|BMC|EMC)\b")
_PAINTS = re.compile(rb"(?<![\w/])(?:[fFBbSs]\*?|Do|EI|sh|Tj|TJ)(?!\w)")


@dataclass(frozen=True, slots=True)
class Structure:
    """pages: as the page tree says. active: the gravest thing that could act, or None.

    For each page, units: points a user unit; masks: of each picture that is seen through a mask the mask's size.
    """

    pages: int
    active: str | None
    units: tuple[float, ...] = ()
    masks: tuple[Mapping[Size, Size], ...] = ()


def structure(source: BinaryIO, max_pages: int) -> Structure:
    """Look at every object of the file. Pages beyond `max_pages` are counted, not looked into. Raises Unfit."""
    pikepdf.settings.set_qpdf_limits(flate_max_memory=CONTENT, run_length_max_memory=CONTENT)
    with _opened(source) as pdf:
        try:
            return _structure(pdf, max_pages, source)
        except (pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            raise Unfit("file-unreadable", why="damaged") from None


def _opened(source: BinaryIO) -> pikepdf.Pdf:
    head = source.read(len(MAGIC))
    if head != MAGIC:
        raise _no_pdf(source)
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
        pdf.close()  # with an owner's password only: no viewer asks for one, which the message must not say either
        raise Unfit("file-encrypted", why="permissions")
    return pdf


def _no_pdf(source: BinaryIO) -> Unfit:
    """What a file is that does not begin as a PDF does."""
    source.seek(0)
    head = source.read(sniff.HEAD)
    found = None if MAGIC.startswith(head) else sniff.kind(head, source)  # nothing, or cut at once
    if found is None or found == "pdf":
        return Unfit("file-unreadable", why="header")
    return Unfit("file-type", found=found)


def _names_encryption(source: BinaryIO) -> bool:
    """Whether a trailer asks for a way of encrypting that the library does not know."""
    size = source.seek(0, 2)
    source.seek(max(0, size - 65536))
    return b"/Encrypt" in source.read()


def _structure(pdf: pikepdf.Pdf, max_pages: int, source: BinaryIO) -> Structure:
    declared = pdf.Root.Pages.get("/Count")
    if not isinstance(declared, int):
        raise Unfit("file-unreadable", why="damaged")
    if declared > OBJECTS or len(pdf.objects) > OBJECTS:
        if declared > max_pages:
            return Structure(declared, None)
        raise too_large("objects", OBJECTS)
    acts = gravest({kind for kind in [active(pdf), *_replaced(source)] if kind})
    if declared < 1 and _repaired(pdf):
        raise Unfit("file-unreadable", why="damaged")
    if declared > max_pages or declared < 1:
        return Structure(declared, acts)
    pages = list(pdf.pages)
    if _repaired(pdf) or len(pages) != declared:
        raise Unfit("file-unreadable", why="damaged")
    masks = tuple(_Weighing(number).page(page) for number, page in enumerate(pages, 1))
    if _repaired(pdf):
        raise Unfit("file-unreadable", why="damaged")
    return Structure(declared, acts, tuple(float(page.obj.get("/UserUnit", 1)) for page in pages), masks)


def _replaced(source: BinaryIO) -> Iterator[str | None]:
    """What could act in the earlier revisions of the file: an update hides it, and whoever wants it gets it back."""
    source.seek(0)
    data = source.read()
    ends = [each.end() for each in re.finditer(rb"%%EOF", data)][:-1]
    if len(ends) > REVISIONS:
        raise too_large("revisions", REVISIONS)
    for end in ends:
        try:
            with pikepdf.open(io.BytesIO(data[:end]), attempt_recovery=False, suppress_warnings=True) as before:
                yield active(before)
        except pikepdf.PdfError:  # no end of a revision
            continue


def _repaired(pdf: pikepdf.Pdf) -> bool:
    """Whether the library had to guess."""
    return any(not any(words in str(warning) for words in _NO_GUESS) for warning in pdf.get_warnings())


def _name(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.Name) else ""


def _entries(resources: Any, kind: str) -> list[Any]:
    return [each for _, each in resources.get(kind, {}).items()]


class _Weighing:
    """Counts what drawing a page would take, before anything draws it: forms may draw forms, many times each."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._content = 0
        self._known: dict[tuple[int, int], int] = {}
        self._masked: dict[Size, Size] = {}

    def page(self, page: pikepdf.Page) -> Mapping[Size, Size]:
        """Weigh a page; gives the sizes of masks, as in `Structure`. Raises Unfit for one too heavy to draw."""
        contents = page.obj.get("/Contents")
        parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
        data = b"\n".join(self._read(part) for part in parts if isinstance(part, pikepdf.Stream))
        self._drawings(data, page.resources, DEPTH)
        return self._masked

    def _read(self, stream: Any) -> bytes:
        try:
            data: bytes = stream.read_bytes()
        except (pikepdf.PdfError, MemoryError):
            raise self._too_much("content", CONTENT) from None
        self._content += len(data)
        if self._content > CONTENT:
            raise self._too_much("content", CONTENT)
        self._nested(data)
        return data

    def _nested(self, data: bytes) -> None:
        depth = 0
        for each in _MARKED.finditer(data) if data.count(b"BDC") + data.count(b"BMC") > MARKS else ():
            depth += -1 if each[0] == b"EMC" else 1
            if depth > MARKS:
                raise self._too_much("nesting", MARKS)

    def _drawings(self, data: bytes, resources: Any, depth: int) -> int:
        if not isinstance(resources, pikepdf.Dictionary):
            return 1
        self._no_drawing(resources)
        drawn = _entries(resources, "/XObject")
        for size, (wide, high) in ((_size(each), _size(mask)) for each in drawn for mask in _picture_masks(each)):
            known = self._masked.get(size, (0, 0))  # of strips that are alike the last one is shorter
            self._masked[size] = max(known[0], wide), max(known[1], high)
        forms = [each for each in drawn if _name(each.get("/Subtype")) == "/Form"]
        masks = list(_masks(resources))
        heaviest = max((self._form(form, resources, depth) for form in [*forms, *masks]), default=1)
        total = 1 + (data.count(b"Do") + (data.count(b"gs") if masks else 0)) * heaviest
        if total > DRAWINGS:
            raise self._too_much("drawings", DRAWINGS)
        return total

    def _no_drawing(self, resources: Any) -> None:
        """A pattern repeats a drawing, nobody knows how often, and letters that are drawings are seen in any mode. No
        scan has either; what some programs lay behind one is letters that draw nothing."""
        tiles = any(isinstance(each, pikepdf.Stream) for each in _entries(resources, "/Pattern"))
        if tiles or any(self._pictured(font) for font in _entries(resources, "/Font")):
            raise Unfit("confirmation-not-scanned", page=self._number, cover=0, why="drawing")

    def _pictured(self, font: Any) -> bool:
        """Whether a font's letters are drawings of its own."""
        if not isinstance(font, pikepdf.Dictionary) or _name(font.get("/Subtype")) != "/Type3":
            return False
        letters = _entries(font, "/CharProcs")
        return any(_PAINTS.search(self._read(each)) for each in letters if isinstance(each, pikepdf.Stream))

    def _form(self, form: Any, resources: Any, depth: int) -> int:
        if not depth:
            raise self._too_much("nesting", DEPTH)
        if form.objgen not in self._known:
            self._known[form.objgen] = self._drawings(self._read(form), form.get("/Resources", resources), depth - 1)
        return self._known[form.objgen]

    def _too_much(self, what: str, limit: int) -> Unfit:
        return too_large(what, limit, page=self._number)


def _picture_masks(item: Any) -> Iterator[Any]:
    """The picture through which a picture is seen: compact scans are a few colours behind fine writing."""
    for mask in (item.get("/SMask"), item.get("/Mask")):
        if _name(item.get("/Subtype")) == "/Image" and isinstance(mask, pikepdf.Stream):
            yield mask


def _size(picture: Any) -> Size:
    return int(picture.get("/Width", 0)), int(picture.get("/Height", 0))


def _masks(resources: Any) -> Iterator[Any]:
    """The forms that graphics states mask with."""
    states = [each for each in _entries(resources, "/ExtGState") if isinstance(each, pikepdf.Dictionary)]
    for mask in (state.get("/SMask") for state in states):
        if isinstance(mask, pikepdf.Dictionary) and isinstance(mask.get("/G"), pikepdf.Stream):
            yield mask.G
