"""Names of persons: masked, or such that someone should look again. Works on normalised names (`text.clean_name`).

Every 汉字 of Unicode is right, in every extension and as a compatibility character, and so is 〇: legal names use them.
"""

from __future__ import annotations

import re

from exchanged.standard.text import SEPARATOR

LATIN_TYPES = frozenset({"208", "233", "239", "240", "241"})
"""ID types of foreigners, whose names are rightly written in Latin letters."""

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f\U00030000-\U0003347f"
_LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"

_APOSTROPHE = "['\u2018\u2019\u02bc\u02bb]?"

_MASK = re.compile("[*\uff0a\ufe61\u2217\u204e\u2731\u2732\u2051\u2042]")
_HAN_NAME = re.compile(f"[{HAN}]+(?:{SEPARATOR}[{HAN}]+)*")
_LATIN_NAME = re.compile(f"{_APOSTROPHE}(?:[{_LETTERS}{HAN}\u3005][\u0300-\u036f]*{_APOSTROPHE}[.,]?[ {SEPARATOR}-]?)+")
_LETTER = re.compile(f"[{_LETTERS}{HAN}]")


def masked(text: str) -> bool:
    """Are there asterisks in a name or number?"""
    return _MASK.search(text) is not None


def suspicious(name: str, id_type: str | None) -> bool:
    """Should someone look at this name again? `id_type` is the code, or None where it is not known.

    Right are two or more 汉字 with single separators between them; for the ID types of foreigners, and where the type
    is not known, also Latin letters with single spaces, hyphens, apostrophes, full stops and commas.
    """
    if _HAN_NAME.fullmatch(name):
        return len(name.replace(SEPARATOR, "")) < 2
    if id_type is not None and id_type not in LATIN_TYPES:
        return True
    return not _LATIN_NAME.fullmatch(name) or name[-1] in f" -,{SEPARATOR}" or len(_LETTER.findall(name)) < 2
