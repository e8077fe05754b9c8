"""`report.html`: one self-contained page that prints well: what to do first, by rule, row by row. No script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from exchanged.messages import clean, text

if TYPE_CHECKING:
    from jinja2 import Template

ROWS_SHOWN = 2000  # in the list by row; the counts by rule are complete
PLACES = 30  # rows named for each rule
LEVELS = ("error", "hold", "warn")
_FIX = {"zh": "处理：", "en": "Fix: "}


def page(result: Mapping[str, Any], language: str) -> str:
    """The page for an exchanged-check/1 or exchanged-report/1 document."""
    rules = _by_rule(result, language)
    return _template().render(
        language="zh-CN" if language == "zh" else "en",
        t=lambda code, **facts: text(code, language, **facts),
        result=result,
        rules=rules,
        levels=[(level, [rule for rule in rules if rule["severity"] == level]) for level in LEVELS],
        rows=_by_row(result)[:ROWS_SHOWN],
        total=sum(result["summary"].get(level, 0) for level in LEVELS),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        many_files=len(result["files"]) > 1,
    )


def fix(rule: str, language: str) -> str:
    """What to do about a rule, from its page."""
    from exchanged.standard import rules

    marker = _FIX.get(language, _FIX["zh"])
    lines = (rules.explain(rule, language) or "").splitlines()
    return next((line.removeprefix(marker) for line in lines if line.startswith(marker)), "")


def _by_rule(result: Mapping[str, Any], language: str) -> list[dict[str, Any]]:
    """The rules that were broken, those of the file as a whole first, then the most frequent."""
    by_rule: dict[str, list[Mapping[str, Any]]] = {}
    for one in result["findings"]:
        by_rule.setdefault(one["rule"], []).append(one)
    rules = [
        {
            "rule": rule,
            "severity": found[0]["severity"],
            "title": text(f"rule.{rule}", language),
            "fix": fix(rule, language),
            "count": result["summary"]["by_rule"].get(rule, len(found)),
            "whole": all(one["row"] is None for one in found),
            "columns": sorted({one["column"] for one in found if one["column"]}),
            "messages": _messages(found, text(f"rule.{rule}", language)),
            "places": [one["row"] for one in found if one["row"] is not None][:PLACES],
        }
        for rule, found in by_rule.items()
    ]
    return sorted(rules, key=lambda one: (LEVELS.index(one["severity"]), not one["whole"], -one["count"]))


def _messages(found: list[Mapping[str, Any]], title: str) -> list[str]:
    said = dict.fromkeys(one["message"] for one in found)
    return [message for message in said if message != title][:PLACES]


def _by_row(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    order = {level: n for n, level in enumerate(LEVELS)}
    return sorted(result["findings"], key=lambda one: (one["file"] or "", one["row"] or 0, order[one["severity"]]))


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("exchanged.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = clean
    return environment.get_template("report.html.jinja")
