"""The catalogue of qualifications, by date."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from exchanged.errors import ConfigError
from exchanged.standard.catalogue import Catalogue

CATALOGUE = Catalogue.load()
HEADER = (
    "edition,item_no,name,occupation,direction,category,kind,authority,"
    "effective_from,effective_to,exit_batch,confidence,note\n"
)

JUDGED = [
    ("不存在的资格", "2017-09-11", "unchecked"),
    ("电工", "2017-09-12", "ok"),
    ("电工", "2020-09-29", "ok"),
    ("电工", "2020-09-30", "catalogue-leaving"),
    ("电工", "2020-12-31", "catalogue-leaving"),
    ("电工", "2021-01-01", "not-in-catalogue"),
    ("电工", "2024-01-01", "not-in-catalogue"),
    ("企业人力资源管理师", "2020-09-30", "ok"),
    ("企业人力资源管理师", "2020-10-01", "not-in-catalogue"),
    ("焊工", "2019-01-01", "ok"),
    ("焊工", "2020-10-01", "ok"),
    ("焊工", "2021-11-22", "ok"),
    ("焊工", "2021-11-23", "not-in-catalogue"),
    ("民用核安全设备焊工、焊接操作工", "2022-01-01", "ok"),
    ("社会体育指导员", "2018-05-11", "ok"),
    ("社会体育指导员", "2026-01-01", "ok"),
    ("社会体育指导员（游泳）", "2018-05-11", "not-in-catalogue"),
    ("健身和娱乐场所服务人员", "2018-05-11", "not-in-catalogue"),
    ("消防设施操作员", "2021-11-22", "ok"),
    ("消防设施操作员", "2021-11-23", "ok"),
    ("安检员", "2021-06-01", "ok"),
    ("安检员", "2022-06-01", "not-in-catalogue"),
    ("民航安全检查员", "2021-06-01", "not-in-catalogue"),
    ("民航安全检查员", "2022-06-01", "ok"),
    ("会计从业资格", "2017-11-04", "ok"),
    ("会计从业资格", "2017-11-05", "not-in-catalogue"),
    ("教师资格", "2020-12-31", "ok"),
    ("勘察设计注册工程师", "2020-01-01", "not-in-catalogue"),
    ("注册结构工程师", "2020-01-01", "ok"),
    ("（粮油）仓储管理员", "2019-01-01", "ok"),
    ("(粮油)仓储管理员", "2019-01-01", "not-in-catalogue"),
    ("", "2019-01-01", "not-in-catalogue"),
]


@pytest.mark.parametrize(("qualification", "issued", "verdict"), JUDGED)
def test_a_name_is_right_or_wrong_on_a_day(qualification: str, issued: str, verdict: str) -> None:
    assert CATALOGUE.judge(qualification, issued) == verdict


@pytest.mark.parametrize(
    ("issued", "edition"),
    [
        ("2017-09-11", None),
        ("2017-09-12", "2017"),
        ("2021-11-22", "2017"),
        ("2021-11-23", "2021"),
        ("2030-01-01", "2021"),
    ],
)
def test_the_edition_in_force_follows_the_issue_date(issued: str, edition: str | None) -> None:
    assert CATALOGUE.edition(issued) == edition


def test_editions_are_listed_with_their_days() -> None:
    assert [(e.name, e.start, e.end, e.entries) for e in CATALOGUE.editions()] == [
        ("2017", "2017-09-12", "2021-11-22", 272),
        ("2021", "2021-11-23", None, 95),
    ]


def test_nothing_changes_between_two_turning_days() -> None:
    turns = CATALOGUE.turns
    assert {"2017-09-12", "2020-09-30", "2021-01-01", "2021-11-23"} <= set(turns)
    names = {name for name, _, _ in JUDGED}
    for first, following in pairwise(turns):
        last = (date.fromisoformat(following) - timedelta(days=1)).isoformat()
        for name in names:
            assert CATALOGUE.judge(name, first) == CATALOGUE.judge(name, last)
            assert CATALOGUE.directions(name, first) == CATALOGUE.directions(name, last)


def test_directions_are_those_the_catalogue_lists() -> None:
    assert CATALOGUE.directions("社会体育指导员", "2018-05-11") == {"游泳", "滑雪", "潜水", "攀岩"}
    assert CATALOGUE.directions("保安员", "2018-05-11") == frozenset()
    assert CATALOGUE.directions("社会体育指导员", "2016-05-11") == frozenset()
    assert CATALOGUE.directions("没有的", "2018-05-11") == frozenset()


COACH = "社会体育指导员"


@pytest.mark.parametrize(
    ("written", "facts"),
    [
        ("社会体育指导员（游泳）", {"qualification": COACH, "direction": "游泳"}),
        ("社会体育指导员(滑雪)", {"qualification": COACH, "direction": "滑雪"}),
        ("社会体育指导员 （游泳）", {"qualification": COACH, "direction": "游泳"}),
        ("社会体育指导员（游泳）五级", {"qualification": COACH, "direction": "游泳"}),
        ("社会体育指导员【攀岩】", {"qualification": COACH, "direction": "攀岩"}),
        ("社会体育指导员-潜水", {"qualification": COACH, "direction": "潜水"}),
        ("社会体育指导员（健身）", {"qualification": COACH, "rest": "direction"}),
        ("社会体育指导员（五级）", {"qualification": COACH, "rest": "level"}),
        ("焊工（电焊工）", {"qualification": "焊工", "rest": "direction"}),
        ("（粮油）仓储管理员（中级工）", {"qualification": "（粮油）仓储管理员", "rest": "level"}),
        ("没有的（游泳）", {}),
        ("（游泳）", {}),
    ],
)
def test_a_direction_behind_a_name_is_proposed_apart_in_words_of_the_catalogue(
    written: str, facts: dict[str, str]
) -> None:
    assert CATALOGUE.proposal(written, "2019-01-01") == facts


def test_what_was_not_in_force_is_not_proposed() -> None:
    assert CATALOGUE.proposal("茶艺师（评茶）", "2019-01-01") == {"qualification": "茶艺师", "rest": "direction"}
    assert CATALOGUE.proposal("茶艺师（评茶）", "2021-01-01") == {}
    assert CATALOGUE.proposal("社会体育指导员（游泳）", "2016-01-01") == {}


@pytest.mark.parametrize(
    ("written", "issued", "facts"),
    [
        ("(粮油)仓储管理员", "2019-01-01", {"candidate": "（粮油）仓储管理员"}),
        ("保 安 员", "2024-01-01", {"candidate": "保安员"}),
        ("安检员", "2024-01-01", {"candidate": "民航安全检查员"}),
        ("安检员", "2016-01-01", {}),
        ("专利代理人", "2024-01-01", {"candidate": "专利代理师"}),
        ("物业管理服务人员", "2019-01-01", {"candidate": "中央空调系统运行操作员"}),
        ("健身和娱乐场所服务人员", "2019-01-01", {"among": "游泳救生员，社会体育指导员"}),
        ("电工", "2024-01-01", {"left": "2020-12-31"}),
        ("茶艺师", "2021-01-01", {"left": "2020-12-31"}),
        ("民航安全检查员", "2019-01-01", {"start": "2021-11-23"}),
        ("没有的", "2019-01-01", {}),
    ],
)
def test_what_to_write_instead_is_proposed_where_it_is_known(written: str, issued: str, facts: dict[str, str]) -> None:
    assert CATALOGUE.proposal(written, issued) == facts


def edition_file(folder: Path, text: str, encoding: str = "utf-8") -> str:
    path = folder / "further.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_an_operator_can_add_an_edition(tmp_path: Path) -> None:
    path = edition_file(
        tmp_path, HEADER + "2030,S01,新项目,新职业,甲|乙,准入,技能人员,,2030-01-01,,,high,\n", "utf-8-sig"
    )
    catalogue = Catalogue.load([path])
    assert catalogue.judge("新职业", "2029-12-31") == "not-in-catalogue"
    assert catalogue.judge("新职业", "2030-01-01") == "ok"
    assert catalogue.judge("保安员", "2030-01-01") == "not-in-catalogue"
    assert catalogue.directions("新职业", "2030-01-01") == {"甲", "乙"}
    assert [(e.name, e.end) for e in catalogue.editions()] == [
        ("2017", "2021-11-22"),
        ("2021", "2029-12-31"),
        ("2030", None),
    ]


def test_a_further_file_replaces_what_an_edition_said_about_a_name(tmp_path: Path) -> None:
    path = edition_file(
        tmp_path, HEADER + "2021,S02,安全保护服务人员,保安员,,准入,技能人员,,2021-11-23,2025-12-31,,high,\n"
    )
    catalogue = Catalogue.load([path])
    assert catalogue.judge("保安员", "2025-12-31") == "ok"
    assert catalogue.judge("保安员", "2026-01-01") == "not-in-catalogue"
    assert catalogue.judge("消防员", "2026-01-01") == "ok"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a,b\n1,2\n", "config.catalogue_columns", 1),
        ("", "config.catalogue_columns", 1),
        (HEADER, "config.catalogue_empty", 1),
        (HEADER + "2030,S01,,,,,,,2030-01-01,,,,\n", "config.catalogue_row", 2),
        (HEADER + "2030,S01,甲,,,,,,2030-1-1,,,,\n", "config.catalogue_date", 2),
        (HEADER + "2030,S01,甲,,,,,,2030-01-01,坏,,,\n", "config.catalogue_date", 2),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, code: str, line: int) -> None:
    with pytest.raises(ConfigError) as refused:
        Catalogue.load([edition_file(tmp_path, text)])
    (problem,) = refused.value.problems
    assert (problem.path, problem.code, problem.facts) == ("standard.catalogues[0]", code, {"line": line})


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    garbled = edition_file(tmp_path, HEADER + "2030,S01,甲,,,,,,2030-01-01,,,,\n", "gb18030")
    with pytest.raises(ConfigError) as refused:
        Catalogue.load([str(tmp_path / "missing.csv"), garbled])
    assert [problem.path for problem in refused.value.problems] == ["standard.catalogues[0]", "standard.catalogues[1]"]
    assert {problem.code for problem in refused.value.problems} == {"config.catalogue_unreadable"}
