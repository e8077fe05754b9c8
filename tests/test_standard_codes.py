"""Codes of gender, ID type and level, in the spellings that real spreadsheets hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanged.standard.codes import CODES, code
from exchanged.standard.tables import rows


@pytest.mark.parametrize("row", rows("codes"), ids=lambda row: row["name"])
def test_codes_and_names_of_the_standard_are_taken(row: dict[str, str]) -> None:
    assert code(row["field"], row["code"]) == row["code"]
    assert code(row["field"], row["name"]) == row["code"]


@pytest.mark.parametrize("row", rows("level-spellings"), ids=lambda row: row["spelling"])
def test_every_listed_spelling_of_a_level_means_its_level(row: dict[str, str]) -> None:
    assert code("level", row["spelling"]) == row["level"]


RIGHT = {
    "gender": {
        "1": [
            "男性",
            "M",
            "m",
            "Male",
            "1.0",
            "01",
            "001",
            "１",
            "♂",
            " 男 ",
            "男\u3000",
            "1=男",
            "1-男",
            "男(1)",
            "'1",
            "1男",
        ],
        "2": ["女性", "F", "2.0", "02", "２", "♀", "2：女", "2 女"],
    },
    "id_type": {
        "201": [
            "身份证",
            "二代身份证",
            "第二代居民身份证",
            "中华人民共和国居民身份证",
            "２０１",
            "201.0",
            "201=居民身份证",
            "201 居民身份证",
        ],
        "208": ["外籍护照", "护照（外国国籍）"],
        "210": ["回乡证", "港澳居民往来内地通行证", "210-港澳居民来往内地通行证"],
        "213": ["台胞证", "台湾居民来往内地通行证", "台湾居民往来大陆通行证"],
        "227": ["中国护照", "中华人民共和国护照"],
        "233": ["永居证", "绿卡", "外国人永久居留证", "中华人民共和国外国人永久居留身份证"],
        "237": ["港澳居民居住证", "中华人民共和国港澳居民居住证"],
        "238": ["中华人民共和国台湾居民居住证"],
        "239": [
            "《中华人民共和国外国人工作许可证》（A类）",
            "外国人工作许可证(A类)",
            "239=《中华人民共和国外国人工作许可证》(A类)",
        ],
        "240": ["中华人民共和国外国人工作许可证（Ｂ类）"],
        "241": ["《中华人民共和国外国人工作许可证》(c类)"],
        "299": ["其它个人证件", "299"],
    },
    "level": {
        "1": ["高级技师", "一级／高级技师", "1.0", "国家职业资格一级（高级技师）", "1级", "高级技师一级"],
        "2": ["技师", "二级技师", "2=二级", "Ⅱ", "二级、技师"],
        "3": [
            "高级工",
            "003",
            "3.0",
            "高级",
            "三级/高级技能",
            "高级(国家职业资格三级)",
            "国家职业资格三级/高级工",
            "三级 高级工",
            "三級".replace("級", "级"),
        ],
        "4": ["中级工（四级）", "IV", "四级\n"],
        "5": ["初级", "五级 ", "Ⅴ级"],
    },
}


@pytest.mark.parametrize(
    ("field", "wanted", "written"),
    [
        (field, wanted, each)
        for field, by_code in RIGHT.items()
        for wanted, spellings in by_code.items()
        for each in spellings
    ],
)
def test_spellings_with_one_meaning_are_taken(field: str, wanted: str, written: str) -> None:
    assert code(field, written) == wanted


WRONG = {
    "gender": [
        "",
        "0",
        "9",
        "3",
        "11",
        "22",
        "1.5",
        "未知",
        "不详",
        "男女",
        "男/女",
        "M/F",
        "1=女",
        "-1",
        "TRUE",
        "先生",
        "?",
    ],
    "id_type": [
        "",
        "护照",
        "居住证",
        "通行证",
        "港澳通行证",
        "往来港澳通行证",
        "军官证",
        "工作证",
        "户口簿",
        "202",
        "212",
        "2011",
        "20",
        "201/227",
        "居民身份证/中国护照",
        "外国人工作许可证",
        "中华人民共和国外国护照",
    ],
    "level": [
        "",
        "0",
        "6",
        "9",
        "11",
        "33",
        "2.5",
        "九级",
        "六级",
        "高级工程师",
        "高级焊工",
        "特级技师",
        "首席技师",
        "学徒工",
        "一级技师",
        "中级技师",
    ]
    + ["三级/技师", "1-5", "高", "级", "高级技师/技师", "国家职业资格"],
}


@pytest.mark.parametrize(("field", "written"), [(field, each) for field, all_ in WRONG.items() for each in all_])
def test_what_has_no_meaning_or_two_is_not_guessed(field: str, written: str) -> None:
    assert code(field, written) is None


@given(st.sampled_from(sorted(CODES)), st.text(max_size=12))
def test_any_text_gives_a_code_of_the_list_or_none(field: str, written: str) -> None:
    assert code(field, written) in {None, *CODES[field]}


@given(st.integers(0, 9999), st.sampled_from(sorted(CODES)))
def test_a_bare_number_is_a_code_only_when_it_is_in_the_list(number: int, field: str) -> None:
    assert code(field, str(number)) == (str(number) if str(number) in CODES[field] else None)
