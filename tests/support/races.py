"""Two daemons started at the same instant on one state folder."""

from __future__ import annotations

import json
import signal

from tests.support.world import World


def race(world: World) -> None:
    """Start two; one must be ready, the other must have ended and said why. Then the first is stopped."""
    log = world.root / "log"
    log.unlink(missing_ok=True)
    two = [world.daemon(), world.daemon()]
    (loser,) = world.wait(lambda: [one for one in two if one.poll() is not None] and ended(two))
    assert loser.returncode == 3, log.read_text()
    world.wait(lambda: said(world, "daemon.ready"))
    (winner,) = [one for one in two if one is not loser]
    assert winner.poll() is None, log.read_text()
    winner.send_signal(signal.SIGTERM)
    assert winner.wait(30) == 0, log.read_text()
    assert len(said(world, "daemon.ready")) == 1
    for one in two:
        world.daemons.remove(one)


def ended(daemons: list[object]) -> list[object]:
    return [one for one in daemons if one.poll() is not None]  # type: ignore[attr-defined]


def said(world: World, event: str) -> list[str]:
    """Lines of this event in the log; others' words, such as an error on the terminal, are passed over."""
    lines = (world.root / "log").read_text().splitlines()
    return [line for line in lines if line.startswith("{") and json.loads(line)["event"] == event]
