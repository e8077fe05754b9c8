"""One instance at work: what lies in the drop folder becomes batches, every batch that is due goes one step further.

Takes   settings; the lock on the state folder, which admits one instance
Gives   `tick`, one round of the work; `once`, rounds until nothing can be done now
Redo    `recover` puts right what an earlier run left half done, before the first round
Ends    NotYet("daemon.running") when another instance has the lock

Three batches are prepared side by side while one is being sent, so a slow server does not stop checking. All threads
only wait for children, gpg and the network: hostile input is opened elsewhere.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from exchanged import disk, evidence, log, reserve, seen
from exchanged.board import Board
from exchanged.drop import FOREIGN, Group
from exchanged.errors import NotYet, disk_code
from exchanged.flow import Flow, whose
from exchanged.ledger import Record
from exchanged.sandbox import Sandbox
from exchanged.settings import Settings
from exchanged.stages import giveback
from exchanged.stages.intake import Intake
from exchanged.statefolder import open_ledger, state_trouble
from exchanged.states import TERMINAL, Lane, State
from exchanged.steps import Steps

WORKERS = {Lane.PREPARE: 3, Lane.COURIER: 1}
ROUND = 5.0  # seconds that claiming may take before the loop shows that it moves
SWEEP = 3600.0  # seconds between looks for rejected folders whose time is over
SMALL = 64 << 20  # bytes of a ledger that is verified whole at every start; a larger one once a day
BUSY = 5.0  # seconds that a step waits for another program to let go of the ledger, while more steps wait behind it
DECISIONS = {"batch.held", "batch.released", "batch.retried", "batch.withdrawn", "delivery.paused", "delivery.resumed"}
PATIENCE = 10.0  # seconds beyond the settle time that `once` gives a file which keeps changing


class Engine:
    """The work of one instance. Used by one thread; it has threads of its own for the steps."""

    def __init__(self, settings: Settings) -> None:
        with contextlib.suppress(ValueError):  # not in the main thread
            # a writer that opens a file while we ask whether it is open makes the kernel send SIGIO
            signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.settings = settings
        self.ledger, self._secrets = open_ledger(settings)
        self.ledger.patience(BUSY)
        self._sandbox = Sandbox()
        self._pools = {lane: ThreadPoolExecutor(count, str(lane)) for lane, count in WORKERS.items()}
        self._running: dict[Future[None], tuple[Lane, str]] = {}
        self._swept = 0.0
        self._failing = self.ledger.remembered("trouble")
        self._draining = False
        self._fetched = False
        self._followed = False  # the forms to their folder
        self._undone = False  # a claim that went wrong is still to be put right
        self.touched: dict[str, None] = {}
        self.unsettled = 0
        self.stuck = self.deeper = 0
        self.orphans: list[Group] = []
        self._lying: Sequence[tuple[str, Path]] = ()  # what the last look and the claims after it have met
        self._build(settings)

    @state_trouble()
    def _build(self, settings: Settings) -> None:
        self._steps = Steps(settings, self.ledger, self._secrets, self._sandbox)
        self.settings = settings
        self._flow = Flow(self.ledger, self._steps)
        self._intake = Intake(settings, self.ledger, self._secrets, self._steps.spool, self._steps.confirmation.codes)
        self._board = Board(settings, self.ledger)

    @state_trouble()
    def recover(self) -> None:
        """Put right what an earlier run left half done.

        Raises IntegrityFailure when the ledger is not what it was, NotYet when the state folder cannot be used.
        """
        self.ledger.verify(whole=self.ledger.bytes() < SMALL)
        evidence.check(self.ledger, self.settings.folders.state)
        # an earlier run may have been killed: its agent is ours to end, its locks to clear
        if self.open_count() or seen.anything(self.settings.sealing.gnupg_home / "S.gpg-agent"):
            self._steps.sealing.recover()
        with contextlib.suppress(NotYet):
            self.ledger.trusts_clock()  # before anything is recorded by it
        self._flow.recover()
        reserve.keep(self.settings.folders.state)
        self._recover_intake()
        folders = self.settings.folders
        own = [folders.state / name for name in (".", "outbox", "evidence")]
        for folder in (*own, folders.drop, folders.forms, folders.rejected, folders.receipts):
            with contextlib.suppress(OSError):
                disk.sweep(folder, self.settings.deletion.overwrite)

    def _recover_intake(self) -> None:
        self._undone = True
        with self._drop_trouble():
            self._intake.recover()
            self._undone = False

    def _mend(self) -> None:
        self._undone = True
        with self._drop_trouble():
            self._intake.mend()
            self._undone = False

    def open_count(self) -> int:
        """How many batches are on their way."""
        return self.ledger.open_count()

    @property
    def busy(self) -> bool:
        """Whether a step is at work."""
        return bool(self._running)

    @property
    def sending(self) -> bool:
        """Whether a delivery is at work."""
        return any(lane is Lane.COURIER for lane, _ in self._running.values())

    def tick(self, look: bool = True, send: bool = True) -> bool:
        """One round: take what has settled, start what is due. True if anything has happened.

        send: whether deliveries may begin, too.
        """
        moved, self._draining = self._collect(), False
        self._overhear()
        try:
            if look:
                try:
                    moved = self._take(send) or moved
                except NotYet as problem:  # what was taken before goes on
                    self.say(problem.code, reason=problem.code)
                self._sweep()
            return self._start(send) or moved
        except NotYet as problem:
            self.say(problem.code, reason=problem.code)
            return moved

    def _overhear(self) -> None:
        """Say in the log what operators have decided, in processes whose own output is for them."""
        with contextlib.suppress(NotYet):
            for event, batch, facts in self.ledger.others():
                if event in DECISIONS:
                    log.emit(event, batch=batch, reason=facts["reason"] if event == "batch.held" else None)

    def _take(self, send: bool) -> bool:
        """Claim what has settled, for a while: a heap of files is taken in several rounds."""
        if not self._followed:
            self._steps.confirmation.follow()
            self._followed = True
        moved, ends = False, time.monotonic() + ROUND
        with self._drop_trouble():
            if self._undone or self._intake.has_claims():  # of a share that was away when they were to be put right
                self._mend()
            found = self._intake.look()
            self.unsettled, self.stuck, self.deeper = found.unsettled + found.unread, found.stuck, found.deeper
            self._lying = found.lying
            moved, orphans = found.unread > 0, list[Group]()
            foreign: NotYet | None = None
            for group in found.ready:
                try:
                    batch = self._claim(group)
                except NotYet as problem:
                    if problem.code != FOREIGN:
                        raise
                    foreign = problem  # of this lane only
                    continue
                if batch is None:
                    orphans.append(group)
                    continue
                self.touched[batch.id] = None
                if not self._fetched:  # loading the library takes as long as checking; meanwhile nobody waits for it
                    self._fetched = True
                    self._pools[Lane.COURIER].submit(self._steps.fetch_courier)
                moved = True
                self._start(send)
                if time.monotonic() > ends:
                    break
            else:
                self.orphans = [group for group in orphans if all(item.is_scan for item in group.items)]
                self.stuck += len(orphans) - len(self.orphans)
            if foreign:
                raise foreign
            if self._failing is not None and not self._flow.stalled:
                self.ledger.remember("trouble", None)
                self._failing = None
                reserve.keep(self.settings.folders.state)
        return moved

    def _claim(self, group: Group) -> Record | None:
        """Claim one group; what went wrong half-way is put back at once."""
        try:
            return self._intake.claim(group)
        except NotYet as problem:
            self._mend()
            if problem.code != "batch.moved_meanwhile":
                raise
            return None
        except OSError:
            self._mend()
            raise

    @contextlib.contextmanager
    def _drop_trouble(self) -> Iterator[None]:
        """A drop folder that cannot be read or written is said once, and tried again at every look."""
        try:
            yield
        except OSError as error:
            self.say(disk_code(error), folder=whose(self.settings, error), errno=error.errno or 0)

    def say(self, code: str, **facts: Any) -> None:
        """A trouble of the whole instance, said once until it is over."""
        if self._failing != code:
            if code in log.EVENTS:
                log.emit(code, **facts)
            for _ in range(2):  # the first failure gives up the reserve
                with contextlib.suppress(NotYet):
                    self.ledger.remember("trouble", code)
                    break
        self._failing = code

    def audited(self, code: str | None) -> None:
        """What a verification found first, for `status` to tell until a later one finds all well."""
        with contextlib.suppress(NotYet):
            if self.ledger.remembered("audit") != code:
                self.ledger.remember("audit", code)

    def _start(self, send: bool) -> bool:
        """Hand due batches that are not at work to their lane, as many as the lane has hands."""
        if self._flow.stalled:
            self.say("ledger.unavailable", reason="ledger.unavailable")
            return False
        started = False
        for lane, pool in self._pools.items():
            at_work = {name for own, name in self._running.values() if own is lane}
            room = WORKERS[lane] - len(at_work)
            if not room or (lane is Lane.COURIER and not send):
                continue
            due = [batch for batch in self._flow.due(lane, room + len(self._running)) if not self._at_work(batch)]
            for batch in due[:room]:
                self._running[pool.submit(self._flow.advance, batch, self._go_on)] = (lane, batch.id)
                self.touched[batch.id] = None
                started = True
        return started

    def _go_on(self) -> bool:
        """Whether a worker may take its batch a step further without asking again."""
        return not self._draining

    def _at_work(self, batch: Record) -> bool:
        return any(name == batch.id for _, name in self._running.values())

    def _collect(self) -> bool:
        done = [future for future in self._running if future.done()]
        for future in done:
            del self._running[future]
            future.result()  # what ends the process comes out here
        return bool(done)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept < SWEEP and self._swept:
            return
        self._swept = time.monotonic()
        if not self.ledger.trusts_clock():
            return  # what is old cannot be told
        deletion = self.settings.deletion
        with contextlib.suppress(OSError):
            expired = giveback.expire(self.settings.folders.rejected, deletion.rejected_after, deletion.overwrite)
            if expired:
                log.emit("rejected.expired", files=expired)

    def wait(self, seconds: float) -> None:
        """Wait for a step to end, this long at most."""
        wait(self._running, seconds, FIRST_COMPLETED)

    def drain(self, seconds: float) -> bool:
        """Let the steps in hand end, and no batch begin another; False if one has not after so many seconds."""
        self._draining = True
        wait(self._running, seconds)
        self._collect()
        return not self._running

    def break_off(self) -> None:
        """Cut the connection to the server: a delivery at work ends as one whose line was lost."""
        self._steps.break_off()

    def reload(self, settings: Settings) -> None:
        """Go on with other settings. Only while nothing is at work. Raises NotYet, and goes on with the old ones."""
        old, board, folders = self._steps, self._board, self.settings.folders
        self._build(settings)
        old.close()
        self.orphans, self._lying = [], ()  # what lies in the drop folder is to be looked at anew
        if settings.folders.drop != folders.drop:
            board.take_down()
        self._followed = False

    def post(self, final: bool = False) -> None:
        """Tell the clerk in the drop folder what waits, where that has changed; `final`: no later call will."""
        self._board.post(self.orphans, self._lying, self.stuck, self.deeper, final)

    def clear(self) -> None:
        """Let finished batches be cleared; nothing else goes on."""
        for batch in self.ledger.batches(open_only=True):
            if batch.state in TERMINAL:
                self._flow.advance(batch)

    def rest(self) -> None:
        """Let go of children and connections that have not been needed for a while."""
        if not self._running:
            self._steps.rest()

    def close(self) -> None:
        """End everything this instance has started."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        self._steps.close()
        self._sandbox.close()
        self.ledger.close()

    def once(self) -> dict[str, Any]:
        """Do all that can be done now, settle time included. Gives the document `exchanged-once/1`."""
        self.recover()
        deadline = time.monotonic() + 2 * self.settings.intake.settle + PATIENCE
        while True:
            moved = self.tick()
            if moved:
                deadline = max(deadline, time.monotonic() + PATIENCE)
            settling = self.unsettled and time.monotonic() < deadline
            if not moved and not self._running and not settling:
                break
            if self._running:
                self.wait(0.2)
            elif not moved:
                time.sleep(min(0.2, max(0.02, self.settings.intake.settle / 10)))
        self.post(final=True)
        return self._account()

    def _account(self) -> dict[str, Any]:
        batches = [batch for name in self.touched if (batch := self.ledger.batch(name))]
        waiting = [batch for batch in self.ledger.batches(open_only=True) if batch.state is not State.HELD]
        return {
            "format": "exchanged-once/1",
            "batches": [brief(batch) for batch in batches],
            "pending": len(waiting) + len(self.orphans) + self.unsettled + self.stuck + bool(self._failing),
            "rejected": sum(batch.state is State.REJECTED for batch in batches),
        }


def brief(batch: Record) -> dict[str, Any]:
    """A batch as `once`, `list` and `show` tell it."""
    return {
        "batch": batch.id,
        "stem": batch.stem,
        "state": str(batch.state),
        "rows": batch.rows,
        "reason": batch.reason,
    }
