"""`report.html`: one self-contained page that prints well: what to do first, by rule, row by row. No script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from exchanged.messages import clean, text
from exchanged.report.document import fix

if TYPE_CHECKING:
    from jinja2 import Template

ROWS_SHOWN = 2000  # in the list by row; the counts by rule are complete
PLACES = 30  # rows named for each rule and file
MESSAGES = 6  # sentences quoted for each rule; the list by row has the others
LEVELS = ("error", "hold", "warn")


def page(result: Mapping[str, Any], language: str) -> str:
    """The page for an exchanged-check/1 or exchanged-report/1 document."""
    many = len({*(file["name"] for file in result["files"]), *(one["file"] for one in result["findings"])} - {None}) > 1
    rules = _by_rule(result, language, many)
    return _template().render(
        language="zh-CN" if language == "zh" else "en",
        t=lambda code, **facts: text(code, language, **facts),
        result=result,
        marked=[clean(name) for name in result.get("annotated", ())],
        altered=[clean(name) for name in result.get("altered", ())],
        only_scan=_only_scan(result),
        lone=not result["files"] and {one["rule"] for one in result["findings"]} == {"confirmation-orphan"},
        rules=rules,
        levels=[(level, [rule for rule in rules if rule["severity"] == level]) for level in LEVELS],
        rows=_by_row(result)[:ROWS_SHOWN],
        total=sum(result["summary"].get(level, 0) for level in LEVELS),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        many_files=many,
    )


def _only_scan(result: Mapping[str, Any]) -> bool:
    """Whether all that stops the batch is its scan: then nobody has to look for a mistake in the spreadsheets."""
    from exchanged.standard.rules import RULES

    if result["files"] and not result.get("digest"):
        return False  # they were not checked, or are not right
    sheets = {file["name"] for file in result["files"]}
    errors = [one for one in result["findings"] if one["severity"] == "error"]
    return 0 < len(errors) == result["summary"]["error"] and all(
        RULES[one["rule"]].scope == "confirmation"
        or ((one["file"] or "").casefold().endswith(".pdf") and one["file"] not in sheets)
        for one in errors
    )


def _by_rule(result: Mapping[str, Any], language: str, many: bool) -> list[dict[str, Any]]:
    """The rules that were broken; those that stop a file as a whole or its columns first, then the most frequent."""
    from exchanged.standard.rules import RULES

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
            "whole": RULES[rule].scope in ("file", "confirmation"),
            "columns": sorted({one["column"] for one in found if one["column"]}),
            "messages": _messages(found, text(f"rule.{rule}", language)),
            "places": _places(found, many, language),
        }
        for rule, found in by_rule.items()
    ]
    return sorted(rules, key=lambda one: (LEVELS.index(one["severity"]), not one["whole"], -one["count"]))


def _messages(found: list[Mapping[str, Any]], title: str) -> list[str]:
    said = dict.fromkeys(one["message"] for one in found)
    more = [message for message in said if message != title]
    return [*more[:MESSAGES], "…"] if len(more) > MESSAGES else more


def _places(found: list[Mapping[str, Any]], many: bool, language: str) -> list[str]:
    """In which rows, file by file: a line each."""
    rows: dict[str, list[int]] = {}
    for one in found:
        if one["row"] is not None:
            rows.setdefault(one["file"] or "", []).append(one["row"])
    lines = []
    for file, numbers in rows.items():
        each = list(dict.fromkeys(numbers))
        listed = text("check.comma", language).join(f"{number}" for number in each[:PLACES])
        said = text("check.rows_at", language, rows=listed + ("…" if len(each) > PLACES else ""))
        lines.append(f"{file}{text('check.colon', language)}{said}" if many and file else said)
    return lines


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
