"""The slip that a clerk files: what was sent, when, how much, its digest, the keys, what the server said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchanged.messages import clean, size, text, width

SLIP = "exchanged-slip/1"
RULE = "─" * 40


def document(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The slip for programs: the facts as they are."""
    return {"format": SLIP, **facts}


def text_of(facts: Mapping[str, Any], language: str) -> str:
    """The slip for people, plain text."""
    package, delivery = facts.get("package") or {}, facts.get("delivery") or {}
    parts = [
        [text("slip.title", language), RULE],
        _lines(
            language,
            ("batch", facts["batch"]),
            ("title", facts["title"]),
            ("unit", facts.get("unit")),
            ("data_type", facts.get("data_type")),
            ("state", text(f"state.{facts['state']}", language)),
        ),
        _lines(language, *((name, _moment(facts.get(name))) for name in ("claimed", "sealed", "delivered"))),
        _counts(facts, language),
        _warnings(facts, language),
        _lines(
            language,
            ("digest", facts.get("digest")),
            ("package_bytes", size(package["bytes"]) if package else None),
            ("package_sha256", package.get("sha256")),
            ("signer", facts.get("signer")),
            *(("recipient", recipient) for recipient in facts.get("recipients") or ()),
        ),
        _delivery(delivery, language),
        _receipt(facts.get("receipt") or {}, language),
        [RULE, text("slip.note", language)],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _lines(language: str, *pairs: tuple[str, Any]) -> list[str]:
    said = [(text(f"field.{name}", language), str(value)) for name, value in pairs if value not in (None, "")]
    colon = text("check.colon", language)
    return [f"{name}{colon}{clean(value)}" for name, value in said]


def _moment(time: str | None) -> str | None:
    return time[:19].replace("T", " ") + time[19:].lstrip(".0123456789") if time else None


def _counts(facts: Mapping[str, Any], language: str) -> list[str]:
    rows = [
        (one["qualification"], text(f"level.{one['level']}", language), f"{one['count']:,}")
        for one in facts.get("counts") or ()
    ]
    rows.append((text("check.total", language), "", f"{facts['rows'] or 0:,}"))
    sizes = [max(width(row[n]) for row in rows) for n in range(3)]
    lines = [
        f"  {name}{' ' * (sizes[0] - width(name))}  {level}{' ' * (sizes[1] - width(level))}  {count:>{sizes[2]}}"
        for name, level, count in rows
    ]
    return [text("slip.counts", language), *lines]


def _warnings(facts: Mapping[str, Any], language: str) -> list[str]:
    warnings = facts.get("warnings") or {}
    lines = [
        f"  {text(f'rule.{rule}', language)}  {text('check.places', language, n=count)}"
        for rule, count in warnings.items()
    ]
    return [text("slip.warnings", language), *lines] if lines else []


def _delivery(delivery: Mapping[str, Any], language: str) -> list[str]:
    if not delivery:
        return []
    server = f"{delivery.get('host')}:{delivery.get('port')}" if delivery.get("port") else delivery.get("host")
    method = text(f"kind.{delivery['method']}", language) if delivery.get("method") else None
    return _lines(
        language,
        ("server", server),
        ("host_key", delivery.get("host_key")),
        ("remote", delivery.get("remote")),
        ("verified", method),
    )


def _receipt(receipt: Mapping[str, Any], language: str) -> list[str]:
    said = receipt.get("status")
    return _lines(
        language,
        ("receipt", text(f"kind.{said}", language) if said else text("slip.no_receipt", language)),
        ("received", _moment(receipt.get("received"))),
        ("queryable", _moment(receipt.get("queryable"))),
    )
