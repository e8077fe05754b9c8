"""What is repaired silently in a value, and what may not stand in it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanged.standard import text
from exchanged.standard.tables import rows

CLEANED = [
    ("江西省职业技能鉴定指导中心", "江西省职业技能鉴定指导中心"),
    ("  江西省\u3000", "江西省"),
    ("江西省\n职业技能\r\n鉴定指导中心", "江西省职业技能鉴定指导中心"),
    ("A  B\u3000\u00a0C", "A B C"),
    ("\ufeff1864\u200b010000200001\u200d", "1864010000200001"),
    ("\u202a110000\u202c", "110000"),
    ("e\u0301", "é"),
    ("e\u200d\u0301", "é"),
    ("\uf9d1", "六"),
    ("\u2028江西\u2029\u0085\x0b", "江西"),
    ("\t无\t", "无"),
    ("\u200b \n", ""),
    ("", ""),
]


@pytest.mark.parametrize(("written", "cleaned"), CLEANED)
def test_a_value_is_composed_and_loses_white_space_that_nobody_sees(written: str, cleaned: str) -> None:
    assert text.clean(written) == cleaned


NAMES = [
    ("张三", "张三"),
    (" 张三\u3000", "张三"),
    ("张三\r\n", "张三"),
    ("张\u200b三", "张三"),
    ("张  三", "张 三"),
    ("\uf9d1三", "\uf9d1三"),
    ("阿依古丽•买买提", "阿依古丽·买买提"),
    ("阿依古丽\u0387买买提", "阿依古丽·买买提"),
    ("阿依古丽.买买提", "阿依古丽·买买提"),
    ("阿依古丽．买买提", "阿依古丽·买买提"),
    ("阿依古丽。买买提", "阿依古丽·买买提"),
    ("JOHN R. SMITH", "JOHN R. SMITH"),
    ("J.R.Smith", "J.R.Smith"),
    ("J．R．Smith", "J·R·Smith"),
    ("José.", "José."),
    ("O'Neil", "O'Neil"),
]


@pytest.mark.parametrize(("written", "cleaned"), NAMES)
def test_a_name_changes_in_white_space_and_separators_only(written: str, cleaned: str) -> None:
    assert text.clean_name(written) == cleaned


@pytest.mark.parametrize("row", rows("name-separators"), ids=lambda row: row["codepoint"])
def test_every_look_alike_between_two_chinese_characters_becomes_the_separator(row: dict[str, str]) -> None:
    assert text.clean_name(f"买买提{row['char']}艾力") == "买买提·艾力"


@given(st.text())
def test_cleaning_twice_is_cleaning_once(value: str) -> None:
    assert text.clean(text.clean(value)) == text.clean(value)
    assert text.clean_name(text.clean_name(value)) == text.clean_name(value)


@given(st.text())
def test_a_cleaned_value_is_composed_and_has_no_outer_or_doubled_white_space(value: str) -> None:
    cleaned = text.clean(value)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip(" ") and "  " not in cleaned
    assert not set(cleaned) & set(text.BREAKS + text.ZERO_WIDTH + text.WHITE.replace(" ", ""))


@given(st.text(st.characters(categories=["Lo"])))
def test_chinese_characters_of_a_name_are_never_replaced(value: str) -> None:
    kept = [char for char in value if char not in "\u115f\u1160\u3164\uffa0\u318d"]
    assert text.clean_name("".join(kept)) == "".join(kept)


HALF = [
    ("１８６４０１００００２００００１", "1864010000200001"),
    ("ＡＢｘ", "ABx"),
    ("２０１８－０５－１１", "2018-05-11"),
    ("2018\u20135\u201411", "2018-5-11"),
    ("（Ａ）［］", "(A)[]"),
    ("身份证", "身份证"),
    ("。，＊", "。，＊"),
]


@pytest.mark.parametrize(("full", "half"), HALF)
def test_full_width_letters_digits_hyphens_and_brackets_become_half_width(full: str, half: str) -> None:
    assert text.halfwidth(full) == half


GUARDED = [
    ('="0012"', "0012"),
    ('=""', ""),
    ("'1864010000200001", "1864010000200001"),
    ("\u20191864", "1864"),
    ("＇1864", "1864"),
    (" '1864", "1864"),
    ('="1"&"2"', '="1"&"2"'),
    ("=1+1", "=1+1"),
    ("1864", "1864"),
    ("O'Neil", "O'Neil"),
    ("", ""),
]


@pytest.mark.parametrize(("written", "bare"), GUARDED)
def test_what_people_write_to_keep_digits_is_taken_off(written: str, bare: str) -> None:
    assert text.strip_text_guard(written) == bare


LEGAL = "张三·〇㐀䶮鿿豈𠀀𪛟𫝹𬺡𮯰𮹝𰀀𱍐𲎯\U000323b0ÀéĀḀ—（）：《》①Ⅲ"


def test_no_chinese_character_of_any_extension_is_illegal() -> None:
    assert text.illegal(LEGAL) == ()


@pytest.mark.parametrize(
    "code",
    [0x00, 0x07, 0x1F, 0x7F, 0x9F, 0xFFFD, 0xE000, 0xE863, 0xF8FF, 0xF0000, 0x10FFFD, 0xFDD0, 0xFFFE, 0xFFFF]
    + [0x1FFFE, 0x0378, 0xFFF9, 0xE0041, 0x40000],
    ids=hex,
)
def test_characters_that_cannot_be_used_are_named_by_code_point(code: int) -> None:
    assert text.illegal(f"张{chr(code)}三{chr(code)}") == (code,)


def test_a_lone_surrogate_is_illegal_and_still_has_a_length() -> None:
    assert text.illegal("\ud800") == (0xD800,)
    assert text.gb18030_length("\ud800") == 1


def test_private_use_characters_of_old_fonts_have_a_standard_character() -> None:
    assert text.standard_of(0xE863) == "䶮"
    assert text.standard_of(0xE816) == "𠂇"
    assert text.standard_of(0xE000) is None
    assert all(
        text.illegal(chr(code)) and not text.illegal(text.standard_of(code) or "") for code in range(0xE815, 0xE865)
    )


def test_the_characters_gb18030_of_2022_moved_are_those_the_codec_reads_as_private_use() -> None:
    read = b"\xfe\x59\xfe\x51".decode("gb18030")
    assert read.translate(text.GB18030_2022) == "龴𠂇"
    assert len(text.GB18030_2022) == 14


@pytest.mark.parametrize(
    ("value", "length"), [("", 0), ("abc", 3), ("汉字", 4), ("A汉", 3), ("·", 2), ("𠀀", 4), ("é", 2)]
)
def test_length_in_gb18030_counts_a_chinese_character_as_two(value: str, length: int) -> None:
    assert text.gb18030_length(value) == length


@pytest.mark.parametrize("value", ["=1+1", "+86", "-1", "@SUM(A1)", "\tx", "="])
def test_text_that_a_spreadsheet_would_run_is_seen(value: str) -> None:
    assert text.runs_as_formula(value)


@pytest.mark.parametrize("value", ["", "1+1", "无", "—", "A=B", " "])
def test_other_text_is_no_formula(value: str) -> None:
    assert not text.runs_as_formula(value)


@pytest.mark.parametrize("value", ["3.6E+17", "1.86401E+15", "1.1010119900101123e+17", "4E+17", "1.5E17"])
def test_scientific_notation_is_seen(value: str) -> None:
    assert text.was_number(value)


@pytest.mark.parametrize("value", ["E12345678", "1E1234567", "12E45678", "1864010000200001", "3.6", "", "E+17"])
def test_passport_numbers_are_not_scientific_notation(value: str) -> None:
    assert not text.was_number(value)
