"""What people read, in Chinese and English, by code. Rendered only at the edges: terminal, report, manual.

A text stands in `<language>/*.toml`. `{name}` is a fact, `{name:size}` a number of bytes, `{name:list}` a list,
`{name:rule}` a rule, `{name:kind}` a code of ours with a text of its own (`kind.<code>`). A part in `[…]` is left out
when a fact of it is missing or such a code has no text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import combining, east_asian_width

LANGUAGES = ("zh", "en")
ENTRY = {"text", "do", "why"}
TEXTS = Path(__file__).parent
PARTS = ("words", "rules", "reasons", "events", "problems", "system", "setup")

_WIDE_SPACE = "\u3000"
_FACT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")


def text(code: str, language: str, /, **facts: Any) -> str:
    """The sentence for a code: what happened, with its facts."""
    entry = _entry(code, language)
    return code if entry is None else _render(entry["text"], facts, language)


def advice(code: str, language: str, /, **facts: Any) -> str | None:
    """What to do next about a code, or None when nothing is to be done."""
    entry = _entry(code, language)
    return _render(entry["do"], facts, language) if entry and "do" in entry else None


def rule_text(rule: str, column: str | None, facts: Mapping[str, Any], language: str) -> str:
    """The sentence for a finding. `column` is the standard's Chinese field name.

    `first` is the row of an earlier record, `first_name` the file it stands in where that is another one.
    """
    known: dict[str, Any] = {"column": column, **facts}
    if "first" in facts:
        known["where"] = text("check.place", language, row=facts["first"], file=facts.get("first_name"))
    return text(f"rule.{rule}", language, **known)


def explain(code: str, language: str) -> str | None:
    """What an event, reason, state or problem means and what to do about it; None for a code that is not ours.

    Rules have their own pages, with their source in the standard (`exchanged.standard.rules.explain`).
    """
    entry = _entry(code, language) or _entry(f"state.{code}", language)
    problem = code in _texts("problems", language) or (code in _texts("system", language) and "do" in (entry or {}))
    if entry is None or not ("why" in entry or problem):
        return None
    parts = [entry["text"], entry.get("why", ""), entry.get("do", "")]
    return "\n\n".join(_render(part, {}, language) for part in parts if part)


def codes(part: str, language: str) -> frozenset[str]:
    """Every code of one part (`PARTS`) that has a text."""
    return frozenset(_texts(part, language))


def size(count: int) -> str:
    """Bytes as people read them: 0 B, 512 B, 3.4 MB (powers of 1000, as in the configuration)."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def duration(seconds: float, language: str) -> str:
    """A length of time in its two largest units: 3天4小时, 3 d 4 h."""
    units = [("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)]
    left = max(0, round(seconds))
    parts: list[str] = []
    for name, length in units:
        count, left = divmod(left, length)
        if count or (name == "second" and not parts):
            parts.append(text(f"unit.{name}", language, n=count))
    return ("" if language == "zh" else " ").join(parts[:2])


@cache
def _texts(part: str, language: str) -> dict[str, dict[str, str]]:
    chosen = language if language in LANGUAGES else "zh"
    raw = (TEXTS / chosen / f"{part}.toml").read_text(encoding="utf-8")
    return dict(_flat("", tomllib.loads(raw)))


def _flat(prefix: str, table: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    for key, value in table.items():
        code = f"{prefix}{key}"
        if isinstance(value, str):
            found.append((code, {"text": value}))
        elif "text" in value and value.keys() <= ENTRY:
            found.append((code, {name: " ".join(one.split()) for name, one in value.items()}))
        else:
            found += _flat(f"{code}.", value)
    return found


def clean(text: str) -> str:
    """Text without anything that acts on a terminal: controls, direction marks and lone surrogates as \\x and \\u."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == _WIDE_SPACE else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return f"\\x{ord(char):02x}" if char.isascii() else char.encode("ascii", "backslashreplace").decode()


def width(text: str) -> int:
    """Columns that a text takes on a terminal or in a plain file; Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _entry(code: str, language: str) -> dict[str, str] | None:
    """The texts of a code; a rule is found by its bare name too."""
    for part in ("rules",) if code.startswith("rule.") else PARTS:
        if code in (texts := _texts(part, language)):
            return texts[code]
    return _texts("rules", language).get(f"rule.{code}")


def _render(template: str, facts: Mapping[str, Any], language: str) -> str:
    def optional(match: re.Match[str]) -> str:
        there = (_can_be_shown(facts.get(name), shape, language) for name, shape in _FACT.findall(match[1]))
        return match[1] if all(there) else ""

    def fact(match: re.Match[str]) -> str:
        return _shown(facts.get(match[1]), match[2], language)

    return _FACT.sub(fact, _OPTIONAL.sub(optional, template))


def _can_be_shown(value: Any, shape: str, language: str) -> bool:
    if value is None or value == "":
        return False
    return shape in ("", *_SHAPES) or _entry(f"{shape}.{value}", language) is not None


def _shown(value: Any, shape: str | None, language: str) -> str:
    if value is None:
        return "?"
    if shape in _SHAPES:
        return _SHAPES[shape](value, language)
    entry = _entry(f"{shape}.{value}", language) if shape else None
    return entry["text"] if entry else str(value)


def _listed(value: Any, language: str) -> str:
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return ("、" if language == "zh" else ", ").join(str(item).strip() for item in items)


_SHAPES: dict[str, Callable[[Any, str], str]] = {
    "size": lambda value, _: size(value) if isinstance(value, int) else str(value),
    "list": _listed,
    "rule": lambda value, language: rule_text(str(value), None, {}, language),
}
