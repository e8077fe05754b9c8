"""Numbers of identity documents. All are made up (region codes ending in 0000) or published specimens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanged.standard import identity
from tests.support import oracle
from tests.support.records import resident_id

FORMS_RIGHT = [
    ("201", "11000019900307001X"),
    ("227", "E00000000"),
    ("227", "EA0000000"),
    ("227", "G00000000"),
    ("227", "140000000"),
    ("227", "P.0000000"),
    ("227", "PE0000000"),
    ("210", "H00000000"),
    ("210", "M0000000000"),
    ("237", "810000199408230021"),
    ("237", "820000199408230021"),
    ("213", "00000000"),
    ("213", "0000000000"),
    ("213", "0000000000(B)"),
    ("238", "830000199201300022"),
    ("208", "AB123"),
    ("208", "123456789"),
    ("233", "UTO110190030703"),
    ("233", "911999199003070010"),
    ("239", "A1"),
    ("241", "A" * 18),
    ("299", "任意-号码"),
]

FORMS_WRONG = [
    ("201", ""),
    ("201", "11000019900307001"),
    ("201", "110000900307001"),
    ("201", "11000019900307001x"),
    ("201", "11000019900307001X\n"),
    ("201", "1100001990030700１X"),
    ("201", "01000019900307001X"),
    ("201", "110000 19900307001X"),
    ("201", "1100001990O307001X"),
    ("227", "EI0000000"),
    ("227", "EO0000000"),
    ("227", "A00000000"),
    ("227", "e00000000"),
    ("210", "H0000000"),
    ("210", "H000000000"),
    ("210", "X00000000"),
    ("237", "830000199201300022"),
    ("237", "11000019900307001X"),
    ("238", "810000199408230021"),
    ("213", "0000000"),
    ("213", "0000000000B"),
    ("208", "A123"),
    ("208", "AB-123"),
    ("233", "UT0110190030703"),
    ("233", "811999199003070010"),
    ("239", ""),
    ("299", "有 空格"),
    ("299", "A" * 19),
]


@pytest.mark.parametrize(("id_type", "number"), FORMS_RIGHT)
def test_a_number_of_the_form_of_its_type_is_right(id_type: str, number: str) -> None:
    assert identity.form_ok(id_type, number)
    assert identity.form_hint(id_type, number) is None


@pytest.mark.parametrize(("id_type", "number"), FORMS_WRONG)
def test_a_number_of_another_form_is_wrong(id_type: str, number: str) -> None:
    assert not identity.form_ok(id_type, number)


def test_a_number_of_the_wrong_form_is_named_where_it_is_distinctive() -> None:
    assert identity.form_hint("201", "110000900307001") == "fifteen-digits"
    assert identity.form_hint("208", "H000000") is None
    assert identity.form_hint("210", "11000019900307001X") == "201"
    assert identity.form_hint("238", "810000199408230021") == "237"
    assert identity.form_hint("227", "H00000000") == "210"
    assert identity.form_hint("201", "11000") is None


def test_only_the_lower_case_check_character_is_put_right() -> None:
    assert identity.clean_number("11000019900307001x") == "11000019900307001X"
    assert identity.clean_number("x12345") == "x12345"


CHECKED = [
    ("201", "11000019900307001X"),
    ("201", "11010519491231002X"),
    ("237", "810000199408230021"),
    ("238", "830000199201300022"),
    ("233", "911999199003070010"),
    ("233", "UTO110190030703"),
]


@pytest.mark.parametrize(("id_type", "number"), CHECKED)
def test_published_and_made_up_specimens_have_right_check_characters(id_type: str, number: str) -> None:
    assert identity.checksum_ok(id_type, number) is True


@pytest.mark.parametrize(("id_type", "number"), CHECKED)
def test_every_wrong_check_character_is_found(id_type: str, number: str) -> None:
    for character in set("0123456789X" if len(number) == 18 else "0123456789") - {number[-1]}:
        assert identity.checksum_ok(id_type, number[:-1] + character) is False


@pytest.mark.parametrize(
    ("id_type", "number"), [("227", "E00000000"), ("201", "110000900307001"), ("299", "1"), ("237", "X")]
)
def test_there_is_no_answer_where_there_is_no_check_character(id_type: str, number: str) -> None:
    assert identity.checksum_ok(id_type, number) is None


BIRTHS = st.dates().filter(lambda day: day.year >= 1900).map(str)


@given(BIRTHS, st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_anywhere_is_found(birth: str, sequence: int, at: int, by: int) -> None:
    number = resident_id(birth, sequence)
    wrong = f"{number[:at]}{(int(number[at]) + by) % 10}{number[at + 1 :]}"
    assert identity.checksum_ok("201", number) is True
    assert identity.checksum_ok("201", wrong) is not True


@given(BIRTHS, st.integers(0, 999))
def test_birth_date_and_gender_are_read_from_the_number(birth: str, sequence: int) -> None:
    number = resident_id(birth, sequence)
    assert oracle.birth_date("201", number) == birth
    assert oracle.birth_agrees("201", number, birth)
    assert oracle.gender("201", number) == ("1" if sequence % 2 else "2")


@pytest.mark.parametrize(
    ("id_type", "number", "birth", "gender"),
    [
        ("237", "810000199408230021", "1994-08-23", "2"),
        ("238", "830000199201300022", "1992-01-30", "2"),
        ("233", "911999199003070010", "1990-03-07", "1"),
    ],
)
def test_permits_carry_birth_date_and_gender_like_resident_ids(
    id_type: str, number: str, birth: str, gender: str
) -> None:
    assert oracle.birth_date(id_type, number) == birth
    assert oracle.gender(id_type, number) == gender


def test_a_birth_date_that_does_not_exist_agrees_with_none() -> None:
    number = resident_id("1990-02-30", 1)
    assert identity.checksum_ok("201", number) is True
    assert not oracle.birth_agrees("201", number, "1990-02-28")


def test_the_short_permanent_residence_number_carries_a_two_digit_year() -> None:
    assert oracle.birth_date("233", "UTO110190030703") is None
    assert oracle.birth_agrees("233", "UTO110190030703", "1990-03-07")
    assert oracle.birth_agrees("233", "UTO110190030703", "1890-03-07")
    assert not oracle.birth_agrees("233", "UTO110190030703", "1990-03-08")
    assert oracle.gender("233", "UTO110190030703") is None


@pytest.mark.parametrize(
    ("id_type", "number"), [("227", "E00000000"), ("208", "11000019900307001X"), ("201", "110000900307001")]
)
def test_numbers_that_carry_nothing_agree_with_everything(id_type: str, number: str) -> None:
    assert oracle.birth_date(id_type, number) is None
    assert oracle.gender(id_type, number) is None
    assert oracle.birth_agrees(id_type, number, "2000-01-01")


@pytest.mark.parametrize("region", ["11", "15", "37", "46", "50", "54", "65", "71"])
def test_provinces_are_known(region: str) -> None:
    assert identity.region_ok(region + "0000199003070010")


@pytest.mark.parametrize("region", ["10", "16", "20", "38", "47", "55", "66", "81", "82", "83", "91", "99"])
def test_other_first_digits_of_a_resident_id_are_no_province(region: str) -> None:
    assert not identity.region_ok(region + "0000199003070010")


def test_permits_are_not_asked_for_a_province() -> None:
    assert identity.region_ok("810000199408230021", "237")
    assert identity.region_ok("911999199003070010", "233")
