"""The byte kernels say of every value what the value functions say."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanged.standard import certificate, dates, identity, kernels, names, text
from exchanged.standard.arrow import column, from_bytes, lengths, offsets, payload, texts
from tests.support import oracle
from tests.support.records import resident_id

RUNS = settings(max_examples=300, deadline=None)

days = st.dates(date(1890, 1, 1), date(2210, 1, 1)).map(date.isoformat)
odd_days = st.from_regex(r"\A(19|20)[0-9]{2}([-/.][01][0-9][-/.][0-3][0-9]|[01][0-9][0-3][0-9])\Z")
ids = st.builds(
    lambda day, sequence, change, at: _changed(resident_id(day.isoformat(), sequence), change, at),
    st.dates(date(1950, 1, 1), date(2020, 1, 1)),
    st.integers(0, 999),
    st.sampled_from(["", "", "X", "x", "0", "a", "１"]),
    st.integers(0, 17),
)
han = st.sampled_from("张三丰龙龚䶮㐀一丁龥龦鿿𠀀𬍛〇·· .*?A1‧•\ue863")
name_texts = st.one_of(st.text(han, max_size=24), st.text(max_size=12))
numbers = st.one_of(st.from_regex(r"\A[0-9]{14,17}\Z"), st.text("0123456789YSX ", max_size=22), st.text(max_size=18))


def _changed(number: str, by: str, at: int) -> str:
    return number[:at] + by + number[at + 1 :] if by else number


@RUNS
@given(st.lists(st.one_of(days, odd_days, st.text(max_size=12))))
def test_a_plain_date_is_the_date_that_parsing_gives(values: list[str]) -> None:
    for value, number in zip(values, kernels.plain_dates(column(values)).tolist(), strict=True):
        if number:
            assert str(dates.parse(value)).replace("-", "") == str(number)
        elif dates.parse(value) == value:
            assert not "1900" <= value[:4] < "2200"


def test_every_day_of_three_centuries_is_a_plain_date_and_is_written_back_the_same() -> None:
    values = [(date(1900, 1, 1) + timedelta(days=n)).isoformat() for n in range(109_572)]
    found = kernels.plain_dates(column(values))
    assert (found > 0).all()
    assert texts(kernels.date_texts(found)) == values


def test_days_that_are_none_are_not_plain_dates() -> None:
    wrong = [
        "2023-02-29",
        "1900-02-29",
        "2100-02-29",
        "2024-04-31",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "2024-1-011",
    ]
    assert not kernels.plain_dates(column(wrong)).any()


def test_dates_are_written_with_empty_ones_between() -> None:
    assert texts(kernels.date_texts(np.array([0, 20240229, 0, 19991231, 0], np.int32))) == [
        "",
        "2024-02-29",
        "",
        "1999-12-31",
        "",
    ]


@RUNS
@given(st.lists(numbers))
def test_sixteen_digits_are_what_the_standard_calls_a_number(values: list[str]) -> None:
    good, keys = kernels.sixteen_digits(column(values))
    assert good.tolist() == [certificate.is_number(value) for value in values]
    for value, ok, key in zip(values, good.tolist(), keys.tolist(), strict=True):
        if ok:
            assert f"{key:016x}" == value
            assert [int(kernels.digit(np.array([key], np.uint64), place)[0]) for place in range(1, 17)] == [
                *map(int, value)
            ]


@RUNS
@given(st.lists(ids))
def test_identities_are_what_the_value_functions_say(values: list[str]) -> None:
    rows, matrix = kernels.rows_of_width(column(values), 18)
    parts = kernels.identities(matrix)
    for at, row in enumerate(rows.tolist()):
        number = values[row]
        assert bool(parts.form[at]) == identity.form_ok("201", number) or number[0] == "0"
        if parts.form[at] and number[0] != "0":
            born = f"{parts.born[at]:08d}"
            assert bool(parts.check[at]) == identity.checksum_ok("201", number)
            assert f"{born[:4]}-{born[4:6]}-{born[6:]}" == oracle.birth_date("201", number)
            assert ("1" if parts.odd[at] else "2") == oracle.gender("201", number)
            assert parts.region[at] == int(number[:6])


def test_identities_of_more_rows_than_a_block() -> None:
    values = [resident_id("1990-03-07", n % 1000) for n in range(kernels.BLOCK * 2 + 5)]
    values[kernels.BLOCK + 1] = values[kernels.BLOCK + 1][:17] + ("0" if values[kernels.BLOCK + 1][17] != "0" else "1")
    parts = kernels.identities(kernels.fixed(column(values), 18))
    assert np.flatnonzero(~parts.check).tolist() == [kernels.BLOCK + 1]
    assert parts.form.all() and (parts.born == 19900307).all()


@RUNS
@given(st.lists(name_texts))
def test_a_plain_name_needs_nothing_and_breaks_nothing(values: list[str]) -> None:
    for value, plain in zip(values, kernels.plain_names(column(values)).tolist(), strict=True):
        if plain:
            assert _name_is_right(value)


def _name_is_right(value: str) -> bool:
    return (
        text.clean_name(value) == value
        and not text.illegal(value)
        and not text.runs_as_formula(value)
        and not names.masked(value)
        and not names.suspicious(value, "201")
        and len(value) <= 40
        and text.gb18030_length(value) <= 40
    )


def test_every_common_character_makes_a_plain_name_and_a_right_one() -> None:
    values = [chr(code) * 2 for code in range(0x4E00, 0x9FA6)]
    assert kernels.plain_names(column(values)).all()
    assert all(map(_name_is_right, values))


@pytest.mark.parametrize("name", ["张三", "欧阳修远", "阿依古丽·买买提", "龙龚", "阿卜杜热合曼·阿卜杜喀迪尔"])
def test_common_names_take_the_fast_way(name: str) -> None:
    assert kernels.plain_names(column(["李四", name, "王五"])).tolist() == [True, True, True]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "张",
        "·张三",
        "张三·",
        "张三··李四",
        "张 三",
        "张三1",
        "Ａ张",
        "张\u200b三",
        "㐀㐀",
        "龦龦",
        "䶮王",
        "一" * 21,
    ],
)
def test_other_names_are_left_to_the_value_functions(name: str) -> None:
    assert kernels.plain_names(column(["李四", name, "王五"])).tolist() == [True, False, True]


@RUNS
@given(st.lists(st.one_of(numbers, ids)))
def test_a_plain_number_needs_nothing_and_breaks_nothing(values: list[str]) -> None:
    for value, plain in zip(values, kernels.plain_numbers(column(values)).tolist(), strict=True):
        assert plain == (0 < len(value) <= 18 and all("0" <= c <= "9" or "A" <= c <= "Z" for c in value))
        if plain:
            assert text.halfwidth(text.clean(text.strip_text_guard(value))) == value
            assert not text.illegal(value) and not text.runs_as_formula(value) and not names.masked(value)


@RUNS
@given(st.lists(st.text("ab0", max_size=20)))
def test_equal_values_have_equal_hashes_and_others_do_not(values: list[str]) -> None:
    hashes = kernels.hashes(column(values)).tolist()
    assert len(set(zip(values, hashes, strict=True))) == len(set(values))
    assert len(set(hashes)) == len(set(values))


@RUNS
@given(st.lists(st.text(max_size=6), min_size=3), st.data())
def test_kernels_look_only_at_their_slice_of_a_buffer(values: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    whole = column(values)
    part = whole.slice(start, 2)
    alone = column(values[start : start + 2])
    for kernel in (kernels.plain_names, kernels.plain_numbers, kernels.plain_dates, kernels.hashes, lengths):
        assert kernel(part).tolist() == kernel(alone).tolist()


def test_a_column_is_the_same_made_from_its_own_buffers() -> None:
    values = ["", "张三", "x", ""]
    assert texts(from_bytes(offsets(column(values)), payload(column(values)))) == values
