"""The pages of `status`, `list`, `show`, `trace` and `once`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from exchanged import filenames
from exchanged.messages import advice, duration, size, text
from exchanged.views.page import Page, Span

STYLES = {
    "closed": "green",
    "acknowledged": "green",
    "delivered": "green",
    "rejected": "red",
    "held": "bold magenta",
    "superseded": "dim",
    "withdrawn": "dim",
}
LAST = 100  # batches shown of a long list on one screen

Found = Mapping[str, Any]


def status_page(status: Found, language: str) -> Page:
    """`status` is exchanged-status/1."""
    page = Page()
    up = status.get("daemon")
    page.line(("● ", "green" if up else "red"), (text("status.up" if up else "status.down", language), "bold"))
    if status.get("trouble"):
        page.line(("■ ", "red"), (text(status["trouble"], language), "red"))
    if status.get("paused"):
        page.line(("■ ", "magenta"), (text("status.paused", language), "magenta"))
    page.heading(text("status.states", language))
    states: list[list[Span]] = [[_state(name, language), f"{n:,}"] for name, n in status["states"].items() if n]
    page.table(states or [[text("status.none", language)]], right=(1,), indent=2)
    page.heading(text("status.waiting", language))
    waiting = [_waiting(batch, language) for batch in status.get("waiting", ())]
    page.table(waiting[:LAST] or [[text("status.nothing_waits", language)]], indent=2)
    page.blank()
    page.pairs(
        [
            (text("status.last_delivery", language), _moment(status.get("last_delivery")) or _never(language)),
            (
                text("status.window", language),
                status.get("next_window") or (text("status.no_window", language), "dim"),
            ),
        ]
    )
    _deadlines(page, status, language)
    _disk_and_keys(page, status, language)
    return page


def list_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-list/1."""
    page = Page()
    batches = answer["batches"]
    if not batches:
        page.line(text("list.empty", language))
    head = [text(f"field.{name}", language) for name in ("batch", "stem", "state", "rows", "updated", "reason")]
    page.table([_batch(batch, language) for batch in batches], head, right=(3,))
    return page


