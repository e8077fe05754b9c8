"""Nothing gets into the log that is not on the list, and no line can be forged."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from exchanged import log

ID = "11000019900307001X"
BATCH = "jx-20261123-0a1b2c3d4e"


@pytest.fixture
def lines() -> Iterator[Any]:
    """The log, set up on a stream; a function that gives the lines so far."""
    stream = io.StringIO()
    root, level = logging.getLogger().handlers[:], logging.getLogger().level
    log.setup(stream)
    log.dropped.clear()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.silence()
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = root
    logging.getLogger().setLevel(level)


@pytest.fixture
def strict() -> Iterator[None]:
    log.strict()
    yield
    log.strict(False)


def test_a_line_has_time_level_event_batch_and_fields_in_that_order(lines: Any) -> None:
    log.emit("batch.sealed", bytes=10, batch=BATCH, sha256="ab" * 32)
    (line,) = lines()
    assert list(line) == ["timestamp", "level", "event", "batch", "bytes", "sha256"]
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
    assert (line["level"], line["event"], line["batch"]) == ("info", "batch.sealed", BATCH)


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("batch.held", {"reason": "张三"}),
        ("batch.held", {"reason": ID}),
        ("daemon.step_failed", {"class": "11000019900307001"}),
        ("intake.claimed", {"files": 110000199003070015}),
        ("intake.refused_kind", {"name_hash": "110000199003070015"}),
        ("intake.claimed", {"batch": ID}),
        ("intake.refused_kind", {"kind": "a b"}),
        ("daemon.step_failed", {"place": "王小明.py:1"}),
        ("delivery.unreachable", {"host": "h\nevil"}),
        ("delivery.host_key_mismatch", {"offered": "not a fingerprint"}),
        ("daemon.ready", {"seconds": "3"}),
    ],
)
def test_a_value_of_another_shape_becomes_a_question_mark(lines: Any, event: str, fields: dict[str, Any]) -> None:
    log.emit(event, **fields)
    (line,) = lines()
    assert all(line[name] == "?" for name in fields)
    assert log.dropped["value"] == 1


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("delivery.host_key_mismatch", {"expected": f"SHA256:{'a' * 43},SHA256:{'b' * 43}"}),
        ("delivery.host_key_mismatch", {"expected": "none"}),
        ("daemon.reload_refused", {"setting": "sealing.encrypt_to[0]"}),
        ("daemon.failed", {"setting": "standard.severity.id-checksum"}),
    ],
)
def test_what_an_operator_needs_is_not_lost(lines: Any, event: str, fields: dict[str, Any]) -> None:
    log.emit(event, **fields)
    (line,) = lines()
    assert {name: line[name] for name in fields} == fields


def test_what_is_not_listed_is_dropped_and_counted(lines: Any) -> None:
    log.emit("something.new", name="张三")
    log.emit("daemon.ready", patient="张三")
    first, second = lines()
    assert first["event"] == "?"
    assert "patient" not in second
    assert "张三" not in json.dumps([first, second], ensure_ascii=False)
    assert log.dropped == {"event": 1, "field": 2}


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("fields", [{"patient": 1}, {"pending": "x"}])
def test_in_strict_mode_it_raises(fields: dict[str, Any]) -> None:
    with pytest.raises(log.Unlisted):
        log.emit("daemon.ready", **fields)


def test_other_libraries_keep_only_logger_level_and_class(lines: Any) -> None:
    try:
        raise ValueError(ID)
    except ValueError:
        logging.getLogger("paramiko.transport").exception("user %s", ID)
    warnings.warn(ID, stacklevel=1)
    told = lines()
    assert [line["event"] for line in told] == ["library.message"] * len(told)
    assert told[0]["logger"] == "paramiko" and told[0]["class"] == "ValueError"
    assert ID not in json.dumps(told)


def test_equal_records_of_a_library_become_one_line(lines: Any) -> None:
    for _ in range(50):
        logging.getLogger("watchdog").error("again")
    assert len(lines()) == 1


def test_debug_of_other_libraries_is_not_logged(lines: Any) -> None:
    logging.getLogger("gnupg").info("status %s", ID)
    assert lines() == []


def test_a_line_is_never_longer_than_its_limit(lines: Any) -> None:
    log.emit("daemon.reload_refused", code=["config.missing" * 4] * 5000)
    (line,) = lines()
    assert len(json.dumps(line)) <= log.LINE_LIMIT


def test_a_closed_stream_does_not_stop_the_work() -> None:
    stream = io.StringIO()
    log.setup(stream)
    stream.close()
    log.emit("daemon.ready")
    log.silence()


def test_the_place_of_an_error_is_ours_and_holds_no_text() -> None:
    try:
        log._ordered(None)  # type: ignore[arg-type]
    except TypeError as error:
        assert log.place(error).startswith("log.py:")
    assert log.place(ValueError("secret")) == "unknown"


def test_every_field_of_an_event_has_a_shape() -> None:
    missing = {name for event in log.EVENTS.values() for name in event.fields} - set(log.KINDS)
    assert missing == set()


def test_levels_are_the_documented_ones() -> None:
    assert {event.level for event in log.EVENTS.values()} <= {"info", "notice", "warning", "error", "critical"}
