"""Commands about batches: status, list, show, trace, and the operator's decisions."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from exchanged.commands import status as ends
from exchanged.commands.output import answer, tell
from exchanged.commands.trouble import Usage
from exchanged.messages import text

if TYPE_CHECKING:
    from exchanged.api import Exchange

Arguments = argparse.Namespace


def status(arguments: Arguments) -> int:
    """One screen: what goes on and what waits for what."""
    from exchanged.views.batches import status_page

    answer(arguments, _exchange(arguments).status(), status_page)
    return ends.OK


def listing(arguments: Arguments) -> int:
    """Batches, the newest first."""
    from exchanged.views.batches import list_page

    batches = _exchange(arguments).list(open_only=arguments.open, last=arguments.last)
    answer(arguments, {"format": "exchanged-list/1", "batches": batches}, list_page)
    return ends.OK


def show(arguments: Arguments) -> int:
    """Everything known about one batch."""
    from exchanged.views.batches import show_page

    answer(arguments, _exchange(arguments).show(arguments.batch), show_page)
    return ends.OK


def trace(arguments: Arguments) -> int:
    """The history of one certificate number."""
    from exchanged.views.batches import trace_page

    result = _exchange(arguments).trace(arguments.number)
    answer(arguments, result, trace_page)
    return ends.OK


def retry(arguments: Arguments) -> int:
    """Tries batches at once."""
    return _decided(arguments, "retried", arguments.batches, _exchange(arguments).retry(arguments.batches))


def hold(arguments: Arguments) -> int:
    """Holds batches; without a batch, delivery as a whole."""
    return _decided(arguments, "held", arguments.batches, _exchange(arguments).hold(arguments.batches))


def release(arguments: Arguments) -> int:
    """Releases batches; without a batch, delivery as a whole."""
    return _decided(arguments, "released", arguments.batches, _exchange(arguments).release(arguments.batches))


def withdraw(arguments: Arguments) -> int:
    """Takes a batch back before it is delivered."""
    if not arguments.reason.strip():
        raise Usage("cli.no_reason")
    done = _exchange(arguments).withdraw([arguments.batch], arguments.reason)
    return _decided(arguments, "withdrawn", [arguments.batch], done)


def _decided(arguments: Arguments, what: str, asked: list[str], done: Iterable[str] | None) -> int:
    language = arguments.language
    if not asked:
        tell(text(f"cli.delivery_{what}", language))
        return ends.OK
    moved = set(asked if done is None else done)
    tell(*(text(f"cli.{what}" if batch in moved else f"cli.not_{what}", language, batch=batch) for batch in asked))
    return ends.OK if moved >= set(asked) else ends.PENDING


def _exchange(arguments: Arguments) -> Exchange:
    from exchanged import api

    return api.open_exchange(arguments.config)
