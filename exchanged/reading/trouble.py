"""How a file as a whole fails while it is read: rule and facts, never text from the file."""

from __future__ import annotations

from exchanged.batch import Fact


class Trouble(Exception):
    """The file cannot be used: `rule` is a rule of scope file, `facts` are numbers and names of our own."""

    def __init__(self, rule: str, **facts: Fact) -> None:
        super().__init__(rule)
        self.rule = rule
        self.facts = facts


def damaged(why: str, **facts: Fact) -> Trouble:
    """file-unreadable; `why` is one of a few short words of our own (see the messages)."""
    return Trouble("file-unreadable", why=why, **facts)


def too_large(what: str, limit: int) -> Trouble:
    """file-too-large; `what` is bytes, rows, columns, cells, unpacked, members, strings or text."""
    return Trouble("file-too-large", what=what, limit=limit)
