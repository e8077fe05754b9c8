"""The log: one JSON object a line, events from one list, typed fields, no way in for a cell's value.

Takes   `emit(event, **fields)`, where the event and each of its fields stand in `EVENTS`
Gives   a line with timestamp (RFC 3339, zone), level, event, batch and the fields, 8 KB at most
Drops   an unlisted event or field and a value not of its field's shape become "?" and are counted in `dropped`,
        or raise after `strict()` (tests). Of other libraries' records only logger, level and class of the error remain.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

LINE_LIMIT = 8192
COLLAPSE = 60.0  # seconds in which equal records of a foreign logger become one line with a count
UNSAID = "?"
INTEGER_LIMIT = 10**13  # more digits than any count or size of ours, fewer than an ID number

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@/-]{0,63}")
_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_BATCH = re.compile(r"[a-z0-9]{2,16}-[a-z0-9._-]{2,63}")
_DIGEST = re.compile(r"(sha256:)?[0-9a-fA-F]{8,64}")
_ONE_PRINT = r"(?:[0-9A-Fa-f]{40}|[A-Za-z0-9-]{0,40} ?(?:SHA256|MD5):[A-Za-z0-9+/=:]{20,64})"
_PRINT = re.compile(rf"none|{_ONE_PRINT}(?:,{_ONE_PRINT}){{0,63}}")
_SETTING = re.compile(r"[a-z][a-z0-9_-]{0,40}(\[\d{1,4}\])?(\.[a-z][a-z0-9_-]{0,40}(\[\d{1,4}\])?){0,5}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]{1,255}")
_PATH = re.compile(r"/[A-Za-z0-9._/-]{0,200}")
_PLACE = re.compile(r"[a-z_]{1,40}(/[a-z_]{1,40})*\.py:\d{1,5}")
_LONG_NUMBER = re.compile(r"(?<![0-9A-Fa-f])\d{15,18}[Xx]?(?![0-9A-Fa-f])")


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line: its level (info notice warning error critical) and the fields it may carry beside `batch`."""

    level: str
    fields: tuple[str, ...] = ()


def _words(text: str) -> list[str]:
    return text.split()


# What each field may hold, whatever the event.
KINDS: dict[str, str] = {
    name: kind
    for kind, names in {
        "int": """rows files findings warnings errors bytes free needed attempt attempts passes count pending port pid
            seq page pages days position limit total waiting restarts row errno exit""",
        "float": "seconds",
        "bool": "already again",
        "code": "reason code rule rules state",
        "batch": "batch replaced_by other",
        "digest": "sha256 digest name_hash",
        "print": "fingerprint expected offered key signer recipient",
        "time": "next_attempt time expires until",
        "host": "host",
        "place": "place",
        "setting": "setting",
        "word": """folder kind logger class version method step credential extension program filesystem signal
            status missing level_name error name mode stage problem operation""",
        "path": "path socket",
    }.items()
    for name in _words(names)
}

# Why a batch or the daemon cannot go on: the codes of NotYet, Held and IntegrityFailure. Each can be logged by itself.
_REASONS = {
    "sealing": {
        "error": """signer_missing signer_expired signer_revoked signer_cannot_sign recipient_missing recipient_expired
            recipient_revoked recipient_cannot_encrypt passphrase_missing passphrase_wrong token_absent gpg_missing
            gpg_failed clock_wrong content_changed agent_unavailable home_missing pin_blocked
            table_failed""",
        "warning": "timeout",
    },
    "delivery": {
        "critical": "host_key_mismatch",
        "error": """login_refused identity_missing inbox_missing server_full server_refused session_refused
            verification_failed hash_unsupported conflict gone package_changed""",
        "warning": "unreachable timeout outcome_unknown connection_lost",
    },
    "ledger": {"critical": "tampered altered older damaged head_missing newer key_missing", "error": "unavailable"},
    "evidence": {"critical": "altered missing"},
    "disk": {"critical": "sync_failed", "error": "full failed read_only"},
    "folder": {"error": "missing denied"},
    "system": {"error": "exhausted"},
    "credential": {"error": "wrong_mode"},
    "credentials": {"error": "missing unreadable open"},
    "check": {"warning": "crashed"},
    "catalogue": {"error": "unusable"},
    "intake": {"error": "claims_foreign"},
    "form": {"warning": "font_missing failed"},
    "step": {"error": "failed repeated"},
    "operator": {"notice": "hold"},
    "finding": {"notice": "hold"},
    "correction": {"warning": "changed"},
}

