"""Scans that hide something that could act, everywhere a PDF has room for it; and what only looks like that."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from tests.support.rawpdf import FIRST, file, packed, photo, scanned, stream, updated

Build = Callable[[], bytes]
JS = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"
N = b"%d 0 R" % FIRST


def _catalog(entry: bytes, *more: bytes) -> Build:
    return lambda: file(scanned(None, *more, catalog=entry))


def _annotation(body: bytes, *more: bytes) -> Build:
    whole = b"<< /Type /Annot /Rect [0 0 99 99] %s >>" % body
    return lambda: file(scanned(None, *more, page=b"/Annots [%s]" % whole))


def _action(body: bytes) -> Build:
    return _annotation(b"/Subtype /Link /A << %s >>" % body)


def _file_spec(kind: bytes = b"") -> tuple[bytes, bytes]:
    return (
        b"<< /Type /Filespec /F (a.exe) /EF << /F %d 0 R >> >>" % (FIRST + 1),
        stream(kind, b"MZ"),
    )


def _field(entry: bytes) -> Build:
    """A form with one field, which is also the page's annotation."""
    body = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /Rect [0 0 99 99] %s >>" % entry
    return lambda: file(scanned(None, body, catalog=b"/AcroForm << /Fields [%s] >>" % N, page=b"/Annots [%s]" % N))


def _in_an_update() -> bytes:
    before = file(scanned())
    return updated(before, [(1, b"<< /Type /Catalog /Pages 2 0 R /OpenAction %s >>" % JS)], FIRST)


def _updated_away() -> bytes:
    """The first revision has the script, the one that counts does not; it can still be brought back."""
    before = file(scanned(catalog=b"/OpenAction " + JS))
    return updated(before, [(1, b"<< /Type /Catalog /Pages 2 0 R >>")], FIRST)


def _packed_and_updated_away() -> bytes:
    before = packed(scanned(catalog=b"/OpenAction " + N), [JS])
    return updated(before, [(1, b"<< /Type /Catalog /Pages 2 0 R >>"), (FIRST, b"null")], FIRST + 3)


def _in_a_name_tree() -> bytes:
    """The script stands fifty nodes deep."""
    nodes = [b"<< /Kids [%d 0 R] >>" % (FIRST + depth + 1) for depth in range(50)]
    leaf = b"<< /Limits [(a) (a)] /Names [(a) %s] >>" % JS
    return file(scanned(None, *nodes, leaf, catalog=b"/Names << /JavaScript %s >>" % N))


SCRIPTS: dict[str, Build] = {
    "on opening": _catalog(b"/OpenAction " + JS),
    "on opening, an object of its own": _catalog(b"/OpenAction " + N, JS),
    "after a harmless action": _catalog(b"/OpenAction << /S /GoTo /D [3 0 R /Fit] /Next [%s] >>" % JS),
    "in the names": _catalog(b"/Names << /JavaScript << /Names [(a) %s] >> >>" % JS),
    "deep in the names": _in_a_name_tree,
    "on closing": _catalog(b"/AA << /WC %s >>" % JS),
    "on opening a page": lambda: file(scanned(page=b"/AA << /O %s >>" % JS)),
    "of an annotation": _action(b"/S /JavaScript /JS (x)"),
    "under the mouse": _annotation(b"/Subtype /Widget /FT /Btn /AA << /E %s >>" % JS),
    "of a field": _field(b"/AA << /K %s >>" % JS),
    "of the field's parent": _field(b"/Parent << /T (b) /AA << /C %s >> >>" % JS),
    "in the outline": _catalog(b"/Outlines << /First << /Title (a) /A %s >> >>" % JS),
    "in a stream": _catalog(b"/OpenAction << /S /JavaScript /JS %s >>" % N, stream(b"", b"app.alert(1)")),
    "in a rendition": _action(b"/S /Rendition /JS (x)"),
    "with an escaped name": _catalog(b"/OpenAction << /S /#4a#61v#61Script /#4A#53 (x) >>"),
    "with an escaped key": _catalog(b"/Open#41ction << /#53 /JavaScript >>"),
    "in an object stream": lambda: packed(scanned(catalog=b"/OpenAction " + N), [JS]),
    "in an object stream nobody names": lambda: packed(scanned(), [b"[ " + JS + b" ]"]),
    "in an object nobody names": lambda: file(scanned(None, JS)),
    "in the dictionary of a picture": lambda: file(scanned(photo().replace(b"<<", b"<< /A " + JS, 1))),
    "in the trailer": lambda: file(scanned(), trailer=b"/Extra [[[%s]]]" % JS),
    "in the information": lambda: file(scanned(None, b"<< /Title (a) /A %s >>" % JS), trailer=b"/Info " + N),
    "in an update": _in_an_update,
    "in what an update replaced": _updated_away,
    "in a packed object that an update replaced": _packed_and_updated_away,
    "as an address": _action(b"/S /URI /URI (javascript:alert\\(1\\))"),
    "as an address in capitals": _action(b"/S /URI /URI <6A415641536372697074 3A31>"),
}

