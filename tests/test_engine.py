"""The engine in the whole program: what faults of ours, deaths, operators in between and a full ledger come to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged import config, transports
from exchanged.engine import Engine
from exchanged.errors import IntegrityFailure, NotYet
from exchanged.flow import DEATHS, FAILURES, whose
from exchanged.states import State
from tests.support import clock, meddler, mounts, scans
from tests.support.faults import log_of, mute, said
from tests.support.judge import judge
from tests.support.world import World

SEALING = {"call": "rename", "match": r"outbox/.*\.part$"}


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def complete(world: World) -> dict[str, bytes]:
    """Drop a whole batch; gives its files."""
    world.put("一月.pdf", scan := scans.scan())
    return {"一月.csv": world.drop_sheet("一月", 3), "一月.pdf": scan}


def only(world: World) -> dict[str, str]:
    (batch,) = world.ask("list")["batches"]
    return dict(world.ask("show", batch["batch"]))


def test_a_mistake_of_ours_is_tried_again_twice_then_held_and_never_told_in_words(world: World) -> None:
    made = complete(world)
    for attempt in range(1, FAILURES + 1):
        meddler.once(world, **SEALING, act=["mistake"])
        batch = only(world)
        assert '"event":"daemon.step_failed"' in world.log
        assert '"class":"ZeroDivisionError"' in world.log
        mute(world.log, made["一月.csv"])
        assert "王小明" not in world.log
        if attempt < FAILURES:
            assert (batch["state"], batch["reason"]) == ("confirmed", "step.failed")
            assert world.run("retry", batch["batch"]).returncode == 0
    assert (batch["state"], batch["reason"]) == ("held", "step.failed")
    assert str(batch["reason_facts"]).count(".py:") == 1
    judge(world, held={"一月": made})
    assert world.run("release", batch["batch"]).returncode == 0
    world.once()
    judge(world, {"一月": made})


def test_a_mistake_in_cleaning_up_a_finished_batch_is_tried_again_for_ever_and_holds_nothing(world: World) -> None:
    """What is delivered stays delivered: there is nothing for a person to decide."""
    made = complete(world)
    for _ in range(FAILURES + 1):
        meddler.once(world, call="rename", match=r"evidence/.*\.part$", act=["mistake"])
        batch = only(world)
        assert (batch["state"], batch["reason"]) == ("closed", "step.failed")
        assert world.run("retry", batch["batch"]).returncode == 0
    world.once()
    judge(world, {"一月": made})


@pytest.mark.slow
def test_a_step_in_which_the_process_died_too_often_is_held(world: World) -> None:
    made = complete(world)
    for death in range(DEATHS):
        moment = {**SEALING, "act": ["die"], "nth": 2 if death else 1}  # the first is that of what was left is swept
        assert meddler.meddled(world, moment, "once").returncode == -9
    world.once()
    batch = only(world)
    assert (batch["state"], batch["reason"]) == ("held", "step.repeated")
    assert str(DEATHS) in str(batch["reason_facts"])
    judge(world, held={"一月": made})
    world.run("release", batch["batch"])
    world.once()
    judge(world, {"一月": made})


def test_a_scan_that_comes_while_the_form_is_written_is_not_waited_for(world: World) -> None:
    """The step had found that there was none; by the time it says so there is one."""
    world.configure(intake={"rescan": "1s"})
    made = world.drop_sheet("一月", 3)
    beside = world.root.parent / "scan.pdf"
    beside.write_bytes(scans.scan())
    moment = {
        "call": "rename",
        "match": r"forms/.*\.part$",
        "act": ["bring", str(beside), str(world.drop / "一月.pdf"), "4"],
    }
    daemon = meddler.daemon(world, moment)
    world.wait(lambda: said(log_of(world), "batch.closed"))
    daemon.terminate()
    daemon.wait(20)
    judge(world, {"一月": made})


def test_what_was_withdrawn_while_it_waited_for_its_turn_is_left_alone(world: World) -> None:
    world.run("hold")
    made = complete(world)
    world.once()
    engine = Engine(config.load(world.file))
    batch = engine.ledger.batch(only(world)["batch"])
    assert batch is not None
    world.run("withdraw", batch.id, "--reason", "x")
    engine._flow.advance(batch)
    assert not engine._flow.stalled
    assert only(world)["state"] == State.WITHDRAWN
    engine.close()
    world.once()
    judge(world, withdrawn={"一月": made})


def test_a_ledger_that_is_found_altered_in_the_middle_of_a_step_ends_the_work(world: World) -> None:
    world.run("hold")
    complete(world)
    world.once()
    engine = Engine(config.load(world.file))
    batch = engine.ledger.batch(only(world)["batch"])
    assert batch is not None
    engine.ledger._writer.execute("UPDATE source SET name = ?", (bytes(40),))
    with pytest.raises(IntegrityFailure):
        engine._flow.advance(batch)
    engine.close()
    assert list(world.inbox.iterdir()) == []


@pytest.mark.parametrize("room", [0, 44, 52, 60, 76])
def test_a_ledger_that_cannot_be_written_stops_the_work_and_loses_none(world: World, room: int) -> None:
    """The disk is full but for so many KiB, the reserve gone: wherever that strikes, all goes on when there is room."""
    with mounts.mounted(world.state, "size=48m"):
        world.server.stop()
        made = complete(world)
        world.once()
        assert only(world)["reason"] == "delivery.unreachable"
        world.server.start()
        (world.state / "reserve").unlink()
        filler = mounts.fill(world.state, room << 10)
        world.under = clock.shifted("+10m")
        assert world.run("once").returncode == 3
        filler.unlink()
        world.under = clock.shifted("+30m")
        world.once()
        judge(world, {"一月": made})


def test_an_error_is_about_the_folder_of_its_path_or_the_fullest_one(world: World) -> None:
    settings = config.load(world.file)
    inside = OSError(errno.EIO, "x", os.fsencode(world.rejected / "a" / "b"))
    assert whose(settings, inside) == "rejected"
    with mounts.mounted(world.receipts, "size=64k"):
        for path in (None, "/elsewhere"):
            assert whose(settings, OSError(errno.EIO, "x", path)) == "receipts"
    assert Path(world.receipts).is_dir()


def test_where_nothing_is_to_be_sent_nothing_is(world: World) -> None:
    """As while a reload waits for the end of a delivery."""
    complete(world)
    world.server.stop()
    world.once()
    world.server.start()
    world.run("retry", only(world)["batch"])
    world.sheet("二月", 3, seed=2)
    engine = Engine(config.load(world.file))
    try:
        engine.recover()
        engine.tick(send=False)
        assert engine.busy and not engine.sending
        engine.drain(20)
        engine.tick()
        assert engine.sending
    finally:
        engine.close()
    assert ("二月", "validated") in [(one["stem"], one["state"]) for one in world.ask("list")["batches"]]


def test_a_line_that_was_broken_off_for_good_is_not_made_again(world: World) -> None:
    courier = transports.courier("sftp", world.server.endpoint("/"))
    assert courier.connect()
    courier.end()
    with pytest.raises(NotYet, match=r"delivery\.connection_lost"):
        courier.connect(fresh=True)
