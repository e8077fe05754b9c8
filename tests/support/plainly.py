"""The rules once more, row by row in plain Python, to hold the column-wise check against.

Takes normalised rows; uses the value functions of the standard and nothing of the kernels. Slow and obvious on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from exchanged.standard import certificate, codes, dates, identity, names, text
from exchanged.standard.catalogue import Catalogue
from exchanged.standard.fields import FIELDS
from tests.support import oracle
from tests.support.screened import Award, screened

Row = dict[str, str]
Spot = tuple[str, int, str | None]

NAME_OF = {field.key: field.name for field in FIELDS}
LIMIT = {field.key: field.max_length for field in FIELDS}
FREE = ("qualification", "direction", "centre", "authority")
SAME_PERSON = ("name", "birth_date", "gender")
COLUMN = {"many-awards": "证件号码", "level-jump": "证件号码", "daily-burst": "鉴定中心", "serial-gap": "证书编号"}


def normal(raw: Mapping[str, str]) -> Row:
    """A row by key, normalised; a value without a normal form as cleaned text."""
    out = {}
    for field in FIELDS:
        value = raw[field.name]
        if field.key == "name":
            out[field.key] = text.clean_name(value)
        elif field.key in ("birth_date", "issue_date"):
            parsed = dates.parse(value)
            out[field.key] = parsed if isinstance(parsed, str) else text.clean(text.strip_text_guard(value))
        elif field.key in FREE:
            out[field.key] = text.clean(value)
        else:
            half = text.halfwidth(text.clean(text.strip_text_guard(value)))
            out[field.key] = identity.clean_number(half) if field.key == "id_number" else half
            if field.key in codes.CODES:
                out[field.key] = codes.code(field.key, half) or half
    if out["direction"] in ("无", "—", "-", "/"):
        out["direction"] = "无"
    return out


class Judge:
    """Finds everything in a list of rows whose first row has the number 2."""

    def __init__(self, today: str) -> None:
        self.today = today
        self.catalogue = Catalogue.load()

    def judge(self, raws: Sequence[Mapping[str, str]]) -> set[Spot]:
        rows = [normal(raw) for raw in raws]
        out: set[Spot] = set()
        right: list[set[str]] = []
        for number, (raw, row) in enumerate(zip(raws, rows, strict=True), 2):
            found = list(self._row(raw, row))
            wrong = {key for key, rule, blames in found if blames}
            right.append(set(row) - wrong)
            out |= {(rule, number, NAME_OF[key]) for key, rule, _ in found}
        mismatched = {(spot[1], spot[0]) for spot in out}
        out |= set(self._repeats(rows, right, mismatched))
        awards = [self._screened(number, row, right[number - 2], out) for number, row in enumerate(rows, 2)]
        return out | {(rule, number, COLUMN[rule]) for rule, number, _ in screened(awards)}

    def _screened(self, number: int, row: Row, right: set[str], found: set[Spot]) -> Award:
        """What of a row is screened: what is right, once for every certificate."""
        twice = {("duplicate-record", number, None), ("duplicate-certificate", number, NAME_OF["certificate_number"])}
        known = dict.fromkeys(row) if twice & found else {key: row[key] if key in right else None for key in row}
        odd = known["certificate_number"] and not oracle.body_ok(row["certificate_number"])
        return Award(
            number,
            None if odd else known["certificate_number"],
            f"{row['id_type']} {row['id_number']}" if known["id_number"] and known["id_type"] else None,
            date.fromisoformat(row["issue_date"]) if known["issue_date"] else None,
            known["qualification"],
            int(row["level"]) if known["level"] else None,
            known["centre"],
        )

    def _row(self, raw: Mapping[str, str], row: Row) -> Iterator[tuple[str, str, bool]]:
        wrong: set[str] = set()
        for key in row:
            rule = self._own(key, raw[NAME_OF[key]], row)
            if rule:
                wrong.add(key)
                yield key, rule, True
        for key in (*FREE, "name"):
            if key not in wrong and text.gb18030_length(row[key]) > LIMIT[key]:
                yield key, "too-long-bytes", False
        kind = None if "id_type" in wrong else row["id_type"]
        if "name" not in wrong and names.suspicious(row["name"], kind):
            yield "name", "name-suspicious", False
        yield from self._number(row, wrong)
        yield from self._person(row, wrong)
        yield from self._award(row, wrong)

    def _own(self, key: str, raw: str, row: Row) -> str | None:
        value = row[key]
        if not value:
            return "required"
        if key in ("birth_date", "issue_date"):
            parsed = dates.parse(raw)
            if not isinstance(parsed, str):
                return parsed.value
            return "date-out-of-range" if oracle.out_of_range(parsed, self.today) else None
        if key in codes.CODES:
            return None if value in codes.CODES[key] else "bad-code"
        if key in ("id_number", "certificate_number") and text.was_number(value):
            return "number-precision"
        if key in ("name", "id_number") and names.masked(value):
            return "name-masked"
        if text.illegal(value):
            return "illegal-character"
        if text.runs_as_formula(value):
            return "formula-text"
        return self._form(key, value, row)

    def _form(self, key: str, value: str, row: Row) -> str | None:
        if key == "certificate_number":
            return None if certificate.is_number(value) else "certificate-number-format"
        if key == "id_number":
            kind = row["id_type"]
            if len(value) > 18 and kind not in ("201", "210", "213", "227", "233", "237", "238"):
                return "too-long"
            if not identity.form_ok(kind, value):
                return "id-format"
            return "id-checksum" if identity.checksum_ok(kind, value) is False else None
        return "too-long" if len(value) > LIMIT[key] else None

    def _number(self, row: Row, wrong: set[str]) -> Iterator[tuple[str, str, bool]]:
        number = row["certificate_number"]
        if "certificate_number" in wrong:
            return
        if "issue_date" not in wrong and not oracle.year_agrees(number, row["issue_date"]):
            yield "certificate_number", "certificate-number-year", False
        if not oracle.body_ok(number):
            yield "certificate_number", "certificate-number-body", False
        if "level" not in wrong and number[10] != row["level"]:
            yield "certificate_number", "certificate-number-level", False

    def _person(self, row: Row, wrong: set[str]) -> Iterator[tuple[str, str, bool]]:
        number, kind = row["id_number"], row["id_type"]
        if (
            "birth_date" not in wrong
            and "issue_date" not in wrong
            and oracle.under_16(row["birth_date"], row["issue_date"])
        ):
            yield "birth_date", "issued-before-16", False
        if "id_number" in wrong or "id_type" in wrong:
            return
        if not identity.region_ok(number, kind):
            yield "id_number", "id-region", False
        if "birth_date" not in wrong and not oracle.birth_agrees(kind, number, row["birth_date"]):
            yield "id_number", "id-birth-mismatch", False
        if "gender" not in wrong and oracle.gender(kind, number) not in (None, row["gender"]):
            yield "id_number", "id-gender-mismatch", False

    def _award(self, row: Row, wrong: set[str]) -> Iterator[tuple[str, str, bool]]:
        if "issue_date" in wrong:
            return
        rule = oracle.deadline(row["issue_date"], self.today)
        if rule:
            yield "issue_date", rule, False
        if "qualification" in wrong:
            return
        verdict = self.catalogue.judge(row["qualification"], row["issue_date"])
        if verdict in ("not-in-catalogue", "catalogue-leaving"):
            yield "qualification", verdict, False
        listed = self.catalogue.directions(row["qualification"], row["issue_date"])
        if verdict != "not-in-catalogue" and listed and "direction" not in wrong and row["direction"] not in listed:
            yield "direction", "direction-unknown", False

    def _repeats(self, rows: list[Row], right: list[set[str]], noted: set[tuple[int, str]]) -> Iterator[Spot]:
        records: set[tuple[str, ...]] = set()
        certificates: set[str] = set()
        awards: set[tuple[str, ...]] = set()
        people: dict[tuple[str, str], str] = {}
        for number, (row, ok) in enumerate(zip(rows, right, strict=True), 2):
            record = tuple(row.values())
            twice = record in records or ("certificate_number" in ok and row["certificate_number"] in certificates)
            if record in records:
                yield "duplicate-record", number, None
            elif twice:
                yield "duplicate-certificate", number, NAME_OF["certificate_number"]
            records.add(record)
            if "certificate_number" in ok:
                certificates.add(row["certificate_number"])
            # a number is no person's unless its type is known
            if not {"id_number", "id_type"} <= ok:
                continue
            compared = ok - {
                key
                for key, rule in (("birth_date", "id-birth-mismatch"), ("gender", "id-gender-mismatch"))
                if (number, rule) in noted
            }
            others = [
                people.setdefault((row["id_number"], key), row[key]) != row[key]
                for key in SAME_PERSON
                if key in compared
            ]
            if any(others):
                yield "id-conflict", number, NAME_OF["id_number"]
            if {"qualification", "direction", "level"} <= ok and (number, "not-in-catalogue") not in noted:
                award = (row["id_number"], row["qualification"], row["direction"], row["level"])
                if award in awards and not (twice or any(others)):  # whose award it is, is not known then
                    yield "same-award-twice", number, NAME_OF["id_number"]
                awards.add(award)
