"""The 16-digit certificate number: what its digits say. It has no check digit.

18 64 01 0 000 2 00001: year, issuer, city, kind of body, serial of the body, level, serial of the certificate. Digits
3-4 come from a table of their own (`data/certno-issuer-codes.csv`, for people to look at; others exist), not from the
province codes of resident IDs.
"""

from __future__ import annotations

import re

from exchanged.standard.identity import SEPARATORS

_NUMBER = re.compile("[0-9]{16}")
_OTHERS = {
    "skill-level": re.compile("[YS][0-9]{21}|[A-Z]{2}[0-9]{20}|(?:RSN|RGW)[0-9]{17}"),
    "fifteen-digits": re.compile("[0-9]{15}"),
    "thirteen-digits": re.compile("[0-9]{13}"),
}


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
