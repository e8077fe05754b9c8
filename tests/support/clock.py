"""Other clocks for real processes: ours, gpg, and every child of theirs see the time that is asked for.

The monotonic clock goes on as it does when a machine's clock is set; file times are what they are.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

# libfaketime gets absolute sleeps on the monotonic clock wrong, which Python's sleep has been since 3.11
SLEEP = "import select, time\n\ntime.sleep = lambda seconds: select.select((), (), (), seconds) and None\n"
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def shifted(by: str) -> list[str]:
    """What runs a program with its clock off by so much: "-5d", "+2h", "+5y". Skips where libfaketime is missing."""
    return _preloaded(f"FAKETIME={by}")


def steered(file: Path, by: str = "+0") -> list[str]:
    """The same, and the clock jumps whenever another shift is written into the file."""
    file.write_text(by)
    return _preloaded(f"FAKETIME_TIMESTAMP_FILE={file}", "FAKETIME_NO_CACHE=1")


@cache
def _site() -> str:
    """A folder with the module that Python runs first."""
    folder = tempfile.mkdtemp(prefix="clock")
    Path(folder, "sitecustomize.py").write_text(SLEEP)
    atexit.register(shutil.rmtree, folder)
    return folder


def _preloaded(*how: str) -> list[str]:
    if not LIBRARIES:
        pytest.skip("faketime is not installed (Debian: apt-get install faketime)")
    real = ("FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1", f"PYTHONPATH={_site()}")
    return ["env", f"LD_PRELOAD={LIBRARIES[0]}", *real, *how]
