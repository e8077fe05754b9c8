"""What `status`, `list`, `show` and `trace` tell, from ledger, disk and keys. JSON-able, without personal data."""

from __future__ import annotations

import calendar
import datetime as dt
import os
import re
import stat
import time
import unicodedata
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchanged import disk, filenames, seen
from exchanged.drop import BOARD, OLD, ignored
from exchanged.endings import by_level
from exchanged.engine import brief
from exchanged.errors import NotYet, disk_code
from exchanged.ledger import Ledger, Record
from exchanged.secrets import Secrets
from exchanged.settings import Settings
from exchanged.statefolder import locked
from exchanged.states import State
from exchanged.steps import EXPIRY_WARNING

DEEPEST = 20  # sub-folders below which nobody counts any more


def row(batch: Record) -> dict[str, Any]:
    """One batch as `list` tells it."""
    return {
        **brief(batch),
        "data_type": batch.data_type,
        "created": batch.created,
        "updated": batch.updated,
        "delivered": batch.facts.get("delivered"),
        "next_attempt": _time(batch.next_attempt) if not batch.cleared and batch.reason else None,
        "attempts": batch.attempts,
    }


def show(ledger: Ledger, batch: Record) -> dict[str, Any]:
    """Everything known about one batch."""
    hidden = {"note", "counts", "form", "wait_until", "file_rows", "reason", "reason_facts", "rows", "digest"}
    facts = {name: value for name, value in batch.facts.items() if name not in hidden}
    sources = [
        {"role": "source" if one.position else "scan", "name": one.name, "bytes": one.bytes, "sha256": one.sha256}
        for one in ledger.sources(batch)
    ]
    return {
        "format": "exchanged-show/1",
        **row(batch),
        "digest": batch.digest,
        "reason_facts": dict(batch.reason_facts),
        "sources": sources,
        "facts": facts,
        "note": ledger.shown(batch.facts.get("note")),
        "counts": by_level(ledger.shown(batch.facts.get("counts")) or []),
        "events": [asdict(event) for event in ledger.events(batch.id)],
    }


def trace(ledger: Ledger, secrets: Secrets, number: str) -> dict[str, Any]:
    """Where a certificate number stands. The number itself is not repeated."""
    plain = re.sub(r"[\s\u200b-\u200f\u2060\ufeff]", "", unicodedata.normalize("NFKC", number))
    places = []
    for one in ledger.trace(secrets.pseudonym_of(plain)):
        batch = ledger.batch(one.batch)
        if batch is None:
            continue
        sheets = sorted((s for s in ledger.sources(batch) if s.position), key=lambda s: filenames.order(s.name))
        places.append(
            {
                **row(batch),
                "file": sheets[one.file].name if one.file < len(sheets) else None,
                "row": one.row,
                "content": one.content.hex(),
                "digest": batch.digest,
                "package": batch.facts.get("package"),
                "delivery": batch.facts.get("delivery"),
                "receipt": batch.facts.get("receipt"),
            }
        )
    return {"format": "exchanged-trace/1", "found": bool(places), "history": places, "notices": []}


