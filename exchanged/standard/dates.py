"""Calendar dates in every form the standard lists, to `YYYY-MM-DD`."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta
from enum import Enum

from exchanged.standard.text import BREAKS, LONG, WHITE, ZERO_WIDTH, strip_text_guard


class DateProblem(Enum):
    """Why a text is no date; the value is the rule's name."""

    BAD = "bad-date"
    AMBIGUOUS = "date-ambiguous"


_EPOCH_1900 = date(1899, 12, 30)  # right from serial 61 on: Excel believes in 1900-02-29
_EPOCH_1904 = date(1904, 1, 1)

_FOLD = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys(WHITE, " ")
    | dict.fromkeys(BREAKS + ZERO_WIDTH, "")
)
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_AROUND = re.compile(r" *([-/.:年月日号]) *")
_ZERO_TIME = re.compile(
    r"(?:(?<=[日号])| |T)(?:0{1,2}:00(?::00(?:\.0+)?)?(?: ?AM| ?Z| ?[+-][0-9]{2}:?[0-9]{2})?"
    r"|上午(?:12|0{1,2}):00(?::00)?|12:00(?::00)? ?AM)$",
    re.IGNORECASE,
)
_PARTED = re.compile(r"([0-9]{4})([-/. ])([0-9]{1,2})\2([0-9]{1,2})")
_CHINESE = re.compile(r"([^年月日号]+)年([^年月日号]+)月([^年月日号]+)[日号]?")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:000000|\.0+)?")
_SERIAL = re.compile(r"([1-9][0-9]{4})(?:\.0+)?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/. ])([0-9]{1,2})\2[0-9]{4}")

_NUMERALS = {
    char: digit
    for digit, chars in enumerate(("〇零○◯Oo", "一壹", "二贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for char in chars
}
_TENS = re.compile("([一二三壹贰叁]?)[十拾]([一二三四五六七八九壹贰叁肆伍陆柒捌玖]?)")


def parse(text: str, epoch_1904: bool = False) -> str | DateProblem:
    """The date as `YYYY-MM-DD`, or why there is none. A time of day is taken off only when it is zero.

    Five digits are an Excel serial (days; the 1904 system where `epoch_1904`). A year of two digits, a month alone, and
    forms that begin with day or month are never guessed.
    """
    iso = _ISO.fullmatch(text)
    if iso:
        return _iso(int(iso[1]), int(iso[2]), int(iso[3]))
    if len(text) > LONG and len(text := text.strip()) > LONG:
        return DateProblem.BAD
    plain = unicodedata.normalize("NFKC", strip_text_guard(text)).translate(_FOLD).strip()
    plain = _ZERO_TIME.sub("", _AROUND.sub(r"\1", plain))
    found = _PARTED.fullmatch(plain)
    if found:
        return _iso(int(found[1]), int(found[3]), int(found[4]))
    found = _COMPACT.fullmatch(plain)
    if found:
        return _iso(int(found[1]), int(found[2]), int(found[3]))
    found = _SERIAL.fullmatch(plain)
    if found:
        return ((_EPOCH_1904 if epoch_1904 else _EPOCH_1900) + timedelta(days=int(found[1]))).isoformat()
    found = _CHINESE.fullmatch(plain)
    if found:
        return _chinese(found[1], found[2], found[3])
    return _year_last(plain)


def _iso(year: int, month: int, day: int) -> str | DateProblem:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return DateProblem.BAD


def _chinese(year: str, month: str, day: str) -> str | DateProblem:
    years = _digits(year)
    return _iso(int(years), _number(month), _number(day)) if len(years) == 4 else DateProblem.BAD


def _digits(text: str) -> str:
    """Numerals one by one to digits, or nothing where one is none; the letter O is a zero only among Chinese ones."""
    digits = text if text.isascii() else "".join(str(_NUMERALS.get(char, char)) for char in text)
    return digits if digits.isascii() and digits.isdigit() else ""


def _number(text: str) -> int:
    """A month or day in digits (5, 05, 五, 〇五) or tens (十, 十一, 二十, 廿一); 0 where it is none."""
    tens = _TENS.fullmatch(text.replace("廿", "二十").replace("卅", "三十"))
    if tens:
        return 10 * _NUMERALS.get(tens[1], 1) + _NUMERALS.get(tens[2], 0)
    digits = _digits(text)
    return int(digits) if 1 <= len(digits) <= 2 else 0


def _year_last(text: str) -> DateProblem:
    found = _YEAR_LAST.fullmatch(text)
    if not found:
        return DateProblem.BAD
    first, second = int(found[1]), int(found[3])
    told_apart = first == second or not (1 <= first <= 12 and 1 <= second <= 12)
    return DateProblem.BAD if told_apart else DateProblem.AMBIGUOUS
