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
