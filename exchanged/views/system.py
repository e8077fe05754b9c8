"""The pages of `audit`, `doctor`, `open`, `explain` and `standard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from exchanged.messages import advice, size, text, width
from exchanged.views.page import Page, Span

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}
STYLES = {"error": "red", "hold": "magenta", "warn": "yellow", "off": "dim"}

Found = Mapping[str, Any]


def doctor_document(lines: Sequence[Found], language: str) -> dict[str, Any]:
    """exchanged-doctor/1: every line with what was found and what to do."""
    said = [
        {
            "name": line["name"],
            "level": line["level"],
            "code": line["code"],
            "facts": line.get("facts") or {},
            "message": _place(line, language) + text(line["code"], language, **(line.get("facts") or {})),
            "advice": advice(line["code"], language, **(line.get("facts") or {})) if line["level"] != "ok" else None,
        }
        for line in lines
    ]
    counts = {level: sum(line["level"] == level for line in said) for level in MARKS}
    return {"format": "exchanged-doctor/1", "lines": said, "summary": counts}


def _place(line: Found, language: str) -> str:
    """Where in the configuration a problem stands."""
    number = (line.get("facts") or {}).get("line")
    return text("cli.config_line", language, line=number) if number else ""


def doctor_page(document: Found, language: str) -> Page:
    """`document` is exchanged-doctor/1."""
    page = Page()
    names = max((width(line["name"]) for line in document["lines"]), default=0)
    for line in document["lines"]:
        mark, style = MARKS[line["level"]]
        name = line["name"] + " " * (names - width(line["name"]))
        page.line((f"{mark}  ", style), (name, "bold"), "  ", line["message"])
        if line["advice"]:
            page.line(f"→ {line['advice']}", indent=names + 5)
    counts = document["summary"]
    page.blank()
    whole = counts["fail"] + counts["warn"] == 0
    page.line((text("doctor.all_ok" if whole else "doctor.summary", language, **counts), "bold"))
    return page


def audit_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-audit/1."""
    page = Page()
    good = answer["ok"]
    mark = MARKS["ok" if good else "fail"]
    page.line(mark, " ", (text("audit.ok" if good else "audit.bad", language), "bold"))
    counts = {"events": _count(answer.get("events")), "evidence": _count(answer.get("evidence"))}
    page.line((text("audit.counts", language, **counts), "dim"), indent=2)
    for problem in answer.get("problems", ()):
        facts = {name: value for name, value in problem.items() if name != "code"}
        page.line(
            ("✗ ", "red"), text(str(problem.get("code")), language, **facts), "  ", str(problem.get("batch") or "")
        )
    return page


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(len(value)) if value is not None else "?"


def open_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-open/1."""
    page = Page()
    page.line(MARKS["ok"], " ", (text("open.ok", language), "bold"))
    manifest = answer.get("manifest") or {}
    pairs: list[tuple[str, Any]] = [
        ("batch", manifest.get("batch")),
        ("unit", (manifest.get("unit") or {}).get("name")),
        ("title", manifest.get("title")),
        ("data_type", manifest.get("data_type")),
        ("created_at", manifest.get("created")),
        ("rows", manifest.get("rows")),
        ("digest", manifest.get("digest")),
        ("signer", answer.get("signer")),
        ("folder", answer.get("folder") or answer.get("out")),
    ]
    page.pairs([(text(f"field.{name}", language), str(value)) for name, value in pairs if value is not None], indent=2)
    files = [[one["name"], size(one["bytes"]), (one["sha256"], "dim")] for one in answer.get("files", ())]
    if files:
        page.blank()
        page.table(files, right=(1,), indent=2)
    return page


def explain_page(answer: Found, language: str) -> Page:
    """`answer`: the code, its page, and for a rule the rule."""
    page = Page()
    rule = answer["rule"]
    page.line((answer["code"], "bold"))
    if rule is not None:
        level = (text(f"severity.{rule.severity}", language), STYLES[str(rule.severity)])
        page.line((text(f"rule.{rule.name}", language), ""), "  ", level, "  ", ("、".join(rule.fields[:12]), "dim"))
    page.blank()
    for line in answer["page"].splitlines():
        page.line(line)
    return page


def standard_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-standard/1."""
    page = Page()
    _section(page, "fields", answer["fields"], ("order", "name", "key", "max_length"), language)
    _section(page, "codes", answer["codes"], ("field", "code", "name"), language)
    page.heading(text("standard.rules", language))
    page.table(
        [
            [
                one["rule"],
                (text(f"severity.{one['severity']}", language), STYLES[one["severity"]]),
                (text(f"scope.{one['scope']}", language), "dim"),
                one["zh" if language == "zh" else "en"],
            ]
            for one in answer["rules"]
        ],
        indent=2,
    )
    page.heading(text("standard.editions", language))
    page.table([_edition(one) for one in answer["catalogues"]], indent=2)
    return page


def _section(page: Page, name: str, rows: Sequence[Found], keys: Sequence[str], language: str) -> None:
    page.heading(text(f"standard.{name}", language))
    page.table([[str(row[key]) for key in keys] for row in rows], indent=2)


def _edition(edition: Any) -> list[Span]:
    """An edition: name, first day, last day (open: …), entries."""
    values = asdict(edition).values() if is_dataclass(edition) else edition.values()  # type: ignore[arg-type]
    return ["…" if value is None else str(value) for value in values]
