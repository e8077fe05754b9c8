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

from pathlib import Path
from typing import Any

from exchanged import disk

NAMES = {"0": "scan"}


def shred(spool: Path, package: Path | None, passes: int) -> list[dict[str, Any]]:
    """Destroy a batch's files. Gives the deletion record: one entry a file, by role, never by the clerk's name."""
    paths = sorted(spool.iterdir()) if spool.is_dir() else []
    roles = [NAMES.get(path.name, f"source-{path.name}" if path.name.isdigit() else "temporary") for path in paths]
    if package is not None:
        paths, roles = [*paths, package], [*roles, "package"]
    ends = disk.destroy_all(paths, passes)
    if spool.is_dir():
        spool.rmdir()
        disk.sync_folder(spool.parent)
    return [{"file": role, **end.to_dict()} for role, end in zip(roles, ends, strict=True)]
