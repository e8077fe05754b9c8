"""Gender, ID type and level: every spelling that has one meaning, to its code; nothing guessed where it has two."""

from __future__ import annotations

import re
import unicodedata

from exchanged.standard.tables import rows
from exchanged.standard.text import LONG, strip_text_guard

CODES: dict[str, dict[str, tuple[str, ...]]] = {}
"""By field key: each code and its names in the standard."""
for _row in rows("codes"):
    _names = CODES.setdefault(_row["field"], {})
    _names[_row["code"]] = (*_names.get(_row["code"], ()), _row["name"])

# Spellings beyond the code list, seen in spreadsheets. 护照, 居住证, 通行证 and 港澳通行证 mean more than one type.
_SPELLINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "gender": {"1": ("男性", "M", "MALE", "♂"), "2": ("女性", "F", "FEMALE", "♀")},
    "id_type": {
        "201": ("身份证", "二代身份证", "第二代身份证", "二代居民身份证", "第二代居民身份证", "中国居民身份证"),
        "208": ("外籍护照", "外国人护照", "护照(外国国籍)"),
        "210": ("回乡证", "港澳居民往来内地通行证", "港澳居民回乡证", "港澳同胞回乡证"),
        "213": ("台胞证", "台湾居民往来大陆通行证", "台湾居民来往内地通行证", "台湾居民往来内地通行证"),
        "227": ("中国公民护照",),
        "233": ("永居证", "绿卡", "外国人永久居留证"),
        "239": ("外国人工作许可证(A类)", "外国人工作许可证A类"),
        "240": ("外国人工作许可证(B类)", "外国人工作许可证B类"),
        "241": ("外国人工作许可证(C类)", "外国人工作许可证C类"),
        "299": ("其它个人证件",),
    },
}
_STATE = "中华人民共和国"
_OF_THE_STATE = frozenset({"201", "210", "213", "233", "237", "238", "239", "240", "241"})

_NUMBER = re.compile(r"0*([1-9][0-9]*)(?:\.0+)?")
_DROPPED = str.maketrans("", "", "《》 ")
_PARTS = (re.compile("[/=:|、,;\u2013\u2014-]+"), re.compile("[/=:|、,;()\u2013\u2014-]+"))
_RUN_TOGETHER = re.compile("([0-9]+|.*?级)([^0-9.级].*)")
_LEVEL_AFTER = re.compile("(.*(?:技师|工|技能))(.*级)")


def _fold(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", strip_text_guard(text)).upper().translate(_DROPPED).split())


def _table(field: str) -> dict[str, str]:
    table = {code: code for code in CODES[field]}
    for source in (CODES[field], _SPELLINGS.get(field, {})):
        table |= {_fold(name): code for code, names in source.items() for name in names}
    if field == "id_type":
        table |= {_STATE + name: code for name, code in table.items() if code in _OF_THE_STATE and not name.isdigit()}
        table[_STATE + "护照"] = "227"
    if field == "level":
        table |= {_fold(row["spelling"]): row["level"] for row in rows("level-spellings")}
    return table


_TABLES: dict[str, dict[str, str]] = {field: _table(field) for field in CODES}


def code(field: str, text: str) -> str | None:
    """The code that a cell of `gender`, `id_type` or `level` means, or None where it means none or more than one.

    Several spellings in one cell (三级/高级工, 201=居民身份证) count when every one of them means the same code.
    """
    if len(text) > LONG:
        return None
    table, folded = _TABLES[field], _fold(text)
    found = _whole(table, folded)
    return found if found or folded.isdigit() else _all_agree(table, folded)


def _whole(table: dict[str, str], folded: str) -> str | None:
    number = _NUMBER.fullmatch(folded)
    return table.get(number[1] if number else folded)


def _all_agree(table: dict[str, str], folded: str) -> str | None:
    ways = [tuple(filter(None, separator.split(folded))) for separator in _PARTS]
    ways += [found.groups() for found in (_RUN_TOGETHER.fullmatch(folded), _LEVEL_AFTER.fullmatch(folded)) if found]
    meant = [{_whole(table, part) for part in parts} for parts in ways if len(parts) > 1]
    agreed = {codes.pop() for codes in meant if len(codes) == 1} - {None}
    return agreed.pop() if len(agreed) == 1 else None
