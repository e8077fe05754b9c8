"""The pages of `audit`, `doctor`, `open`, `explain` and `standard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """`answer`: the code, its page, and for a rule the rule and its severity in force."""
    page = Page()
    rule = answer["rule"]
    page.line((answer["code"], "bold"))
    if rule is not None:
        level = (text(f"severity.{answer['severity']}", language), STYLES[str(answer["severity"])])
        page.line((text(f"rule.{rule.name}", language), ""), "  ", level, "  ", ("、".join(rule.fields[:12]), "dim"))
    page.blank()
    for line in answer["page"].splitlines():
        page.line(line)
    return page


def standard_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-standard/1."""
    page = Page()
    names = {one["key"]: one["name"] for one in answer["fields"]}
    heads = ("order", "name", "key", "max_length", "required", "example", "note_text")
    _section(page, "fields", heads, [_field(one, language) for one in answer["fields"]], language)
    _section(page, "codes", ("field", "code", "name"), _codes(answer["codes"], names), language)
    numbers = [[one["id_type"], one["name"], text(f"form.{one['id_type']}", language)] for one in answer["numbers"]]
    _section(page, "numbers", ("code", "name", "form"), numbers, language)
    page.line((text("standard.placeholders", language, list=answer["direction_placeholders"]), "dim"), indent=2)
    rules = [_rule(one, language) for one in answer["rules"]]
    _section(page, "rules", ("rule", "severity", "scope", "meaning"), rules, language)
    editions = [_edition(one, language) for one in answer["catalogues"]]
    _section(page, "editions", ("edition", "effective_from", "effective_to", "entries"), editions, language)
    return page


def _section(page: Page, name: str, heads: Sequence[str], rows: Sequence[Sequence[Span]], language: str) -> None:
    page.heading(text(f"standard.{name}", language))
    page.table(rows, [text(f"field.{head}", language) for head in heads], indent=2)


def _field(field: Found, language: str) -> list[Span]:
    required = text("answer.yes" if field["required"] else "answer.no", language)
    name, key, note = (field["name"], "bold"), (field["key"], "dim"), _if_known(f"note.{field['key']}", language)
    return [str(field["order"]), name, key, str(field["max_length"]), required, field["example"], (note, "dim")]


def _if_known(code: str, language: str) -> str:
    """The text of a code, nothing where it has none."""
    said = text(code, language)
    return "" if said == code else said


def _codes(rows: Sequence[Found], names: Mapping[str, str]) -> list[list[Span]]:
    """The codes of each field, all names of one code in one line."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        said.setdefault((row["field"], row["code"]), []).append(row["name"])
    return [[names.get(field, field), (code, "bold"), "、".join(meant)] for (field, code), meant in said.items()]


def _rule(rule: Found, language: str) -> list[Span]:
    level = text(f"severity.{rule['severity']}", language)
    if rule["severity"] != rule["default"]:
        level += text("standard.default", language, severity=text(f"severity.{rule['default']}", language))
    said = rule["zh" if language == "zh" else "en"]
    return [rule["rule"], (level, STYLES[rule["severity"]]), (text(f"scope.{rule['scope']}", language), "dim"), said]


def _edition(edition: Found, language: str) -> list[Span]:
    """An edition: name, first and last day (open: …), how many names; the one in force is marked."""
    now = text("standard.in_force", language) if edition["in_force"] else ""
    return [edition["name"], edition["start"], edition["end"] or "…", str(edition["entries"]), (now, "bold green")]
