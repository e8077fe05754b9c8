"""Each rule: a row that breaks it and nothing else, and where the finding stands."""

from __future__ import annotations

from typing import Any

import pytest

from exchanged.batch import Severity
from exchanged.standard.rules import FIXED, RULES
from tests.support.checks import TODAY, found, one, run
from tests.support.records import HEADERS, csv_text, records, resident_id

RIGHT = one()
BORN = RIGHT["出生日期"]


def row(**cells: str) -> dict[str, str]:
    return one(**cells)


def issued(day: str, **cells: str) -> dict[str, str]:
    number = RIGHT["证书编号"]
    return one(发证日期=day, 证书编号=day[2:4] + number[2:], **cells)


def born(day: str, gender: int = 1) -> dict[str, str]:
    return one(出生日期=day, 证件号码=resident_id(day, 10 + gender), 性别="1" if gender % 2 else "2")


def document(kind: str, number: str, **cells: str) -> dict[str, str]:
    return one(证件类型=kind, 证件号码=number, **cells)


BROKEN: list[tuple[str, str | None, dict[str, str]]] = [
    *(("required", name, row(**{name: ""})) for name in HEADERS),
    *(("required", name, row(**{name: " \u3000\u200b"})) for name in HEADERS),
    ("too-long", "鉴定中心", row(鉴定中心="中" * 101)),
    ("too-long", "姓名", row(姓名="张" * 41)),
    ("too-long", "证件号码", document("299", "中" * 19)),
    ("too-long-bytes", "鉴定中心", row(鉴定中心="中" * 51)),
    ("too-long-bytes", "姓名", row(姓名="阿" * 10 + "·" + "买" * 10)),
    ("illegal-character", "姓名", row(姓名="王\ue863")),
    ("illegal-character", "发证机关", row(发证机关="某厅\x07")),
    ("illegal-character", "证书编号", row(证书编号="12345678\ufffd2345678")),
    ("formula-text", "鉴定中心", row(鉴定中心="=1+1")),
    ("formula-text", "姓名", row(姓名="@张三")),
    ("formula-text", "证件号码", row(证件号码="+8613")),
    ("formula-text", "证书编号", row(证书编号="-1234567890123456")),
    ("number-precision", "证件号码", row(证件号码="1.1E+17")),
    ("number-precision", "证书编号", row(证书编号="2.61401E+15")),
    ("bad-date", "出生日期", row(出生日期="1990-02-30")),
    ("bad-date", "发证日期", row(发证日期="26-11-01")),
    ("date-ambiguous", "发证日期", row(发证日期="03/04/2018")),
    ("date-out-of-range", "出生日期", row(出生日期="1899-12-31")),
    ("date-out-of-range", "出生日期", row(出生日期="0045-01-01")),
    ("date-out-of-range", "发证日期", row(发证日期="2026-11-21")),
    ("bad-code", "性别", row(性别="0")),
    ("bad-code", "证件类型", row(证件类型="护照")),
    ("bad-code", "技能等级", row(技能等级="特级技师")),
    ("id-format", "证件号码", row(证件号码="11000019900307001")),
    ("id-format", "证件号码", row(证件号码=RIGHT["证件号码"] + "0")),
    ("id-format", "证件号码", row(证件号码="110000900307001")),
    ("id-format", "证件号码", row(证件号码="O" + RIGHT["证件号码"][1:])),
    ("id-format", "证件号码", document("210", "A00000000")),
    ("id-format", "证件号码", document("237", RIGHT["证件号码"])),
    ("id-format", "证件号码", document("213", "1234567")),
    ("id-checksum", "证件号码", row(证件号码=RIGHT["证件号码"][:17] + ("0" if RIGHT["证件号码"][17] != "0" else "1"))),
    ("id-checksum", "证件号码", document("233", "UTO110190030700")),
    ("id-region", "证件号码", row(证件号码=resident_id(BORN, 11 if RIGHT["性别"] == "1" else 12, "990000"))),
    ("id-birth-mismatch", "证件号码", row(出生日期="1999-01-01")),
    ("id-birth-mismatch", "证件号码", document("233", "UTO110190030703", 出生日期="1990-03-08")),
    ("id-gender-mismatch", "证件号码", row(性别="2" if RIGHT["性别"] == "1" else "1")),
    ("name-masked", "姓名", row(姓名="刘*")),
    ("name-masked", "证件号码", row(证件号码="110****1977122****3X")),
    ("name-suspicious", "姓名", row(姓名="张3")),
    ("name-suspicious", "姓名", row(姓名="张")),
    ("name-suspicious", "姓名", row(姓名="Zhang San")),
    ("certificate-number-format", "证书编号", row(证书编号="123456789012345")),
    ("certificate-number-format", "证书编号", row(证书编号="12345678901234567")),
    ("certificate-number-format", "证书编号", row(证书编号="Y000023000001233000001")),
    ("certificate-number-format", "证书编号", row(证书编号="中文")),
    ("certificate-number-year", "证书编号", row(证书编号="25" + RIGHT["证书编号"][2:])),
    ("certificate-number-body", "证书编号", row(证书编号=RIGHT["证书编号"][:6] + "5" + RIGHT["证书编号"][7:])),
    ("certificate-number-body", "证书编号", row(证书编号=RIGHT["证书编号"][:11] + "00000")),
    (
        "certificate-number-level",
        "证书编号",
        row(技能等级=str(int(RIGHT["技能等级"]) % 5 + 1)),
    ),
    ("not-in-catalogue", "职业资格", row(职业资格="占星师")),
    ("direction-unknown", "职业方向", row(职业资格="社会体育指导员", 职业方向="太极")),
    ("issued-before-16", "出生日期", born("2011-01-01")),
    ("deadline-near", "发证日期", issued("2026-10-26")),
    ("deadline-near", "发证日期", issued("2026-10-21")),
    ("deadline-missed", "发证日期", issued("2026-10-20")),
]


