"""A unit's life as chance has it: what people may do next, and what must have come of all they have done.

`Life` holds one installation and, beside it, the model: for everything that was dropped the state that it must reach
when the program has come to rest. The acts are methods; `possible` names those that make sense now. After acts,
`settle` says that the program has done all that it could, and the judge may compare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from tests.support import lives, paper, records
from tests.support.judge import judge
from tests.support.world import World

OPEN = "waiting"
SHEETS = 4000
CLERK = ("drop_both", "drop_sheet", "drop_scan", "drop_folder", "drop_wrong", "scan_later", "sign_form", "sheet_later",
         "replace", "correct", "repeat")  # fmt: skip
OPERATOR = ("server_down", "server_up", "pause", "resume", "retry", "hold", "release", "withdraw")
IN_LEDGER = {"closed": "delivered", "claimed": OPEN, "validated": OPEN, "confirmed": OPEN}


@cache
def _rows() -> list[records.Record]:
    return records.records(3 * SHEETS)


def sheet(number: int) -> bytes:
    """A good sheet of three rows; another number gives other persons and other certificates."""
    return records.csv_text(_rows()[3 * number : 3 * number + 3]).encode()


@dataclass(eq=False)
class Thing:
    """What was dropped together, and where it must come.

    scanned: its scan has come. good: nothing is wrong with it. due: tried at the next occasion. settled: the program
    has come to rest since it was dropped, so that people can act on it.
    """

    stem: str
    files: dict[str, bytes]
    scanned: bool
    good: bool = True
    state: str = OPEN
    due: bool = True
    settled: bool = False


class Life:
    """One installation and what must come of what people do. `rand` decides whatever the acts leave open."""

    def __init__(self, world: World, rand: Random, age: float = 60.0) -> None:
        self.world, self._rand, self._age = world, rand, age
        self.things: list[Thing] = []
        self.up, self.paused = True, False
        self._seed = self._scans = 0

    def _new(self) -> tuple[str, int]:
        self._seed += 1
        return f"第{self._seed}批", self._seed

    def _among(self, wanted: Callable[[Thing], bool]) -> list[Thing]:
        return [thing for thing in self.things if wanted(thing)]

    def _pick(self, wanted: Callable[[Thing], bool]) -> Thing:
        return self._rand.choice(self._among(wanted))

    def _put(self, thing: Thing, *names: str) -> None:
        order = list(names)
        self._rand.shuffle(order)
        for name in order:
            self.world.put(name, thing.files[name.rpartition("/")[2]], self._age)

    # --- what a clerk does ----------------------------------------------------------------------------------------

    def drop_both(self) -> None:
        """A sheet and its scan."""
        stem, seed = self._new()
        thing = Thing(stem, {f"{stem}.csv": sheet(seed), f"{stem}.pdf": lives.scan()}, True)
        self.things.append(thing)
        self._put(thing, *thing.files)

    def drop_sheet(self) -> None:
        """A sheet whose scan comes later."""
        stem, seed = self._new()
        self.things.append(Thing(stem, {f"{stem}.csv": sheet(seed)}, False))
        self._put(self.things[-1], f"{stem}.csv")

    def drop_scan(self) -> None:
        """A scan whose sheet comes later."""
        stem, _ = self._new()
        self.things.append(Thing(stem, {f"{stem}.pdf": lives.scan()}, True))
        self._put(self.things[-1], f"{stem}.pdf")

    def drop_folder(self) -> None:
        """A folder of two sheets and a scan."""
        stem, seed = self._new()
        _, other = self._new()
        files = {"甲.csv": sheet(seed), "乙.csv": sheet(other), "扫描.pdf": lives.scan()}
        self.things.append(Thing(stem, files, True))
        self._put(self.things[-1], *(f"{stem}/{name}" for name in files))

    def drop_wrong(self) -> None:
        """A sheet with a mistake, and its scan."""
        stem, seed = self._new()
        files = {f"{stem}.csv": sheet(seed).replace(b",201,", b",999,", 1), f"{stem}.pdf": lives.scan()}
        self.things.append(Thing(stem, files, True, good=False))
        self._put(self.things[-1], *files)

    def scan_later(self) -> None:
        """The scan of a sheet that waits, under the sheet's name."""
        thing = self._pick(_lacks_scan)
        self._attach(thing, f"{thing.stem}.pdf", lives.scan())

    def sign_form(self) -> None:
        """The printed form, signed, stamped and scanned, under whatever name the scanner gives."""
        thing = self._pick(_wants_form)
        self._scans += 1
        form = (self.world.forms / f"{thing.stem}.pdf").read_bytes()
        self._attach(thing, f"SCAN{self._scans:04d}.pdf", paper.confirmed(form))

    def _attach(self, thing: Thing, name: str, scan: bytes) -> None:
        thing.files[name], thing.scanned = scan, True
        self._put(thing, name)

    def sheet_later(self) -> None:
        """The sheet of a scan that waits in the drop folder."""
        thing = self._pick(_lone_scan)
        name = f"{thing.stem}.csv"
        self._seed += 1
        thing.files[name] = sheet(self._seed)
        self._put(thing, name)

    def replace(self) -> None:
        """Another sheet under the name of one that waits for its scan."""
        old = self._pick(_wants_form)
        old.state = "superseded"
        self._seed += 1
        self.things.append(Thing(old.stem, {f"{old.stem}.csv": sheet(self._seed)}, False))
        self._put(self.things[-1], f"{old.stem}.csv")

    def correct(self) -> None:
        """What was given back, dropped again with other data."""
        old = self._pick(self._correctable)
        self._seed += 1
        files = {f"{old.stem}.csv": sheet(self._seed), f"{old.stem}.pdf": lives.scan()}
        self.things.append(Thing(old.stem, files, True))
        self._put(self.things[-1], *files)

    def repeat(self) -> None:
        """What has been delivered, dropped once more."""
        old = self._pick(self._repeatable)
        self.things.append(Thing(old.stem, dict(old.files), True, good=False))
        self._put(self.things[-1], *old.files)

    def _last(self, thing: Thing) -> bool:
        return not any(other.stem == thing.stem for other in self.things[self.things.index(thing) + 1 :])

    def _correctable(self, thing: Thing) -> bool:
        return thing.settled and thing.state == "rejected" and self._last(thing)

    def _repeatable(self, thing: Thing) -> bool:
        plain = set(thing.files) == {f"{thing.stem}.csv", f"{thing.stem}.pdf"}
        return thing.settled and thing.state == "delivered" and plain and self._last(thing)

    # --- what an operator does, on a program at rest --------------------------------------------------------------

    def server_down(self) -> None:
        self.world.server.stop()
        self.up = False

    def server_up(self) -> None:
        self.world.server.start()
        self.up = True
        self.retry()

    def pause(self) -> None:
        self._command("hold")
        self.paused = True

    def resume(self) -> None:
        self._command("release")
        self.paused = False
        self.retry()

    def retry(self) -> None:
        """Every batch that would wait for its next try, which may otherwise come now or later."""
        for thing in self._among(_deferred):
            self.world.run("retry", self._batch(thing))  # it may be at work just now, which is as well
            thing.due = True

    def hold(self) -> None:
        thing = self._pick(self._undecided)
        self._command("hold", self._batch(thing))
        thing.state = "held"

    def release(self) -> None:
        thing = self._pick(lambda thing: thing.state == "held")
        self._command("release", self._batch(thing))
        thing.state, thing.due = OPEN, True

    def withdraw(self) -> None:
        thing = self._pick(lambda thing: self._undecided(thing) or thing.state == "held")
        self._command("withdraw", self._batch(thing), "--reason", "x")
        thing.state = "withdrawn"

    def _undecided(self, thing: Thing) -> bool:
        """A batch that is known to the ledger and stands still."""
        standing = _lacks_scan(thing) or _deferred(thing) or (self.paused and thing.scanned and thing.due)
        return thing.settled and thing.state == OPEN and not _lacks_sheet(thing) and standing

    def _command(self, *words: str) -> None:
        done = self.world.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)

    def _batch(self, thing: Thing) -> str:
        """The newest batch of this stem."""
        return str(next(one["batch"] for one in self.world.ask("list")["batches"] if one["stem"] == thing.stem))

    # --- what must come of it -------------------------------------------------------------------------------------

    def possible(self) -> list[str]:
        """The acts that make sense now. Those of a clerk first."""
        acts = {
            "drop_both": True,
            "drop_sheet": True,
            "drop_scan": True,
            "drop_folder": True,
            "drop_wrong": True,
            "scan_later": any(map(_lacks_scan, self.things)),
            "sign_form": any(map(_wants_form, self.things)),
            "sheet_later": any(map(_lone_scan, self.things)),
            "replace": any(map(_wants_form, self.things)),
            "correct": any(map(self._correctable, self.things)),
            "repeat": any(map(self._repeatable, self.things)),
            "server_down": self.up,
            "server_up": not self.up,
            "pause": not self.paused,
            "resume": self.paused,
            "retry": any(map(_deferred, self.things)),
            "hold": any(map(self._undecided, self.things)),
            "release": any(one.state == "held" for one in self.things),
            "withdraw": any(self._undecided(one) or one.state == "held" for one in self.things),
        }
        return [name for name, sense in acts.items() if sense]

    def settle(self) -> None:
        """The program has done what it could: bring the model there."""
        for thing in self.things:
            thing.settled = True
        for thing in self._among(_complete):
            if not thing.good:
                thing.state = "rejected"
            elif thing.due and not self.paused:
                thing.state, thing.due = ("delivered", True) if self.up else (OPEN, False)

    def expected(self) -> dict[str, Mapping[str, Any]]:
        """What the judge is told: every thing's files by the state it must have come to."""
        found: dict[str, dict[str, list[Mapping[str, bytes]]]] = {}
        for thing in self.things:
            found.setdefault(thing.state, {}).setdefault(thing.stem, []).append(thing.files)
        return {state: dict(stems) for state, stems in found.items()}

    def reached(self) -> bool:
        """Whether the program has come to rest where the model is."""
        if self.differs():  # asked first: a batch that this does not see yet could not be seen at work by what follows
            return False
        waiting = self.world.ask("status")["waiting"]
        still = all(one["reason"] or (self.paused and one["state"] == "sealed") for one in waiting)
        standing = sum(thing.state in (OPEN, "held") and not _lacks_sheet(thing) for thing in self.things)
        return still and len(waiting) == standing

    def differs(self) -> list[str]:
        """Batches that are not in the state where the model has them, and the other way round."""
        batches = self.world.ask("list")["batches"]
        found = Counter(f"{one['stem']} {IN_LEDGER.get(one['state'], one['state'])}" for one in batches)
        wanted = Counter(
            f"{thing.stem} {'sealed' if _complete(thing) else thing.state}"
            for thing in self.things
            if not _lacks_sheet(thing)
        )
        extra, missing = (found - wanted).elements(), (wanted - found).elements()
        return [*(f"is {one}" for one in extra), *(f"is not {one}" for one in missing)]

    def judge(self) -> None:
        """Assert that all is as it must be."""
        judge(self.world, **self.expected())


def _lacks_scan(thing: Thing) -> bool:
    return thing.settled and thing.state in (OPEN, "held") and not thing.scanned


def _wants_form(thing: Thing) -> bool:
    return thing.settled and thing.state == OPEN and not thing.scanned


def _lacks_sheet(thing: Thing) -> bool:
    return thing.state == OPEN and not any(name.endswith(".csv") for name in thing.files)


def _lone_scan(thing: Thing) -> bool:
    return thing.settled and _lacks_sheet(thing)


def _complete(thing: Thing) -> bool:
    return thing.state == OPEN and thing.scanned and not _lacks_sheet(thing)


def _deferred(thing: Thing) -> bool:
    return thing.state == OPEN and not thing.due
