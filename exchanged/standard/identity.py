"""Numbers of identity documents: form by type, and check characters.

Functions take the code of the 证件类型 and a normalised number. Made from GB 11643 (resident ID, and the same layout in
the permits 237, 238 and the 18-character 233), ICAO 9303 (the 15-character 233) and the published forms of the others.
"""

from __future__ import annotations

import re

from exchanged.standard.tables import rows

_FORMS = {
    row["code"]: re.compile(row["number_pattern"].removeprefix("^").removesuffix("$")) for row in rows("id-types")
}
_REGIONS = frozenset(row["code"] for row in rows("gbt2260-provinces") if row["in_resident_id"] in {"yes", "rare"})
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_CHARACTERS = "10X98765432"
_FIFTEEN = re.compile("[1-9][0-9]{14}")
_LOWER_X = re.compile("[0-9]{17}x")
SEPARATORS = str.maketrans("", "", " -_./\\·")
"""What people put between the groups of a long number; for `str.translate`."""

GB_11643 = frozenset({"201", "233", "237", "238"})
"""Types whose 18-character numbers are laid out as GB 11643 says: birth date, gender digit, check character."""


def clean_number(number: str) -> str:
    """The number with the lower-case x of a check character made upper case."""
    return number[:17] + "X" if _LOWER_X.fullmatch(number) else number


def form_ok(id_type: str, number: str) -> bool:
    """Does the number have the form that its type demands? A type that is not in the standard demands none."""
    form = _FORMS.get(id_type)
    return form is None or form.fullmatch(number) is not None


def form_hint(id_type: str, number: str) -> str | None:
    """What a number of the wrong form seems to be: `separated` or `lower-case` (right without the spaces and hyphens,
    right in capitals), `fifteen-digits` (a first-generation resident ID, to be upgraded by the clerk), or the code of
    the one type whose distinctive form it has; None where nothing can be said."""
    if form_ok(id_type, number):
        return None
    bare = number.translate(SEPARATORS)
    if form_ok(id_type, bare.upper()):
        return "lower-case" if bare == number else "separated"
    if id_type == "201" and _FIFTEEN.fullmatch(number):
        return "fifteen-digits"
    for other in ("237", "238", "201", "210"):
        if other != id_type and form_ok(other, number) and checksum_ok(other, number) is not False:
            return other
    return None


def rounded(number: str) -> bool:
    """Does an 18-digit number end as one that was stored as a number: with 000 in place of its last three digits?"""
    return number.endswith("000")


def check_character(body: str) -> str:
    """The GB 11643 check character (MOD 11-2) of 17 digits."""
    return _CHECK_CHARACTERS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, body, strict=True)) % 11]


def icao_digit(body: str) -> str:
    """The ICAO 9303 check digit (weights 7-3-1) of digits and upper-case letters."""
    return str(sum((7, 3, 1)[at % 3] * int(char, 36) for at, char in enumerate(body)) % 10)


def _carries(id_type: str, number: str) -> bool:
    return id_type in GB_11643 and len(number) == 18 and form_ok(id_type, number)


def checksum_ok(id_type: str, number: str) -> bool | None:
    """Is the check character right? None where the type has none or the number has not the form of its type."""
    if _carries(id_type, number):
        return check_character(number[:17]) == number[17]
    if id_type == "233" and form_ok(id_type, number):
        return icao_digit(number[:14]) == number[14]
    return None


def region_ok(number: str, id_type: str = "201") -> bool:
    """Do the first two digits name a province? Asked of resident IDs (201) only; in the permits the form settles it."""
    return id_type != "201" or number[:2] in _REGIONS
