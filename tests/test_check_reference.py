"""The column-wise check finds exactly what plain Python finds, row by row, whatever dirt there is."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from exchanged.checking import check
from exchanged.standard.rules import RULES
from tests.support.checks import TODAY, checks, sheet, spots
from tests.support.plainly import Judge
from tests.support.records import HEADERS, records, resident_id

DIRT = {
    "姓名": [
        "",
        " 张 三 ",
        "张三丰",
        "阿依古丽•买买提",
        "刘*",
        "张3",
        "王\ue863",
        "=张三",
        "John Smith",
        "张" * 41,
        "䶮王",
        "A",
        "张\u200b三",
        "李·四",
    ],
    "性别": ["", "男", "女性", "M", "1.0", "0", "９", "１", " 2 "],
    "出生日期": [
        "",
        "1990/3/7",
        "1990年3月7日",
        "19900307",
        "43231",
        "1990-02-30",
        "03/04/1990",
        "1890-01-01",
        "2012-05-05",
        "９０",
        "1990-03-07",
    ],
    "发证日期": [
        "",
        "2026.11.1",
        "2026-10-20",
        "2026-10-24",
        "2018-05-11",
        "2020-11-11",
        "2027-01-01",
        "2016-01-01",
        "26-11-01",
        "2026-11-20 00:00:00",
    ],
    "证书编号": [
        "",
        "186401000020000",
        "1864010000200001",
        "１８64010000200001",
        "1.86401E+15",
        "Y000023000001233000001",
        "2614000900200000",
        '="2614000000100001"',
        "x\x07",
    ],
    "证件类型": ["", "居民身份证", "二代身份证", "护照", "227", "210", "237", "233", "299", "9", "２０１"],
    "证件号码": [
        "",
        "11000019900307001x",
        "110000199003070011",
        "110000900307001",
        "1.1E+17",
        "E00000000",
        "H00000000",
        "810000199408230021",
        "UTO110190030703",
        "UTO110190030704",
        "110***",
        "+1",
        "0" * 20,
        "中文",
        " 11000019900307001X ",
    ],
    "职业资格": [
        "",
        "占星师",
        "茶艺师",
        "社会体育指导员",
        "社会体育指导员（游泳）",
        " 保安员 ",
        "焊工",
        "@x",
        "长" * 81,
        "长" * 41,
        "电\x7f工",
    ],
    "职业方向": ["", "-", "—", "/", "游泳", "太极", "无 ", "-x", "方" * 31],
    "技能等级": ["", "一级", "高级技师", "三级/高级工", "高级", "特级技师", "5级", "０3"],
    "鉴定中心": ["", "=cmd", "某中心", "中" * 101, "中" * 60, 'a,b"c'],
    "发证机关": ["", "某厅", "厅\ufffd"],
}


def dirty(count: int, seed: int) -> list[dict[str, str]]:
    """Rows of which a third is touched, some repeat earlier ones in part or whole."""
    rng = random.Random(seed)
    rows = records(count, seed=seed, today=TODAY)
    for at, row in enumerate(rows):
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 4))):
            field = rng.choice(HEADERS)
            row[field] = rng.choice(DIRT[field])
        if at > 10 and rng.random() < 0.15:
            earlier = rows[rng.randrange(at)]
            kept = rng.choice(
                (
                    HEADERS,
                    ("证书编号",),
                    ("证件号码", "证件类型"),
                    ("证件号码", "姓名", "出生日期", "性别", "职业资格", "职业方向", "技能等级"),
                )
            )
            row.update({field: earlier[field] for field in kept})
        if at % 40 == 0:
            row |= {"职业资格": "茶艺师", "发证日期": "2020-11-11"}
        if at % 50 == 0:
            row["证件号码"] = resident_id("1990-03-07", at % 999, "990000")
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_the_same_is_found_by_columns_and_by_rows(seed: int) -> None:
    rows = dirty(700, seed)
    plain = Judge(TODAY).judge(rows)
    found = spots(check([sheet(rows)], checks(limit=0)))
    assert len(found) == len(set(found))
    assert set(found) == plain


def test_the_dirt_breaks_every_rule_of_a_cell_or_row() -> None:
    counted: Counter[str] = Counter()
    for seed in range(6):
        counted.update(check([sheet(dirty(700, seed))], checks()).counted)
    need_more = {
        "formula-error",
        "total-row",
        "certificate-number-issuer",
        "centre-unregistered",
        "authority-unregistered",
    }
    scopes = {name for name, rule in RULES.items() if rule.scope in ("cell", "row")}
    assert scopes - set(counted) == need_more


def test_the_same_is_found_when_the_rows_come_in_several_files() -> None:
    rows = dirty(900, 77)
    whole = check([sheet(rows)], checks(limit=0))
    parts = check([sheet(rows[n : n + 90], f"{n:04d}.csv") for n in range(0, 900, 90)], checks(limit=0))
    assert parts.counted == whole.counted
    assert parts.digest == whole.digest
    moved = [(f.rule, int(f.file[:4]) + (f.row or 0), f.column) for f in parts.findings if f.file]
    assert moved == spots(whole)