@pytest.mark.parametrize(
    ("rule", "column", "broken"), BROKEN, ids=[f"{r}-{c}-{n}" for n, (r, c, _) in enumerate(BROKEN)]
)
def test_one_cause_is_one_finding_at_its_cell(rule: str, column: str | None, broken: dict[str, str]) -> None:
    rows = records(3, seed=5, today=TODAY)
    for n, other in enumerate(rows):
        other["证书编号"] = other["证书编号"][:11] + f"{90001 + n}"
        other["证件号码"] = resident_id(other["出生日期"], 990 + (other["性别"] == "1"), "640000")
    assert found([rows[0], broken, rows[1], rows[2]]) == [(rule, 3, column)]


WITH_SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("certificate-number-issuer", "证书编号", {"issuer_codes": ("64", "10")}),
    ("centre-unregistered", "鉴定中心", {"centres": ("某中心",)}),
    ("authority-unregistered", "发证机关", {"authorities": ("某厅",)}),
]


@pytest.mark.parametrize(("rule", "column", "settings"), WITH_SETTINGS)
def test_what_is_configured_is_asked_for(rule: str, column: str, settings: dict[str, Any]) -> None:
    assert found([RIGHT]) == []
    assert found([RIGHT], **settings) == [(rule, 2, column)]


def test_what_is_configured_is_satisfied() -> None:
    assert (
        found([RIGHT], issuer_codes=("14",), centres=(RIGHT["鉴定中心"],), authorities=(RIGHT["发证机关"] + " ",)) == []
    )


def test_a_seal_name_may_have_brackets_of_either_width() -> None:
    row = {**RIGHT, "发证机关": "某省人力资源和社会保障厅（局）"}
    assert found([row], authorities=("某省人力资源和社会保障厅(局)",)) == []
    assert found([row], authorities=("某省人力资源和社会保障厅",)) == [("authority-unregistered", 2, "发证机关")]


def test_a_qualification_that_was_leaving_is_a_warning_then_an_error() -> None:
    def rules(day: str) -> set[str]:
        return {rule for rule, _, _ in found([issued(day, 职业资格="茶艺师")])} - {"deadline-missed"}

    assert rules("2017-09-11") == set()
    assert rules("2020-09-29") == set()
    assert rules("2020-09-30") == {"catalogue-leaving"}
    assert rules("2020-12-31") == {"catalogue-leaving"}
    assert rules("2021-01-01") == {"not-in-catalogue"}


def test_a_qualification_with_its_direction_in_brackets_is_proposed_apart() -> None:
    finding = run([row(职业资格="社会体育指导员（游泳）")]).findings[0]
    assert finding.rule == "not-in-catalogue"
    assert dict(finding.facts) == {"qualification": "社会体育指导员", "direction": "游泳"}


def test_a_direction_the_catalogue_does_not_list_is_not_repeated_in_the_proposal() -> None:
    finding = run([row(职业资格="社会体育指导员（太极）")]).findings[0]
    assert dict(finding.facts) == {"qualification": "社会体育指导员", "rest": "direction"}


