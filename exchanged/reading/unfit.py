"""The word for a scan that cannot be examined, and the bounds that tell."""

from __future__ import annotations

from exchanged.batch import Facts

PIXELS = 150_000_000  # of one image; A3 at 600 dpi has 70 million


class Unfit(Exception):
    """The file cannot be examined: the rule it breaks, and facts."""

    def __init__(self, rule: str, **facts: str | int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.facts: Facts = facts


def too_large(what: str, limit: int, **where: int) -> Unfit:
    """The file is over a limit; `what` names it as in the messages."""
    return Unfit("file-too-large", what=what, limit=limit, **where)
