"""How a command's answer leaves: one JSON document, or a page."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

from exchanged.errors import NotYet
from exchanged.views.page import Page, reaching, show


def answer(arguments: argparse.Namespace, document: Any, view: Callable[[Any, str], Page]) -> None:
    """Writes the document where --json was asked for, else the page that `view` makes of it."""
    if getattr(arguments, "json", False):
        write_json(document)
    else:
        show(view(document, arguments.language))


def write_json(document: Any) -> None:
    """One JSON document in UTF-8 on standard output, whatever the locale; lone surrogates as \\u escapes."""
    body = json.dumps(document, ensure_ascii=False, indent=1, default=_plain) + "\n"
    with reaching(sys.stdout):
        sys.stdout.flush()
        sys.stdout.buffer.write(body.encode("utf-8", "backslashreplace"))


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)  # type: ignore[arg-type]


def tell(*lines: str) -> None:
    """Plain lines on standard output."""
    page = Page()
    for line in lines:
        page.line(line)
    show(page)


def complain(*lines: str) -> None:
    """Plain lines on standard error."""
    page = Page()
    for line in lines:
        page.line(line)
    with contextlib.suppress(NotYet):  # nobody to tell it to
        show(page, sys.stderr)
