"""What starting costs: processor time of the two commands that people type most."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench import data
from tests.bench.measure import command, line, rounds, title


def run(folder: Path, count: int) -> None:
    """Measure and print."""
    sheet = data.write_csv(folder / "a.csv", data.table(200))
    book = data.write_xlsx(folder / "a.xlsx", data.table(200))
    ours = [sys.executable, "-m", "exchanged"]
    cases = {
        "python -c pass": lambda: command([sys.executable, "-c", "pass"]),
        "exchanged --help": lambda: command([*ours, "--help"]),
        "exchanged check, csv of 200 rows": lambda: command([*ours, "check", str(sheet)]),
        "exchanged check, xlsx of 200 rows": lambda: command([*ours, "check", str(book)]),
    }
    targets = dict(
        zip(cases, ("", "target at most 0.150 s", "target at most 0.7 s", "target at most 0.7 s"), strict=True)
    )
    title("processor time of a command, its children included")
    for name, cost in rounds(count, cases).items():
        line(name, f"{cost.cpu:.3f} s CPU", targets[name])
