"""The answer of `check` and `scan`: the verdict, then what is wrong grouped by rule with the first places of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchanged.messages import text
from exchanged.views.page import Page, Span

PLACES = 8  # places shown of each rule
STYLES = {"error": "bold red", "hold": "bold magenta", "warn": "yellow"}
MARKS = {"error": "✗", "hold": "■", "warn": "!"}

Found = Mapping[str, Any]


def check_page(result: Found, language: str) -> Page:
    """`result` is an exchanged-check/1 document."""
    page = Page()
    for file in result["files"]:
        page.line((file["name"], "bold"), (_where(file, language), "dim"))
    _verdict(page, result, language)
    _findings(page, result, len(result["files"]) > 1, language)
    if result["verdict"] == "valid":
        _counts(page, result, language)
    return page


def scan_page(result: Found, language: str) -> Page:
    """`result` is an exchanged-scan/1 document: name, pages, verdict, findings, summary."""
    page = Page()
    pages = text("check.pages", language, n=result["pages"]) if result.get("pages") else ""
    page.line((str(result.get("name") or result.get("file") or ""), "bold"), (f"  {pages}", "dim"))
    _verdict(page, result, language)
    _findings(page, result, False, language)
    return page


def _where(file: Found, language: str) -> str:
    parts = [file["sheet"]] if file.get("sheet") else []
    if file.get("rows") is not None:
        parts.append(text("check.rows", language, n=f"{file['rows']:,}"))
    return "".join(f"  {part}" for part in parts)


def _verdict(page: Page, result: Found, language: str) -> None:
    summary = result["summary"]
    said = [text(f"check.{level}", language, n=f"{summary[level]:,}") for level in MARKS if summary.get(level)]
    tail = text("check.colon", language) + text("check.and", language).join(said) if said else ""
    if result["verdict"] == "valid":
        page.line(("✓ ", "bold green"), (text("check.valid", language), "bold green"), tail)
    else:
        page.line(("✗ ", "bold red"), (text("check.invalid", language), "bold red"), tail)


def _findings(page: Page, result: Found, files: bool, language: str) -> None:
    findings, summary = result["findings"], result["summary"]
    by_rule: dict[tuple[str, str], list[Found]] = {}
    for finding in findings:
        by_rule.setdefault((finding["severity"], finding["rule"]), []).append(finding)
    for severity in MARKS:
        rules = [rule for level, rule in by_rule if level == severity]
        if rules:
            page.heading(text(f"check.{severity}_heading", language))
        for rule in rules:
            _rule(page, by_rule[severity, rule], summary, files, language)
    shown, total = len(findings), sum(summary.get(level, 0) for level in MARKS)
    if shown < total:
        page.blank()
        page.line((text("check.limited", language, shown=f"{shown:,}", total=f"{total:,}"), "dim"))


def _rule(page: Page, found: list[Found], summary: Found, files: bool, language: str) -> None:
    rule, severity = found[0]["rule"], found[0]["severity"]
    count = summary.get("by_rule", {}).get(rule, len(found))
    title = text(f"rule.{rule}", language)
    page.line(
        (f"{MARKS[severity]} ", STYLES[severity]),
        (title, "bold"),
        (f"  {rule}", "dim"),
        (f"  {text('check.places', language, n=f'{count:,}')}", STYLES[severity]),
        indent=2,
    )
    rows = _places(found, title, files, language)
    page.table(rows[:PLACES], indent=6)
    listed = sum(size for _, size in _merged(found)[:PLACES])
    if count > listed:
        page.line((text("check.more", language, n=f"{count - listed:,}"), "dim"), indent=6)


def _places(found: list[Found], title: str, files: bool, language: str) -> list[list[Span]]:
    rows: list[list[tuple[str, str]]] = [
        [
            (str(file or "") if files else "", "dim"),
            (_rows(numbers, language), ""),
            (column or "", "cyan"),
            (_beside(message, title), ""),
        ]
        for (file, column, message, numbers), _ in _merged(found)
    ]
    used = [n for n in range(4) if any(row[n][0] for row in rows)]
    return [[row[n] for n in used] for row in rows] if used else []


def _beside(message: str, title: str) -> str:
    """What a message says more than the title above it."""
    more = message.removeprefix(title).lstrip("，；：,;: ").strip()
    return more[1:-1] if more[:1] in ("（", "(") and more[-1:] in ("）", ")") else more


def _merged(found: list[Found]) -> list[tuple[tuple[Any, str | None, str, list[int]], int]]:
    """Findings of one file, column and message as one place with several rows."""
    places: dict[tuple[Any, str | None, str], list[Found]] = {}
    for one in found:
        places.setdefault((one.get("file"), one.get("column"), one["message"]), []).append(one)
    return [
        ((*key, [one["row"] for one in group if one.get("row") is not None]), len(group))
        for key, group in places.items()
    ]


def _rows(numbers: list[int], language: str) -> str:
    if not numbers:
        return ""
    listed = text("check.comma", language).join(str(number) for number in numbers[:PLACES])
    if len(numbers) > PLACES:
        listed += "…"
    return text("check.row" if len(numbers) == 1 else "check.rows_at", language, rows=listed)


def _counts(page: Page, result: Found, language: str) -> None:
    counts = result.get("counts") or []
    if not counts:
        return
    page.heading(text("check.counts_heading", language))
    head = [text(f"field.{key}", language) for key in ("qualification", "direction", "level", "count")]
    rows: list[list[Span]] = [
        [one["qualification"], one["direction"], text(f"level.{one['level']}", language), f"{one['count']:,}"]
        for one in counts
    ]
    rows.append([(text("check.total", language), "bold"), "", "", (f"{result['rows']:,}", "bold")])
    page.table(rows, head, right=(3,), indent=2)
    if result.get("digest"):
        page.blank()
        page.pairs([(text("field.digest", language), result["digest"])], indent=2)
