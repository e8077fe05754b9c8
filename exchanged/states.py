"""Every state of a batch and the one route through them, as a table. No I/O; imports nothing of ours.

An illegal move raises and changes nothing. `acknowledged` lies on the route only where receipts are on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    CLAIMED = "claimed"
    VALIDATED = "validated"
    CONFIRMED = "confirmed"
    SEALED = "sealed"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"
    REJECTED = "rejected"
    HELD = "held"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class Lane(StrEnum):
    """Who does a step: `prepare` needs plaintext and keys, `courier` needs the network and sealed files only."""

    PREPARE = "prepare"
    COURIER = "courier"


class Step(NamedTuple):
    """What leads out of a state: the stage that acts, who runs it, and the state once it has."""

    stage: str
    lane: Lane
    done: State


class IllegalMove(Exception):
    """A move that the table does not have."""


ROUTE: dict[State, Step] = {
    State.CLAIMED: Step("check", Lane.PREPARE, State.VALIDATED),
    State.VALIDATED: Step("confirm", Lane.PREPARE, State.CONFIRMED),
    State.CONFIRMED: Step("seal", Lane.PREPARE, State.SEALED),
    State.SEALED: Step("deliver", Lane.COURIER, State.DELIVERED),
    State.DELIVERED: Step("shred", Lane.PREPARE, State.CLOSED),
    State.ACKNOWLEDGED: Step("shred", Lane.PREPARE, State.CLOSED),
}

TERMINAL = frozenset({State.CLOSED, State.REJECTED, State.SUPERSEDED, State.WITHDRAWN})
UNDONE = frozenset({State.REJECTED, State.SUPERSEDED, State.WITHDRAWN})  # nothing of these was or will be reported
OPERATOR = "operator.hold"  # the reason of a batch that the operator holds
BEFORE_DELIVERY = frozenset({State.CLAIMED, State.VALIDATED, State.CONFIRMED, State.SEALED})

MOVES: dict[State, frozenset[State]] = {
    State.CLAIMED: frozenset({State.VALIDATED, State.REJECTED, State.HELD, State.SUPERSEDED, State.WITHDRAWN}),
    State.VALIDATED: frozenset({State.CONFIRMED, State.REJECTED, State.HELD, State.SUPERSEDED, State.WITHDRAWN}),
    State.CONFIRMED: frozenset({State.SEALED, State.HELD, State.WITHDRAWN}),
    State.SEALED: frozenset({State.DELIVERED, State.HELD, State.WITHDRAWN}),
    State.DELIVERED: frozenset({State.ACKNOWLEDGED, State.CLOSED, State.HELD}),
    State.ACKNOWLEDGED: frozenset({State.CLOSED, State.HELD}),
    State.HELD: frozenset(set(State) - {State.CLOSED, State.REJECTED, State.HELD}),
    State.CLOSED: frozenset(),
    State.REJECTED: frozenset(),
    State.SUPERSEDED: frozenset(),
    State.WITHDRAWN: frozenset(),
}


def may_move(before: State, after: State) -> None:
    """Raises IllegalMove unless the table has the move."""
    if after not in MOVES[before]:
        raise IllegalMove(f"{before} -> {after}")
