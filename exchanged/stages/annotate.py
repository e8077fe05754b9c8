"""Have one spreadsheet of a batch written once more, marked, in a confined child: an xlsx for the clerk to correct.

Takes   the batch's spreadsheets with the clerk's names, which of them, what the check depends on
Gives   the annotated workbook as a new file, durable but for its folder's entry; or the reason why there is none
Redo    the file is written anew; one that is not whole is destroyed
Ends    OSError when it cannot be written. What the child ends by never is more than a reason: a hostile file, too
        little memory or time, and a fault of ours leave the batch with its report alone
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchanged import disk
from exchanged.batch import Checks
from exchanged.errors import NotYet
from exchanged.sandbox import Bounds, Died, JobError, Sandbox, blame

MEGABYTE = 1_000_000
TRIES = 2  # where the child was killed from outside


def bounds(size: int) -> Bounds:
    """What writing so many bytes once more may use: they are read twice, and written as five times as many."""
    seconds = 30 + 5 * size / MEGABYTE
    memory = min(5 << 29, (3 << 28) + 20 * size)
    return Bounds(memory=memory, cpu=int(seconds), wall=4 * seconds)


def annotate(
    files: Sequence[tuple[str, Path]],
    at: int,
    target: Path,
    checks: Checks,
    sandbox: Sandbox,
    *,
    language: str,
    given_back: bool = True,
    more: Sequence[Mapping[str, Any]] = (),
    mode: int = 0o600,
) -> str | None:
    """Write the spreadsheet with index `at` to the new file `target`. `files` in the order of their NFC names.

    more: findings that no check of the spreadsheets makes, in groups: rule, severity, file (index, or None for what is
    about none of them), column, facts, rows. Gives None when the workbook is there, else why not: `memory`, `time`,
    `crash`, `size`, `table` (no data to mark, or more than an xlsx holds), or `fault` or the place of a fault of ours.
    """
    told = {"language": language, "given_back": given_back, "more": list(more)}
    args = {"names": [name for name, _ in files], "at": at, "checks": asdict(checks), "told": told}
    why: str | None = "crash"
    for _ in range(TRIES):
        try:
            why = _written([path for _, path in files], args, target, checks, sandbox, mode)
        except Died as end:
            why = end.reason
            with contextlib.suppress(NotYet):
                blame(end)
                break
        else:
            break
    if why is not None:
        disk.destroy(target)
    return why


def _written(
    paths: Sequence[Path], args: Mapping[str, Any], target: Path, checks: Checks, sandbox: Sandbox, mode: int
) -> str | None:
    """One try. Raises Died, and OSError when the file cannot be written."""
    target.unlink(missing_ok=True)
    with ExitStack() as opened:
        files = [opened.enter_context(path.open("rb", buffering=0)) for path in paths]
        size = sum(path.stat().st_size for path in paths)
        hands = opened.enter_context(ThreadPoolExecutor(1, "annotate"))
        reading, writing = os.pipe()
        received = hands.submit(_receive, reading, target, checks.limits.file, mode)
        try:
            answer = sandbox.run(
                "annotate",
                args,
                [file.fileno() for file in files],
                limits=bounds(size),
                out=writing,
                reads=checks.catalogues,
            )
            why = None if answer.value["made"] else "table"
        except JobError as error:
            why = error.place if error.place != "?" else "fault"
        finally:
            os.close(writing)
        return "size" if received.result() is None else why


def _receive(pipe: int, target: Path, most: int, mode: int) -> int | None:
    """Bytes received; None when there were more than anybody could hand in again."""
    try:
        return disk.receive(pipe, target, most, mode)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        return None
    finally:
        os.close(pipe)
