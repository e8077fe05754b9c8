"""The 16-digit certificate number."""

from __future__ import annotations

import pytest

from exchanged.standard import certificate
from tests.support import oracle

EXAMPLE = "1864010000200001"


def test_the_example_of_the_circular_says_what_it_should() -> None:
    assert certificate.is_number(EXAMPLE)
    assert oracle.year_agrees(EXAMPLE, "2018-05-11")
    assert not oracle.year_agrees(EXAMPLE, "2019-01-11")
    assert oracle.body_ok(EXAMPLE)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "186401000020000",
        "18640100002000011",
        "18640100002O0001",
        "１８６４０１００００２００００１",
        " 864010000200001",
        EXAMPLE + "\n",
    ],
)
def test_anything_but_sixteen_ascii_digits_is_no_number(number: str) -> None:
    assert not certificate.is_number(number)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("Y000023000000183000001", "skill-level"),
        ("S000023000000183000001", "skill-level"),
        ("s000023000000183000001", "skill-level"),
        ("SA00002300000018300000", "skill-level"),
        ("RSN00000018301300001", "skill-level"),
        ("RGW00000018301300001", "skill-level"),
        ("864010000200001", "fifteen-digits"),
        ("0000000000001", "thirteen-digits"),
        ("Y00002300000018300000", None),
        ("ABC", None),
        ("", None),
    ],
)
def test_numbers_of_other_schemes_are_named(number: str, kind: str | None) -> None:
    assert certificate.kind_of_other(number) == kind


@pytest.mark.parametrize("number", ["1864015000200001", "1864019000200001", "1864010000200000"])
def test_unknown_kinds_of_body_and_serial_zero_are_not_right(number: str) -> None:
    assert not oracle.body_ok(number)


@pytest.mark.parametrize("body", "01234")
def test_the_five_kinds_of_body_are_right(body: str) -> None:
    assert oracle.body_ok(f"186401{body}000200001")
