"""The daily verification finds what was altered, ends the service for the ledger's sake, and stops nobody's work."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exchanged import config, inspector, log
from exchanged.engine import Engine
from exchanged.errors import IntegrityFailure
from exchanged.inspector import Inspector
from tests.support.world import World

SOON = "import sys; from exchanged import cli, inspector; inspector.FIRST = 2.0; sys.exit(cli.main(sys.argv[1:]))"


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    log.setup(stream)
    yield stream
    log.silence()


@pytest.fixture
def finished(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An installation that has delivered a batch; what is due is due at once."""
    monkeypatch.setattr(inspector, "FIRST", 0.0)
    world.configure(intake={"settle": "0s"})
    world.sheet("一月", 3)
    world.scan("一月")
    assert world.once()["pending"] == 0
    return world


def inspect(world: World, told: io.StringIO) -> list[dict[str, object]]:
    """One verification, to its end."""
    with closing(Engine(config.load(world.file))) as engine:
        return _inspected(Inspector(world.file, engine.audited), told)


def _inspected(inspecting: Inspector, told: io.StringIO) -> list[dict[str, object]]:
    ends = time.monotonic() + 60
    while not told.getvalue() and time.monotonic() < ends:
        inspecting.look()
        time.sleep(0.01)
    return [json.loads(line) for line in told.getvalue().splitlines()]


def edit(world: World, statement: str) -> None:
    with closing(sqlite3.connect(world.state / "ledger.db", isolation_level=None)) as db:
        db.execute(statement)


def test_a_sound_ledger_passes(finished: World, told: io.StringIO) -> None:
    (passed,) = inspect(finished, told)
    assert (passed["event"], passed["files"]) == ("audit.passed", 1)
    assert int(str(passed["count"])) > 5


def test_altered_evidence_is_said_and_stops_nothing(finished: World, told: io.StringIO) -> None:
    (evidence,) = (finished.state / "evidence").glob("*.json")
    sound = evidence.read_text()
    evidence.write_text(sound.replace("closed", "sealed"))
    (failed,) = inspect(finished, told)
    assert (failed["event"], failed["level"], failed["code"]) == ("audit.failed", "critical", "evidence.altered")
    assert finished.ask("status")["trouble"] == "evidence.altered"
    evidence.write_text(sound)
    told.truncate(0)
    told.seek(0)
    assert [one["event"] for one in inspect(finished, told)] == ["audit.passed"]
    assert finished.ask("status")["trouble"] is None


def test_an_altered_ledger_ends_the_work(finished: World, told: io.StringIO) -> None:
    edit(finished, "UPDATE batch SET state = 'sealed'")
    with pytest.raises(IntegrityFailure, match=r"ledger\.altered"):
        inspect(finished, told)
    assert "audit.failed" in told.getvalue()


def test_a_verification_that_was_killed_is_done_again(finished: World, told: io.StringIO) -> None:
    inspecting = Inspector(finished.file, lambda _: None)
    inspecting.look()
    inspecting.stop()
    assert inspecting._child is None
    inspecting._start()
    assert inspecting._child
    inspecting._child.kill()
    inspecting._child.wait()
    inspecting.look()
    assert json.loads(told.getvalue())["event"] == "audit.unfinished"
    assert inspecting._due - time.monotonic() < inspector.AGAIN


def test_one_that_takes_for_ever_is_ended(finished: World, told: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector, "LIMIT", -1.0)
    assert [line["event"] for line in inspect(finished, told)] == ["audit.unfinished"]


def test_one_that_cannot_be_started_is_tried_again(
    finished: World, told: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    (unfinished,) = inspect(finished, told)
    assert (unfinished["event"], unfinished["status"]) == ("audit.unfinished", "not-started")


@pytest.mark.slow
def test_a_daemon_whose_ledger_is_altered_ends_and_sends_nothing_more(finished: World) -> None:
    with (finished.root / "log").open("ab") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-c", SOON, "--config", str(finished.file), "run"], stdout=output, stderr=output
        )
    finished.daemons.append(daemon)
    finished.wait(lambda: b'"daemon.ready"' in (finished.root / "log").read_bytes())
    edit(finished, "UPDATE batch SET rows = 4")
    assert daemon.wait(60) == 4
    assert b'"ledger.altered"' in (finished.root / "log").read_bytes()
    finished.sheet("二月", 3, seed=2)
    finished.scan("二月")
    assert finished.run("once").returncode == 4
    assert finished.daemon().wait(30) == 4
    assert finished.run("audit").returncode == 4
    assert len(list(finished.inbox.iterdir())) == 1
    assert Path(finished.drop, "二月.csv").exists()
