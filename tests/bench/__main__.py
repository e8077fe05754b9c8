"""`python -m tests.bench [NAME…] [--rounds N]`: one of NAMES, or all of them."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.gpghome import Home
from tests.support.sshd import SSHD, Sshd
from tests.support.world import World

NAMES = ("start", "rules", "xlsx", "marks", "paper", "small", "memory")


@contextmanager
def installation(folder: Path) -> Iterator[World]:
    """A whole installation with a running server."""
    if SSHD is None:
        raise SystemExit("no sshd on this machine")
    world = World(folder / "world", Home(), Home(), Sshd(folder / "sshd").start())
    world.configure(intake={"settle": "0s"})
    try:
        yield world
    finally:
        world.close()


def _small(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import small

    with installation(folder) as world:
        small.run(world, folder, arguments.rounds or 3, arguments.batches)


def _memory(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import memory

    with installation(folder) as world:
        memory.run(world, folder, arguments.rows)


def _xlsx(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import reading

    reading.run(folder, arguments.rounds or 5)


def _marks(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import marks

    marks.run(folder, arguments.rounds or 7, arguments.rows)


def _paper(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import paper

    paper.run(folder, arguments.rounds or 7)


def _rules(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import rules

    rules.run(arguments.rounds or 7)


def _start(folder: Path, arguments: argparse.Namespace) -> None:
    from tests.bench import start

    start.run(folder, arguments.rounds or 7)


RUN: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "start": _start,
    "rules": _rules,
    "xlsx": _xlsx,
    "marks": _marks,
    "paper": _paper,
    "small": _small,
    "memory": _memory,
}


def main() -> None:
    """Measure what is named and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; none: all")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each comparison")
    parser.add_argument("--batches", type=int, default=100, help="small batches (100)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large files (1,000,000)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians of rounds in turn")
    print("ratios carry over to other machines, times do not")
    for name in NAMES:
        if not arguments.names or name in arguments.names:
            folder, started = Path(tempfile.mkdtemp(prefix="bench-")), time.monotonic()
            try:
                RUN[name](folder, arguments)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            print(f"({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
