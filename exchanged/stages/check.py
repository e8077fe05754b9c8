"""Read, normalise and validate a batch's spreadsheets, in one confined child process.

Takes   the batch's spreadsheets in the spool, with the clerk's names, and what the check depends on
Gives   the verdict in the shape of `exchanged-check/1`, and what the ledger is told of every record
Redo    only computes
Ends    Refused is the engine's to raise: a child that its limits ended is a finding, not an error of ours
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from exchanged.batch import Checks
from exchanged.errors import NotYet
from exchanged.ledger import Entries, Entry
from exchanged.sandbox import Bounds, Died, JobError, Sandbox, blame
from exchanged.standard.index import NEVER, NO_DAY, NOBODY, Mark, earliest, opened

MEGABYTE = 1_000_000

_DEATHS = {"memory": "file-too-large", "time": "file-unreadable", "crash": "file-unreadable"}


def bounds(size: int) -> Bounds:
    """What checking so many bytes may use: enough for any honest file of that size, and little for a small one."""
    seconds = 15 + 1.5 * size / MEGABYTE
    memory = min(5 << 29, (3 << 28) + 20 * size)
    return Bounds(memory=memory, cpu=int(seconds), wall=5 * seconds, answer=(1 << 29) + 4 * size)


def check(
    files: Sequence[tuple[str, Path]],
    checks: Checks,
    sandbox: Sandbox,
    *,
    index: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, Any], bytearray]:
    """Check spreadsheets. `files` are (the clerk's name, where it lies). Gives the result, with `index` the index too.

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
        except JobError as error:
            if error.kind != "ConfigError":  # a catalogue that has changed since the configuration was read
                raise
            raise NotYet("catalogue.unusable") from None
        except Died as end:
            blame(end)
            return _died([name for name, _ in files], _DEATHS[end.reason]), bytearray()
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


def oldest(index: bytearray) -> str | None:
    """The earliest day of issue in a batch, ISO; None where no record has one."""
    day = earliest(index)
    return None if day == NEVER else (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def entries(index: bytearray, pseudonym: Callable[[bytes], bytes]) -> Entries:
    """The records of a batch as the ledger keeps them, hidden under its key."""
    terms, packed = opened(index)
    return Entries([pseudonym(term) for term in terms], _hidden(packed, pseudonym))


def _hidden(packed: Iterator[tuple[Any, ...]], pseudonym: Callable[[bytes], bytes]) -> Iterator[Entry]:
    """Entries one by one, so that a million of them is never held. A row that repeats a number is not screened."""
    twice = Mark.TWICE.value
    for row, file, level, marks, day, what, centre, prefix, serial, number, content, person in packed:
        key, line = pseudonym(number), pseudonym(content)
        if marks & twice:
            yield key, row, file, line, marks, None, 0, None, None, 0, 0, None
            continue
        who = None if person == NOBODY else pseudonym(person)[: len(NOBODY)]
        when = None if day == NO_DAY else day
        yield key, row, file, line, marks, who, what, level or None, when, centre, prefix, serial or None
