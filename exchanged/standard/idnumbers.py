"""证件号码 by whole columns: its own form by 证件类型, and what it says of birth date and gender."""

from __future__ import annotations

from functools import cache

import numpy as np

from exchanged.batch import Facts
from exchanged.standard import identity, text, verdicts
from exchanged.standard.arrow import Bits, Codes, Rows, characters, lengths, matches, pick, text_at, texts
from exchanged.standard.fields import BY_KEY
from exchanged.standard.kernels import Days, Identities, identities, matrix_of
from exchanged.standard.scope import Scope
from exchanged.standard.tables import rows as data_rows

KEY = "id_number"
_PATTERNS = {row["code"]: row["number_pattern"].removeprefix("^").removesuffix("$") for row in data_rows("id-types")}
_EIGHTEEN_ONLY = frozenset({"201", "237", "238"})
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
        if kind:
            _of_type(scope, str(kind), usable & (types == kind))
    _too_many_bytes(scope)


def _own(scope: Scope) -> Bits:
    """Which cells hold text that a form can be asked of."""
    numbers = scope.part.texts[KEY]
    broken = numbers.unreadable & scope.hits.active("formula-error")
    rounded = numbers.rounded & ~broken & scope.hits.active("number-precision")
    empty = ~broken & ~rounded & (lengths(numbers.column) == 0)
    scope.add("formula-error", KEY, broken)
    scope.add("number-precision", KEY, rounded)
    scope.add("required", KEY, empty)
    usable: Bits = ~(broken | rounded | empty)
    rough = np.flatnonzero(usable & ~numbers.plain)
    right = scope.judge(
        KEY, rough, lambda row: verdicts.number(text_at(numbers.column, row), scope.hits.active, masks=True)
    )
    usable[rough[~right]] = False
    return usable


def _too_long(scope: Scope, usable: Bits, types: Codes) -> None:
    """Numbers over the limit whose type is wrong or asks for no other form: those of the other types fail by form."""
    limit = BY_KEY[KEY].max_length
    column = scope.part.texts[KEY].column
    long = np.flatnonzero(usable & (lengths(column) > limit))
    formless = types[long] == 0 if scope.hits.active("id-format") else np.ones(len(long), np.bool_)
    kept = formless | np.isin(types[long], [int(kind) for kind in _FREE_FORM])
    long = long[kept]
    if len(long):
        long = long[characters(pick(column, long)) > limit]
    scope.add("too-long", KEY, long, {"limit": limit})
    usable[long] = False


def _too_many_bytes(scope: Scope) -> None:
    """Right numbers that are longer in GB 18030 than the limit: those of type 299 may hold more than ASCII."""
    limit = BY_KEY[KEY].max_length
    column = scope.part.texts[KEY].column
    long = np.flatnonzero(scope.ok[KEY] & (lengths(column) > limit))
    if len(long):
        long = long[[text.gb18030_length(each) > limit for each in texts(pick(column, long))]]
    scope.add("too-long-bytes", KEY, long, {"limit": limit})


def _of_type(scope: Scope, kind: str, where: Bits) -> None:
    column = scope.part.texts[KEY].column
    right = np.zeros(len(column), np.bool_)
    if kind in identity.GB_11643:
        eighteen = where & (lengths(column) == 18)
        rows, matrix = matrix_of(column, eighteen, 18)
        parts = identities(matrix)
        right[rows] = parts.form & _region_of_type(kind, parts.region)
    else:
        eighteen = np.zeros(len(column), np.bool_)
    others = np.flatnonzero(where & ~eighteen)
    if len(others) and kind not in _EIGHTEEN_ONLY:
        right[others] = matches(pick(column, others), _expression(kind))
    _note_form(scope, kind, np.flatnonzero(where & ~right))
    if kind in identity.GB_11643:
        _gb_11643(scope, kind, rows, parts, right)
    if kind == "233":
        _fifteen(scope, np.flatnonzero(right & ~eighteen), right)
    scope.ok[KEY] |= right


def _note_form(scope: Scope, kind: str, wrong: Rows) -> None:
    column = scope.part.texts[KEY].column

    def hint(nth: int) -> Facts:
        found = identity.form_hint(kind, text_at(column, int(wrong[nth])))
        return {"type": kind} | ({"like" if found.isdigit() else "hint": found} if found else {})

    scope.add("id-format", KEY, wrong, hint)


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


def _gb_11643(scope: Scope, kind: str, rows: Rows, parts: Identities, right: Bits) -> None:
    """Check character, region, birth date and gender of the 18-character numbers that have their form."""
    good = right[rows]
    checked = good & parts.check if scope.hits.active("id-checksum") else good
    wrong = rows[good & ~checked]
    scope.add("id-checksum", KEY, wrong, lambda nth: _why_wrong(text_at(scope.part.texts[KEY].column, int(wrong[nth]))))
    if kind == "201":
        scope.add("id-region", KEY, rows[checked & ~_PROVINCES[parts.region // 10_000 % 100]])
    right[rows] = checked
    born = scope.codes("birth_date")[rows]
    other = rows[checked & scope.ok["birth_date"][rows] & (born != parts.born)]
    scope.add("id-birth-mismatch", KEY, other)
    scope.ok["birth_agrees"][other] = False
    gender = scope.numbers["gender"][rows]
    other = rows[checked & (gender > 0) & ((gender == 1) != parts.odd)]
    scope.add("id-gender-mismatch", KEY, other)
    scope.ok["gender_agrees"][other] = False


def _why_wrong(number: str) -> Facts:
    return {"hint": "rounded"} if identity.rounded(number) else {}


def _fifteen(scope: Scope, rows: Rows, right: Bits) -> None:
    """The 15-character numbers of foreigners' residence cards, one by one: there are few."""
    column = scope.part.texts[KEY].column
    for row in rows.tolist():
        number, at = text_at(column, row), np.array([row])
        if identity.checksum_ok("233", number) is False and scope.hits.active("id-checksum"):
            scope.add("id-checksum", KEY, at)
            right[row] = False
            continue
        born = int(scope.codes("birth_date")[row])
        if scope.ok["birth_date"][row] and born // 10_000 % 100 * 10_000 + born % 10_000 != int(number[7:13]):
            scope.add("id-birth-mismatch", KEY, at)
            scope.ok["birth_agrees"][row] = False
