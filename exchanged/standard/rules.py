"""The rules: names, scopes, default severities and short texts, and a page that explains each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from exchanged.batch import NEVER_OFF, THRESHOLDS, Severity
from exchanged.standard.fields import FIELDS
from exchanged.standard.tables import DATA, rows


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `fields` are the Chinese names of the fields it looks at; `zh` and `en` say in short what is wrong."""

    name: str
    scope: str
    severity: Severity
    fields: tuple[str, ...]
    meaning: str
    zh: str
    en: str


def _fields(cell: str) -> tuple[str, ...]:
    if cell == "*":
        return tuple(field.name for field in FIELDS)
    return tuple(name for name in cell.split(";") if name)


RULES: dict[str, Rule] = {
    row["rule"]: Rule(
        row["rule"],
        row["scope"],
        Severity(row["severity"]),
        _fields(row["fields"]),
        row["meaning"],
        row["zh"],
        row["en"],
    )
    for row in rows("rules")
}

FIXED: frozenset[str] = NEVER_OFF | {rule.name for rule in RULES.values() if rule.scope == "file"}
"""Rules that cannot be switched off; their severity may still be another."""


def severity(rule: str, overrides: Mapping[str, str] | None = None) -> Severity:
    """What a finding of this rule does, by the overrides or else by the standard. `off` means nothing for FIXED rules.

    Raises KeyError for a rule that is not in RULES and ValueError for a severity that is none.
    """
    default = RULES[rule].severity
    chosen = Severity((overrides or {}).get(rule, default))
    return default if chosen is Severity.OFF and rule in FIXED else chosen


def digest(overrides: Mapping[str, str] | None = None, thresholds: Mapping[str, int] = THRESHOLDS) -> str:
    """ "sha256:…" over the rules with the severities and thresholds in force: which rule set judged a batch."""
    told = [*([name, str(severity(name, overrides))] for name in RULES), *(list(pair) for pair in thresholds.items())]
    return "sha256:" + hashlib.sha256(json.dumps(told).encode()).hexdigest()


@cache
def _pages() -> dict[str, dict[str, str]]:
    import tomllib

    return tomllib.loads((DATA / "explain.toml").read_text(encoding="utf-8"))


def explain(rule: str, language: str = "zh") -> str | None:
    """The page about a rule in `zh` or `en`: what it means, why it is asked, how to put it right; None if unknown."""
    page = _pages().get(rule)
    return page.get(language, page["zh"]).strip() if page else None