def once_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-once/1."""
    page = Page()
    batches = answer["batches"]
    page.table([_batch(batch, language) for batch in batches])
    if batches or answer["pending"]:
        counts = {"count": len(batches), "pending": answer["pending"], "rejected": answer["rejected"]}
        page.line(text("once.summary", language, **counts))
    else:
        page.line(text("once.nothing", language))
    return page


def show_page(batch: Found, language: str) -> Page:
    """`batch` is exchanged-show/1."""
    page = Page()
    page.line((batch["batch"], "bold"), "  ", _state(batch["state"], language))
    facts = batch.get("reason_facts") or {}
    if batch.get("reason"):
        page.line((text(batch["reason"], language, **facts), "magenta"), indent=2)
        said = advice(batch["reason"], language, **facts)
        if said:
            page.line(f"→ {said}", indent=2)
    page.blank()
    page.pairs(_facts(batch, language))
    _sources(page, batch, language)
    _counts(page, batch, language)
    _warnings(page, batch, language)
    page.heading(text("show.timeline", language))
    page.table([_event(event, language) for event in batch.get("events", ())], indent=2)
    return page


def trace_page(answer: Found, language: str) -> Page:
    """`answer` is exchanged-trace/1; the number itself is not repeated."""
    page = Page()
    if not answer["history"]:
        page.line(text("trace.none", language))
    for place in answer["history"]:
        if page.blocks:
            page.blank()
        page.line((place["batch"], "bold"), "  ", _state(place["state"], language))
        package, delivery = place.get("package") or {}, place.get("delivery") or {}
        pairs: list[tuple[str, Any]] = [
            ("file", place.get("file")),
            ("source_row", place.get("row")),
            ("data_type", place.get("data_type")),
            ("claimed", _moment(place.get("created"))),
            ("delivered", _moment(place.get("delivered"))),
            ("digest", place.get("digest")),
            ("package_sha256", package.get("sha256")),
            ("server", delivery.get("host")),
            ("receipt", (place.get("receipt") or {}).get("status")),
        ]
        page.pairs(_named(pairs, language), indent=2)
    return page


def _state(state: str, language: str) -> Span:
    return text(f"state.{state}", language), STYLES.get(state, "cyan")


def _batch(batch: Found, language: str) -> list[Span]:
    rows = batch.get("rows")
    return [
        batch["batch"],
        str(batch.get("stem") or ""),
        _state(batch["state"], language),
        "" if rows is None else f"{rows:,}",
        (_moment(batch.get("updated")) or "", "dim"),
        _reason(batch, language),
    ]


def _reason(batch: Found, language: str) -> str:
    """Why a batch does not go on or went back."""
    reason = batch.get("reason")
    if not reason:
        return ""
    return text(reason, language, **(batch.get("reason_facts") or {}))


def _waiting(batch: Found, language: str) -> list[Span]:
    if batch.get("next_attempt"):
        when = _from_now(batch["next_attempt"], language)
    else:
        when = text("status.operator", language) if batch["state"] == "held" else ""
    reason = _reason(batch, language)
    return [batch["batch"], str(batch.get("stem") or ""), _state(batch["state"], language), reason, (when, "dim")]


def _from_now(moment: str, language: str) -> str:
    left = (datetime.fromisoformat(moment) - datetime.now().astimezone()).total_seconds()
    return (
        text("status.next_now", language) if left < 1 else text("status.after", language, span=duration(left, language))
    )


def _deadlines(page: Page, status: Found, language: str) -> None:
    rows: list[list[Span]] = []
    for one in status.get("deadlines", ())[:LAST]:
        if one.get("query_until"):
            style = "red" if one["query_until"] < date.today().isoformat() else "yellow"
            rows.append([one["batch"], text("field.query_until", language), (one["query_until"], style)])
        if one.get("scan_until"):
            rows.append(
                [one["batch"], text("field.waits_until", language), (_moment(one["scan_until"]) or "", "yellow")]
            )
    if rows:
        page.heading(text("status.deadlines", language))
        page.table(rows, indent=2)


def _disk_and_keys(page: Page, status: Found, language: str) -> None:
    lying = [
        text(f"status.drop_{name}", language, n=count) for name, count in (status.get("drop") or {}).items() if count
    ]
    if lying:
        page.heading(text("status.drop", language))
        for line in lying:
            page.line(line, indent=2)
    page.heading(text("status.space", language))
    page.table(
        [
            [
                one["folder"],
                size(one["free"]) if one["free"] is not None else ("—", "red"),
                (one["filesystem"] or "", "dim"),
            ]
            for one in status.get("disk", ())
        ],
        right=(1,),
        indent=2,
    )
    if status.get("keys"):
        page.heading(text("status.keys", language))
        page.table(
            [
                [
                    key["fingerprint"],
                    text(f"kind.{key['role']}", language),
                    (text(key["state"] if "." in key["state"] else f"key.{key['state']}", language), "yellow"),
                    _moment(key["expires"]) or "",
                ]
                for key in status["keys"]
            ],
            indent=2,
        )


def _facts(batch: Found, language: str) -> list[tuple[str, Span]]:
    facts = batch.get("facts") or {}
    package, delivery = facts.get("package") or {}, facts.get("delivery") or {}
    pairs: list[tuple[str, Any]] = [
        ("stem", batch.get("stem")),
        ("data_type", batch.get("data_type")),
        ("rows", f"{batch['rows']:,}" if batch.get("rows") is not None else None),
        ("created", _moment(batch.get("created"))),
        ("sealed", _moment(facts.get("sealed"))),
        ("delivered", _moment(batch.get("delivered"))),
        ("next_attempt", _moment(batch.get("next_attempt"))),
        ("attempts", batch.get("attempts") or None),
        ("corrects", "; ".join(f"{one['batch']} ({one['records']})" for one in facts.get("corrects") or ())),
        ("note", batch.get("note")),
        ("digest", batch.get("digest")),
        ("package_bytes", size(package["bytes"]) if package else None),
        ("package_sha256", package.get("sha256")),
        ("signer", facts.get("signer")),
        ("recipients", ", ".join(facts.get("recipients") or ())),
        ("server", delivery.get("host")),
        ("host_key", delivery.get("host_key")),
        ("verified", text(f"kind.{delivery['method']}", language) if delivery.get("method") else None),
    ]
    return _named(pairs, language)


def _named(pairs: list[tuple[str, Any]], language: str) -> list[tuple[str, Span]]:
    return [(text(f"field.{name}", language), str(value)) for name, value in pairs if value not in (None, "")]


def _sources(page: Page, batch: Found, language: str) -> None:
    rows: list[list[Span]] = [
        [one["name"], size(one["bytes"]), (one["sha256"][:16] + "…", "dim")] for one in batch.get("sources", ())
    ]
    if rows:
        page.heading(text("field.sources", language))
        page.table(rows, right=(1,), indent=2)


def _counts(page: Page, batch: Found, language: str) -> None:
    rows: list[list[Span]] = [
        [one["qualification"], text(f"level.{one['level']}", language), f"{one['count']:,}"]
        for one in batch.get("counts", ())
    ]
    if rows:
        page.heading(text("show.counts", language))
        page.table(rows, right=(2,), indent=2)


def _warnings(page: Page, batch: Found, language: str) -> None:
    """What was found, each rule with its count, and where, for findings that a person must release."""
    facts = batch.get("facts") or {}
    rows: list[list[Span]] = []
    for rule, count in (facts.get("warnings") or {}).items():
        held = [one for one in facts.get("held") or () if one["rule"] == rule]
        places = text("check.comma", language).join(_place(one, batch, language) for one in held)
        more = "…" if held and count > len(held) else ""
        rows.append(
            [text(rule, language), (rule, "dim"), text("check.places", language, n=f"{count:,}"), places + more]
        )
    if rows:
        page.heading(text("show.warnings", language))
        page.table(rows, indent=2)


def _place(one: Found, batch: Found, language: str) -> str:
    names = (source["name"] for source in batch.get("sources", ()) if source["role"] != "scan")
    sheets = sorted(names, key=filenames.order)
    name = sheets[one["sheet"] - 1] if len(sheets) > 1 and "sheet" in one else ""
    row = text("check.row", language, rows=one["row"]) if "row" in one else ""
    return " ".join(part for part in (name, row, one.get("column")) if part)


def _event(event: Found, language: str) -> list[Span]:
    reason = (event.get("facts") or {}).get("reason")
    said = text(reason, language, **(event["facts"].get("reason_facts") or {})) if isinstance(reason, str) else ""
    return [(_moment(event["time"]) or "", "dim"), text(event["event"], language), said]


def _moment(time: str | None) -> str | None:
    return f"{time[:10]} {time[11:19]}" if time and len(time) > 10 else time


def _never(language: str) -> Span:
    return text("status.never", language), "dim"
