"""Fields and rules of the standard, and the made-up rows that tests stand on."""

from __future__ import annotations

from datetime import date

import pytest

from exchanged.batch import Severity
from exchanged.standard import certificate, dates, identity, names, text
from exchanged.standard.catalogue import Catalogue
from exchanged.standard.codes import code
from exchanged.standard.fields import BY_KEY, BY_NAME, FIELDS
from exchanged.standard.rules import FIXED, RULES, explain, severity
from tests.support import oracle
from tests.support.records import HEADERS, KEYS, records


def test_the_twelve_fields_stand_in_the_order_of_annex_2() -> None:
    assert tuple(field.name for field in FIELDS) == HEADERS
    assert tuple(field.key for field in FIELDS) == KEYS
    assert [field.order for field in FIELDS] == list(range(1, 13))
    assert [field.max_length for field in FIELDS] == [40, 2, 10, 10, 16, 100, 18, 80, 60, 10, 100, 100]
    assert BY_KEY["id_number"] is BY_NAME["证件号码"]


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_every_rule_has_texts_and_a_page_in_both_languages(rule: object) -> None:
    known = RULES[rule.name]  # type: ignore[attr-defined]
    assert known.zh and known.en and known.meaning
    assert set(known.fields) <= set(HEADERS)
    for language, parts in (
        ("zh", ("含义：", "依据：", "处理：", "举例：")),
        ("en", ("Meaning:", "Why:", "Fix:", "Example:")),
    ):
        page = explain(known.name, language)
        assert page is not None
        lines = page.splitlines()
        assert len(lines) in (3, 4)
        assert all(line.startswith(part) for line, part in zip(lines, parts, strict=False))


def test_an_unknown_rule_has_no_page() -> None:
    assert explain("no-such-rule") is None


def test_rules_that_cannot_be_switched_off_are_the_four_and_those_of_files() -> None:
    assert {"required", "bad-code", "bad-date", "too-long", "file-type", "column-missing", "table-empty"} <= FIXED
    assert not {"id-checksum", "total-row", "duplicate-record", "date-ambiguous"} & FIXED


def test_severity_follows_the_overrides_but_never_switches_off_what_is_fixed() -> None:
    assert severity("id-checksum") is Severity.ERROR
    assert severity("id-region", {}) is Severity.WARN
    assert severity("id-region", {"id-region": "off"}) is Severity.OFF
    assert severity("id-region", {"id-region": "hold"}) is Severity.HOLD
    assert severity("required", {"required": "off"}) is Severity.ERROR
    assert severity("required", {"required": "warn"}) is Severity.WARN


def test_made_up_rows_are_right_under_every_rule_of_a_value() -> None:
    today = "2026-01-10"
    catalogue = Catalogue.load()
    for row in records(300, today=today):
        number, issue, birth = row["证书编号"], row["发证日期"], row["出生日期"]
        assert text.clean_name(row["姓名"]) == row["姓名"] and not names.suspicious(row["姓名"], "201")
        assert all(text.clean(value) == value and not text.illegal(value) for value in row.values())
        assert all(text.gb18030_length(value) <= BY_NAME[name].max_length for name, value in row.items())
        assert [code(key, row[BY_KEY[key].name]) for key in ("gender", "id_type", "level")] == [
            row["性别"],
            "201",
            row["技能等级"],
        ]
        assert (dates.parse(issue), dates.parse(birth)) == (issue, birth)
        assert not oracle.under_16(birth, issue) and oracle.deadline(issue, today) is None
        assert identity.checksum_ok("201", row["证件号码"]) and identity.region_ok(row["证件号码"])
        assert (
            oracle.birth_agrees("201", row["证件号码"], birth) and oracle.gender("201", row["证件号码"]) == row["性别"]
        )
        assert certificate.is_number(number) and oracle.body_ok(number) and oracle.year_agrees(number, issue)
        assert number[10] == row["技能等级"]
        assert catalogue.judge(row["职业资格"], issue) == "ok"
        assert row["职业方向"] in (catalogue.directions(row["职业资格"], issue) or {"无"})


def test_made_up_rows_are_different_and_the_same_each_time() -> None:
    made = records(2000, seed=3, today="2026-01-10")
    assert made == records(2000, seed=3, today="2026-01-10")
    assert len({row["证书编号"] for row in made}) == len({row["证件号码"] for row in made}) == 2000
    assert all(row["发证日期"] < date.today().isoformat() for row in records(5))


def test_made_up_rows_take_other_values() -> None:
    made = records(3, level="九级", 姓名=lambda index: f"测试{index}")
    assert [row["姓名"] for row in made] == ["测试0", "测试1", "测试2"]
    assert {row["技能等级"] for row in made} == {"九级"}
