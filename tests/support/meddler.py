"""Run a command of the program in a world that changes under its hands, at a moment that can be named.

`python -m tests.support.meddler MOMENT ARGUMENTS…`, where MOMENT is JSON: `act` happens at the `nth` call of
`os.<call>` whose first argument is a path or an open file in which `match` (a regular expression) is found.
`times` tells how often.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.world import World


def meddled(world: World, moment: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command; `moment` has call, match, act (a list: name and what it needs), and if wanted nth and times."""
    argv = [sys.executable, "-m", "tests.support.meddler", json.dumps(moment), "--config", str(world.file), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def daemon(world: World, moment: dict[str, Any]) -> subprocess.Popen[bytes]:
    """The daemon in such a world; its log goes to a file."""
    argv = [sys.executable, "-m", "tests.support.meddler", json.dumps(moment), "--config", str(world.file), "run"]
    with (world.root / "log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    world.daemons.append(process)
    return process


def once(world: World, **moment: Any) -> dict[str, Any]:
    """`once --json` in such a world."""
    done = meddled(world, moment, "once", "--json")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "meddled" in done.stderr, "the moment never came"
    world.log = done.stderr
    return dict(json.loads(done.stdout))


def hasty(world: World, seconds: float) -> dict[str, Any]:
    """`once --json` of a program that gives gpg so little time to get on."""
    moment = {"call": "rename", "match": "^$", "act": ["fail", "EIO"], "patience": seconds}
    done = meddled(world, moment, "once", "--json")
    world.log = done.stderr
    return dict(json.loads(done.stdout))


def fail(_subject: str, code: str) -> None:
    """The call fails."""
    raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), _subject)


def mistake(_subject: str) -> None:
    """We have made one: what is raised is no answer of the world's."""
    raise ZeroDivisionError("王小明")


def die(_subject: str) -> None:
    """The process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def rewrite(subject: str, new: str, pattern: str | None = None) -> None:
    """Someone who has the file open writes the content of another over it. `pattern` finds it below `new`'s folder."""
    target = next(Path(new).parent.rglob(pattern)) if pattern else Path(subject)
    with target.open("r+b") as file:
        file.write(Path(new).read_bytes())
        file.truncate()


def swap(_subject: str, new: str, old: str) -> None:
    """Another file takes the place of one."""
    _REAL["rename"](new, old)


def bring(_subject: str, new: str, target: str, seconds: str) -> None:
    """Someone drops a file, and the call takes so long that it is taken meanwhile."""
    _REAL["rename"](new, target)
    time.sleep(float(seconds))


def remove(subject: str, other: str | None = None) -> None:
    """Someone deletes the file."""
    _REAL["unlink"](other or subject)


ACTS: dict[str, Callable[..., None]] = {
    "fail": fail, "mistake": mistake, "die": die, "rewrite": rewrite, "swap": swap, "remove": remove,
    "bring": bring,
}  # fmt: skip
_REAL: dict[str, Any] = {name: getattr(os, name) for name in ("rename", "unlink")}


def _path(subject: Any) -> str:
    return str(Path(f"/proc/self/fd/{subject}").readlink()) if isinstance(subject, int) else os.fsdecode(subject)


def _meddling(moment: dict[str, Any]) -> None:
    real, left, times = getattr(os, moment["call"]), moment.get("nth", 1), moment.get("times", 1)
    name, *given = moment["act"]

    def call(*args: Any, **more: Any) -> Any:
        nonlocal left, times
        subject = _path(args[0])
        if times and re.search(moment["match"], subject):
            left -= 1
            if left <= 0:
                times -= 1
                sys.stderr.write('{"event": "meddled"}\n')
                ACTS[name](subject, *given)
        return real(*args, **more)

    setattr(os, moment["call"], call)


def main() -> int:
    moment = json.loads(sys.argv[1])
    _meddling(moment)
    from exchanged.cli import main as run
    from exchanged.sealing.gnupg import Gnupg

    if "patience" in moment:
        Gnupg.__init__.__defaults__ = (lambda: None, moment["patience"])

    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
