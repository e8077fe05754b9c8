"""Every point of the sweeps, every disk of the power cuts, every mutant, byte, scan: `make torture`. Takes hours.

`python -m tests.torture [PART…] [--life L…] [--every N] [--first K] [--most M] [--jobs J]`: some parts, some lives,
every Nth point from the Kth on (so that a sweep can be run whole in N pieces), M disks of a mutant.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import util
from pathlib import Path

from tests.support import syscalls, tamper
from tests.support.lives import LIVES
from tests.support.mutant import MUTANTS
from tests.support.powercut import caught, cuts, half_done, mutants, record, record_recovery, suffer
from tests.support.races import race
from tests.support.sweep import FAULTS, NAMED, Point, Stage, can_come, strike
from tests.test_form import mistakes

PHASES = [(life.name, phase) for life in LIVES for phase in range(len(life.phases))]
_stage: Stage
_first = 0
_most = 10_000


@dataclass
class Result:
    """What one task came to: counts by what was counted, and the failures in words."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def add(self, what: str, count: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + count

    def attempt(self, what: str, name: str, act: Callable[[], object]) -> None:
        """Count one; an assertion that fails is a failure."""
        self.add(what)
        try:
            act()
        except AssertionError as error:
            self.failures.append(f"{name}: {error}")
        except Exception:
            self.failures.append(f"{name}: {traceback.format_exc()}")


def sweep(life: str, phase: int, fault: str, every: int) -> Result:
    """One fault at every call of a phase."""
    result = Result()
    lived = NAMED[life]
    calls = enumerate(_stage.calls(lived, phase), 1)
    found = [Point(life, phase, fault, at) for at, call in calls if can_come(fault, lived, phase, call)]
    for point in found[_first::every]:
        result.attempt(f"points {fault}", str(point), lambda point=point: strike(_stage, point))  # type: ignore[misc]
    return result


def power(life: str, phase: int, every: int) -> Result:
    """Every disk that a power cut in a phase may leave."""
    recording = record(_stage, NAMED[life], phase)
    result = Result({"disks after a power cut": 0}, [f"{life}.{phase} {half}" for half in half_done(recording)])
    for number, cut in enumerate(cuts(recording)):
        if number % every == _first:
            name = f"{life}.{phase} after {cut.after}"
            result.attempt("disks after a power cut", name, lambda cut=cut: suffer(_stage, cut))  # type: ignore[misc]
    return result


def again(life: str, phase: int, every: int) -> Result:
    """A kill, and a power cut in the recovery from it: a few kills of each phase, every disk."""
    result = Result()
    for at in range(7, len(_stage.calls(NAMED[life], phase)), 40):
        recording = record_recovery(_stage, NAMED[life], phase, at)
        for number, cut in enumerate(cuts(recording, range(1)) if recording else ()):
            if number % (5 * every) == _first:
                name = f"{life}.{phase} killed at {at}, then after {cut.after}"
                what = "disks after a power cut in a recovery"
                result.attempt(what, name, lambda cut=cut: suffer(_stage, cut))  # type: ignore[misc]
    return result


def left_out(life: str, phase: int, every: int) -> Result:
    """Every fsync left out in turn, where it comes for the first time in all lives: is it noticed?"""
    result = Result()
    earlier = PHASES[: PHASES.index((life, phase))]
    told = {name for one in earlier for name in _syncs(*one)}
    recording = record(_stage, NAMED[life], phase)
    known: set[str] = set()
    for _ in cuts(recording, known=known):
        pass
    found = [(name, mutant) for name, mutant in mutants(recording) if name not in told]
    for name, mutant in found[_first::every]:
        tried, said = caught(_stage, mutant, known, _most)
        result.add("fsyncs left out")
        result.add("fsyncs left out and noticed", said is not None)
        result.add("disks of mutants", tried)
        result.told.append(f"{'noticed ' if said else 'SURVIVED'} {life}.{phase} without {name} ({tried} disks)")
    return result


@cache
def _syncs(life: str, phase: int) -> tuple[str, ...]:
    return tuple(name for name, _ in mutants(record(_stage, NAMED[life], phase)))


