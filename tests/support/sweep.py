"""Fault after fault at every changing system call of a life: a kill, a full or broken disk; then the judge.

A point is a life, one of its commands, a fault, and the number of the call at which it comes. The command runs under
`syscalls.watch`; afterwards people do what they would do: start it again, give a command again that failed, try again
what waits. Then the life goes on to its end, and everything that was promised must hold.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchanged import api
from tests.support import syscalls
from tests.support.gpghome import Home
from tests.support.judge import judge
from tests.support.lives import LIVES, Life, Phase
from tests.support.sshd import SSHD, Sshd
from tests.support.syscalls import KILL, KILL_CHILD, Call, Run
from tests.support.warm import Warm
from tests.support.world import World

FAULTS = ("kill", "kill-early", "kill-child", "ENOSPC", "EIO", "EROFS")
PROGRAM = ("exchanged",)
STATUSES = (0, 1, 3)  # of `once` and the operator's commands when something went wrong around them
NAMED = {life.name: life for life in LIVES}
SYNCS = ("fsync", "fdatasync")
_UNTOUCHED = {  # calls that need no room on the disk, or do not ask whether it may be written
    "ENOSPC": (*SYNCS, "unlink", "unlinkat", "rmdir", "chmod", "fchmod", "ftruncate", "utimensat"),
    "EROFS": (*SYNCS, "write", "pwrite64"),
}


@dataclass(frozen=True, order=True)
class Point:
    """One fault: which life, which of its commands, what happens, at which call (from 1)."""

    life: str
    phase: int
    fault: str
    at: int

    def __str__(self) -> str:
        return f"{self.life}.{self.phase} {self.fault} {self.at}"


class Stage:
    """A world that lives are played in, again and again, from the same beginning."""

    @classmethod
    def build(cls, folder: Path) -> Stage:
        """With a world of its own."""
        return cls(World(folder / "w", Home(), Home(), Sshd.talking(folder / "sshd").start(), warm=Warm()))

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = ""
        (world.root / "tmp").mkdir(exist_ok=True)
        world.configure(intake={"settle": "0s"})
        self._kept: dict[tuple[str, int], Path] = {}
        self._known: dict[tuple[str, int], list[Call]] = {}
        self._before = world.root.parent / "kept"
        world.keep(self._before / "fresh")
        self._once()
        world.keep(self._before / "used")

    def begin(self, life: Life, phase: int) -> None:
        """Bring the world to where this phase of a life begins, people having acted."""
        key = (life.name, phase)
        self.log = ""
        if key not in self._kept:
            if phase == 0:
                self._kept[key] = self._before / ("fresh" if life.fresh else "used")
            else:
                self.begin(life, phase - 1)
                self._command(life.phases[phase - 1])
                self._kept[key] = self._before / f"{life.name}-{phase}"
                self.world.keep(self._kept[key])
        self.world.restore(self._kept[key])
        life.phases[phase].act(self.world)

    def watched(self, life: Life, phase: int, decide: syscalls.Decide, program: Sequence[str] = PROGRAM) -> Run:
        """Run a phase's command with every changing call decided upon."""
        return self.run(life.phases[phase].command(self.world), decide, program)

    def run(self, words: Sequence[str], decide: syscalls.Decide, program: Sequence[str] = PROGRAM) -> Run:
        """Run any command so."""
        world = self.world
        run = syscalls.watch(
            [sys.executable, "-m", *program, "--config", str(world.file), *words],
            [world.root, world.unit.path],
            decide,
            env=self.env,
        )
        self.log += run.stdout + run.stderr
        return run

    def calls(self, life: Life, phase: int) -> list[Call]:
        """The changing calls of an undisturbed command."""
        key = (life.name, phase)
        if key not in self._known:
            seen: list[Call] = []
            self.begin(life, phase)

            def note(call: Call) -> int:
                seen.append(call)
                return 0

            run = self.watched(life, phase, note)
            assert run.status in STATUSES, run.stderr
            self._known[key] = seen
        return self._known[key]

    def finish(self, life: Life, phase: int, status: int = 0, early: bool = False) -> None:
        """Recover, go on to the end of the life, and judge. `early`: people go on first."""
        if status:
            self.again(life, phase)
        if early:
            life.phases[phase + 1].act(self.world)
        self._recover()
        for number, later in enumerate(life.phases[phase + 1 :]):
            if number or not early:
                later.act(self.world)
            self._command(later)
        if life.phases[phase + 1 :]:
            self._recover()
        judge(self.world, **life.expected(), log=self.log)

    def again(self, life: Life, phase: int) -> None:
        """The operator repeats what seems not to have been done."""
        if life.phases[phase].again:
            self._command(life.phases[phase])

    @property
    def env(self) -> dict[str, str]:
        return {"TMPDIR": str(self.world.root / "tmp")}

    def _command(self, phase: Phase) -> int:
        done = self.world.run(*phase.command(self.world), env=self.env)
        self.log += done.stdout + done.stderr
        assert done.returncode in STATUSES, done.stderr
        return done.returncode

    def _once(self) -> dict[str, object]:
        done = self.world.run("once", "--json", env=self.env)
        self.log += done.stdout + done.stderr
        assert done.returncode in STATUSES, done.stderr
        return dict(json.loads(done.stdout))

    def _recover(self) -> None:
        """Start again; where something waits only for its next try, try it now."""
        for _ in range(3):
            done = self._once()
            waiting = [
                one["batch"]
                for one in api.open_exchange(self.world.file).list()
                if one["reason"] and one["next_attempt"] and not one["reason"].endswith(".waiting")
            ]
            if not waiting and not done["pending"]:
                return
            if waiting:
                self.world.run("retry", *waiting)


