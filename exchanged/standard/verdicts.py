"""What a field's own rules say of one normalised value, before it is compared with any other field.

Pure functions on text, called once for every distinct value or for the rare values that the kernels leave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exchanged.batch import Facts
from exchanged.standard import names, text
from exchanged.standard.fields import BY_KEY

Active = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first rule a value breaks that makes it wrong (None: it is right), and the rules that only warn of it."""

    rule: str | None = None
    facts: Facts = field(default_factory=dict)
    warnings: Mapping[str, Facts] = field(default_factory=dict)


RIGHT = Verdict()

_COMMON = re.compile("[ -~\u4e00-\u9fff（）、·]*")  # nothing here is illegal: most values need no closer look


def character_fault(value: str, active: Active) -> Verdict | None:
    """What makes any text wrong whatever its field is: a character that may not stand, or that it runs as a formula."""
    if active("illegal-character") and not _COMMON.fullmatch(value):
        wrong = text.illegal(value)
        if wrong:
            return Verdict("illegal-character", _character(wrong[0]))
    if active("formula-text") and text.runs_as_formula(value):
        return Verdict("formula-text")
    return None


def _character(codepoint: int) -> Facts:
    standard = text.standard_of(codepoint)
    facts = {"codepoint": f"U+{codepoint:04X}"}
    return facts | {"standard": standard} if standard else facts


def free(key: str, value: str, active: Active) -> Verdict:
    """A text in words: 职业资格, 职业方向, 鉴定中心, 发证机关, and 姓名 as far as it is like them."""
    limit = BY_KEY[key].max_length
    if not value:
        return Verdict("required")
    fault = character_fault(value, active)
    if fault:
        return fault
    if len(value) > limit:
        return Verdict("too-long", {"limit": limit})
    if 4 * len(value) > limit and text.gb18030_length(value) > limit:
        return Verdict(warnings={"too-long-bytes": {"limit": limit}})
    return RIGHT


def name(value: str, id_type: str | None, active: Active) -> Verdict:
    """A 姓名. `id_type` is the code, None where it is wrong."""
    if value and active("name-masked") and names.masked(value):
        return Verdict("name-masked")
    verdict = free("name", value, active)
    if verdict.rule or not names.suspicious(value, id_type):
        return verdict
    return Verdict(warnings={**verdict.warnings, "name-suspicious": {}})


def number(value: str, active: Active, *, masks: bool = False) -> Verdict:
    """What is wrong with a number whatever its form; `masks`: it may be masked."""
    if not value:
        return Verdict("required")
    if masks and active("name-masked") and names.masked(value):
        return Verdict("name-masked")
    return character_fault(value, active) or RIGHT