def status(settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """One screen of what goes on."""
    batches, said = ledger.batches(), ledger.remembered
    open_ones = [batch for batch in batches if not batch.cleared]
    delivered = max((str(b.facts["delivered"]) for b in batches if b.facts.get("delivered")), default=None)
    states = Counter(str(batch.state) for batch in batches)
    return {
        "format": "exchanged-status/1",
        "daemon": _running(settings),
        "paused": ledger.paused,
        "trouble": said("trouble") or _unwritable(settings) or _full(settings) or said("audit"),
        "states": {str(state): states[str(state)] for state in State if states[str(state)]},
        "waiting": [_waiting(batch) for batch in open_ones],
        "last_delivery": delivered,
        "next_window": next_window(settings, dt.date.today()),
        "deadlines": [_deadline(batch) for batch in open_ones if "wait_until" in batch.facts],
        "drop": _lying(settings),
        "disk": _disk(settings),
        "keys": _keys(settings),
    }


def _unwritable(settings: Settings) -> str | None:
    """Why nothing can be recorded just now, not even that; None where it can."""
    try:
        os.close(os.open(settings.folders.state / "lock", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return None
    except OSError as error:
        return disk_code(error)
    return None


def _full(settings: Settings) -> str | None:
    """That nothing more can be written; the daemon may have had no room to record it."""
    return None if disk.free(settings.folders.state) else "disk.full"


def _running(settings: Settings) -> bool:
    return locked(settings.folders.state)


def _waiting(batch: Record) -> dict[str, Any]:
    return {**row(batch), "reason_facts": dict(batch.reason_facts), "held_from": batch.held_from}


def _deadline(batch: Record) -> dict[str, Any]:
    """Until when a batch waits for its scan, and by when its oldest certificate has to be queryable."""
    scan_until = _time(float(batch.facts["wait_until"])) if batch.state in (State.CLAIMED, State.VALIDATED) else None
    return {"batch": batch.id, "scan_until": scan_until, "query_until": batch.facts.get("query_until")}


def next_window(settings: Settings, day: dt.date) -> str | None:
    """The next configured reporting day from `day` on, ISO; None where none is configured."""
    days = []
    for window in settings.calendar.windows:
        for month in (day.replace(day=1), (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)):
            last = calendar.monthrange(month.year, month.month)[1]
            days.append(month.replace(day=min(window.day, last)))
    return min((one.isoformat() for one in days if one >= day), default=None)


def _disk(settings: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in ("drop", "rejected", "receipts", "state"):
        path = getattr(settings.folders, name)
        if seen.folder(path):
            found.append({"folder": name, "free": disk.free(path), "filesystem": disk.filesystem(path)[0]})
        else:
            found.append({"folder": name, "free": None, "filesystem": None})
    return found


def _lying(settings: Settings) -> dict[str, int]:
    """What lies in the drop folder now: files that will be taken, scans among them, and what is never opened."""
    try:
        return survey(settings)
    except OSError:
        return {}


def survey(settings: Settings) -> dict[str, int]:
    """How many files lie in the drop folder: files and scans to be taken, and such as never will be, by reason.

    ignored: names that are passed over, not written to for a day; an upload may have been broken off.
    """
    drop, types = settings.folders.drop, settings.intake.data_types
    counts = {"files": 0, "scans": 0, "refused": 0, "unreadable": 0, "deeper": 0, "ignored": 0}
    for root, folders, names in os.walk(drop):
        names += [name for name in folders if Path(root, name).is_symlink()]
        folders[:] = [name for name in folders if not ignored(name, True) and name not in names]
        counts["unreadable"] += sum(not os.access(Path(root, name), os.R_OK | os.X_OK) for name in folders)
        depth = len(Path(root).relative_to(drop).parts)
        depth -= depth > 0 and Path(root).relative_to(drop).parts[0] in types
        if depth > DEEPEST:
            folders.clear()
        for name in names:
            try:
                state = Path(root, name).lstat()
            except FileNotFoundError:
                continue  # taken meanwhile
            if ignored(name):
                counts["ignored"] += name != BOARD and time.time() - state.st_mtime > OLD
                continue
            if not os.access(root, os.W_OK) or (
                stat.S_ISREG(state.st_mode) and not os.access(Path(root, name), os.R_OK)
            ):
                counts["unreadable"] += 1
            elif depth > 1:
                counts["deeper"] += 1
            elif not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
                counts["refused"] += 1
            else:
                counts["scans" if name.casefold().endswith(".pdf") else "files"] += 1
    return counts


def _keys(settings: Settings) -> list[dict[str, Any]]:
    """Keys that are not usable, or will not be in thirty days."""
    from exchanged.sealing.gnupg import Gnupg

    sealing = settings.sealing
    try:
        gnupg = Gnupg(sealing.gnupg_home, sealing.sign_with, sealing.encrypt_to)
        keys = gnupg.glance(lambda: locked(settings.folders.state))
    except NotYet as problem:
        return [{"fingerprint": sealing.sign_with, "role": "signer", "state": problem.code, "expires": None}]
    soon = dt.datetime.now().astimezone() + dt.timedelta(seconds=EXPIRY_WARNING)
    return [
        dict(key)
        for key in keys
        if key["state"] not in ("ok", "token")
        or (key["expires"] and dt.datetime.fromisoformat(str(key["expires"])) < soon)
    ]


def _time(seconds: float | None) -> str | None:
    if not seconds or seconds < 0:
        return None
    return dt.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
