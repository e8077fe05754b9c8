"""Names: masked ones, and those someone should look at again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanged.standard import names


@pytest.mark.parametrize("value", ["刘*", "刘＊", "110****1977", "张﹡三", "∗三", "**"])
def test_asterisks_of_any_kind_are_a_mask(value: str) -> None:
    assert names.masked(value)


@pytest.mark.parametrize("value", ["刘三", "", "刘·三", "11000019900307001X", "刘X"])
def test_other_names_and_numbers_are_not_masked(value: str) -> None:
    assert not names.masked(value)


@pytest.mark.parametrize(
    "name",
    [
        "张三",
        "欧阳测试",
        "王䶮",
        "张𬍛",
        "李㛃",
        "𠀀𠀁",
        "李〇",
        "赵\uf9d1",
        "迪力木拉提·艾尔肯",
        "阿·买买提·艾力",
        "张\U00031350",
        "鿿三",
    ],
)
@pytest.mark.parametrize("id_type", ["201", "237", "208", None])
def test_chinese_names_with_rare_characters_are_right(name: str, id_type: str | None) -> None:
    assert not names.suspicious(name, id_type)


@pytest.mark.parametrize(
    "name",
    [
        "张",
        "〇",
        "张1",
        "张三1",
        "张?",
        "张？",
        "张 三",
        "张X",
        "zhangsan",
        "张san",
        "·张三",
        "张三·",
        "张··三",
        "张□",
        "张▀",
        "张○三",
    ]
    + ["张●", "张三（男）", "张、三", "张-三", "⽂三", "123", "", "JOHN SMITH", "张\ufe00三", "山田々"],
)
def test_other_names_of_holders_of_chinese_documents_are_suspicious(name: str) -> None:
    assert names.suspicious(name, "201")


@pytest.mark.parametrize(
    "name",
    [
        "JOHN SMITH",
        "J. R. Smith",
        "Anne-Marie O'Neil",
        "SMITH, JOHN",
        "José Núñez",
        "Jose\u0301",
        "Nguyễn Văn",
        "O’Neil",
        "'Isa Ali",
        "A·B",
    ]
    + ["Smith Jr.", "山田太郎", "佐々木"],
)
@pytest.mark.parametrize("id_type", ["208", "233", "239", "240", "241", None])
def test_latin_names_of_foreigners_are_right(name: str, id_type: str | None) -> None:
    assert not names.suspicious(name, id_type)


@pytest.mark.parametrize(
    "name",
    [
        "J",
        "JOHN2",
        "JOHN?",
        "JOHN  SMITH",
        "-JOHN",
        "JOHN-",
        "JOHN--SMITH",
        "JOHN··S",
        "·JOHN",
        "JOHN·",
        "SMITH/JOHN",
        "ＪＯＨＮ",
        "张",
        "",
        "...",
    ]
    + ["JOHN,", "JOHN_SMITH", "J@S"],
)
def test_odd_names_of_foreigners_are_suspicious(name: str) -> None:
    assert names.suspicious(name, "208")


@given(st.text(max_size=60), st.sampled_from(["201", "208", "299", None]))
def test_any_text_gets_an_answer(name: str, id_type: str | None) -> None:
    assert names.suspicious(name, id_type) in {True, False}


def test_a_long_hostile_name_is_judged_at_once() -> None:
    assert names.suspicious("A" * 100_000 + "!", "208")
    assert names.suspicious("张" * 100_000 + "!", "201")
