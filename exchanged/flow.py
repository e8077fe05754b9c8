"""The engine: which step of a batch is next, run it, record it. Moves batches; nobody else does.

Takes   the ledger's open batches and the stages of `exchanged.steps`
Gives   batches one state further, or waiting with a reason, or ended
Redo    intent is recorded before a stage acts and its result after it is durable; every stage may be run again
Ends    Refused rejects, NotYet defers, Held holds; any other exception is counted against the batch, and the third in
        one state holds it; so does the tenth death of the process during its step. Other batches go on.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from exchanged import disk, log, seen
from exchanged.errors import Held, IntegrityFailure, NotYet, Refused, disk_code
from exchanged.ledger import Ledger, Record, now
from exchanged.settings import Settings
from exchanged.states import BEFORE_DELIVERY, OPERATOR, ROUTE, TERMINAL, Lane, State, Step
from exchanged.steps import Steps, looked

RETRIES = (60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)  # seconds; the last one again and again
SPREAD = 0.2
LOGIN = "delivery.login_refused"
UNSURE = ("delivery.outcome_unknown", "delivery.gone")  # whether the server has the package is not known
FAILURES = 3  # of a step by a fault of ours, one after the other
PAUSE = 5.0  # seconds without a new step after the ledger could not be written
DEATHS = 10  # of the process during a step: hostile input dies in children, so this is mostly power, memory or a kill


def delay(attempts: int) -> float:
    """Seconds until the next try after so many failed ones, spread by a fifth so that batches do not march in step."""
    base = RETRIES[min(attempts, len(RETRIES) - 1)]
    return base * random.uniform(1 - SPREAD, 1 + SPREAD)


class Flow:
    """Moves batches. One instance per process; `advance` may run in several threads for different batches."""

    def __init__(self, ledger: Ledger, steps: Steps) -> None:
        self._ledger = ledger
        self._steps = steps
        self._stalled = 0.0

    @property
    def stalled(self) -> bool:
        """Whether the ledger could not be written a moment ago: what is done now could not be recorded."""
        return time.monotonic() < self._stalled

    def recover(self) -> None:
        """At start: a step that was at work when the process ended counts against its batch."""
        for batch in self._ledger.crashed():
            if batch.crashes >= DEATHS and batch.state not in TERMINAL and batch.state is not State.HELD:
                self._hold(batch, Held("step.repeated", count=batch.crashes))

    def due(self, lane: Lane, most: int) -> list[Record]:
        """Batches for which this lane has something to do now, oldest first."""
        if self._paused(lane):
            return []
        states = [state for state, step in ROUTE.items() if step.lane is lane]
        return self._ledger.due([*states, *(TERMINAL if lane is Lane.PREPARE else ())], time.time(), most)

    def _paused(self, lane: Lane | None) -> bool:
        return lane is Lane.COURIER and self._ledger.paused

    def advance(self, batch: Record, go_on: Callable[[], bool] = lambda: False) -> None:
        """Run the next step of a batch and record how it ended; while `go_on` says so, also what its lane can do next.

        Raises nothing but what ends the process.
        """
        lane: Lane | None = _lane(batch)
        left: Record | None = batch
        try:
            with self._steps.one_child(batch):
                while left is not None:
                    self._attempt(left, go_on)
                    left = self._ledger.batch(batch.id)
                    if left is None or not (left.acting or go_on()) or not _due(left, lane) or self._paused(lane):
                        left = None
        except NotYet as problem:
            if problem.code != "batch.moved_meanwhile":
                self._stalled = time.monotonic() + PAUSE

    def _attempt(self, batch: Record, go_on: Callable[[], bool]) -> None:
        try:
            self._try(batch, go_on)
        except (IntegrityFailure, NotYet):
            raise  # the ledger is not what it was, or cannot be written: nothing may go on
        except Exception as error:
            self._failed(batch, error)

    def _try(self, batch: Record, go_on: Callable[[], bool]) -> None:
        try:
            if batch.state in TERMINAL:
                self._clear(batch)
            else:
                if not batch.acting:
                    self._ledger.begin(batch)
                self._step(batch, go_on)
        except Refused as refusal:
            self._reject(batch, refusal)
        except Held as problem:
            self._hold(batch, problem)
        except NotYet as problem:
            self._defer(batch, problem)
        except OSError as error:
            self._defer(batch, self._disk_trouble(error))

    def _step(self, batch: Record, go_on: Callable[[], bool]) -> None:
        step = ROUTE[batch.state]
        if step.stage == "check":
            self._check(batch, go_on)
            return
        if step.stage == "deliver":
            self._ask()
        facts = getattr(self._steps, step.stage)(batch)
        self._ledger.move(batch, step.done, acting=_goes_on(step, go_on), **facts)
        self._say(f"batch.{step.done}", batch, facts)
        if step.stage == "deliver":
            if self._ledger.remembered(LOGIN):
                self._admitted()
            self._steps.tidy()

    def _check(self, batch: Record, go_on: Callable[[], bool]) -> None:
        """Checking ends in one transaction: compared with the history, entered in the index, and moved."""
        examined = self._steps.check(batch)
        entered = self._ledger.validate(batch, examined.entries, examined.question, examined.judge, acting=go_on())
        self._say("batch.validated", batch, entered)

    def _reject(self, batch: Record, refusal: Refused) -> None:
        self._steps.spend_child()
        known = self._ledger.batch(batch.id)
        if known is None or known.state is not batch.state:  # replaced meanwhile: nobody waits for this answer
            raise NotYet("batch.moved_meanwhile")
        try:
            facts = self._steps.endings.give_back(known, refusal)
            self._ledger.move(known, State.REJECTED, still=True, **facts)
            self._say("batch.rejected", batch, facts)
        except NotYet:  # also where a scan has come meanwhile, which must not be left behind
            with contextlib.suppress(OSError):
                self._steps.endings.take_back(batch)
            raise
        except OSError as error:
            self._defer(batch, self._disk_trouble(error))

    def _disk_trouble(self, error: OSError) -> NotYet:
        return NotYet(
            disk_code(error), errno=error.errno or 0, folder=whose(self._steps.settings, error), place=log.place(error)
        )

    def _clear(self, batch: Record) -> None:
        """A finished batch: destroy what is left of it, write its evidence and the clerk's slip."""
        facts = self._steps.endings.clear(batch)
        self._ledger.clear(batch, **facts)
        self._say("evidence.written", batch, facts)

    def _hold(self, batch: Record, problem: Held) -> None:
        self._ledger.move(batch, State.HELD, reason=problem.code, reason_facts=dict(problem.facts))
        log.emit("batch.held", batch=batch.id, reason=problem.code)

    def _defer(self, batch: Record, problem: NotYet) -> None:
        if problem.code == "batch.moved_meanwhile":
            raise problem
        if problem.code.endswith(".waiting"):
            facts = {name: value for name, value in problem.facts.items() if name != "until"}
            until = problem.facts.get("until")
            self._ledger.wait(batch, problem.code, facts, None if until is None else float(until))
            return
        later = time.time() + delay(batch.attempts) if problem.again else None
        if problem.code == LOGIN:
            later = self._turned_away(problem)
        self._ledger.defer(batch, problem.code, dict(problem.facts), later)
        if problem.code in log.EVENTS:
            self._say(problem.code, batch, problem.facts)
        log.emit("batch.deferred", batch=batch.id, reason=problem.code, attempts=batch.attempts + 1)

    # --- a login that was refused is refused for every batch: servers lock accounts ------------------------------

    def _login(self) -> dict[str, Any]:
        """The login that was refused last: which, how often in a row, and until when no other batch may try it."""
        delivery = self._steps.settings.delivery
        whose = [delivery.host, delivery.port, delivery.user, delivery.identity]
        last: dict[str, Any] = json.loads(self._ledger.remembered(LOGIN) or "{}")
        if last.get("whose") != whose or last["until"] - time.time() > RETRIES[-1] * (1 + SPREAD):  # a clock set back
            return {"whose": whose, "attempts": 0, "until": 0.0, "facts": {}}
        return last

    def _ask(self) -> None:
        """Raises NotYet where a try would come before its time."""
        login = self._login()
        if time.time() < login["until"]:
            raise NotYet(LOGIN, **login["facts"])

    def _turned_away(self, problem: NotYet) -> float:
        """When the next batch may try to log in."""
        login = self._login()
        if time.time() >= login["until"]:  # this was a try
            login |= {
                "until": time.time() + delay(login["attempts"]),
                "attempts": login["attempts"] + 1,
                "facts": dict(problem.facts),
            }
            self._ledger.remember(LOGIN, json.dumps(login))
        return float(login["until"])

    def _admitted(self) -> None:
        """The login works again: what waited for it goes on."""
        self._ledger.remember(LOGIN, None)
        self._ledger.wake_all(LOGIN)

    def _failed(self, batch: Record, error: Exception) -> None:
        """A fault of ours: said with class and place; the third in a row holds the batch."""
        place = getattr(error, "place", None) or log.place(error)
        kind = getattr(error, "kind", None) or type(error).__name__
        known = batch.reason_facts if batch.reason == "step.failed" else {}
        attempt = int(known.get("attempt", 0)) + 1
        facts: dict[str, Any] = {"class": kind, "place": place, "attempt": attempt}
        log.emit("daemon.step_failed", batch=batch.id, state=str(batch.state), **facts)
        if attempt >= FAILURES and batch.state not in TERMINAL:
            self._hold(batch, Held("step.failed", **facts))
        else:
            self._ledger.defer(batch, "step.failed", facts, time.time() + delay(batch.attempts))

    def _say(self, event: str, batch: Record, facts: Mapping[str, Any]) -> None:
        fields, flat = log.EVENTS[event].fields, _flat(facts)
        log.emit(event, batch=batch.id, **{name: value for name, value in flat.items() if name in fields})

    # --- the operator's decisions, taken in processes of their own; who is at work says them in the log -----------

    def retry(self, batch: Record) -> bool:
        """Try a waiting batch at once. False where nothing is to be tried."""
        if batch.cleared or batch.state is State.HELD:
            return False
        self._ledger.remember("pin", None)  # the operator has seen to it: passphrase and login may be tried again
        if (login := self._login())["attempts"]:
            self._ledger.remember(LOGIN, json.dumps(login | {"until": 0.0}))
        if batch.reason == "sealing.clock_wrong":
            self._ledger.believe_clock()  # and so may the clock
        self._ledger.wake(batch, "batch.retried")
        return True

    def hold(self, batch: Record) -> bool:
        """Stop a batch until the operator releases it. False where it is at work, finished or held already."""
        if batch.acting or batch.state in TERMINAL or batch.state is State.HELD:
            return False
        self._ledger.move(batch, State.HELD, still=True, reason=OPERATOR, reason_facts={})
        return True

    def release(self, batch: Record) -> bool:
        """Let a held batch go on from where it was held."""
        if batch.state is not State.HELD or batch.held_from is None:
            return False
        again: dict[str, Any] = {}
        if batch.reason in UNSURE:  # a person has looked: the server took it, or it is sent as if never offered
            taken = self._steps.settings.delivery.moved_away
            if taken and not self._steps.offered_here(batch):
                return False  # taken there says nothing of here: which of both is meant must be told
            again = {"taken": now()} if taken else {"offered": None}
        if batch.reason == "correction.changed":  # it corrects what is left
            again = {"corrects": None}
        if batch.reason == "finding.hold":  # what was found is known and taken on
            again |= {"released": now()}
        self._ledger.move(batch, batch.held_from, "batch.released", still=True, **again)
        return True

    def withdraw(self, batch: Record, reason: str) -> bool:
        """Take a batch back before it is delivered. The reason stays with the operator: its digest goes on record."""
        at = batch.held_from or batch.state
        unsure = bool(batch.facts.get("offered")) and not looked(batch)
        if batch.acting or unsure or at not in BEFORE_DELIVERY:
            return False
        self._ledger.move(batch, State.WITHDRAWN, still=True, note=self._ledger.hide(reason))
        if at is State.SEALED:
            self._ledger.leave(batch.id)
        return True


