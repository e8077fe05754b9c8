"""Encrypt and sign a confirmed batch into one parcel.

Takes   the facts for the manifest, the batch's own spreadsheets and scan; the table is made from them anew, in a child
        process, straight into gpg, so it never lies on a disk
Gives   the parcel, its size and hash
Redo    writes the parcel anew under the same name; none has left the house before `sealed` is recorded
Ends    NotYet when a key, the passphrase, the token or gpg is not there; Held when the table or the scan is not the one
        that was validated
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from exchanged.batch import Checks, Parcel
from exchanged.errors import Held, NotYet
from exchanged.sandbox import Bounds, Died, JobError, Sandbox
from exchanged.sealing import Sealing, package
from exchanged.sealing.package import Contents

BOUNDS = Bounds(memory=2 << 30, cpu=600, wall=900.0)


def seal(
    contents: Contents,
    sources: Sequence[Path],
    scan: Path,
    sealing: Sealing,
    sandbox: Sandbox,
    checks: Checks,
    target: Path,
    *,
    bounds: Bounds = BOUNDS,
) -> Parcel:
    """Seal one batch as the file `target`.

    `sources` in the order of `contents.source`; `checks` the same that the batch was validated with, `checks.today`
    included. Raises NotYet or Held.
    """
    args = {
        "names": [str(source["name"]) for source in contents.source],
        "checks": asdict(checks),
        "manifest": package.manifest(contents).decode(),
        "table_bytes": contents.table_bytes,
        "scan_bytes": contents.scan_bytes,
        "sealed_at": time.time(),
    }
    with ExitStack() as opened:
        files = [opened.enter_context(path.open("rb", buffering=0)).fileno() for path in (*sources, scan)]

        def write(pipe: int) -> None:
            sandbox.run("pack", args, files, limits=bounds, out=pipe, reads=checks.catalogues)

        try:
            return sealing.seal(write, target)
        except JobError as error:
            if error.kind == package.Changed.__name__:
                raise Held("sealing.content_changed") from None
            raise
        except Died as end:
            raise NotYet("sealing.table_failed", cause=end.reason) from None
