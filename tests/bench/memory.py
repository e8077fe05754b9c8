"""The highest memory of all our processes together: a million rows through the whole pipeline, and a daemon at rest."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.bench import data
from tests.bench.measure import MEGABYTE, Peak, line, memory, title
from tests.bench.small import empty
from tests.support.world import World

REST = 150.0  # seconds until an idle daemon must have let go
ROOM = {"file": "1GB", "unpacked": "2GB"}  # a million rows of CSV are more than a file may have by default


def run(world: World, folder: Path, rows: int) -> None:
    """Measure and print."""
    title(f"memory of all our processes (sum of PSS), {rows:,} rows, xlsx and CSV through the whole pipeline")
    world.configure(intake={"settle": "0s", "limits": ROOM})
    made = data.table(rows)
    csv = data.write_csv(folder / "a.csv", made)
    book = data.write_xlsx(folder / "a.xlsx", made)
    del made
    for path, target in ((csv, "target under 700 MiB"), (book, "target under 1331 MiB")):
        _pipeline(world, path, target)
    _rest(world)


def _pipeline(world: World, path: Path, target: str) -> None:
    for name in ("state", "receipts", "rejected", "inbox"):
        empty(world.root / name)
    (world.drop / path.name).write_bytes(b"")  # made there, so that no other copy of the file is in the way
    with path.open("rb") as source, (world.drop / path.name).open("wb") as sink:
        while block := source.read(MEGABYTE):
            sink.write(block)
    world.scan(path.stem)
    started = time.monotonic()
    argv = [sys.executable, "-m", "exchanged", "--config", str(world.file), "once", "--json"]
    with (world.root / "once.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        watch = Peak(process.pid)
        watch.start()
        process.wait()
        watch.stop()
    if not list(world.inbox.glob("*.pgp")):
        raise RuntimeError((world.root / "once.log").read_text()[-3000:])
    seconds = time.monotonic() - started
    line(
        f"{path.suffix[1:]}, {path.stat().st_size / 1e6:.0f} MB, {seconds:.1f} s",
        f"{watch.highest / MEGABYTE:.0f} MiB",
        target,
    )
    for name, size in sorted(watch.parts.items(), key=lambda pair: -pair[1])[:6]:
        line(f"  of it {name}", f"{size / MEGABYTE:.0f} MiB")


def _rest(world: World) -> None:
    """A daemon that has done one batch, then nothing until it has let go of its helpers."""
    for name in ("state", "receipts", "rejected", "inbox"):
        empty(world.root / name)
    daemon = world.daemon()
    try:
        world.sheet("a", 200)
        world.scan("a")
        world.wait(lambda: list(world.receipts.glob("*.txt")), 60)
        at_work = sum(memory(daemon.pid).values())
        ends = time.monotonic() + REST
        while time.monotonic() < ends and len(memory(daemon.pid)) > 1:
            time.sleep(1)
        found = memory(daemon.pid)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(90)
    line("daemon just after a batch of 200 rows", f"{at_work / MEGABYTE:.0f} MiB")
    line(
        f"daemon at rest, {len(found)} process(es)", f"{sum(found.values()) / MEGABYTE:.0f} MiB", "target under 100 MiB"
    )
