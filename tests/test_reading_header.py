"""Which row is the header, and what its columns are called."""

from __future__ import annotations

import pytest

from exchanged.reading import header
from exchanged.standard import fields
from tests.support.books import HEADERS, csv_bytes, row, table
from tests.support.taken import Taken, take


def read_with(names: list[str]) -> Taken:
    return take(csv_bytes([names, [*row(1), *["x"] * (len(names) - 12)]]), "a.csv")


def test_the_names_are_those_of_the_field_standard() -> None:
    assert header.names()[0] == {field.name: field.key for field in fields.FIELDS}


def test_no_alias_is_a_standard_name_and_each_is_written_as_it_is_compared() -> None:
    standard, alias = header.names()
    assert not standard.keys() & alias.keys()
    assert all(header.plain(name) == name for name in (*standard, *alias))
    assert {field for meant in alias.values() for field in meant} <= set(standard.values())


WRITTEN = (
    " 姓 名 ",
    "*姓名",
    "姓名（必填）",
    "姓名(与证件一致)",
    "＊姓　名【必填】",
    "\ufeff姓\n名",
    "姓名\u200b",
    "姓名[40]",
    "姓名" + " " * 2000,
)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_header_is_compared_without_spaces_stars_and_notes(written: str) -> None:
    assert header.plain(written) == "姓名"


def test_column_order_is_free() -> None:
    names, values = list(reversed(HEADERS)), list(reversed(row(1)))
    got = take(csv_bytes([names, values]), "a.csv")
    assert (got.findings, got.texts["name"]) == ((), ["测试1"])


def test_an_alias_is_a_missing_column_with_a_candidate_and_nothing_else() -> None:
    names = ["证书号" if name == "证书编号" else name for name in HEADERS]
    got = read_with(names)
    assert [(f.rule, f.column, dict(f.facts)) for f in got.findings] == [
        ("column-missing", "证书编号", {"candidate": "证书号", "position": "E"})
    ]
    assert "certificate_number" not in got.texts
    assert got.texts["name"] == ["测试1"]


def test_an_alias_beside_the_standard_name_is_a_column_nobody_knows() -> None:
    got = read_with([*HEADERS, "证书号"])
    assert [(f.rule, f.column, dict(f.facts)) for f in got.findings] == [("column-unknown", None, {"position": "M"})]


def replaced(**by: str) -> list[str]:
    return [by.get(name, name) for name in HEADERS]


@pytest.mark.parametrize("field", ["职业资格", "职业方向"])
def test_a_name_for_two_fields_is_a_candidate_for_the_one_that_is_missing(field: str) -> None:
    found = read_with(replaced(**{field: "职业工种"})).findings
    assert [(f.rule, f.column, f.facts.get("candidate")) for f in found] == [("column-missing", field, "职业工种")]


def test_a_name_for_two_missing_fields_is_not_guessed() -> None:
    found = read_with(replaced(职业资格="职业工种", 职业方向="备注")).findings
    assert [(f.rule, f.column) for f in found] == [
        ("column-unknown", None),
        ("column-unknown", None),
        ("column-missing", "职业资格"),
        ("column-missing", "职业方向"),
    ]
    assert not any("candidate" in f.facts for f in found)


LIKE = [
    ("姓名", "姓名："),
    ("姓名", "1、姓名"),
    ("姓名", "姓名（必填"),
    ("证书编号", "編号"),
    ("证书编号", "證書編號"),
    ("证书编号", "证书编号码"),
    ("性别", "性別"),
    ("性别", "性别代码"),
    ("鉴定中心", "鉴定中心名称"),
    ("发证机关", "发证机关（印）全称"),
    ("技能等级", "技能等級"),
]


@pytest.mark.parametrize(("field", "written"), LIKE)
def test_a_resembling_header_is_one_finding_that_names_its_column_and_not_its_text(field: str, written: str) -> None:
    found = read_with(replaced(**{field: written})).findings
    place = header.letters(HEADERS.index(field))
    assert [(f.rule, f.column, dict(f.facts)) for f in found] == [("column-missing", field, {"position": place})]


@pytest.mark.parametrize(
    "written", ["电话", "备注", "工作单位", "考试日期", "证件有效期", "籍贯", "学历", "类", "x" * 500]
)
@pytest.mark.parametrize("field", ["姓名", "证件类型", "发证日期"])
def test_a_header_that_resembles_no_missing_field_is_two_findings(field: str, written: str) -> None:
    found = read_with(replaced(**{field: written})).findings
    assert [(f.rule, f.column) for f in found] == [("column-unknown", None), ("column-missing", field)]


def test_a_strange_header_is_named_by_its_letter_never_by_its_text() -> None:
    got = read_with([*HEADERS, "张三的电话"])
    assert [(f.rule, f.row, dict(f.facts)) for f in got.findings] == [("column-unknown", 1, {"position": "M"})]
    assert "张三" not in repr(got.findings)


def test_the_same_field_twice_is_found_and_the_first_is_read() -> None:
    got = read_with([*HEADERS, "姓 名*"])
    assert [(f.rule, f.column) for f in got.findings] == [("column-duplicate", "姓名")]
    assert got.texts["name"] == ["测试1"]


@pytest.mark.parametrize("serial", ["序号", "No.", "NO", "#", "№", "序 号", "顺序号", "行号"])
def test_running_numbers_are_left_out_without_a_finding(serial: str) -> None:
    got = take(csv_bytes([[serial, *HEADERS], ["1", *row(1)]]), "a.csv")
    assert (got.findings, got.texts[""]) == ((), ["1"])


def test_a_missing_field_does_not_hide_the_rest() -> None:
    got = take(csv_bytes([line[:11] for line in table(2)]), "a.csv")
    assert [(f.rule, f.column) for f in got.findings] == [("column-missing", "发证机关")]
    assert len(got.texts) == 11


def test_two_names_are_no_header_and_three_are() -> None:
    assert take(csv_bytes([["姓名", "性别", "电话"], ["测试", "男", "1"]]), "a.csv").rules == ["header-missing"]
    assert "header-missing" not in take(csv_bytes([["姓名", "性别", "出生日期"], ["测", "男", "1"]]), "a.csv").rules


def test_the_header_is_looked_for_in_the_first_twenty_rows() -> None:
    titles = [["标题"]] * 19
    assert take(csv_bytes([*titles, *table(1)]), "a.csv").header_row == 20
    assert take(csv_bytes([*titles, ["标题"], *table(1)]), "a.csv").rules == ["header-missing"]


def test_the_row_with_most_names_wins() -> None:
    rows = [["填写", "姓名", "性别", "出生日期"], *table(1)]
    assert take(csv_bytes(rows), "a.csv").header_row == 2


@pytest.mark.parametrize(
    ("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16383, "XFD")]
)
def test_columns_have_their_letters(index: int, name: str) -> None:
    assert header.letters(index) == name
