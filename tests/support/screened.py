"""Screening once more, award by award in plain Python, to hold columns and SQL against. Slow and obvious on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from exchanged.batch import THRESHOLDS

Told = tuple[str, int, str]  # rule, record of the batch, what is told of it


@dataclass(frozen=True)
class Award:
    """One certificate; what is wrong in it is None. `record` is its place in the batch, None where it was reported."""

    record: int | None
    number: str | None
    person: str | None
    day: date | None
    qualification: str | None
    level: int | None
    centre: str | None


def screened(awards: Sequence[Award], thresholds: Mapping[str, int] = THRESHOLDS) -> set[Told]:
    """Everything that stands out among these awards and is not told of the reported ones by themselves."""
    return {
        *many_awards(awards, thresholds["many-awards"]),
        *level_jumps(awards, thresholds["level-jump-days"]),
        *daily_bursts(awards, thresholds["daily-burst"]),
        *serial_gaps(awards, thresholds["serial-gap"]),
    }


def _in_order(awards: Sequence[Award]) -> list[Award]:
    """By day; on one day what was reported first, then the rows of the batch."""
    return sorted(awards, key=lambda award: (award.day, -1 if award.record is None else award.record))


def many_awards(awards: Sequence[Award], limit: int) -> Iterator[Told]:
    for person in {award.person for award in awards if award.person}:
        own = _in_order([award for award in awards if award.person == person and award.day])
        counts, places, later = [], [], []
        for at, award in enumerate(own):
            within = [one for one in own[: at + 1] if (award.day - one.day).days < 365]  # type: ignore[operator]
            ours = [one.record for one in within if one.record is not None]
            if len(within) > limit and ours:
                counts.append(len(within))
                (later if award.record is None else places).append(ours[-1])
        if counts:
            yield "many-awards", (places or later)[0], f"{max(counts)} over {limit}"


def level_jumps(awards: Sequence[Award], within: int) -> Iterator[Told]:
    for group in {(award.person, award.qualification) for award in awards}:
        own = [a for a in awards if (a.person, a.qualification) == group and None not in (*group, a.day, a.level)]
        reported = set(_jumps([award for award in own if award.record is None], within))
        for before, after in _jumps(own, within):
            told = f"{before.level - after.level} levels in {(after.day - before.day).days} days"  # type: ignore[operator]
            if after.record is not None:
                yield "level-jump", after.record, told
            elif before.record is not None and after not in {later for _, later in reported}:
                yield "level-jump", before.record, told


def _jumps(awards: Sequence[Award], within: int) -> Iterator[tuple[Award, Award]]:
    own = sorted(awards, key=lambda a: (a.day, -(a.level or 0), -1 if a.record is None else a.record))
    for before, after in pairwise(own):
        days = (after.day - before.day).days  # type: ignore[operator]
        if (before.level or 0) - (after.level or 0) >= 2 and days < within:
            yield before, after


def daily_bursts(awards: Sequence[Award], limit: int) -> Iterator[Told]:
    for group in {(award.centre, award.day) for award in awards if award.centre and award.day}:
        all_of_them = [award for award in awards if (award.centre, award.day) == group]
        ours = sorted(award.record for award in all_of_them if award.record is not None)
        before = len(all_of_them) - len(ours)
        if ours and len(all_of_them) > limit:
            yield "daily-burst", ours[max(0, limit - before)], f"{len(all_of_them)} over {limit}"


def serial_gaps(awards: Sequence[Award], limit: int) -> Iterator[Told]:
    for prefix in {award.number[:11] for award in awards if award.number}:
        own = [award for award in awards if award.number and award.number.startswith(prefix)]
        reported = {int(award.number[11:]) for award in own if award.record is None}  # type: ignore[index]
        ours = {int(award.number[11:]): award.record for award in own if award.record is not None}  # type: ignore[index]
        for before, after in pairwise(sorted({*reported, *ours})):
            missing = after - before - 1
            if missing <= limit:
                continue
            if after in ours and after not in reported:
                yield "serial-gap", ours[after], f"{missing} before"  # type: ignore[misc]
            elif before in ours and not any(serial <= before for serial in reported):
                yield "serial-gap", ours[before], f"{missing} after"  # type: ignore[misc]
