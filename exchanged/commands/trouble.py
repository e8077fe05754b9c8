"""What a command says when it could not do its work, and the exit status that goes with it.

Only our own codes and facts are shown; of any other error only its class and the place in our code.
"""

from __future__ import annotations

import argparse

from exchanged import log
from exchanged.commands import status
from exchanged.commands.output import complain, write_json
from exchanged.disk import DurabilityLost
from exchanged.errors import ConfigError, ConfigProblem, Held, IntegrityFailure, NotYet, Problem, Refused
from exchanged.messages import advice, rule_text, text

MOST = 20  # problems of one configuration that the log names
MISTAKEN = {"batch.unknown", "demo.not_empty", "package.target_exists", "setup.folder"}  # the call is at fault


class Usage(Exception):
    """The command was called with something it cannot use: a message code and its facts."""

    def __init__(self, reason: str, /, **facts: str | int) -> None:
        super().__init__(reason)
        self.code = reason
        self.facts = facts


def report(error: BaseException, arguments: argparse.Namespace) -> int:
    """Says what went wrong on standard error (with --json also as a document on standard output)."""
    language = arguments.language
    code, facts, number = _sorted(error)
    lines = _lines(error, code, facts, language)
    complain(*lines)
    if getattr(arguments, "json", False):
        document: dict[str, object] = {"format": "exchanged-error/1", "code": code, "facts": facts, "message": lines[0]}
        if isinstance(error, ConfigError):
            document["problems"] = [problem_document(problem, language) for problem in error.problems]
        write_json(document)
    return number


def reasons(error: Exception) -> list[dict[str, object]]:
    """What the log says of an error that ended the daemon: one line, or one for each problem of a configuration."""
    if isinstance(error, ConfigError):
        some = error.problems[:MOST]
        return [{"setting": one.path or None, "code": one.code, "count": len(error.problems)} for one in some]
    code, facts, _ = _sorted(error)
    return [{"code": code, "class": facts.get("class"), "place": facts.get("place")}]


def problem_document(problem: ConfigProblem, language: str) -> dict[str, object]:
    """One configuration problem as it stands in JSON."""
    return {
        "path": problem.path,
        "code": problem.code,
        "line": problem.facts.get("line"),
        "message": text(problem.code, language, **problem.facts),
    }


def problem_line(problem: ConfigProblem, language: str) -> str:
    """One configuration problem as a line: place, key, what to write."""
    place = text("cli.config_line", language, line=problem.facts["line"]) if "line" in problem.facts else ""
    key = f"{problem.path}{text('check.colon', language)}" if problem.path else ""
    return f"  {place}{key}{text(problem.code, language, **problem.facts)}"


def _sorted(error: BaseException) -> tuple[str, dict[str, object], int]:
    if isinstance(error, Usage):
        return error.code, dict(error.facts), status.USAGE
    if isinstance(error, ConfigError):
        return "cli.config_wrong", {"count": len(error.problems)}, status.CONFIG
    if isinstance(error, Problem):
        return error.code, dict(error.facts), _status_of(error)
    if isinstance(error, DurabilityLost):
        return "disk.sync_failed", {}, status.PENDING
    kind = getattr(error, "kind", None) or type(error).__name__  # a child's error brings its own class and place
    place = getattr(error, "place", None) or log.place(error)
    return "cli.bug", {"class": kind, "place": place}, status.BUG


def _status_of(error: Problem) -> int:
    if error.code in MISTAKEN:
        return status.USAGE
    if isinstance(error, Refused):
        return status.WRONG
    if isinstance(error, IntegrityFailure):
        return status.INTEGRITY
    return status.PENDING if isinstance(error, NotYet | Held) else status.BUG


def _lines(error: BaseException, code: str, facts: dict[str, object], language: str) -> list[str]:
    lines = [f"exchanged: {text(code, language, **facts)}"]
    if isinstance(error, ConfigError):
        return lines + [problem_line(problem, language) for problem in error.problems]
    if isinstance(error, Refused):
        return lines + [f"  {rule_text(one.rule, one.column, one.facts, language)}" for one in error.findings[:20]]
    said = advice(code, language, **facts)
    return lines + ([f"  → {said}"] if said else [])
