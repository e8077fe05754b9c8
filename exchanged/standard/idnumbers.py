"""证件号码 by whole columns: its own form by 证件类型, and what it says of birth date and gender."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from exchanged.batch import Facts
from exchanged.standard import identity, verdicts
from exchanged.standard.arrow import Bits, Codes, Rows, characters, lengths, matches, pick, text_at
from exchanged.standard.fields import BY_KEY
from exchanged.standard.kernels import Days, Identities, identities, plain_numbers, rows_of_width
from exchanged.standard.scope import Scope
from exchanged.standard.tables import rows as data_rows

KEY = "id_number"
_PATTERNS = {row["code"]: row["number_pattern"].removeprefix("^").removesuffix("$") for row in data_rows("id-types")}
_FREE_FORM = frozenset({"208", "239", "240", "241", "299"})
_PROVINCES = np.array([identity.region_ok(f"{first:02d}") for first in range(100)])


def check(scope: Scope) -> None:
    """All rules on the number.

    Leaves in `scope.ok` which numbers are right, and under `birth_agrees` and `gender_agrees` where nothing speaks
    against the other field.
    """
    count = len(scope.part)
    scope.ok[KEY] = np.zeros(count, np.bool_)
    scope.ok["birth_agrees"] = np.ones(count, np.bool_)
    scope.ok["gender_agrees"] = np.ones(count, np.bool_)
    if KEY not in scope.part.texts:
        return
    types = scope.numbers["id_type"]
    usable = _own(scope)
    _too_long(scope, usable, types)
    for kind in np.unique(types).tolist():
        rows = np.flatnonzero(usable & (types == kind))
        if kind and len(rows):
            _of_type(scope, str(kind), rows)


def _own(scope: Scope) -> Bits:
    """Which cells hold text that a form can be asked of."""
    column = scope.part.texts[KEY]
    broken, rounded = scope.part.unreadable[KEY], scope.part.rounded[KEY]
    if not scope.hits.active("formula-error"):
        broken = np.zeros(len(column), np.bool_)
    if not scope.hits.active("number-precision"):
        rounded = np.zeros(len(column), np.bool_)
    empty = ~broken & ~rounded & (lengths(column) == 0)
    scope.add("formula-error", KEY, broken)
    scope.add("number-precision", KEY, rounded & ~broken)
    scope.add("required", KEY, empty)
    usable: Bits = ~(broken | rounded | empty)
    rough = np.flatnonzero(usable & ~plain_numbers(column))
    right = scope.judge(KEY, rough, lambda row: verdicts.number(text_at(column, row), scope.hits.active, masks=True))
    usable[rough[~right]] = False
    return usable


def _too_long(scope: Scope, usable: Bits, types: Codes) -> None:
    """Numbers over the limit whose type is wrong or asks for no other form: those of the other types fail by form."""
    limit = BY_KEY[KEY].max_length
    column = scope.part.texts[KEY]
    long = np.flatnonzero(usable & (lengths(column) > limit))
    kept = (types[long] == 0) | np.isin(types[long], [int(kind) for kind in _FREE_FORM])
    long = long[kept]
    if len(long):
        long = long[characters(pick(column, long)) > limit]
    scope.add("too-long", KEY, long, {"limit": limit})
    usable[long] = False


def _of_type(scope: Scope, kind: str, rows: Rows) -> None:
    column = scope.some(KEY, rows)
    good, eighteen, parts = _form(kind, column)
    if scope.hits.active("id-format"):
        wrong = np.flatnonzero(~good)
        scope.add("id-format", KEY, rows[wrong], lambda nth: _hint(kind, text_at(column, int(wrong[nth]))))
    right = good.copy()
    if parts is not None:
        _gb_11643(scope, kind, rows, eighteen, parts, right)
    if kind == "233":
        _fifteen(scope, rows, column, right)
    scope.ok[KEY][rows] = right


def _hint(kind: str, number: str) -> Facts:
    hint = identity.form_hint(kind, number)
    return {"type": kind} | ({"hint": hint} if hint else {})


def _form(kind: str, column: pa.StringArray) -> tuple[Bits, Rows, Identities | None]:
    """Which numbers have the form of their type; of GB 11643's types also the right 18-character ones, taken apart."""
    if kind not in identity.GB_11643:
        return _matches(kind, column), np.zeros(0, np.intp), None
    good = np.zeros(len(column), np.bool_)
    eighteen, matrix = rows_of_width(column, 18)
    parts = identities(matrix)
    good[eighteen] = parts.form & _region_of_type(kind, parts.region)
    others = np.flatnonzero(lengths(column) != 18)
    if kind == "233" and len(others):
        good[others] = _matches(kind, pick(column, others))
    return good, eighteen, parts


def _region_of_type(kind: str, region: Days) -> Bits:
    if kind == "201":
        return region >= 100_000
    if kind == "233":
        return region >= 900_000
    right: Bits = (region == 830_000) if kind == "238" else (region == 810_000) | (region == 820_000)
    return right


@cache
def _expression(kind: str) -> str:
    return rf"\A(?:{_PATTERNS[kind]})\z"


def _matches(kind: str, column: pa.StringArray) -> Bits:
    return matches(column, _expression(kind))


def _gb_11643(scope: Scope, kind: str, rows: Rows, eighteen: Rows, parts: Identities, right: Bits) -> None:
    at = rows[eighteen]
    good = right[eighteen]
    checked = good & parts.check if scope.hits.active("id-checksum") else good
    scope.add("id-checksum", KEY, at[good & ~checked])
    if kind == "201":
        scope.add("id-region", KEY, at[checked & ~_PROVINCES[parts.region // 10_000 % 100]])
    right[eighteen] = checked
    born = scope.codes("birth_date")[at]
    wrong = checked & scope.ok["birth_date"][at] & (born != parts.born)
    scope.add("id-birth-mismatch", KEY, at[wrong])
    scope.ok["birth_agrees"][at[wrong]] = False
    gender = scope.numbers["gender"][at]
    wrong = checked & (gender > 0) & ((gender == 1) != parts.odd)
    scope.add("id-gender-mismatch", KEY, at[wrong])
    scope.ok["gender_agrees"][at[wrong]] = False


def _fifteen(scope: Scope, rows: Rows, column: pa.StringArray, right: Bits) -> None:
    """The 15-character numbers of foreigners' residence cards, one by one: there are few."""
    for at in np.flatnonzero(right & (lengths(column) == 15)).tolist():
        number, row = text_at(column, at), rows[at : at + 1]
        if identity.checksum_ok("233", number) is False and scope.hits.active("id-checksum"):
            scope.add("id-checksum", KEY, row)
            right[at] = False
            continue
        born = int(scope.codes("birth_date")[row[0]])
        if scope.ok["birth_date"][row[0]] and born // 10_000 % 100 * 10_000 + born % 10_000 != int(number[7:13]):
            scope.add("id-birth-mismatch", KEY, row)
            scope.ok["birth_agrees"][row] = False
