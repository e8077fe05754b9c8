"""Put the filled-in form of a valid batch where the clerk prints it, and take it away when the batch moves on.

Takes   what the form says, the clerk's folder of forms
Gives   the form's name and digest, by which it is known again
Redo    the same form has the same bytes: a second writing changes nothing; only a file with just these is removed
Ends    NotYet form.font_missing, form.failed; OSError when the folder cannot be written
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchanged import disk, filenames, seen
from exchanged.errors import NotYet
from exchanged.form.write import FontMissing, Form, find_font
from exchanged.sandbox import Bounds, Died, Sandbox

BOUNDS = Bounds(memory=1 << 30, cpu=30, wall=120.0)
MODE = 0o660  # the clerks' group prints it and may throw it away


def drawn(form: Form, font: Path | None, sandbox: Sandbox) -> bytes:
    """The form as a PDF, drawn in a confined child. `font`: the configured one, None for one that is found."""
    try:
        path = find_font(str(font) if font else None)
        answer = sandbox.run("form", {"form": asdict(form), "font": path}, limits=BOUNDS, reads=[path])
    except FontMissing as missing:
        raise NotYet("form.font_missing", path=missing.path or "") from None
    except Died as end:
        raise NotYet("form.failed", problem=end.reason) from None
    if not answer.payload:
        raise NotYet("form.font_missing", path=path)
    return bytes(answer.payload)


def named(name: str, content: bytes) -> dict[str, Any]:
    """What `take_away` needs to know of a form."""
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest()}


def put(folder: Path, form: Mapping[str, Any], content: bytes, again: bool = False) -> None:
    """Write a form under its name, unless it lies there.

    again: one was put there before; what a clerk has saved in its place since, the signed scan perhaps, is left.
    """
    path = folder / form["name"]
    if _is(path, form["sha256"]) or (again and seen.anything(path) and not _ours(folder, form)):
        return
    disk.write(path, content, MODE)


def take_away(folder: Path, form: Mapping[str, Any] | None) -> bool:
    """Remove a form that was put, if it lies there unchanged. Whether it did."""
    if form is None or not _ours(folder, form):
        return False
    (folder / form["name"]).unlink(missing_ok=True)
    disk.sync_folder(folder)
    return True


def _ours(folder: Path, form: Mapping[str, Any]) -> bool:
    """Whether what lies under the form's name is it, or an earlier one that it replaces."""
    return any(_is(folder / form["name"], one) for one in (form["sha256"], *form.get("replaces", ())))


def _is(path: Path, digest: str) -> bool:
    try:
        return seen.file(path) and not path.is_symlink() and disk.sha256(path) == digest
    except OSError:
        return False


def name(stem: str, taken: set[str], batch: str) -> str:
    """`<stem>.pdf`; with the batch's name where another form has that. Cut where it is too long for a file system."""
    tail = ".pdf"
    if filenames.cut(stem, tail) in taken:
        tail = f".{batch}.pdf"
    return filenames.cut(stem, tail)
