"""The pages say what the api's answers hold, in both languages, and nothing is left without words."""

from __future__ import annotations

import os
import pty
import re
import termios
from typing import Any

import pytest

from exchanged.messages import width
from exchanged.views import batches, system
from exchanged.views.page import Page, plain, show

BATCH: dict[str, Any] = {
    "batch": "jx-20261123-0a1b2c3d4e",
    "stem": "一月",
    "state": "sealed",
    "rows": 200,
    "reason": "delivery.host_key_mismatch",
    "reason_facts": {"expected": "SHA256:aaa", "offered": "SHA256:bbb"},
    "data_type": "新增",
    "created": "2026-11-23T10:00:00.000+08:00",
    "updated": "2026-11-23T10:00:05.000+08:00",
    "delivered": None,
    "next_attempt": "2099-01-01T00:00:00+08:00",
    "attempts": 3,
}
STATUS: dict[str, Any] = {
    "daemon": True,
    "paused": True,
    "states": {"sealed": 1, "closed": 1200},
    "waiting": [BATCH],
    "last_delivery": "2026-11-23T09:00:00.000+08:00",
    "next_window": "2026-11-25",
    "deadlines": [{"batch": BATCH["batch"], "scan_until": "2026-12-23T10:00:00+08:00", "query_until": None}],
    "disk": [
        {"folder": "state", "free": 81_800_000_000, "filesystem": "ext4"},
        {"folder": "drop", "free": None, "filesystem": None},
    ],
    "keys": [{"fingerprint": "A" * 40, "role": "signer", "state": "expired", "expires": "2026-01-01"}],
}
SHOW = {
    **BATCH,
    "digest": "sha256:" + "ab" * 32,
    "sources": [{"role": "source", "name": "一月.xlsx", "bytes": 1000, "sha256": "cd" * 32}],
    "facts": {"counts": [{"qualification": "保安员", "direction": "无", "level": "4", "count": 200}]},
    "events": [
        {"time": BATCH["created"], "event": "batch.claimed", "facts": {}},
        {"time": BATCH["updated"], "event": "batch.deferred", "facts": {"reason": "delivery.unreachable"}},
        {"time": BATCH["updated"], "event": "batch.rejected", "facts": {"reason": "required"}},
    ],
}

both = pytest.mark.parametrize("language", ["zh", "en"])


def words(page: Page) -> str:
    said = plain(page)
    assert "?" not in said and "None" not in said and "{" not in said
    return said


@both
def test_status_says_what_waits_for_what(language: str) -> None:
    said = words(batches.status_page(STATUS, language))
    for part in (BATCH["batch"], "SHA256:aaa", "SHA256:bbb", "1,200", "81.8 GB", "A" * 40, "2026-11-25", "2026-12-23"):
        assert part in said


@both
def test_status_of_a_new_installation_is_calm(language: str) -> None:
    empty = {**STATUS, "states": {}, "waiting": [], "last_delivery": None, "next_window": None, "keys": []}
    assert words(batches.status_page({**empty, "deadlines": [], "paused": False, "daemon": False}, language))


@both
def test_list_shows_a_reason_where_there_is_one(language: str) -> None:
    closed, rejected = (
        {**BATCH, "state": "closed", "reason": None},
        {**BATCH, "state": "rejected", "reason": "required"},
    )
    why = {"zh": "必填字段为空", "en": "required field is empty"}[language]
    assert why in words(batches.list_page({"batches": [rejected]}, language))
    assert why in words(batches.once_page({"batches": [rejected], "pending": 0, "rejected": 1}, language))
    assert "SHA256:bbb" in words(batches.list_page({"batches": [BATCH]}, language))
    assert "SHA256:bbb" not in words(batches.list_page({"batches": [closed]}, language))
    assert words(batches.list_page({"batches": []}, language))


@both
def test_show_tells_reason_next_step_and_time_line(language: str) -> None:
    said = words(batches.show_page(SHOW, language))
    assert "→" in said and "delivery.host_keys" in said
    assert said.count("2026-11-23 10:00:05") == 2
    assert {"zh": "必填字段为空", "en": "required field is empty"}[language] in said


