"""Spoilt files, thousands of them: each is answered by findings, in time and memory, and readers agree about it.

FUZZ_SECONDS says how long each kind of file is tried (5), FUZZ_SEED where to begin (the day). A failure names its seed;
`mutant(seed, …)` makes the file again.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from exchanged.sandbox import PRELOAD, Bounds, Died, JobError, Sandbox
from tests.support.mutate import INSIDE, mutant

FOLDER = Path(__file__).parent / "corpus" / "files"
SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))
SEED = int(os.environ.get("FUZZ_SEED", date.today().toordinal()))
BOUNDS = Bounds(memory=3 << 28, cpu=20, wall=120)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Children that hold no grudge: one for each file, with the bounds that a small file gets."""
    preload = {"judge": [*PRELOAD["check"], "tests.support.fuzzing"]}
    made = Sandbox({"judge": "tests.support.fuzzing:judge"}, preload)
    yield made
    made.close()


def trouble(box: Sandbox, name: str, data: bytes) -> str:
    """What is wrong with the answer about a file; "" where nothing is."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            answer = box.run("judge", {"name": name}, [file.fileno()], limits=BOUNDS)
        except Died as died:
            return f"died: {died.reason} {died.signal}"
        except JobError as error:
            return f"raised: {error}"
    return ",".join(answer.value["wrong"])


@pytest.mark.slow
@pytest.mark.parametrize("ending", INSIDE)
def test_a_spoilt_file_is_answered_in_good_order(box: Sandbox, ending: str) -> None:
    sources = sorted(path for path in FOLDER.glob(f"*{ending}") if path.stat().st_size < 60_000)
    until, seed, bad = time.monotonic() + SECONDS, SEED * 1_000_000, []
    while time.monotonic() < until and len(bad) < 10:
        seed += 1
        source = sources[seed % len(sources)]
        found = trouble(box, f"a{ending}", mutant(seed, ending, source.read_bytes()))
        if found:
            bad.append(f"{source.name} {seed}: {found}")
    print(f"{ending}: {seed - SEED * 1_000_000} files")
    assert bad == []