def points(stage: Stage, fault: str, lives: Iterable[Life] = LIVES) -> Iterator[Point]:
    """Every point at which this fault can come."""
    for life in lives:
        for phase in range(len(life.phases)):
            for at, call in enumerate(stage.calls(life, phase), 1):
                if can_come(fault, life, phase, call):
                    yield Point(life.name, phase, fault, at)


def can_come(fault: str, life: Life, phase: int, call: Call) -> bool:
    """Whether a call of a phase can meet this fault."""
    if fault == "kill-early":
        return any(one.early for one in life.phases[phase + 1 : phase + 2])
    if fault == "kill-child":
        return not call.own
    return call.name not in _UNTOUCHED.get(fault, ())


def strike(stage: Stage, point: Point) -> bool:
    """Let one fault happen and judge what comes of it. False where the command had ended before."""
    left = point.at

    def here(_call: Call) -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return strike_where(stage, point.life, point.phase, point.fault, here)


def strike_where(stage: Stage, life: str, phase: int, fault: str, here: Callable[[Call], bool]) -> bool:
    """The same at the first call of which `here` says that it is the one."""
    struck: list[Call] = []
    after: list[Call] = []

    def decide(call: Call) -> int:
        if struck:
            after.append(call)
        if struck or not here(call):
            return 0
        struck.append(call)
        return _verdict(fault, call)

    stage.begin(NAMED[life], phase)
    run = stage.watched(NAMED[life], phase, decide)
    if fault.startswith("kill") and fault != "kill-child":
        assert not struck or run.status in (-9, *STATUSES), run.stderr
    else:
        assert run.status in STATUSES, f"{run.status} {run.stderr}"
        _said(stage, run)
    if struck and fault == "EIO" and struck[0].own and struck[0].name in SYNCS:
        _ended_at_once(run, struck[0], after)
    stage.finish(NAMED[life], phase, run.status, fault == "kill-early")
    return bool(struck)


def _verdict(fault: str, call: Call) -> int:
    if fault == "kill-child":
        return 0 if call.own else KILL_CHILD
    if fault.startswith("kill"):
        return KILL
    return int(getattr(errno, fault))


def _said(stage: Stage, run: Run) -> None:
    """What could not be done was said: by a code, by what stands still, or as a trouble of the whole."""
    if run.status != 3:
        return
    told = json.loads(run.stdout) if run.stdout.startswith("{") else {}
    waiting = api.open_exchange(stage.world.file).status()
    reasons = [told.get("code"), waiting["trouble"], *(one["reason"] for one in waiting["waiting"])]
    told_otherwise = "exchanged: " in run.stderr or "not " in run.stdout
    assert any(reasons) or waiting["paused"] or told_otherwise, run.stdout + run.stderr


def _ended_at_once(run: Run, call: Call, after: Sequence[Call]) -> None:
    """An fsync that failed ended the process, unless SQLite passes over it: the folder of its log, which is synced once
    more by ourselves, and its own tidying up when the work was done."""
    said = json.loads(run.stdout) if run.stdout.startswith("{") else {"code": "disk.sync_failed"}
    ended = run.status == 3 and said.get("code") == "disk.sync_failed"
    folder = call.name == "fdatasync" and call.path.endswith("/state")
    closing = all(
        "/ledger.db" in one.path and (one.name == "unlink" or one.path[-4:] != "-wal") for one in after if one.own
    )
    tidying = call.path.endswith("/ledger.db") or ("/ledger.db" in call.path and closing)
    assert ended or folder or tidying, f"{run.status} after {call.name} of {call.path}: {run.stdout}"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for all tests of this process."""
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    if why := syscalls.reason():
        pytest.skip(why)
    made = Stage.build(tmp_path_factory.mktemp("stage"))
    yield made
    made.world.close()
