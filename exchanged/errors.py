"""The ways a step can end besides being done. Each carries a documented code and facts, never text from a cell."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchanged.batch import Fact, Finding

_DISK = {
    errno.ENOSPC: "disk.full",
    errno.EDQUOT: "disk.full",
    errno.ENOENT: "folder.missing",
    errno.ENOTDIR: "folder.missing",
    errno.EROFS: "disk.read_only",
    errno.EFBIG: "disk.full",  # a limit for this process
    errno.EACCES: "folder.denied",
    errno.EPERM: "folder.denied",
    errno.EMFILE: "system.exhausted",
    errno.ENFILE: "system.exhausted",
    errno.ENOMEM: "system.exhausted",
    errno.EAGAIN: "system.exhausted",
}


class Problem(Exception):
    """A step could not be done. `code` is a documented reason, `facts` are named values fit for log and terminal."""

    def __init__(self, code: str, **facts: Fact) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts

    def __str__(self) -> str:
        return " ".join([self.code, *(f"{key}={value}" for key, value in self.facts.items())])


class Refused(Problem):
    """The sender's doing: the batch goes back to the clerk with these findings (`result`: the check's whole answer)."""

    def __init__(self, *findings: Finding, result: Mapping[str, Any] | None = None) -> None:
        super().__init__("batch.rejected", findings=len(findings))
        self.findings = findings
        self.result = result


class NotYet(Problem):
    """The world's doing: the batch stays where it is and is tried again; by itself only while `again` is true."""

    def __init__(self, code: str, *, again: bool = True, **facts: Fact) -> None:
        super().__init__(code, **facts)
        self.again = again


class Held(Problem):
    """A person must decide: the operator releases or withdraws the batch."""


class IntegrityFailure(Problem):
    """What was recorded and what is there differ: nothing may go on."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in the configuration: the key's path, a message code and its facts."""

    path: str
    code: str
    facts: dict[str, Fact]


class ConfigError(Exception):
    """The configuration cannot be used; holds every problem found, not only the first."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__(f"{len(problems)} configuration problem(s)")
        self.problems = problems


def disk_code(error: OSError) -> str:
    """The reason that an error of the operating system is."""
    return _DISK.get(error.errno or 0, "disk.failed")
