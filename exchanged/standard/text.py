"""Text as the standard wants it: what is repaired silently, what may not stand in a cell, how long it is.

In 姓名 only white space and separators are touched: NFC would replace rare characters of legal names.
"""

from __future__ import annotations

import re
import unicodedata

from exchanged.standard.tables import rows

LONG = 300
"""Characters from which on a text is no value of any field, however it is cleaned: such a one costs no closer look."""

SEPARATOR = "\u00b7"
"""The only separator of the parts of a name (GB 18030 A1A4)."""

WHITE = "\t \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
BREAKS = "\n\v\f\r\u0085\u2028\u2029"
ZERO_WIDTH = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e"
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f"
    "\u3164\ufe0e\ufe0f\ufeff\uffa0"
)

# Han characters newer than the Unicode version of the oldest Python we run on.
_NEWER_HAN = (
    (0x2B739, 0x2B73F),
    (0x2B81E, 0x2B81E),
    (0x2CEA2, 0x2CEAD),
    (0x2EBF0, 0x2EE5D),
    (0x31350, 0x33479),
)
_ILLEGAL_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_FULL_STOP = "."  # of all look-alikes the one that also stands behind Latin initials

_PUA = {int(row["pua"][2:], 16): chr(int(row["unicode"][2:], 16)) for row in rows("pua-map")}
_LOOK_ALIKES = "".join(
    row["char"] for row in rows("name-separators") if row["status"] == "look-alike" and row["char"] != _FULL_STOP
)

GB18030_2022: dict[int, str] = {
    code: standard for code, standard in _PUA.items() if 0x9FB4 <= ord(standard) <= 0x9FBB or ord(standard) >= 0x20000
}
"""For `str.translate`: 14 characters of GB 18030-2022 at whose bytes Python's codec still reads private use."""

_WHITE_TABLE = str.maketrans(dict.fromkeys(WHITE, " ") | dict.fromkeys(BREAKS + ZERO_WIDTH, ""))
_NAME_TABLE = _WHITE_TABLE | str.maketrans(dict.fromkeys(_LOOK_ALIKES, SEPARATOR))
_HALF_TABLE = str.maketrans(
    {chr(code + 0xFEE0): chr(code) for code in (*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B))}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-")
    | {"\uff08": "(", "\uff09": ")", "\uff3b": "[", "\uff3d": "]", "\uff5b": "{", "\uff5d": "}"}
    | {"\ufe59": "(", "\ufe5a": ")"}
)

_SPACES = re.compile("  +")
_STOPS = re.compile(re.escape(_FULL_STOP))
_LATIN = re.compile(
    "[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a]"
)
_QUOTED = re.compile('="([^"]*)"')
_WAS_NUMBER = re.compile(r"[+-]?[0-9](?:\.[0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}|[0-9]{13,}\.0+")
_ERROR = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!|GETTING_DATA)"
    r"|Err:[0-9]{3}"
)
_PLAIN = re.compile("[!-~]*")


def clean(text: str) -> str:
    """A value of any field but 姓名: NFC, white space single and not outer, nothing of zero width, no line breaks."""
    if _PLAIN.fullmatch(text):
        return text
    cleaned = _single_spaced(text.translate(_WHITE_TABLE))
    return cleaned if len(cleaned) > LONG else unicodedata.normalize("NFC", cleaned)


def clean_name(text: str) -> str:
    """A value of 姓名: white space as in `clean`, look-alike separators to U+00B7, every other character as it is.

    A full stop is a look-alike unless it touches a Latin letter (J. Smith).
    """
    name = _single_spaced(text.translate(_NAME_TABLE))
    return _STOPS.sub(lambda stop: _separator(name, stop.start()), name)


def _single_spaced(text: str) -> str:
    return _SPACES.sub(" ", text).strip(" ")


def _separator(name: str, at: int) -> str:
    around = name[max(at - 1, 0) : at] + name[at + 1 : at + 2]
    return name[at] if _LATIN.search(around) else SEPARATOR


def halfwidth(text: str) -> str:
    """Full-width letters, digits, hyphens and brackets to half width; for codes, numbers and dates only."""
    return text if text.isascii() else text.translate(_HALF_TABLE)


def strip_text_guard(text: str) -> str:
    """Take off what people write to keep a spreadsheet from eating digits: `="0012"`, a leading apostrophe, tabs."""
    bare = text.strip(WHITE + BREAKS)
    quoted = _QUOTED.fullmatch(bare)
    if quoted:
        return quoted[1]
    return bare.lstrip("'\u2018\u2019\uff07") if bare[:1] in {"'", "\u2018", "\u2019", "\uff07"} else text


def illegal(text: str) -> tuple[int, ...]:
    """Code points that may not stand in a cleaned value, each once in order: control, format, unassigned, private use,
    surrogate, noncharacter, and the replacement character."""
    if text.isascii() and text.isprintable():
        return ()
    return tuple(dict.fromkeys(ord(char) for char in text if _is_illegal(char)))


def _is_illegal(char: str) -> bool:
    if unicodedata.category(char) not in _ILLEGAL_CATEGORIES:
        return char == "\ufffd"
    return not any(first <= ord(char) <= last for first, last in _NEWER_HAN)


def standard_of(codepoint: int) -> str | None:
    """The standard character for a private-use code point of old Chinese fonts, where it is known."""
    return _PUA.get(codepoint)


def gb18030_length(text: str) -> int:
    """Bytes in GB 18030: ASCII 1, nearly every 汉字 2, rare characters outside the two-byte area 4."""
    return len(text) if text.isascii() else len(text.encode("gb18030", "replace"))


def runs_as_formula(text: str) -> bool:
    """Would a spreadsheet program run this text as a formula?"""
    return text[:1] in {"=", "+", "-", "@", "\t"} and text != ""


def was_number(text: str) -> bool:
    """Is this the trace of a long number that was stored as a number: 3.6E+17, 1864010000200001.0?"""
    return _WAS_NUMBER.fullmatch(text) is not None


def is_error(text: str) -> bool:
    """Is this what a spreadsheet program shows for an error (#N/A, #REF!, Err:502), as it stands in a CSV?"""
    return text[:1] in {"#", "E"} and _ERROR.fullmatch(text) is not None
