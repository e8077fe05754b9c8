"""How the engine goes on when a step fails by a fault of ours, the process dies, or the ledger cannot be written.

The ledger is a real one; the stages do what each test says.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exchanged import flow as engine
from exchanged import log
from exchanged.errors import Held, IntegrityFailure, NotYet
from exchanged.flow import DEATHS, FAILURES, Flow
from exchanged.ledger import Ledger, Record, Source
from exchanged.secrets import Secrets
from exchanged.states import Lane, State

NAMES = ("jx-20260101-a", "jx-20260101-b")
SECRET = "张三 110000199001010000"


class Stages:
    """Every stage succeeds at once, but for what is put in its place."""

    def __init__(self, folder: Path) -> None:
        folders = {name: folder / name for name in ("state", "drop", "rejected", "receipts", "forms")}
        delivery = SimpleNamespace(host="h", port=22, user="u", identity="k", moved_away=False)
        self.settings = SimpleNamespace(folders=SimpleNamespace(**folders), delivery=delivery)
        for path in folders.values():
            path.mkdir(exist_ok=True)

    def one_child(self, _batch: Record) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def done(self, _batch: Record) -> dict[str, Any]:
        return {}

    confirm = seal = deliver = shred = done

    def tidy(self) -> None:
        pass


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db", Secrets.load(tmp_path / "ledger.key"))
    for name in NAMES:
        made.claim(name, name, "新增", name.encode(), [Source(1, "a.csv", "a" * 64, 9, name)])
        made.move(batch(made, name), State.VALIDATED)
    yield made
    made.close()


def batch(ledger: Ledger, name: str = NAMES[0]) -> Record:
    found = ledger.batch(name)
    assert found is not None
    return found


def raising(error: BaseException) -> Callable[[Record], dict[str, Any]]:
    def stage(record: Record) -> dict[str, Any]:
        if record.id == NAMES[0]:
            raise error
        return {}

    return stage


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Gives what the log has said so far."""
    stream, root, level = io.StringIO(), logging.getLogger().handlers[:], logging.getLogger().level
    log.setup(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.silence()
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = root
    logging.getLogger().setLevel(level)


def test_a_fault_of_ours_is_told_by_class_and_place_tried_again_and_held_the_third_time(
    ledger: Ledger, tmp_path: Path, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    stages = Stages(tmp_path)
    stages.confirm = raising(ValueError(SECRET))  # type: ignore[method-assign]
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    for attempt in range(1, FAILURES):
        going.advance(batch(ledger))
        waits = batch(ledger)
        assert (waits.state, waits.reason, waits.attempts) == (State.VALIDATED, "step.failed", attempt)
        assert waits.next_attempt is not None
        assert time.time() < waits.next_attempt
        assert waits.reason_facts["class"] == "ValueError"
    going.advance(batch(ledger))
    assert (batch(ledger).state, batch(ledger).reason, batch(ledger).held_from) == (
        State.HELD,
        "step.failed",
        State.VALIDATED,
    )
    going.advance(batch(ledger, NAMES[1]))
    assert batch(ledger, NAMES[1]).state is State.CONFIRMED, "other batches go on"
    said = lines()
    assert [one["attempt"] for one in said if one["event"] == "daemon.step_failed"] == [1, 2, 3]
    assert SECRET not in json.dumps(said, ensure_ascii=False) + json.dumps([dict(e.facts) for e in ledger.events()])


def test_what_the_world_put_off_does_not_count_as_a_fault_of_ours(ledger: Ledger, tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    unreachable = NotYet("delivery.unreachable", error="refused")
    for error in (unreachable, unreachable, ValueError(SECRET), ValueError(SECRET)):
        stages.confirm = raising(error)  # type: ignore[method-assign]
        going.advance(batch(ledger))
        assert batch(ledger).state is State.VALIDATED
    going.advance(batch(ledger))
    assert (batch(ledger).state, batch(ledger).reason_facts["attempt"]) == (State.HELD, FAILURES)


def test_a_server_that_refused_before_it_was_looked_at_leaves_an_unknown_outcome_unknown(
    ledger: Ledger, tmp_path: Path
) -> None:
    stages = Stages(tmp_path)
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    ledger.note(batch(ledger), "delivery.offered", offered="2026-01-01T00:00:00+00:00")
    earlier = {"operation": "session"}  # as an earlier version said it
    refusals = [("session_refused", {}, False), ("server_refused", earlier, False), ("server_full", {}, True)]
    for name, facts, known in refusals:
        code = f"delivery.{name}"
        stages.confirm = raising(NotYet(code, **facts))  # type: ignore[method-assign, arg-type]
        going.advance(batch(ledger))
        assert going.withdraw(batch(ledger), "x") is known, code


def test_a_finished_batch_whose_clearing_fails_is_never_held(ledger: Ledger, tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    stages.endings = SimpleNamespace(clear=raising(ValueError(SECRET)))  # type: ignore[attr-defined]
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    ledger.move(batch(ledger), State.WITHDRAWN)
    for attempt in range(1, FAILURES + 3):
        going.advance(batch(ledger))
        assert (batch(ledger).state, batch(ledger).attempts) == (State.WITHDRAWN, attempt)


def test_a_step_during_which_the_process_died_ten_times_is_left_to_a_person(ledger: Ledger, tmp_path: Path) -> None:
    going = Flow(ledger, Stages(tmp_path))  # type: ignore[arg-type]
    for death in range(1, DEATHS + 1):
        ledger.begin(batch(ledger))
        going.recover()
        assert batch(ledger).state is (State.HELD if death == DEATHS else State.VALIDATED)
    assert (batch(ledger).reason, dict(batch(ledger).reason_facts)) == ("step.repeated", {"count": DEATHS})
    assert batch(ledger, NAMES[1]).state is State.VALIDATED
    going.recover()
    assert going.release(batch(ledger))
    assert batch(ledger).crashes == 0


def test_while_the_ledger_cannot_be_written_nothing_new_is_begun_for_some_seconds(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = Flow(ledger, Stages(tmp_path))  # type: ignore[arg-type]
    monkeypatch.setattr(engine, "PAUSE", 1.0)
    ledger._writer.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    going.advance(batch(ledger))
    assert going.stalled
    assert batch(ledger).state is State.VALIDATED
    other.execute("ROLLBACK")
    other.close()
    ends = time.monotonic() + 10
    while going.stalled and time.monotonic() < ends:
        time.sleep(0.05)
    assert not going.stalled
    going.advance(batch(ledger))
    assert batch(ledger).state is State.CONFIRMED


def test_a_batch_that_another_has_moved_meanwhile_is_left_to_it_and_delays_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    stages, seen = Stages(tmp_path), batch(ledger)

    def withdrawn(record: Record) -> dict[str, Any]:
        ledger.move(batch(ledger), State.WITHDRAWN)
        return {}

    stages.confirm = withdrawn  # type: ignore[method-assign]
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    going.advance(seen)
    assert (batch(ledger).state, going.stalled) == (State.WITHDRAWN, False)


def test_a_ledger_that_is_found_damaged_in_a_step_ends_the_work(ledger: Ledger, tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    def meddled(_record: Record) -> dict[str, Any]:
        with sqlite3.connect(tmp_path / "ledger.db") as db:
            db.execute("DROP TABLE event")
        return {}

    stages.confirm = meddled  # type: ignore[method-assign]
    with pytest.raises(IntegrityFailure, match=r"ledger\.damaged"):
        Flow(ledger, stages).advance(batch(ledger))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "folder"),
    [
        (OSError(errno.ENOSPC, "x", "drop/a"), "disk.full", "drop"),
        (OSError(errno.EDQUOT, "x", "forms/a/b"), "disk.full", "forms"),
        (OSError(errno.EROFS, "x", "rejected"), "disk.read_only", "rejected"),
        (OSError(errno.EACCES, "x", "receipts/x"), "folder.denied", "receipts"),
        (OSError(errno.EMFILE, "x", "state/x"), "system.exhausted", "state"),
        (OSError(errno.EIO, "x", "state/x"), "disk.failed", "state"),
        (OSError("no number"), "disk.failed", None),
        (OSError(errno.ENOSPC, "x", "/elsewhere"), "disk.full", None),
    ],
)
def test_what_the_system_says_waits_under_a_name_of_its_own_and_names_the_folder(
    ledger: Ledger, tmp_path: Path, error: OSError, code: str, folder: str | None
) -> None:
    stages = Stages(tmp_path)
    if error.filename:
        error.filename = os.fsencode(tmp_path / error.filename)
    stages.confirm = raising(error)  # type: ignore[method-assign]
    Flow(ledger, stages).advance(batch(ledger))  # type: ignore[arg-type]
    waits = batch(ledger)
    assert (waits.state, waits.reason) == (State.VALIDATED, code)
    assert waits.reason_facts["folder"] in ([folder] if folder else vars(stages.settings.folders))


def test_folders_that_are_all_gone_are_told_as_the_state_folder(tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    for path in vars(stages.settings.folders).values():
        path.rmdir()
    assert engine.whose(stages.settings, OSError(errno.ENOSPC, "x")) == "state"  # type: ignore[arg-type]


def test_what_is_held_or_finished_or_at_work_is_not_tried_held_or_released_by_a_word(
    ledger: Ledger, tmp_path: Path
) -> None:
    going = Flow(ledger, Stages(tmp_path))  # type: ignore[arg-type]
    assert not going.release(batch(ledger))
    ledger.begin(batch(ledger))
    assert not going.hold(batch(ledger)), "at work"
    ledger.crashed()
    assert going.hold(batch(ledger))
    assert not going.hold(batch(ledger)), "held already"
    assert not going.retry(batch(ledger)), "held"
    assert going.release(batch(ledger))
    assert going.retry(batch(ledger))
    ledger.move(batch(ledger), State.WITHDRAWN)
    assert not going.hold(batch(ledger)), "finished"
    assert going.retry(batch(ledger)), "but not cleared"
    ledger.clear(batch(ledger))
    assert not going.retry(batch(ledger))
    assert ledger.verify() == len(ledger.events())


def test_while_delivery_is_paused_the_courier_has_nothing_to_do_and_the_others_have(
    ledger: Ledger, tmp_path: Path
) -> None:
    going = Flow(ledger, Stages(tmp_path))  # type: ignore[arg-type]
    for after in (State.CONFIRMED, State.SEALED):
        ledger.move(batch(ledger), after)
    for paused in (True, False):
        ledger.pause(paused)
        assert [one.id for one in going.due(Lane.COURIER, 9)] == ([] if paused else [NAMES[0]])
        assert [one.id for one in going.due(Lane.PREPARE, 9)] == [NAMES[1]]


def test_a_clock_that_cannot_be_believed_is_believed_by_the_operators_word(ledger: Ledger, tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    def confirm(_record: Record) -> dict[str, Any]:
        ledger.expect_clock()
        return {}

    stages.confirm = confirm  # type: ignore[method-assign]
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    ledger.believe_clock(time.time() + 7200)
    going.advance(batch(ledger))
    assert (batch(ledger).state, batch(ledger).reason) == (State.VALIDATED, "sealing.clock_wrong")
    assert going.retry(batch(ledger))
    going.advance(batch(ledger))
    assert batch(ledger).state is State.CONFIRMED


def test_a_login_refused_once_is_tried_by_no_other_batch_until_its_time(ledger: Ledger, tmp_path: Path) -> None:
    stages, tries = Stages(tmp_path), []

    def refused(record: Record) -> dict[str, Any]:
        tries.append(record.id)
        raise NotYet("delivery.login_refused", key="SHA256:x")

    for name in NAMES:
        for after in (State.CONFIRMED, State.SEALED):
            ledger.move(batch(ledger, name), after)
    stages.deliver = refused  # type: ignore[method-assign]
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    for name in NAMES:
        going.advance(batch(ledger, name))
    assert tries == [NAMES[0]]
    assert [batch(ledger, name).reason for name in NAMES] == ["delivery.login_refused"] * 2
    del stages.deliver
    assert going.retry(batch(ledger))
    going.advance(batch(ledger))
    assert batch(ledger).state is State.DELIVERED
    assert batch(ledger, NAMES[1]).next_attempt == 0, "it works again: the other goes on"


def test_what_a_person_must_decide_is_held_and_goes_on_from_there(ledger: Ledger, tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    stages.confirm = raising(Held("finding.hold", findings=3))  # type: ignore[method-assign]
    going = Flow(ledger, stages)  # type: ignore[arg-type]
    going.advance(batch(ledger))
    assert (batch(ledger).state, dict(batch(ledger).reason_facts)) == (State.HELD, {"findings": 3})
    del stages.confirm
    assert going.release(batch(ledger))
    going.advance(batch(ledger), lambda: False)
    assert batch(ledger).state is State.CONFIRMED


def test_a_reason_without_a_line_of_its_own_in_the_log_is_waited_out_like_any_other(
    ledger: Ledger, tmp_path: Path, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    stages = Stages(tmp_path)
    stages.confirm = raising(NotYet("batch.unknown"))  # type: ignore[method-assign]
    Flow(ledger, stages).advance(batch(ledger))  # type: ignore[arg-type]
    assert (batch(ledger).state, batch(ledger).reason) == (State.VALIDATED, "batch.unknown")
    assert [one["event"] for one in lines()] == ["batch.deferred"]


def test_a_released_correction_corrects_what_is_left_then(ledger: Ledger, tmp_path: Path) -> None:
    going = Flow(ledger, Stages(tmp_path))  # type: ignore[arg-type]
    ledger.note(batch(ledger), "batch.noted", corrects=[{"batch": "jx-0", "records": "1"}])
    for reason, left in (("operator.hold", [{"batch": "jx-0", "records": "1"}]), ("correction.changed", None)):
        ledger.move(batch(ledger), State.HELD, reason=reason, reason_facts={})
        assert going.release(batch(ledger))
        assert (batch(ledger).state, batch(ledger).facts["corrects"]) == (State.VALIDATED, left)


def test_a_batch_is_taken_back_only_while_it_cannot_have_arrived(ledger: Ledger, tmp_path: Path) -> None:
    going, first, second = Flow(ledger, Stages(tmp_path)), *NAMES  # type: ignore[arg-type]
    ledger.begin(batch(ledger, first))
    assert not going.withdraw(batch(ledger, first), "typo"), "at work"
    ledger.crashed()
    assert going.withdraw(batch(ledger, first), SECRET)
    assert batch(ledger, first).state is State.WITHDRAWN
    assert ledger.shown(batch(ledger, first).facts["note"]) == SECRET
    assert SECRET not in json.dumps([dict(event.facts) for event in ledger.events()], ensure_ascii=False)
    assert not going.withdraw(batch(ledger, first), "again"), "finished"
    for after in (State.CONFIRMED, State.SEALED):
        ledger.move(batch(ledger, second), after)
    ledger.note(batch(ledger, second), "delivery.offered", offered="then")
    assert not going.withdraw(batch(ledger, second), "typo"), "it may have arrived"
    ledger.move(batch(ledger, second), State.HELD, reason="delivery.conflict", reason_facts={})
    assert going.withdraw(batch(ledger, second), "typo"), "someone has looked"
    assert batch(ledger, second).state is State.WITHDRAWN


@pytest.mark.parametrize("decide", ["withdraw", "hold"])
def test_what_was_decided_on_an_older_look_is_not_done(ledger: Ledger, tmp_path: Path, decide: str) -> None:
    """Another process may have offered the package to the server since."""
    flow, seen = Flow(ledger, Stages(tmp_path)), batch(ledger)  # type: ignore[arg-type]
    time.sleep(0.002)  # what happens in one millisecond cannot be told apart
    ledger.note(seen, "delivery.offered", offered="2026-01-01")
    with pytest.raises(NotYet, match=r"batch\.moved_meanwhile"):
        getattr(flow, decide)(seen, *(["x"] if decide == "withdraw" else []))
    assert batch(ledger).state is State.VALIDATED