_SUBTYPES = ("RichMedia", "Movie", "Sound", "Screen", "3D", "FileAttachment")
OTHERS: dict[str, Build] = {
    "a program to launch": _action(b"/S /Launch /F (calc.exe)"),
    "a program to launch on Windows": _action(b"/S /Launch /Win << /F (cmd.exe) /P (/c) >>"),
    "a program to launch on opening": _catalog(b"/OpenAction << /S /Launch /F (a) >>"),
    "a form to submit": _action(b"/S /SubmitForm /F (http://example.org)"),
    "data to import": _action(b"/S /ImportData /F (a.fdf)"),
    "another document": _action(b"/S /GoToR /F (a.pdf) /D [0 /Fit]"),
    "an embedded document": _action(b"/S /GoToE /D [0 /Fit] /T << /R /C /N (a) >>"),
    "an XFA form": _catalog(b"/AcroForm << /XFA %s /Fields [] >>" % N, stream(b"", b"<xdp/>")),
    "something that is hidden on opening": _catalog(b"/OpenAction << /S /Hide /T (a) >>"),
    "a file in the names": _catalog(b"/Names << /EmbeddedFiles << /Names [(a) %s] >> >>" % N, *_file_spec()),
    "a file associated with the document": _catalog(b"/AF [%s]" % N, *_file_spec()),
    "a file associated with the page": lambda: file(scanned(None, *_file_spec(), page=b"/AF [%s]" % N)),
    "a file nobody names": lambda: file(scanned(None, *_file_spec())),
    "a file without a name": lambda: file(scanned(None, stream(b"/Type /EmbeddedFile", b"MZ"))),
    "a portfolio": _catalog(
        b"/Collection << /View /T >> /Names << /EmbeddedFiles << /Names [(a) %s] >> >>" % N, *_file_spec()
    ),
    "a picture that lies elsewhere": lambda: file(
        scanned(stream(b"/Type /XObject /Subtype /Image /Width 1240 /Height 1754 /F (//host/share/a.jpg)", b""))
    ),
    **{f"an annotation of {kind}": _annotation(b"/Subtype /%s" % kind.encode()) for kind in _SUBTYPES},
}


def _signed() -> bytes:
    """A scanner's own signature: a field and a place in the file, nothing that acts."""
    value = b"<< /Type /Sig /Filter /Adobe.PPKLite /ByteRange [0 9 99 9] /Contents <%s> >>" % (b"00" * 2000)
    field = b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (s) /Rect [0 0 0 0] /V %d 0 R >>" % (FIRST + 1)
    form = b"/AcroForm << /SigFlags 3 /Fields [%s] >>" % N
    return file(scanned(None, field, value, catalog=form, page=b"/Annots [%s]" % N))


_XMP = b"<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'>/JavaScript /JS /Launch</x:xmpmeta><?xpacket end='w'?>"


def _touched() -> bytes:
    """Turned upright on the computer and saved as a revision of its own."""
    before = file(scanned(page=b"/Rotate 90"))
    page = scanned(page=b"/Rotate 0")[2]
    return updated(updated(before, [(3, page)], FIRST), [(3, page)], FIRST)


HARMLESS: dict[str, Build] = {
    "nothing": lambda: file(scanned()),
    "a link to a page of the web": _action(b"/S /URI /URI (https://example.org/)"),
    "a link to write a letter": _action(b"/S /URI /URI (mailto:a@example.org)"),
    "a link inside the file": _annotation(b"/Subtype /Link /Dest [3 0 R /Fit]"),
    "a view to begin with": _catalog(b"/OpenAction [3 0 R /XYZ null null 1] /PageMode /UseNone"),
    "a view to begin with as an action": _catalog(b"/OpenAction << /S /GoTo /D [3 0 R /FitH 842] >>"),
    "an empty list of scripts": _catalog(b"/Names << /Dests << /Names [] >> >> /AA << >>"),
    "a form without actions": _field(b""),
    "a signature": _signed,
    "a stamp's note": _annotation(b"/Subtype /Text /Contents (/JavaScript /Launch) /Open false"),
    "an outline": _catalog(b"/Outlines << /Count 1 /First << /Title (JS) /Dest [3 0 R /Fit] >> >>"),
    "words about scripts in the information": lambda: file(
        scanned(None, b"<< /Title (/JavaScript /JS \\(x\\)) /Producer (JS /EmbeddedFile) >>"), trailer=b"/Info " + N
    ),
    "words about scripts in the metadata": _catalog(b"/Metadata " + N, stream(b"/Type /Metadata /Subtype /XML", _XMP)),
    "metadata in a packed stream": _catalog(
        b"/Metadata " + N, stream(b"/Type /Metadata /Subtype /XML /Filter /FlateDecode", zlib.compress(_XMP))
    ),
    "layers": _catalog(b"/OCProperties << /OCGs [%s] /D << /Order [] >> >>" % N, b"<< /Type /OCG /Name (Text) >>"),
    "tags": _catalog(b"/MarkInfo << /Marked true >> /StructTreeRoot << /Type /StructTreeRoot >> /Lang (zh-CN)"),
    "a colour profile": _catalog(b"/OutputIntents [<< /S /GTS_PDFA1 /Info (sRGB) >>]"),
    "a thumbnail": lambda: file(
        scanned(
            None,
            stream(b"/Width 4 /Height 4 /BitsPerComponent 8 /ColorSpace /DeviceGray", bytes(16)),
            page=b"/Thumb " + N,
        )
    ),
    "private data of its program": _catalog(b"/PieceInfo << /Scanner << /LastModified (D:2026) /Private << >> >> >>"),
    "names called like keys": _catalog(b"/PieceInfo << /A << /Private [/JavaScript /Launch /JS] >> >>"),
    "revisions": _touched,
    "objects in streams": lambda: packed(scanned(), [b"<< /Title (a) >>", b"[1 2 3]"]),
    "a version of 2.0": lambda: file(scanned(), version=b"2.0"),
    "a version of 1.3": lambda: file(scanned(), version=b"1.3"),
    "lines after the end": lambda: file(scanned()) + b"\r\n\r\n",
    "zeroes after the end": lambda: file(scanned()) + bytes(512),
}

ACTIVE: Sequence[tuple[str, Build]] = [
    *((f"a script {name}", build) for name, build in SCRIPTS.items()),
    *OTHERS.items(),
]