def mutated(name: str, every: int) -> Result:
    """The program without one of its precautions: is it noticed?"""
    result = Result({"mutants": 1})
    for life, phase in (("both", 0), ("later", 1), ("rejected", 0)):
        recording = record(_stage, NAMED[life], phase, ("tests.support.mutant", name))
        tried, said = caught(_stage, recording, set(), _most)
        result.add("disks of mutants", tried)
        if said:
            result.add("mutants noticed")
            result.told.append(f"noticed  {name}: {life}.{phase} {said.splitlines()[0]}")
            return result
    result.failures.append(f"nobody noticed: {name}")
    return result


def races(count: int, every: int) -> Result:
    """Two daemons started at once: one wins, the other says why it ended."""
    result = Result()
    _stage.begin(LIVES[0], 0)
    for number in range(0, count, every):
        result.attempt("races of two daemons", f"race {number}", lambda: race(_stage.world))
    return result


def flipped(first: int, step: int, every: int) -> Result:
    """One bit of every byte of a ledger flipped: noticed, or nothing that is proven has changed."""
    result, folder = Result(), Path(tempfile.mkdtemp(prefix="torture-"))
    tamper.past(folder / "state")
    for number, (offset, bit) in enumerate(tamper.flips(folder / "state" / "ledger.db", None)):
        if number % step == first and number // step % every == _first:
            said = tamper.flipped(folder / "state", folder / "copy", offset, bit)
            result.add("flipped bits")
            result.failures += [said] if said else []
    shutil.rmtree(folder)
    return result


def scans(first: int, every: int) -> Result:
    """Fifty generated scans of a form, read back."""
    result = Result()
    seeds = range(first, first + 50)[_first::every]
    for wrong in mistakes(seeds):
        result.failures.append(f"scans {seeds}: {wrong}")
    result.add("scans read back", len(seeds))
    return result


PARTS: dict[str, Callable[[int], Iterable[tuple[Callable[..., Result], tuple[object, ...]]]]] = {
    "kill": lambda every: [(sweep, (*one, fault, every)) for fault in FAULTS[:3] for one in PHASES],
    "errors": lambda every: [(sweep, (*one, fault, every)) for fault in FAULTS[3:] for one in PHASES],
    "power": lambda every: [(power, (*one, every)) for one in PHASES],
    "again": lambda every: [(again, (*one, every)) for one in PHASES],
    "mutants": lambda every: [
        *((mutated, (name, every)) for name in MUTANTS),
        *((left_out, (*one, every)) for one in PHASES),
    ],
    "ledger": lambda every: [(flipped, (first, 16, every)) for first in range(16)],
    "scans": lambda every: [(scans, (first, every)) for first in range(0, 500, 50)],
    "races": lambda every: [(races, (50, every)) for _ in range(2)],
}


def prepare(most: int, first: int) -> None:
    """In each process: a stage of its own."""
    global _stage, _first, _most
    _first, _most = first, most
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    _stage = Stage.build(folder)
    util.Finalize(None, _stage.world.close, exitpriority=20)
    util.Finalize(None, shutil.rmtree, (folder, True), exitpriority=10)


def _outcome(task: Future[Result]) -> Result:
    """What a task came to; one that broke off is a failure, and the others go on."""
    try:
        return task.result()
    except Exception:
        return Result(failures=[traceback.format_exc()])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--life", action="append", choices=sorted(NAMED), help="only this life; may be given again")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first of the points that are tried, from 0")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most", type=int, default=_most, help="disks that are tried of one mutant")
    given = parser.parse_args()
    if not 0 <= given.first < given.every:
        parser.error("--first must be less than --every")
    if why := syscalls.reason():
        print("cannot be done here:", why)
        return 2
    PHASES[:] = [one for one in PHASES if one[0] in (given.life or NAMED)]
    total, failed, began = Result(), 0, time.monotonic()
    with ProcessPoolExecutor(given.jobs, initializer=prepare, initargs=(given.most, given.first)) as pool:
        tasks = [task for part in given.parts or PARTS for task in PARTS[part](given.every)]
        for work, result in zip(tasks, [pool.submit(work, *args) for work, args in tasks], strict=True):
            done = _outcome(result)
            print(f"{time.monotonic() - began:7.0f} s", work[0].__name__, *work[1][:-1], done.counts, flush=True)
            for line in [*done.told, *(f"FAILED {failure}" for failure in done.failures)]:
                print("   ", line, flush=True)
            failed += len(done.failures)
            for what, count in done.counts.items():
                total.add(what, count)
    print("\n".join(f"{count:8,} {what}" for what, count in total.counts.items()))
    print(f"{failed:8,} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
