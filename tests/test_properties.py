"""What holds whatever stands in the cells: normalising is done once, records are not lost, findings quote nothing."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchanged.batch import Finding
from exchanged.checking import check, table
from exchanged.messages import rule_text
from exchanged.reading import header
from exchanged.standard import dates, notes, text
from exchanged.standard.catalogue import Catalogue
from tests.support.checks import checks, one, sheet
from tests.support.records import HEADERS

CATALOGUE = Catalogue.load()
WORDS = (
    "张三", "阿卜", "·", "•", ".", " ", "\u3000", "\u200b", "\n", "\t", "１", "1", "-", "—", "/", "年", "月",
    "日", "2018", "05", "x", "Ｘ", "男", "一级", "高级工", "（", "）", "(", ")", "=", "@", "+", "'", '"', ",",
    "#N/A", "*", "?", "合计", "备注：", "社会体育指导员", "游泳", "无", "\ue863", "\ufffd", "\x07", "e\u0301",
    "\u0301", "𠮷", "隆", "〇", "E+17", "110000", "19900307", "001X", "T00:00:00", "00:00", "上午", "0", "00",
    "《", "》", "Ⅲ", "\xa0", "\x85", "\u2028",
)  # fmt: skip
WAYS = (
    "{0:%Y-%m-%d}", "{0.year}-{0.month}-{0.day}", "{0.year}/{0.month}/{0.day}", "{0:%Y/%m/%d}",
    "{0.year}.{0.month}.{0.day}", "{0:%Y%m%d}", "{0.year}年{0.month}月{0.day}日", "{0:%Y年%m月%d日}",
    "{0:%Y-%m-%d} 00:00:00", "{0.year}/{0.month}/{0.day} 0:00", "{0:%Y-%m-%d}T00:00:00",
)  # fmt: skip
CELL = st.one_of(st.lists(st.sampled_from(WORDS), max_size=7).map("".join), st.text(max_size=30))
CELL_OF_A_FILE = CELL.map(lambda each: each.replace("\0", "").encode("utf-8", "replace").decode())


def sent(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    whole = b"".join(table([sheet(rows)], checks())).decode()
    return list(csv.DictReader(io.StringIO(whole, newline="")))


def findings(row: dict[str, str], **over: Any) -> tuple[Finding, ...]:
    return check([sheet([row])], checks(limit=0, **over)).findings


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(HEADERS, CELL_OF_A_FILE)))
def test_what_was_normalised_once_stays_as_it_is(changes: dict[str, str]) -> None:
    once = sent([one(**changes)])
    # a value that a CSV would guard (="12", '12) is unpacked once more: nobody writes one inside the other
    if any(value[:1] in ("'", "=", "\u2018", "\u2019", "\uff07") for row in once for value in row.values()):
        return
    assert sent(once) == once


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HEADERS), CELL_OF_A_FILE.filter(lambda each: len(each.strip()) > 3))
def test_no_finding_and_no_sentence_quotes_a_cell(field: str, value: str) -> None:
    for finding in findings(one(**{field: value})):
        said = [rule_text(finding.rule, finding.column, finding.facts, language) for language in ("zh", "en")]
        known = "".join(WORDS) + str(sorted(CATALOGUE._in_force("2021", "2026-11-01")))
        assert not [each for each in (*map(str, finding.facts.values()), *said) if value in each and value not in known]


@settings(max_examples=300, deadline=None)
@given(st.lists(CELL_OF_A_FILE, min_size=12, max_size=12))
def test_a_row_of_which_more_than_half_is_filled_is_a_record(values: list[str]) -> None:
    row = dict(zip(HEADERS, values, strict=True))
    filled = sum(bool(text.clean(text.strip_text_guard(value))) for value in values)
    if filled > 6:
        assert check([sheet([row])], checks()).rows == 1
    assert check([sheet([row])], checks()).rows in (0, 1)


@settings(max_examples=500, deadline=None)
@given(CELL, st.sampled_from(["2017-09-11", "2018-05-11", "2020-10-01", "2021-01-01", "2026-11-01"]))
def test_a_proposal_is_made_of_the_catalogues_words(written: str, day: str) -> None:
    words = {entry.name for entry in CATALOGUE._all()} | {way for entry in CATALOGUE._all() for way in entry.directions}
    for name, value in CATALOGUE.proposal(written, day).items():
        if name in ("qualification", "direction", "candidate"):
            assert value in words
        elif name == "among":
            assert set(str(value).rstrip("…").split("，")) <= words
        else:
            assert value in ("direction", "level") or str(value) <= "2999"


@settings(max_examples=300, deadline=None)
@given(CELL)
@example("E¯")  # the accent comes with a space of its own
def test_a_header_is_compared_in_one_form(written: str) -> None:
    assert header.plain(header.plain(written)) == header.plain(written)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HEADERS), CELL)
def test_a_header_nobody_knows_is_never_quoted(field: str, written: str) -> None:
    row = {at: written if name == field else name for at, name in enumerate(HEADERS)}
    known = {*header.names()[0], *header.names()[1]}
    for finding in header.layout(1, row, "a.csv", None)[1]:
        candidate = str(finding.facts.get("candidate", ""))
        assert not candidate or candidate.upper() in known


@given(st.integers(0, 10**9))
def test_running_numbers_are_no_notes(number: int) -> None:
    for written in (f"{number}", f"{number}.", f"（{number}）", f"A{number}", f" {number} "):
        assert notes.running(written) and not notes.begins(written)


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)), st.sampled_from(WAYS), st.booleans(), st.data())
def test_every_day_is_read_in_every_way_to_write_it(day: date, way: str, wide: bool, data: st.DataObject) -> None:
    written = way.format(day)
    if wide:
        written = "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in written)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(written)))
        written = written[:at] + data.draw(st.sampled_from(["\u200b", "\ufeff", "\n", "\u00ad"])) + written[at:]
    around = data.draw(st.sampled_from(["{}", " {} ", "\u3000{}", "\t{}", "'{}", '="{}"', "{}\u00a0"]))
    assert dates.parse(around.format(written)) == day.isoformat()