_REASON_FIELDS = tuple(KINDS)  # whatever facts the reason has

REASONS: dict[str, Event] = {
    f"{subject}.{name}": Event(level, _REASON_FIELDS)
    for subject, levels in _REASONS.items()
    for level, names in levels.items()
    for name in _words(names)
}

EVENTS: dict[str, Event] = {
    "daemon.started": Event("notice", ("version", "pid")),
    "daemon.ready": Event("notice", ("seconds",)),
    "daemon.stopping": Event("notice", ("signal",)),
    "daemon.stopped": Event("notice", ("pending",)),
    "daemon.failed": Event("error", ("setting", "code", "count", "class", "place")),
    "daemon.reloaded": Event("notice"),
    "daemon.reload_refused": Event("error", ("setting", "code", "count")),
    "daemon.step_failed": Event("error", ("step", "state", "class", "place", "attempt")),
    "intake.destroyed": Event("info", ("files", "bytes")),
    "intake.claimed": Event("info", ("files", "bytes")),
    "intake.refused_kind": Event("warning", ("kind", "name_hash")),
    "intake.writers_unseen": Event("warning"),
    "intake.board_failed": Event("warning", ("errno",)),
    "batch.claimed": Event("info"),  # in the ledger only: the log has intake.claimed
    "batch.scan_attached": Event("info", ("bytes", "sha256")),
    "batch.validated": Event("info", ("rows", "digest", "warnings")),
    "batch.rejected": Event("notice", ("errors", "rules")),
    "batch.source_altered": Event("error", ("files",)),
    "batch.not_annotated": Event("warning", ("problem",)),
    "batch.confirmed": Event("info", ("pages", "warnings")),
    "batch.sealed": Event("info", ("bytes", "sha256", "signer")),
    "batch.delivered": Event("notice", ("sha256", "host", "method", "already", "fingerprint")),
    "batch.closed": Event("notice", ("files",)),
    "batch.held": Event("error", ("reason",)),
    "batch.superseded": Event("notice", ("replaced_by",)),
    "batch.withdrawn": Event("notice"),
    "batch.returned": Event("info", ("files",)),
    "batch.deferred": Event("warning", ("reason", "attempts")),
    "batch.released": Event("notice"),
    "batch.retried": Event("notice"),
    "form.written": Event("info", ("bytes", "sha256")),
    "sealing.key_expiring": Event("warning", ("fingerprint", "expires", "days")),
    "delivery.offered": Event("info"),
    "evidence.written": Event("info", ("sha256",)),
    "delivery.paused": Event("notice"),
    "delivery.resumed": Event("notice"),
    "deletion.done": Event("info", ("files", "bytes")),
    "audit.passed": Event("info", ("count", "files", "seconds")),
    "audit.failed": Event("critical", ("code", "count")),
    "audit.unfinished": Event("warning", ("status",)),
    "rejected.expired": Event("info", ("files",)),
    "calendar.window_near": Event("notice", ("time", "days", "pending")),
    "receipt.refused": Event("error", ("reason", "code", "sha256", "name_hash")),
    "library.message": Event("warning", ("logger", "level_name", "class", "count")),
    **REASONS,
}

dropped: Counter[str] = Counter()
_raise = False
_write: Callable[..., Any] | None = None


class Unlisted(Exception):
    """An event, field or value that the list does not know. Raised after `strict()` only."""


def strict(on: bool = True) -> None:
    """Makes what is not on the list an error instead of "?" (for tests)."""
    global _raise
    _raise = on


