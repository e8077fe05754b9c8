"""What it costs to write a spreadsheet once more with everything marked, in the confined child."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from exchanged.batch import Checks, Limits
from exchanged.sandbox import Sandbox
from exchanged.stages import annotate
from tests.bench import data
from tests.bench.measure import MEGABYTE, Cost, Peak, here, line, rounds, title

ROOM = Limits(file=1_000_000_000)


def run(folder: Path, count: int, rows: int) -> None:
    """Measure and print."""
    title(f"annotated workbooks, 1 % and all of the rows wrong, 200 and {rows:,} rows")
    checks = Checks(dt.date.today().isoformat(), limits=ROOM)
    with Sandbox() as box:
        small = data.write_xlsx(folder / "small.xlsx", data.table(200, wrong=0.05))
        cost = rounds(count, {"small": partial(_cost, box, small, checks)})["small"]
        line("200 rows, xlsx", f"{cost.wall * 1000:.0f} ms", "target under 200 ms")
        for share, write in ((0.01, data.write_csv), (1.0, data.write_csv), (0.01, data.write_xlsx)):
            _large(box, folder, checks, rows, share, write)


def _cost(box: Sandbox, path: Path, checks: Checks) -> Cost:
    target = path.with_suffix(".annotated.xlsx")
    target.unlink(missing_ok=True)
    why = None

    def act() -> None:
        nonlocal why
        why = annotate.annotate([(path.name, path)], 0, target, checks, box, language="zh")

    cost = here(act)
    if why is not None:
        raise RuntimeError(why)
    return cost


def _large(
    box: Sandbox, folder: Path, checks: Checks, rows: int, share: float, write: Callable[[Path, data.pa.Table], Path]
) -> None:
    path = write(folder / ("large.csv" if write is data.write_csv else "large.xlsx"), data.table(rows, wrong=share))
    watch = Peak(box.pid or os.getpid())
    watch.start()
    cost = _cost(box, path, checks)
    watch.stop()
    size = path.with_suffix(".annotated.xlsx").stat().st_size
    name = f"{path.suffix[1:]}, {share:.0%} wrong: {size / 1e6:.0f} MB out, {watch.highest / MEGABYTE:.0f} MiB"
    line(name, f"{cost.wall:.1f} s", "target under 60 s")
