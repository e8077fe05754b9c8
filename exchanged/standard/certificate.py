"""The 16-digit certificate number: what its digits say. It has no check digit.

18 64 01 0 000 2 00001: year, issuer, city, kind of body, serial of the body, level, serial of the certificate. Digits
3-4 come from a table of their own (`certno-issuer-codes.csv`), not from the province codes of resident IDs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from exchanged.standard.identity import SEPARATORS
from exchanged.standard.tables import rows

ISSUERS: dict[str, str] = {row["code"]: row["name"] for row in rows("certno-issuer-codes") if row["code"]}
"""Names of the known issuer codes; others exist."""

_NUMBER = re.compile("[0-9]{16}")
_OTHERS = {
    "skill-level": re.compile("[YS][0-9]{21}|[A-Z]{2}[0-9]{20}|(?:RSN|RGW)[0-9]{17}"),
    "fifteen-digits": re.compile("[0-9]{15}"),
    "thirteen-digits": re.compile("[0-9]{13}"),
}


class Parts(NamedTuple):
    """The number's digits by meaning, as text."""

    year: str
    issuer: str
    city: str
    body: str
    body_serial: str
    level: str
    serial: str


def is_number(text: str) -> bool:
    """Exactly 16 ASCII digits?"""
    return _NUMBER.fullmatch(text) is not None


def kind_of_other(text: str) -> str | None:
    """What a text that is no 16-digit number seems to be, for the message; None where nothing can be said.

    `skill-level`: a 职业技能等级证书, of another report. `fifteen-digits`: a leading zero was lost (numbers
    of 2000 to 2009). `thirteen-digits`: an old number of 上海, to which the query page adds three leading zeros.
    `separated`: 16 digits with spaces or hyphens between them.
    """
    bare = text.translate(SEPARATORS)
    if bare != text and is_number(bare):
        return "separated"
    return next((kind for kind, form in _OTHERS.items() if form.fullmatch(bare.upper())), None)


def parts(number: str) -> Parts:
    """The digits of a number for which `is_number` is true, by meaning."""
    return Parts(number[:2], number[2:4], number[4:6], number[6], number[7:10], number[10], number[11:])


def year_agrees(number: str, issue: str) -> bool:
    """Do digits 1-2 say the year of `issue` (`YYYY-MM-DD`)?"""
    return number[:2] == issue[2:4]


def body_ok(number: str) -> bool:
    """Is digit 7 a kind of body (0 to 4) and the serial not 00000?"""
    return number[6] in "01234" and number[11:] != "00000"
