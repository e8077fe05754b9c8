"""Destroy what a batch left on this machine: the clerk's files, the scan, the package. The table was never written.

The working copy of the plaintext is the clerk's own file in the spool, which has to be durable until the server has
the package: it is what a crash recovers from. The normalised table is not written anywhere, neither to disk nor to
tmpfs: it is computed from the spool's copy each time it is needed, in a child's memory, straight into gpg's pipe.

Takes   the batch's spool folder and its package
Gives   for each file how it ended, on which file system, and what that cannot promise
Redo    what is gone already is recorded as absent; what an earlier try moved aside is found by its ending
Ends    OSError when a file cannot be destroyed: the batch stays in its state and is tried again
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exchanged import disk

NAMES = {"0": "scan"}


def shred(spool: Path, names: Iterable[str], package: Path | None, passes: int) -> list[dict[str, Any]]:
    """Destroy a batch's files, those named and what else lies in its folder.

    Gives the deletion record: one entry a file, by role, never by the clerk's name.
    """
    ends = disk.destroy_folder(spool, passes, names)
    record = [{"file": _role(name), **end.to_dict()} for name, end in ends.items()]
    if package is not None:
        record.append({"file": "package", **disk.destroy(package, passes).to_dict()})
    return record


def _role(name: str) -> str:
    return NAMES.get(name, f"source-{name}" if name.isdigit() else "temporary")
