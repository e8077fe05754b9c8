"""What every test of a fault asks: what was said of it, and that no clerk's cell was."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from tests.support.world import World

LANGUAGES = ("zh", "en")


def events(log: str) -> list[dict[str, Any]]:
    """The lines of a log; each must be one JSON object."""
    return [json.loads(line) for line in log.splitlines()]


def said(log: str, name: str) -> list[dict[str, Any]]:
    """The lines of one event."""
    return [event for event in events(log) if event["event"] == name]


def log_of(world: World) -> str:
    """All that a daemon has said so far."""
    path = world.root / "log"
    return path.read_text() if path.exists() else ""


def mute(text: str, *sheets: bytes) -> None:
    """No name or number of these CSV files stands in a text."""
    for sheet in sheets:
        for row in list(csv.reader(io.StringIO(sheet.decode())))[1:]:
            for cell in (row[0], row[4], row[6]):
                assert cell not in text, "a cell stands in what was said"


def waiting(world: World) -> dict[str, str | None]:
    """The reason for which each open batch waits, by stem."""
    return {one["stem"]: one["reason"] for one in world.ask("status")["waiting"]}


def states(world: World) -> list[tuple[str, str]]:
    """Stem and state of every batch, oldest first."""
    return [(one["stem"], one["state"]) for one in reversed(world.ask("list")["batches"])]


def shown(world: World, *arguments: str) -> str:
    """What a command prints in both languages, one after the other."""
    language, text = world.config["language"], ""
    for one in LANGUAGES:
        world.configure(language=one)
        text += world.run(*arguments).stdout
    world.configure(language=language)
    return text