@both
def test_show_names_the_findings_a_person_must_release(language: str) -> None:
    sources = [{"role": "source", "name": name, "bytes": 1, "sha256": "cd" * 32} for name in ("乙.xlsx", "一.xlsx")]
    held = [{"rule": "id-region", "sheet": 2, "row": 17, "column": "证件号码"}]
    found = {"warnings": {"id-region": 3, "confirmation-seal-missing": 1}, "held": held}
    said = words(batches.show_page({**SHOW, "sources": sources, "facts": found}, language))
    assert "confirmation-seal-missing" in said and "id-region" in said
    assert {"zh": "乙.xlsx 第 17 行 证件号码…", "en": "乙.xlsx row 17 证件号码…"}[language] in said


@both
def test_trace_of_an_unknown_number_says_so(language: str) -> None:
    assert words(batches.trace_page({"history": []}, language))
    place = {**BATCH, "file": "一月.xlsx", "row": 17, "digest": None, "package": None, "delivery": None}
    assert "17" in words(batches.trace_page({"history": [place]}, language))


@both
def test_once_counts_what_it_did(language: str) -> None:
    assert "7" in words(batches.once_page({"batches": [BATCH], "pending": 7, "rejected": 0}, language))
    assert words(batches.once_page({"batches": [], "pending": 0, "rejected": 0}, language))


@both
def test_doctor_gives_advice_only_where_something_is_wrong(language: str) -> None:
    lines = [
        {"name": "gpg", "level": "ok", "code": "doctor.gpg_ok", "facts": {"version": "2.2.40"}},
        {"name": "gpg", "level": "fail", "code": "sealing.gpg_missing", "facts": {}},
    ]
    document = system.doctor_document(lines, language)
    assert [bool(line["advice"]) for line in document["lines"]] == [False, True]
    assert document["summary"] == {"ok": 1, "warn": 0, "fail": 1}
    assert words(system.doctor_page(document, language)).count("→") == 1


@both
def test_audit_names_what_was_altered(language: str) -> None:
    answer = {"ok": False, "events": 20, "evidence": 3, "problems": [{"batch": "jx-1", "code": "evidence.altered"}]}
    assert "jx-1" in words(system.audit_page(answer, language))
    assert "✓" in words(system.audit_page({"ok": True, "events": 20, "evidence": 3, "problems": []}, language))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_identifier_or_time_is_broken_on_a_terminal(
    columns: int, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch: dict[str, Any] = {
        "batch": "jx-20261126-aa43e71999",
        "stem": "一月份电焊工、社会体育指导员等上报数据",
        "state": "validated",
    }
    more = {"rows": 20, "updated": "2026-11-26T13:06:09+08:00", "reason": "confirmation.waiting"}
    screen = terminal(batches.list_page({"batches": [{**batch, **more}] * 3}, language), columns, monkeypatch)
    assert screen.count("jx-20261126-aa43e71999") == 3
    assert screen.count("2026-11-26 13:06:09") == 3
    digest = {"digest": "sha256:" + "7f" * 32, "created": more["updated"]}
    screen = terminal(batches.trace_page({"history": [{**batch, **digest}]}, language), columns, monkeypatch)
    assert digest["digest"] in screen


@pytest.mark.parametrize("columns", [80, 120])
def test_columns_stand_below_one_another_on_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    page.table(
        [["焊工", "四级/中级工", "1"], ["社会体育指导员" * 9, "x", "12345"], ["e\u0301te\u0301", "", "7"]], right=(2,)
    )
    lines = terminal(page, columns, monkeypatch).splitlines()
    assert len({width(line) for line in lines}) == 1
    assert width(lines[0]) <= columns


def terminal(page: Page, columns: int, patch: pytest.MonkeyPatch) -> str:
    """What a page writes to a terminal of so many columns, colours left out."""
    main, other = pty.openpty()
    termios.tcsetwinsize(other, (50, columns))
    patch.setenv("COLUMNS", str(columns))  # else the width of the terminal that the tests run on counts
    with os.fdopen(other, "w", encoding="utf-8") as out:
        show(page, out)
        out.write("\x04")
        out.flush()
        told = b""
        while not told.endswith(b"\x04"):
            told += os.read(main, 1 << 16)
    os.close(main)
    return re.sub(r"\x1b\[[0-9;]*m", "", told.decode()).replace("\r", "").removesuffix("\x04")
