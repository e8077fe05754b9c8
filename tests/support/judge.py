"""What must be true of an installation whatever has happened to it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.world import World


def judge(world: World, dropped: Mapping[str, bytes]) -> None:
    """After recovery: every dropped sheet (by stem, as CSV bytes) was delivered once, unchanged, and nothing is left.

    Compares what arrived with what was dropped, record by record; never only counts.
    """
    arrived: dict[str, list[list[list[str]]]] = {}
    for batch, files in world.delivered().items():
        manifest = json.loads(files["manifest.json"])
        assert manifest["batch"] == batch
        arrived.setdefault(manifest["title"], []).append(_records(files["certificates.csv"]))
    for stem, content in dropped.items():
        assert len(arrived.get(stem, [])) == 1, f"{stem} was delivered {len(arrived.get(stem, []))} times"
        assert arrived[stem][0] == _records(content), f"{stem} was changed on its way"
    assert world.left("drop", "rejected", "state/spool", "state/outbox") == []
    assert [path.name for path in world.inbox.iterdir() if path.suffix != ".pgp"] == []
    assert hidden(world.root) == []
    audit = world.ask("audit")
    assert audit["ok"], audit
    states = {one["state"] for one in world.ask("list")["batches"]}
    assert states <= {"closed", "superseded"}, states


def hidden(root: Path) -> list[str]:
    """Temporary files anywhere in the installation."""
    return [str(path) for path in root.rglob(".*") if path.is_file()]


def _records(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"))))
