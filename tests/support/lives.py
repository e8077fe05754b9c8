"""Whole lives of batches, cut where people act: what is dropped, which command runs, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.support import paper, records, scans
from tests.support.world import World

ONCE = ("once", "--json")


def nothing(_world: World) -> None:
    """Nobody does anything."""


@dataclass(frozen=True)
class Phase:
    """What people do, and the command that then runs. `again`: an operator who saw it fail would give it once more.

    early: people may also do it before anyone has started the program again.
    """

    act: Callable[[World], None] = nothing
    command: Callable[[World], Sequence[str]] = lambda _world: ONCE
    again: bool = False
    early: bool = False


@dataclass(frozen=True)
class Life:
    """The phases of one life, and what the judge must find at its end. `fresh`: it begins without a ledger."""

    name: str
    phases: tuple[Phase, ...]
    expected: Callable[[], Mapping[str, Any]]
    fresh: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)


@cache
def sheet(seed: int) -> bytes:
    """A good sheet of three rows; other seeds give other certificates."""
    rows = records.records(3, seed)
    for index, row in enumerate(rows):
        number = row["证书编号"]
        row["证书编号"] = f"{number[:5]}{seed % 10}{number[6]}{seed // 10 % 1000:03d}{number[10]}{index + 1:05d}"
    return records.csv_text(rows).encode()


@cache
def bad(seed: int) -> bytes:
    """A sheet in which a number is wrong."""
    return sheet(seed).replace(b",201,", b",999,", 1)


@cache
def corrected(seed: int) -> bytes:
    """The good sheet of this seed as it should have been: every record names another centre."""
    return sheet(seed).replace("职业技能鉴定指导中心".encode(), "职业技能鉴定中心".encode())


@cache
def scan() -> bytes:
    return scans.scan(dpi=150)


@cache
def coarse() -> bytes:
    """A scan that nobody could read."""
    return scans.scan(dpi=60)


def put(**files: bytes) -> Callable[[World], None]:
    """Drop files: `name_ending=content`."""

    def act(world: World) -> None:
        for name, content in named(files).items():
            world.put(name, content)

    return act


def named(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {".".join(name.rsplit("_", 1)): content for name, content in files.items()}


_paper: dict[bytes, bytes] = {}
_last = b""


def sign(world: World) -> None:
    """Print the form that lies there, sign, stamp and scan it; the scanner names the file."""
    global _last
    form = (world.forms / "甲.pdf").read_bytes()
    if form not in _paper:
        _paper[form] = paper.confirmed(form)
    _last = _paper[form]
    world.put("SCAN0001.pdf", _last)


def correct(world: World) -> None:
    for name, content in _RIGHT.items():
        world.put(f"更正/{name}", content)


def folder(world: World) -> None:
    for name, content in FOLDER.items():
        world.put(f"一批/{name}", content)


def batch(world: World) -> str:
    """The batch that is open."""
    (found,) = [one["batch"] for one in world.ask("list")["batches"] if one["state"] not in ("closed", "superseded")]
    return str(found)


def on_batch(*words: str) -> Callable[[World], Sequence[str]]:
    """An operator's command about the open batch."""
    return lambda world: (words[0], batch(world), *words[1:])


FOLDER = {"乙.csv": sheet(21), "甲.csv": sheet(22), "扫描.pdf": scan()}
_WHOLE = {"甲.csv": sheet(1), "甲.pdf": scan()}
_RIGHT = {"乙.csv": corrected(1), "乙.pdf": scan()}

LIVES = (
    Life("both", (Phase(put(甲_csv=sheet(1), 甲_pdf=scan())),), lambda: {"delivered": {"甲": _WHOLE}}, fresh=True),
    Life(
        "later",
        (Phase(put(甲_csv=sheet(1))), Phase(put(甲_pdf=scan()), early=True)),
        lambda: {"delivered": {"甲": _WHOLE}},
    ),
    Life(
        "printed",
        (Phase(put(甲_csv=sheet(1))), Phase(sign)),
        lambda: {"delivered": {"甲": {"甲.csv": sheet(1), "SCAN0001.pdf": _last}}},
    ),
    Life(
        "rejected",
        (Phase(put(甲_csv=bad(2), 甲_pdf=scan())),),
        lambda: {"rejected": {"甲": {"甲.csv": bad(2), "甲.pdf": scan()}}},
    ),
    Life(
        "superseded",
        (Phase(put(甲_csv=sheet(3))), Phase(put(甲_csv=sheet(1))), Phase(put(甲_pdf=scan()), early=True)),
        lambda: {"delivered": {"甲": _WHOLE}, "superseded": {"甲": sheet(3)}},
    ),
    Life(
        "withdrawn",
        (
            Phase(put(甲_csv=sheet(4), 甲_pdf=scan()), lambda _: ("hold",), again=True),
            Phase(),
            Phase(command=on_batch("withdraw", "--reason", "x"), again=True),
        ),
        lambda: {"withdrawn": {"甲": {"甲.csv": sheet(4), "甲.pdf": scan()}}},
    ),
    Life("folder", (Phase(folder),), lambda: {"delivered": {"一批": FOLDER}}),
    Life(
        "held",
        (
            Phase(put(甲_csv=sheet(1))),
            Phase(command=on_batch("hold"), again=True),
            Phase(put(甲_pdf=scan()), early=True),
            Phase(command=on_batch("release"), again=True),
            Phase(),
        ),
        lambda: {"delivered": {"甲": _WHOLE}},
    ),
    Life(
        "refused",
        (Phase(put(甲_csv=sheet(1))), Phase(put(甲_pdf=coarse()), early=True)),
        lambda: {"rejected": {"甲": {"甲.csv": sheet(1), "甲.pdf": coarse()}}},
    ),
    Life(
        "corrected",
        (Phase(put(甲_csv=sheet(1), 甲_pdf=scan())), Phase(correct)),
        lambda: {"delivered": {"甲": _WHOLE, "乙": _RIGHT}},
    ),
)
