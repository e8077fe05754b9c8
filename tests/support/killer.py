"""Run a command of the program and kill it at its Nth durable act: an fsync, a rename, an unlink, a commit.

`python -m tests.support.killer N before|after ARGUMENTS…` ends by SIGKILL, or as the command does if it has fewer acts.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

ACTS = ("fsync", "rename", "unlink", "rmdir", "mkdir")


class Killer:
    """Counts acts over all threads; the Nth ends the process."""

    def __init__(self, at: int, when: str) -> None:
        self.left = at
        self.when = when

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            self.left -= 1
            fatal = self.left == 0
            if fatal and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = act(*args, **more)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted


def main() -> int:
    killer = Killer(int(sys.argv[1]), sys.argv[2])
    for name in ACTS:
        setattr(os, name, killer.around(getattr(os, name)))
    from exchanged.ledger.store import Store

    Store.commit = killer.around(Store.commit)  # type: ignore[method-assign]
    from exchanged.cli import main as run

    return run(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
