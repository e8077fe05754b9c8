"""Power cuts, replayed: a life is recorded call by call, and after every call the disks are made that may be left.

On each of them the program is started, recovers, goes on to the end of the life, and the judge looks at it. The
server's inbox is another machine: it is kept as it was at that moment. The key folder is left as it is.

A mutant is the same recording with one fsync left out, or with another promise of the disk broken: the program would
make the same calls. Only states that the sound recording does not have are tried.

What comes into being under its final name is told by the calls themselves (`half_done`): after a power cut the step is
run again, and the half of it that others could have met meanwhile is gone.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.diskmodel import Disk, Tree, fingerprint
from tests.support.lives import ONCE, Life
from tests.support.sweep import PROGRAM, STATUSES, Stage
from tests.support.syscalls import KILL, Call
from tests.support.world import CHANGING

OURS = tuple(name for name in CHANGING if name != "inbox")
SEEDS = range(3)
APART = re.compile(r"/\.[0-9a-f]{16}\.(part|gone)(/|$)|^state/(ledger\.db|lock$)")
"""Names that nobody goes by: temporary ones, and those of what is being destroyed; and the ledger, kept by SQLite."""


@dataclass(frozen=True, slots=True)
class Op:
    """One change: what, of which path (below the root), and with what."""

    what: str
    path: str
    other: str = ""
    at: int = 0
    data: bytes = b""
    server: int = 0  # which of the recording's moments of the server

    def __str__(self) -> str:
        tidy = re.sub(r"[0-9a-f]{16}", "*", f"{self.path} {self.other}".strip())
        return f"{self.what} {re.sub(r'jx-[0-9a-f-]+', 'BATCH', tidy)}"


@dataclass(frozen=True, slots=True)
class Moment:
    """The server at one time: its files, and what it had been asked for."""

    files: dict[str, bytes]
    asked: bytes


@dataclass(frozen=True)
class Recording:
    """A phase of a life, undisturbed: the disk before it and everything that was done to it."""

    life: Life
    phase: int
    before: Callable[[], Disk]
    ops: tuple[Op, ...]
    moments: tuple[Moment, ...]


class Recorder:
    """Writes down every call that is about to be made, as what it will do."""

    def __init__(self, stage: Stage) -> None:
        self._root = stage.world.root
        self._server = stage.world.server.folder / "operations"
        self._inbox = stage.world.inbox
        self._seen: object = None
        self.ops: list[Op] = []
        self.moments: list[Moment] = []

    def decide(self, call: Call) -> int:
        paths = [self._below(path) for path in call.paths]
        if any(paths):
            self._look()
            for op in _ops(call, paths):
                self.ops.append(replace(op, server=len(self.moments) - 1))
        return 0

    def _below(self, path: str) -> str:
        if not path.startswith(f"{self._root}/"):
            return ""
        below = path[len(f"{self._root}/") :]
        return below if below.split("/")[0] in OURS else ""

    def _look(self) -> None:
        """Note the server's state where it is another than before."""
        marks = sorted((one.name, one.stat().st_mtime_ns, one.stat().st_size) for one in os.scandir(self._inbox))
        asked = self._server.read_bytes() if self._server.exists() else b""
        if (marks, asked) != self._seen:
            self._seen = (marks, asked)
            files = {path.name: path.read_bytes() for path in self._inbox.iterdir()}
            self.moments.append(Moment(files, asked))


def _ops(call: Call, paths: Sequence[str]) -> Iterator[Op]:
    """What a call will do, as far as it will succeed."""
    path, name = paths[0], call.name
    there = os.path.lexists(call.path)
    if not there and not os.path.isdir(os.path.dirname(call.path)):  # noqa: PTH112, PTH120
        return  # it will fail, and the folder above be made first
    if name in ("open", "openat", "creat"):
        flags = os.O_CREAT | os.O_TRUNC if name == "creat" else call.args[1 if name == "open" else 2]
        if not there and flags & os.O_CREAT:
            yield Op("create", path)
        elif there and flags & os.O_TRUNC:
            yield Op("cut", path)
    elif name in ("write", "pwrite64"):
        offset = call.position() if name == "write" else call.args[3]
        yield Op("write", path, at=offset, data=call.memory(call.args[1], call.args[2]))
    elif name in ("ftruncate", "truncate"):
        yield Op("cut", path, at=call.args[1])
    elif name in ("fsync", "fdatasync"):
        yield Op("sync", path)
    elif name.startswith("rename"):
        if there:
            yield Op("rename", path, paths[1])
    elif name.startswith("unlink") or name == "rmdir":
        if there and not (os.path.isdir(call.path) and os.listdir(call.path)):  # noqa: PTH112, PTH208
            yield Op("remove", path)
    elif name.startswith("mkdir"):
        if not there:
            yield Op("mkdir", path)
    elif name.startswith("link"):
        yield Op("link", path, paths[1])
    else:
        assert name in ("chmod", "fchmod", "fchmodat", "utimensat"), f"{name} is not known to the recorder"


