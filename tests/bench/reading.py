"""100,000 rows read and checked in a warm child, beside the same file only read by fastexcel; CSV in two encodings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from exchanged.batch import Checks
from exchanged.sandbox import Sandbox
from exchanged.stages import check
from tests.bench import data
from tests.bench.measure import Cost, children_cpu, forked, line, rounds, title

ROWS = 100_000


def run(folder: Path, count: int) -> None:
    """Measure and print."""
    import fastexcel
    import pyarrow  # noqa: F401  # warm, as the child that is compared is

    made = data.table(ROWS)
    book = data.write_xlsx(folder / "a.xlsx", made)
    utf8 = data.write_csv(folder / "a.csv", made)
    national = data.write_csv(folder / "b.csv", made, "gb18030")

    def alone() -> None:
        reader = fastexcel.read_excel(str(book))
        reader.load_sheet(0, dtype_coercion="strict", schema_sample_rows=None).to_arrow()

    def eager() -> None:
        fastexcel.read_excel(str(book)).load_sheet_eager(0, dtype_coercion="strict", schema_sample_rows=None)

    title(f"{ROWS:,} rows read and checked in a warm child")
    with Sandbox() as sandbox:
        cases = {
            "fastexcel alone": lambda: forked(alone),
            "fastexcel alone, eager": lambda: forked(eager),
            "xlsx": _checked(sandbox, book),
            "csv UTF-8": _checked(sandbox, utf8),
            "csv GB18030": _checked(sandbox, national),
        }
        found = rounds(count, cases)
    for name, cost in found.items():
        line(name, f"{cost.wall * 1000:.0f} ms, {cost.cpu * 1000:.0f} ms CPU", f"{ROWS / cost.wall:,.0f} rows/s")
    xlsx, plain = found["xlsx"], found["fastexcel alone"]
    line("xlsx read and checked : fastexcel alone", f"{xlsx.wall / plain.wall:.2f} x", "target at most 2 x")
    line("  the same by CPU", f"{xlsx.cpu / plain.cpu:.2f} x")
    line("GB18030 : UTF-8", f"{found['csv GB18030'].wall / found['csv UTF-8'].wall:.2f} x", "target at most 5 x")


def _checked(sandbox: Sandbox, path: Path) -> Callable[[], Cost]:
    checks = replace(Checks(date.today().isoformat()), limit=1000)

    def act() -> Cost:
        before = children_cpu(sandbox.pid) if sandbox.pid else 0.0
        wall = time.perf_counter()
        result, _ = check.check([(path.name, path)], checks, sandbox)
        wall = time.perf_counter() - wall
        if result["rows"] != ROWS or result["summary"]["error"]:
            raise RuntimeError(f"the made-up rows are not right: {result['summary']}")
        time.sleep(0.3)  # a child is counted once it has been reaped, a moment after its answer
        return Cost(wall, children_cpu(sandbox.pid or 0) - before)

    return act
