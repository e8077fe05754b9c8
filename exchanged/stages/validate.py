"""Hold every record of a batch against the rules of scope cell and row; all problems in one pass.

Takes   the compact table, part by part as it is read
Gives   hits: rule, column, rows and facts, none of them with text from a cell
Redo    it only computes
Ends    never by a cell. A field that failed its own check is left out of the checks that compare it with others
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from exchanged.batch import Checks, Facts
from exchanged.standard import certificate, deadlines, idnumbers, verdicts
from exchanged.standard.arrow import Codes, characters, lengths, pick, text_at
from exchanged.standard.catalogue import Catalogue
from exchanged.standard.coded import Column, numbers
from exchanged.standard.columns import CODED, Part, Table
from exchanged.standard.fields import BY_KEY
from exchanged.standard.findings import Hitlist
from exchanged.standard.kernels import Keys, digit, sixteen_digits
from exchanged.standard.qualifications import Offers
from exchanged.standard.repeats import Repeats
from exchanged.standard.scope import Scope
from exchanged.standard.screening import Screening
from exchanged.standard.verdicts import Verdict

_NUMBER = "certificate_number"
_SERIAL = np.uint64(0xFFFFF)


class Validation:
    """One batch under examination: give it every part, then `finish`; the hits are in `hits`."""

    def __init__(self, table: Table, checks: Checks, catalogue: Catalogue) -> None:
        self.table = table
        self.hits = Hitlist(checks.severity)
        self._checks = checks
        self._columns = [Column(key, table.words[key], checks, self.hits.active) for key in CODED]
        self._offers = Offers(catalogue, table.words)
        self._repeats = Repeats(table, self.hits)
        self._today = _number(checks.today)
        self._names: dict[tuple[str, int], Verdict] = {}

    @property
    def editions(self) -> set[str]:
        """The catalogue editions that issue dates called for."""
        return self._offers.editions

    def part(self, part: Part) -> Scope:
        """Add a part to the table and check its cells."""
        scope = Scope(part, self.table.append(part), self.hits)
        for column in self._columns:
            column.check(scope)
        for key in ("gender", "id_type", "level"):
            scope.numbers[key] = numbers(self.table.words[key])[scope.codes(key)]
        self._dates(scope)
        self._name(scope)
        keys = scope.certificates = self._certificate(scope)
        idnumbers.check(scope)
        self._offers.check(scope)
        self._compare_certificate(scope, keys)
        self._repeats.add(scope, keys)
        return scope

    def finish(self, *, screened: bool = True) -> Screening:
        """Compare the rows with each other, once all parts are there; `screened`: also by the rules of scope screen."""
        compared = self._repeats.compare()
        screening = Screening(self.table, self.hits, self._checks.thresholds, self._repeats, compared)
        if screened:
            screening.note()
        return screening

    def _dates(self, scope: Scope) -> None:
        for key in ("birth_date", "issue_date"):
            if not self.hits.active("date-out-of-range"):
                break
            day = scope.codes(key)
            outside = scope.ok[key] & ((day < 19000101) | (day > self._today))
            scope.add("date-out-of-range", key, outside)
            scope.ok[key] &= ~outside
        born, issued = scope.codes("birth_date"), scope.codes("issue_date")
        both = scope.ok["birth_date"] & scope.ok["issue_date"]
        scope.add("issued-before-16", "birth_date", both & (issued < born + 160_000))
        self._deadlines(scope)

    def _deadlines(self, scope: Scope) -> None:
        today = date.fromisoformat(self._checks.today)
        near = _number((today - timedelta(days=deadlines.NEAR)).isoformat())
        last = _number((today - timedelta(days=deadlines.LIMIT)).isoformat())
        issued, ok = scope.codes("issue_date"), scope.ok["issue_date"]
        for rule, where in (
            ("deadline-near", ok & (issued <= near) & (issued >= last)),
            ("deadline-missed", ok & (issued < last)),
        ):
            rows = np.flatnonzero(where)
            scope.add(rule, "issue_date", rows, self._days(issued[rows]))

    def _days(self, issued: Codes) -> Callable[[int], Facts]:
        def days(nth: int) -> Facts:
            text = str(issued[nth])
            return {"days": deadlines.days_since(f"{text[:4]}-{text[4:6]}-{text[6:]}", self._checks.today)}

        return days

    def _name(self, scope: Scope) -> None:
        scope.ok["name"] = np.zeros(len(scope.part), np.bool_)
        if "name" not in scope.part.texts:
            return
        names, types = scope.part.texts["name"], scope.numbers["id_type"]
        broken = names.unreadable & self.hits.active("formula-error")
        scope.add("formula-error", "name", broken)
        scope.ok["name"] = right = names.plain & ~broken
        rough = np.flatnonzero(~names.plain & ~broken)
        right[rough] = scope.judge(
            "name", rough, lambda row: self._judge_name(text_at(names.column, row), int(types[row]))
        )

    def _judge_name(self, name: str, id_type: int) -> Verdict:
        verdict = self._names.get((name, id_type))
        if verdict is None:
            verdict = verdicts.name(name, str(id_type) if id_type else None, self.hits.active)
            self._names[name, id_type] = verdict
        return verdict

    def _certificate(self, scope: Scope) -> Keys:
        """The number's own checks; gives the right numbers packed, 0 for the others."""
        if _NUMBER not in scope.part.texts:
            scope.ok[_NUMBER] = np.zeros(len(scope.part), np.bool_)
            return np.zeros(len(scope.part), np.uint64)
        texts = scope.part.texts[_NUMBER]
        broken = texts.unreadable & self.hits.active("formula-error")
        rounded = texts.rounded & ~broken & self.hits.active("number-precision")
        empty = (lengths(texts.column) == 0) & ~broken & ~rounded
        good, keys = sixteen_digits(texts.column)
        scope.add("formula-error", _NUMBER, broken)
        scope.add("number-precision", _NUMBER, rounded)
        scope.add("required", _NUMBER, empty)
        wrong = ~(good | broken | rounded | empty)
        rough = np.flatnonzero(wrong & ~texts.plain)
        right = scope.judge(_NUMBER, rough, lambda row: verdicts.number(text_at(texts.column, row), self.hits.active))
        wrong[rough[~right]] = False
        rows = np.flatnonzero(wrong)
        if not self.hits.active("certificate-number-format"):  # a form that nobody asks for may still be too long
            limit = BY_KEY[_NUMBER].max_length
            long = rows[characters(pick(texts.column, rows)) > limit] if len(rows) else rows
            scope.add("too-long", _NUMBER, long, {"limit": limit})
        scope.add("certificate-number-format", _NUMBER, rows, lambda nth: _kind(text_at(texts.column, int(rows[nth]))))
        scope.ok[_NUMBER] = good & ~rounded & ~broken
        return np.where(scope.ok[_NUMBER], keys, np.uint64(0))

    def _compare_certificate(self, scope: Scope, keys: Keys) -> None:
        ok = scope.ok[_NUMBER]
        issued, level = scope.codes("issue_date"), scope.numbers["level"]
        year = digit(keys, 1) * 10 + digit(keys, 2)
        scope.add("certificate-number-year", _NUMBER, ok & scope.ok["issue_date"] & (year != issued // 10_000 % 100))
        if self._checks.issuer_codes:
            issuer = digit(keys, 3) * 10 + digit(keys, 4)
            ours = np.isin(issuer, [int(code) for code in self._checks.issuer_codes])
            scope.add("certificate-number-issuer", _NUMBER, ok & ~ours)
        body, numbered = digit(keys, 7) > 4, (keys & _SERIAL) > 0
        scope.add("certificate-number-body", _NUMBER, ok & (body | ~numbered))
        scope.ok["serial"] = ok & numbered & ~(body & self.hits.active("certificate-number-body"))
        scope.add("certificate-number-level", _NUMBER, ok & (level > 0) & (digit(keys, 11) != level))


def _kind(number: str) -> Facts:
    kind = certificate.kind_of_other(number)
    return {"kind": kind} if kind else {}


def _number(day: str) -> int:
    return int(day.replace("-", ""))