def setup(stream: TextIO | None = None) -> None:
    """Sends every event as a JSON line to `stream` (default: standard output); reduces all other loggers to theirs."""
    global _write
    structlog = _structlog()
    structlog.configure(
        processors=[_stamp, structlog.processors.JSONRenderer(ensure_ascii=True, separators=(",", ":"))],
        wrapper_class=structlog.BoundLogger,
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stdout),
        cache_logger_on_first_use=False,
    )
    _write = structlog.get_logger().msg
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[_Foreign()], level=logging.WARNING, force=True)


def _structlog() -> Any:
    """The library, without the one it would draw tracebacks with, which takes longer to load than all else at start."""
    missing = "rich" not in sys.modules
    if missing:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("structlog")
    finally:
        if missing:
            del sys.modules["rich"]


def silence() -> None:
    """Ends the output of events; emit then only checks them."""
    global _write
    _write = None


def emit(event: str, **fields: Any) -> None:
    """Logs one event. `batch` may stand in every event; the other fields are those listed for it."""
    listed = EVENTS.get(event)
    if listed is None:
        _refuse("event", event)
    level = listed.level if listed else "error"
    allowed = listed.fields if listed else ()
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        if name != "batch" and name not in allowed:
            _refuse("field", f"{event}.{name}")
            continue
        kept[name] = _shaped(event, name, value)
    if _write is None:
        return
    try:
        _write(event if listed else UNSAID, level=level, **_ordered(kept))
    except (OSError, ValueError):  # a full disk or a closed pipe behind stdout must not stop the work
        dropped["write"] += 1


def place(error: BaseException) -> str:
    """Where an error came from, as `file.py:line` of our own code, or "unknown". Never its text."""
    here = Path(__file__).resolve().parent
    found = "unknown"
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(here):
            found = f"{path.relative_to(here).as_posix()}:{line}"
    return found


def _ordered(fields: dict[str, Any]) -> dict[str, Any]:
    batch = {"batch": fields.pop("batch")} if "batch" in fields else {}
    line = {**batch, **fields}
    if sum(len(str(value)) + len(name) + 8 for name, value in line.items()) > LINE_LIMIT - 200:
        return {**batch, "limit": LINE_LIMIT}
    return line


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return {"timestamp": now, "level": event.pop("level"), "event": event.pop("event"), **event}


def _refuse(what: str, name: str) -> None:
    if _raise:
        raise Unlisted(f"{what} {name}")
    dropped[what] += 1


def _shaped(event: str, name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_shaped(event, name, one) for one in value[:50]]
    if _SHAPES[KINDS.get(name, "word")](value):
        return str(value) if isinstance(value, str) else value
    _refuse("value", f"{event}.{name}")
    return UNSAID


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -INTEGER_LIMIT < value < INTEGER_LIMIT


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < INTEGER_LIMIT


def _is(pattern: re.Pattern[str], *, numbers: bool = False) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if _integer(value):
            return pattern is _WORD
        return (
            isinstance(value, str)
            and pattern.fullmatch(value) is not None
            and (numbers or _LONG_NUMBER.search(value) is None)
        )

    return fits


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "int": _integer,
    "float": _number,
    "bool": lambda value: isinstance(value, bool),
    "code": _is(_CODE),
    "batch": _is(_BATCH, numbers=True),
    "digest": _is(_DIGEST),
    "print": _is(_PRINT, numbers=True),
    "time": _is(_TIME),
    "host": _is(_HOST),
    "place": lambda value: value == "unknown" or _is(_PLACE)(value),
    "path": _is(_PATH),
    "setting": _is(_SETTING),
    "word": _is(_WORD),
}


class _Foreign(logging.Handler):
    """Records of other libraries: logger, level and class of the error, never the text; equal ones are counted."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: dict[tuple[str, str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        key = (record.name.split(".")[0], record.levelname.lower(), kind)
        since, count = self._seen.get(key, (0.0, 0))
        now = time.monotonic()
        if count and now - since < COLLAPSE:
            self._seen[key] = (since, count + 1)
            return
        self._seen[key] = (now, 1)
        emit("library.message", logger=key[0], level_name=key[1], **{"class": kind or None}, count=max(count, 1))
