"""The result of a check as the contract's JSON: sentences rendered, facts left out, keys in the contract's order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from exchanged.batch import Facts, Finding
from exchanged.messages import rule_text

CHECK = "exchanged-check/1"
SCAN = "exchanged-scan/1"
REPORT = "exchanged-report/1"
FILE_KEYS = ("name", "sheet", "header_row", "rows")
_FIX = {"zh": "处理：", "en": "Fix: "}


def check(result: Mapping[str, Any], language: str, *, findings: Sequence[Finding] | None = None) -> dict[str, Any]:
    """exchanged-check/1 of a result; `findings` stand in where the result has none of its own."""
    found = result.get("findings")
    if found is None:
        found = [as_dict(one) for one in findings or ()]
    names = [file["name"] for file in result["files"]]
    return {
        "format": CHECK,
        "verdict": "invalid" if result["summary"]["error"] else "valid",
        "rows": result["rows"],
        "digest": result["digest"],
        "files": [{key: file.get(key) for key in FILE_KEYS} for file in result["files"]],
        "counts": [] if result["summary"]["error"] else list(result["counts"]),  # unchecked text is not repeated
        "findings": [said({**one, "facts": named(one.get("facts") or {}, names)}, language) for one in found],
        "summary": summary(result["summary"]),
    }


def named(facts: Facts, names: Sequence[str]) -> Facts:
    """Facts that point at another file (by its place in the result) with that file's name."""
    other = facts.get("first_file")
    if not isinstance(other, int) or not 0 < other <= len(names):
        return facts
    return {**facts, "first_name": names[other - 1]}


def scan(name: str, result: Mapping[str, Any], findings: Sequence[Finding], language: str) -> dict[str, Any]:
    """exchanged-scan/1 of a look at a confirmation scan, with the findings that are not switched off."""
    counts = count(findings)
    return {
        "format": SCAN,
        "verdict": "invalid" if counts["error"] else "valid",
        "file": name,
        "pages": result.get("pages"),
        "findings": [said(as_dict(one), language) for one in findings],
        "summary": summary(counts),
    }


def count(findings: Sequence[Finding]) -> dict[str, Any]:
    """How many of each severity and rule."""
    by_rule: dict[str, int] = {}
    for one in findings:
        by_rule[one.rule] = by_rule.get(one.rule, 0) + 1
    levels = {level: sum(one.severity == level for one in findings) for level in ("error", "hold", "warn")}
    return {**levels, "by_rule": by_rule}


def said(finding: Mapping[str, Any], language: str) -> dict[str, Any]:
    """One finding with its sentence in place of its facts."""
    return {
        "rule": finding["rule"],
        "severity": str(finding["severity"]),
        "file": finding["file"],
        "sheet": finding["sheet"],
        "row": finding["row"],
        "column": finding["column"],
        "message": rule_text(finding["rule"], finding["column"], finding.get("facts") or {}, language),
    }


def fix(rule: str, language: str) -> str:
    """What to do about a rule, from its page."""
    from exchanged.standard import rules

    marker = _FIX.get(language, _FIX["zh"])
    lines = (rules.explain(rule, language) or "").splitlines()
    return next((line.removeprefix(marker) for line in lines if line.startswith(marker)), "")


def as_dict(finding: Finding) -> dict[str, Any]:
    """A finding as a check gives it in its result."""
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "file": finding.file,
        "sheet": finding.sheet,
        "row": finding.row,
        "column": finding.column,
        "facts": dict(finding.facts),
    }


def summary(counted: Mapping[str, Any]) -> dict[str, Any]:
    """The counts: `hold` stands only where there is one."""
    told = {"error": counted["error"], "warn": counted.get("warn", 0)}
    if counted.get("hold"):
        told["hold"] = counted["hold"]
    return {**told, "by_rule": dict(counted["by_rule"])}


def as_json(value: Any) -> bytes:
    """A JSON file: UTF-8, readable; bytes of a name that are no UTF-8 stand as \\udcXX escapes."""
    return encoded(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def encoded(text: str) -> bytes:
    """UTF-8, whatever a clerk's file name holds."""
    return text.encode("utf-8", "backslashreplace")
