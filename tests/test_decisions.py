"""What operators decide at the very moment at which the daemon moves: done as said, or not at all, and in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchanged import api
from exchanged.errors import NotYet
from exchanged.flow import Flow
from exchanged.ledger import Ledger, Record, Source
from exchanged.sealing import process
from exchanged.secrets import Secrets
from exchanged.stages import deliver as stage
from exchanged.states import OPERATOR, State
from tests.support.faults import log_of, said
from tests.support.gpghome import Home
from tests.support.world import World
from tests.test_flow import Stages

NAME = "jx-20260101-a"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db", Secrets.load(tmp_path / "ledger.key"))
    made.claim(NAME, NAME, "新增", NAME.encode(), [Source(1, "a.csv", "a" * 64, 9, NAME)])
    made.move(batch(made), State.VALIDATED)
    yield made
    made.close()


@pytest.fixture
def flow(ledger: Ledger, tmp_path: Path) -> Flow:
    return Flow(ledger, Stages(tmp_path))  # type: ignore[arg-type]


def batch(ledger: Ledger) -> Record:
    found = ledger.batch(NAME)
    assert found is not None
    return found


def the_batch(world: World) -> dict[str, Any]:
    (found,) = world.ask("list")["batches"]
    return dict(found)


# --- in the ledger ----------------------------------------------------------------------------------------------------


def test_a_late_release_undoes_no_newer_decision(ledger: Ledger, flow: Flow) -> None:
    """It would bring a batch that may have arrived back to where it is sealed anew."""
    assert flow.hold(batch(ledger))
    late = batch(ledger)
    assert flow.release(batch(ledger))
    ledger.move(batch(ledger), State.CONFIRMED)
    ledger.move(batch(ledger), State.HELD, reason="delivery.gone", reason_facts={})
    with pytest.raises(NotYet, match="moved_meanwhile"):
        flow.release(late)
    assert (batch(ledger).held_from, batch(ledger).reason) == (State.CONFIRMED, "delivery.gone")


@pytest.mark.parametrize("asked", [False, True])
def test_a_retry_during_a_try_is_made_when_that_has_failed(ledger: Ledger, flow: Flow, asked: bool) -> None:
    for _ in range(2):
        ledger.begin(batch(ledger))
        if asked:
            assert flow.retry(batch(ledger))
        ledger.defer(batch(ledger), "delivery.timeout", {}, time.time() + 999)
        assert (batch(ledger).next_attempt == 0) is asked
    ledger.begin(batch(ledger))
    ledger.defer(batch(ledger), "delivery.timeout", {}, time.time() + 999)
    assert batch(ledger).next_attempt != 0, "asked for once, made once"


def test_a_retry_is_nothing_that_has_happened_to_a_step_at_work(ledger: Ledger, flow: Flow) -> None:
    """Retries in a loop kept a wrong spreadsheet from going back to the clerk."""
    ledger.begin(batch(ledger))
    seen = batch(ledger)
    assert flow.retry(batch(ledger))
    ledger.move(seen, State.REJECTED, still=True)
    assert batch(ledger).state is State.REJECTED


def test_a_batch_that_has_just_moved_is_looked_at_again_and_ends_no_command_on_several(world: World) -> None:
    for seed, stem in enumerate(("一月", "二月", "三月")):
        world.sheet(stem, 3, seed=seed)
    world.once()
    names = [one["batch"] for one in world.ask("list")["batches"]]
    hold, looks = Flow.hold, list[str]()

    def beside(self: Flow, one: Record) -> bool:
        looks.append(one.id)
        if one.id == names[1] and looks.count(one.id) < 3:  # somebody else moves it again and again
            raise NotYet("batch.moved_meanwhile")
        return hold(self, one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flow, "hold", beside)
        assert api.open_exchange(world.file).hold(names) == names
        patch.setattr(Flow, "hold", lambda *_: (_ for _ in ()).throw(NotYet("batch.moved_meanwhile")))
        assert api.open_exchange(world.file).hold(names) == []
    assert {one["state"] for one in world.ask("list")["batches"]} == {"held"}


# --- beside a daemon --------------------------------------------------------------------------------------------------


def test_a_pause_also_stops_what_is_being_uploaded(world: World) -> None:
    world.sheet("一月", 3)
    world.scan("一月")
    verify = stage._verify

    def meanwhile(*words: Any) -> Any:
        assert world.run("hold").returncode == 0
        return verify(*words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_verify", meanwhile)
        api.open_exchange(world.file).once()
    found = the_batch(world)
    assert (found["state"], found["reason"], found["attempts"]) == ("sealed", "delivery.waiting", 0)
    assert found["next_attempt"] is None
    assert not list(world.inbox.glob("*.pgp"))
    assert world.run("release").returncode == 0
    world.once()
    assert the_batch(world)["state"] == "closed"


def test_a_pause_that_is_over_before_it_is_recorded_keeps_nothing_waiting(ledger: Ledger) -> None:
    ledger.wait(batch(ledger), "delivery.waiting", {}, None)
    assert batch(ledger).next_attempt == 0
    ledger.pause(True)
    ledger.wait(batch(ledger), "delivery.waiting", {}, None)
    assert batch(ledger).next_attempt is None
    ledger.pause(False)
    assert batch(ledger).next_attempt == 0


def test_what_a_pause_stopped_before_the_rename_can_be_withdrawn(ledger: Ledger, flow: Flow) -> None:
    """Only after two looks at the server, which found nothing under the final name, a pause is asked for."""
    for after in (State.CONFIRMED, State.SEALED):
        ledger.move(batch(ledger), after)
    ledger.note(batch(ledger), "delivery.offered", offered="then")  # at an earlier try, which was refused
    assert not flow.withdraw(batch(ledger), "typo")
    ledger.pause(True)
    ledger.wait(batch(ledger), "delivery.waiting", {}, None)
    assert flow.withdraw(batch(ledger), "typo")
    assert ledger.left() == [NAME]


def test_the_log_says_what_was_decided_beside_the_daemon(world: World) -> None:
    world.configure(intake={"settle": "0s"})
    world.daemon()
    world.sheet("一月", 3)
    world.wait(lambda: world.ask("list")["batches"] and the_batch(world)["state"] == "validated")
    name = the_batch(world)["batch"]
    for words in (("hold",), ("release",), ("hold", name), ("release", name), ("retry", name)):
        assert world.run(*words).returncode == 0
    world.wait(lambda: world.run("withdraw", name, "--reason", "typo").returncode == 0)  # it may be at work just then
    expected = ["delivery.paused", "delivery.resumed"]
    expected += [f"batch.{decided}" for decided in ("held", "released", "retried", "withdrawn")]
    world.wait(lambda: said(log_of(world), expected[-1]))
    for event in expected:
        (line,) = said(log_of(world), event)
        assert line.get("batch") == (None if event.startswith("delivery") else name)
    assert said(log_of(world), "batch.held")[0]["reason"] == OPERATOR


def test_what_a_killed_run_was_at_work_with_can_be_held(world: World) -> None:
    world.sheet("一月", 3)
    world.once()
    name = the_batch(world)["batch"]
    with_ledger = Ledger(world.state / "ledger.db", Secrets.load(world.state / "ledger.key"))
    found = with_ledger.batch(name)
    assert found is not None
    with_ledger.begin(found)
    with_ledger.close()
    assert world.run("hold", name).returncode == 0
    assert (the_batch(world)["state"], the_batch(world)["reason"]) == ("held", OPERATOR)


def test_what_a_withdrawn_batch_had_begun_to_upload_is_taken_away(world: World) -> None:
    world.sheet("一月", 3)
    world.scan("一月")

    def stop(*_: Any) -> Any:
        raise NotYet("delivery.connection_lost", stage="send")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_verify", stop)
        api.open_exchange(world.file).once()
    name = the_batch(world)["batch"]
    assert [path.name for path in world.inbox.iterdir()] == [f".{name}.pgp.part"]
    assert world.run("withdraw", name, "--reason", "typo").returncode == 0
    world.sheet("二月", 3, seed=1)
    world.scan("二月")
    world.once()
    assert [path.suffix for path in world.inbox.iterdir()] == [".pgp"], "the next delivery takes it away"


@pytest.mark.parametrize("shared", [True, False])
def test_who_looks_ends_no_agent_that_a_daemon_may_use(gpghome: Home, shared: bool) -> None:
    with process.visiting(gpghome.path, lambda: shared):
        gpghome.make("Unit")
    assert process.agent_runs(gpghome.path) is shared


def test_who_may_not_look_whether_a_daemon_works_is_answered_all_the_same(gpghome: Home) -> None:
    def forbidden() -> bool:
        raise PermissionError

    with process.visiting(gpghome.path, forbidden):
        gpghome.make("Unit")
    assert not process.agent_runs(gpghome.path)
