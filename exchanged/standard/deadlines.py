"""The 30 natural days within which a certificate must be queryable; the day of issue is not counted."""

from __future__ import annotations

from datetime import date, timedelta

LIMIT = 30
NEAR = 25


def days_since(issue: str, today: str) -> int:
    """Days from issue to today, both `YYYY-MM-DD`; negative when issued in the future."""
    return (date.fromisoformat(today) - date.fromisoformat(issue)).days


def until(issue: str) -> str:
    """The last day by which a certificate issued on that day (ISO) has to be queryable."""
    return (date.fromisoformat(issue) + timedelta(days=LIMIT)).isoformat()


def deadline(issue: str, today: str) -> str | None:
    """The rule that a certificate of that date falls under today: `deadline-near`, `deadline-missed` or None."""
    days = days_since(issue, today)
    if days > LIMIT:
        return "deadline-missed"
    return "deadline-near" if days >= NEAR else None
