"""Read, normalise and validate a batch's spreadsheets, in one confined child process.

Takes   the batch's spreadsheets in the spool, with the clerk's names, and what the check depends on
Gives   the verdict in the shape of `exchanged-check/1`, and for a valid batch the hashes of every record
Redo    only computes
Ends    Refused is the engine's to raise: a child that its limits ended is a finding, not an error of ours
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchanged.batch import Checks
from exchanged.sandbox import Bounds, Died, Sandbox, blame

MEGABYTE = 1_000_000
INDEX = struct.Struct("<IH32s32s")  # row, file, SHA-256 of the certificate number, SHA-256 of the record

_DEATHS = {"memory": "file-too-large", "time": "file-unreadable", "crash": "file-unreadable"}


def bounds(size: int) -> Bounds:
    """What checking so many bytes may use: enough for any honest file of that size, and little for a small one."""
    seconds = 15 + 1.5 * size / MEGABYTE
    memory = min(5 << 29, (3 << 28) + 20 * size)
    return Bounds(memory=memory, cpu=int(seconds), wall=5 * seconds)


def check(
    files: Sequence[tuple[str, Path]],
    checks: Checks,
    sandbox: Sandbox,
    *,
    index: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Check spreadsheets. `files` are (the clerk's name, where it lies). Gives the result, with `index` the hashes too.

    Raises NotYet("check.crashed") when the child was killed from outside.
    """
    with ExitStack() as opened:
        handles = [opened.enter_context(path.open("rb", buffering=0)) for _, path in files]
        size = sum(path.stat().st_size for _, path in files)
        args = {"names": [name for name, _ in files], "checks": asdict(checks), "index": index}
        try:
            answer = sandbox.run(
                "check",
                args,
                [handle.fileno() for handle in handles],
                limits=bounds(size),
                reads=checks.catalogues,
                on_progress=progress,
            )
        except Died as end:
            blame(end)
            return _died([name for name, _ in files], _DEATHS[end.reason]), b""
    return answer.value, answer.payload


def _died(names: Sequence[str], rule: str) -> dict[str, Any]:
    """The answer where the child did not live to give one: the file is damaged, or made to hurt."""
    findings: list[dict[str, Any]] = [
        {"rule": rule, "severity": "error", "file": name, "sheet": None, "row": None, "column": None, "facts": {}}
        for name in (names if len(names) == 1 else [None])
    ]
    return {
        "rows": 0,
        "digest": None,
        "bytes": 0,
        "files": [{"name": name, "sheet": None, "header_row": None, "rows": 0} for name in names],
        "counts": [],
        "findings": findings,
        "summary": {"error": 1, "hold": 0, "warn": 0, "by_rule": {rule: 1}},
        "catalogue": None,
    }


def records(payload: bytes, pseudonym: Callable[[bytes], bytes]) -> Iterator[tuple[bytes, int, int, bytes]]:
    """The records of a valid batch as the ledger keeps them: (number, row, file, content), hidden under its key."""
    for row, file, number, content in INDEX.iter_unpack(payload):
        yield pseudonym(number), row, file, pseudonym(content)