def record(stage: Stage, life: Life, phase: int, program: Sequence[str] = PROGRAM) -> Recording:
    """Record one phase of a life, and make sure that the recording says what was done."""
    stage.begin(life, phase)
    return _recorded(stage, life, phase, life.phases[phase].command(stage.world), program)


def record_recovery(stage: Stage, life: Life, phase: int, at: int) -> Recording | None:
    """Kill a phase's command at a call and record the recovery from that. None where it had ended before."""
    left = at

    def decide(_call: Call) -> int:
        nonlocal left
        left -= 1
        return KILL if left == 0 else 0

    stage.begin(life, phase)
    if stage.watched(life, phase, decide).status != -9:
        return None
    stage.again(life, phase)
    return _recorded(stage, life, phase, ONCE, PROGRAM)


def _recorded(stage: Stage, life: Life, phase: int, words: Sequence[str], program: Sequence[str]) -> Recording:
    recorder, root = Recorder(stage), stage.world.root
    kept = root.parent / f"before-{life.name}-{phase}"
    shutil.rmtree(kept, ignore_errors=True)
    stage.world.keep(kept)
    run = stage.run(words, recorder.decide, program)
    assert run.status in STATUSES, run.stderr
    recording = Recording(life, phase, lambda: Disk(kept, OURS), tuple(recorder.ops), tuple(recorder.moments))
    disk = recording.before()
    for op in recording.ops:
        _do(disk, op)
    assert _without_shm(disk.now()) == _without_shm(Disk(root, OURS).now()), "the recording is not what happened"
    return recording


def _without_shm(tree: Tree) -> Tree:
    return {path: content for path, content in tree.items() if not path.endswith("-shm")}


def _do(disk: Disk, op: Op) -> None:
    if op.what == "write":
        disk.write(op.path, op.at, op.data)
    elif op.what == "cut":
        disk.cut(op.path, op.at)
    elif op.what in ("rename", "link"):
        getattr(disk, op.what)(op.path, op.other)
    else:
        getattr(disk, op.what)(op.path)


@dataclass(frozen=True)
class Cut:
    """One disk that a power cut may leave, and the server at that time; `after` says which call was the last."""

    recording: Recording
    tree: Tree
    moment: Moment
    after: str


def cuts(recording: Recording, seeds: range = SEEDS, known: set[str] | None = None) -> Iterator[Cut]:
    """Every different disk that a power cut may leave. `known`: fingerprints that are passed over; grows."""
    known = set() if known is None else known
    disk, shared = recording.before(), dict[bytes, bytes]()
    for number, op in enumerate(recording.ops, 1):
        _do(disk, op)
        moment = recording.moments[op.server]
        for tree in disk.states(range(seeds.start + 1000 * number, seeds.stop + 1000 * number)):
            print_ = f"{fingerprint(tree)} {op.server}"
            if print_ not in known:
                known.add(print_)
                kept = {path: content and shared.setdefault(content, content) for path, content in tree.items()}
                yield Cut(recording, kept, moment, f"{number} {op}")


def half_done(recording: Recording) -> list[str]:
    """What was written under the name by which others know it: a clerk could print half a form."""
    changes = (op for op in recording.ops if op.what in ("create", "write", "cut"))
    return [str(op) for op in changes if not APART.search(op.path)]


def mutants(recording: Recording) -> Iterator[tuple[str, Recording]]:
    """Every fsync left out in turn, with a name that says which."""
    for number, op in enumerate(recording.ops):
        if op.what == "sync":
            without = (*recording.ops[:number], *recording.ops[number + 1 :])
            count = sum(str(one) == str(op) for one in recording.ops[: number + 1])
            yield f"{op} #{count}", replace(recording, ops=without)


def caught(stage: Stage, mutant: Recording, known: set[str], most: int = 10_000) -> tuple[int, str | None]:
    """Try disks that only a mutant leaves, in any order, until the judge complains. Gives how many, and its words."""
    if half := half_done(mutant):
        return 0, f"under its final name: {half[0]}"
    tried, found = 0, list(cuts(mutant, known=set(known)))
    random.Random(len(found)).shuffle(found)
    for tried, cut in enumerate(found[:most], 1):
        try:
            suffer(stage, cut)
        except Exception as error:  # what the judge cannot even look at is broken too
            return tried, f"after {cut.after}: {error}"
    return tried, None


def suffer(stage: Stage, cut: Cut) -> None:
    """Put the disk in place, start the program, let the life go on, judge."""
    world = stage.world
    stage.begin(cut.recording.life, cut.recording.phase)
    for name in OURS:
        shutil.rmtree(world.root / name)
        (world.root / name).mkdir(mode=0o700)
    for path, content in cut.tree.items():
        where = world.root / path
        if content is None:
            where.mkdir(mode=0o700, exist_ok=True)
        else:
            where.write_bytes(content)
            where.chmod(0o600)
    shutil.rmtree(world.inbox)
    world.inbox.mkdir(mode=0o700)
    for name, content in cut.moment.files.items():
        (world.inbox / name).write_bytes(content)
    Path(world.server.folder, "operations").write_bytes(cut.moment.asked)
    stage.finish(cut.recording.life, cut.recording.phase, 1)
