"""What the standard asks of one value or of two, one at a time: the column-wise check is held against it."""

from __future__ import annotations

from exchanged.standard.deadlines import LIMIT, NEAR, days_since
from exchanged.standard.identity import GB_11643, form_ok


def year_agrees(certificate: str, issue: str) -> bool:
    """Do digits 1-2 of a certificate number say the year of `issue` (`YYYY-MM-DD`)?"""
    return certificate[:2] == issue[2:4]


def body_ok(certificate: str) -> bool:
    """Is digit 7 of a certificate number a kind of body (0 to 4) and the serial not 00000?"""
    return certificate[6] in "01234" and certificate[11:] != "00000"


def out_of_range(iso: str, today: str) -> bool:
    """Before 1900 or after today? Both are `YYYY-MM-DD`."""
    return iso < "1900-01-01" or iso > today


def under_16(birth: str, issue: str) -> bool:
    """Was someone born on `birth` under 16 years old on `issue`? Both are `YYYY-MM-DD`."""
    return issue < f"{int(birth[:4]) + 16:04d}{birth[4:]}"


def deadline(issue: str, today: str) -> str | None:
    """The rule that a certificate of that date falls under today: `deadline-near`, `deadline-missed` or None."""
    days = days_since(issue, today)
    if days > LIMIT:
        return "deadline-missed"
    return "deadline-near" if days >= NEAR else None


def _carries(id_type: str, number: str) -> bool:
    return id_type in GB_11643 and len(number) == 18 and form_ok(id_type, number)


def birth_date(id_type: str, number: str) -> str | None:
    """The birth date an ID number carries, in the shape `YYYY-MM-DD` but as written, so it may be no real date (and
    then equals no valid 出生日期); None where it carries none or only a part of one."""
    if not _carries(id_type, number):
        return None
    return f"{number[6:10]}-{number[10:12]}-{number[12:14]}"


def birth_agrees(id_type: str, number: str, birth: str) -> bool:
    """Can a holder of this number be born on `birth` (`YYYY-MM-DD`)? True where the number does not say.

    The 15-character 233 carries a year of two digits, month and day.
    """
    carried = birth_date(id_type, number)
    if carried is not None:
        return carried == birth
    if id_type == "233" and form_ok(id_type, number):
        return number[7:13] == birth[2:].replace("-", "")
    return True


def gender(id_type: str, number: str) -> str | None:
    """The gender an ID number carries, as the code 1 (男) or 2 (女); None where it carries none."""
    if not _carries(id_type, number):
        return None
    return "1" if int(number[16]) % 2 else "2"