def test_facts_say_how_to_put_it_right() -> None:
    facts = {f.rule: dict(f.facts) for _, _, broken in BROKEN for f in run([broken]).findings}
    assert facts["too-long"]["limit"] in (18, 40, 100)
    assert facts["number-precision"] == {}
    private = run([row(姓名="王\ue863")]).findings[0]
    assert dict(private.facts) == {"codepoint": "U+E863", "standard": "䶮"}
    other = run([row(证书编号="Y000023000001233000001")]).findings[0]
    assert dict(other.facts) == {"kind": "skill-level"}
    old = run([row(证件号码="110000900307001")]).findings[0]
    assert dict(old.facts) == {"type": "201", "hint": "fifteen-digits"}
    near = run([issued("2026-10-26")]).findings[0]
    assert dict(near.facts) == {"days": 25}


def test_no_finding_holds_text_of_a_cell() -> None:
    for _, _, broken in BROKEN:
        for finding in run([broken]).findings:
            shown = [str(value) for value in finding.facts.values()]
            assert not [cell for cell in broken.values() if len(cell) > 6 and any(cell in text for text in shown)]


def test_a_field_that_failed_is_left_out_of_comparisons() -> None:
    assert found([row(出生日期="1990-13-01")]) == [("bad-date", 2, "出生日期")]
    assert found([row(性别="男女")]) == [("bad-code", 2, "性别")]
    assert found([row(技能等级="?")]) == [("bad-code", 2, "技能等级")]
    assert found([row(证件类型="通行证", 证件号码="1")]) == [("bad-code", 2, "证件类型")]
    wrong = RIGHT["证件号码"][:17] + ("0" if RIGHT["证件号码"][17] != "0" else "1")
    assert found([row(证件号码=wrong, 出生日期="1999-01-01", 性别="")]) == [
        ("required", 2, "性别"),
        ("id-checksum", 2, "证件号码"),
    ]


def test_all_problems_of_a_row_are_found_in_one_pass() -> None:
    rules = [
        rule
        for rule, _, _ in found([row(姓名="", 性别="x", 出生日期="x", 证书编号="1", 职业资格="占星师", 职业方向="")])
    ]
    assert rules == ["required", "bad-code", "bad-date", "certificate-number-format", "not-in-catalogue", "required"]


@pytest.mark.parametrize(
    "right",
    [
        document("208", "AB1234567", 姓名="John O'Neil"),
        document("227", "E00000000"),
        document("210", "H00000000"),
        document("213", "00000000"),
        document("213", "0000000000(B)"),
        document("233", "UTO110190030703", 出生日期="1990-03-07", 姓名="Anna Maria"),
        document("233", "911999199003070010", 出生日期="1990-03-07", 性别="1"),
        document("237", "810000199408230021", 出生日期="1994-08-23", 性别="2"),
        document("238", "830000199201300022", 出生日期="1992-01-30", 性别="2"),
        document("239", "1"),
        document("299", "任何-1"),
    ],
    ids=lambda right: right["证件类型"],
)
def test_the_documents_of_every_type_pass(right: dict[str, str]) -> None:
    assert found([right]) == []


def test_a_rule_that_is_off_is_silent_and_the_next_one_speaks() -> None:
    broken = row(
        证件号码=RIGHT["证件号码"][:17] + ("0" if RIGHT["证件号码"][17] != "0" else "1"), 出生日期="1999-01-01"
    )
    assert found([broken]) == [("id-checksum", 2, "证件号码")]
    assert found([broken], severity={"id-checksum": "off"}) == [("id-birth-mismatch", 2, "证件号码")]
    assert found([row(姓名="刘*")], severity={"name-masked": "off"}) == [("name-suspicious", 2, "姓名")]
    assert found([row(证书编号="2.6E+15")], severity={"number-precision": "off"}) == [
        ("certificate-number-format", 2, "证书编号")
    ]


@pytest.mark.parametrize("rule", sorted(set(RULES) - FIXED))
def test_every_rule_of_a_cell_can_be_switched_off(rule: str) -> None:
    for name, _, broken in BROKEN:
        if name == rule:
            assert rule not in {spot[0] for spot in found([broken], severity={rule: "off"})}


def test_fixed_rules_cannot_be_switched_off_but_may_warn() -> None:
    assert found([row(姓名="")], severity={"required": "off"}) == [("required", 2, "姓名")]
    checked = run([row(姓名="")], severity={"required": "warn"})
    assert [f.severity for f in checked.findings] == [Severity.WARN] and checked.valid


def test_hold_is_counted_and_does_not_reject() -> None:
    checked = run([row(姓名="张3")], severity={"name-suspicious": "hold"})
    assert checked.valid and checked.severities == {"error": 0, "hold": 1, "warn": 0}


def test_valid_rows_of_all_kinds_have_no_finding() -> None:
    assert found(records(3000, today=TODAY)) == []


def test_csv_text_is_what_is_read() -> None:
    assert csv_text([RIGHT]).count("\r\n") == 2