def _lane(batch: Record) -> Lane | None:
    """Who has something to do for a batch; nobody while it is held."""
    if batch.state in TERMINAL:
        return Lane.PREPARE
    return ROUTE[batch.state].lane if batch.state in ROUTE else None


def _due(batch: Record, lane: Lane | None) -> bool:
    """Whether this lane has something to do for a batch now."""
    moment = batch.next_attempt
    return _lane(batch) is lane and not batch.cleared and moment is not None and moment <= time.time()


def _goes_on(step: Step, go_on: Callable[[], bool]) -> bool:
    """Whether the next step can begin in the same transaction: this lane does it at once, or nothing is in its way."""
    after = ROUTE.get(step.done)
    if after is None:
        return False
    return step.done is State.DELIVERED or (after.lane is step.lane and go_on())


def whose(settings: Settings, error: OSError) -> str:
    """The configured folder that an error of the disk is about: by its path, else the one with the least room."""
    folders = {name: getattr(settings.folders, name) for name in ("state", "drop", "rejected", "receipts", "forms")}
    if error.errno == errno.ENOENT and (gone := [name for name, folder in folders.items() if not seen.folder(folder)]):
        return gone[0]
    if error.filename:
        path = Path(os.fsdecode(error.filename))
        below = [name for name, folder in folders.items() if path.is_relative_to(folder)]
        if below:
            return below[0]
    there = {name: disk.free(folder) for name, folder in folders.items() if seen.folder(folder)}
    return min(there, key=lambda name: there[name], default="state")


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as a log line has them: counts and digests, nothing nested."""
    flat: dict[str, Any] = {name: value for name, value in facts.items() if isinstance(value, str | int | float)}
    flat = {name: value for name, value in flat.items() if value not in ("", "None")}
    if isinstance(facts.get("warnings"), Mapping):
        flat["warnings"] = sum(facts["warnings"].values())
    flat.pop("rules", None)  # here the rule set's digest
    if isinstance(facts.get("by_rule"), Mapping):
        flat["rules"] = list(facts["by_rule"])
    if "deletion" in facts:
        flat["files"] = len(facts["deletion"])
    delivery = facts.get("delivery", {})
    flat |= {name: delivery[name] for name in ("host", "method", "already", "sha256") if name in delivery}
    if "host_key" in delivery:
        flat["fingerprint"] = delivery["host_key"]
    return {**flat, **facts.get("package", {})}
