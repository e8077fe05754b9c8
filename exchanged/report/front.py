"""The first sheet of an annotated workbook: what to do first, what the marks mean, counts by rule, links to the cells;
and the words that stand in comments and reasons.

Takes   xlsxwriter's book and sheet, the marks of the clerk's sheet, what is to be told beside them
Gives   the sheet, written. It never has three field names in a row, so that it is never taken for one with data
Redo    it only computes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchanged.batch import Severity
from exchanged.messages import clean, text, width
from exchanged.reading.header import letters
from exchanged.reading.whole import Whole
from exchanged.report.document import fix
from exchanged.report.formats import GRAVE
from exchanged.report.marks import GRAVITY, WHOLE, Marks
from exchanged.report.sheetxml import cut

STEPS = 5  # rules named under what to do first
PLACES, EACH = 300, 20  # places listed, and of each rule at least so many
NAME = 31  # UTF-16 units of a sheet's name
_FORBIDDEN = str.maketrans(dict.fromkeys("[]:*?/\\", "_"))
_WIDTHS = (11, 9, 24, 11, 84)
_LINE = 16.5  # points


@dataclass(frozen=True, slots=True)
class Told:
    """What the first sheet says beside the marks: the clerk's file, its sheet, its records, how many files its batch
    has, whether the batch was given back, and how many cells have a comment at most."""

    file: str
    sheet: str | None
    rows: int
    files: int
    given_back: bool
    comments: int


def sheet_names(name: str, language: str) -> tuple[str, str]:
    """Names for the first sheet and for the clerk's own, as an xlsx may have them; never the same."""
    own = cut(clean(name).translate(_FORBIDDEN).strip("' "), NAME).strip("' ") or text("book.data", language)
    if own.casefold() == "history":  # a name that Excel keeps for itself
        own = f"{own}_"
    first = text("book.sheet", language)
    while first.casefold() == own.casefold():
        first += "1"
    return first, own


def comment(marks: Marks, entries: Sequence[int]) -> str:
    """What is said on a cell, and how to put it right."""
    lines: list[str] = []
    for entry in entries:
        kind = marks.kind(entry)
        severity = text(f"severity.{kind.severity}", marks.language)
        lines.append(text("book.comment", marks.language, severity=severity, message=marks.sentence(entry)))
        how = fix(kind.rule, marks.language)
        if how:
            lines.append(text("book.how", marks.language, fix=how))
    return "\n".join(dict.fromkeys(lines))


def write(book: Any, page: Any, marks: Marks, told: Told, own: str, whole: Whole, reasons: int) -> None:
    """Write the sheet. `own` is the name of the clerk's, `reasons` the column of its reasons."""
    _Front(book, page, marks, told, own, whole, reasons).write()


class _Front:
    """The sheet in the making, line by line."""

    def __init__(self, book: Any, page: Any, marks: Marks, told: Told, own: str, whole: Whole, reasons: int) -> None:
        self.page, self.marks, self.told, self.own = page, marks, told, own
        self.first = min(whole.columns, default=0)
        self.reasons = reasons
        self.row = 0
        add = book.add_format
        wrap = {"text_wrap": True, "valign": "top"}
        self.title = add({"bold": True, "font_size": 18})
        self.heading = add({"bold": True, "font_size": 12, "bottom": 2})
        self.head = add({"bold": True, "bg_color": "#E7ECF2", "bottom": 1})
        self.plain = add(wrap)
        self.beside = add({"align": "left", "indent": 1})
        self.inset = add({**wrap, "align": "left", "indent": 1})
        self.number = add({"num_format": "#,##0", "align": "center", "valign": "top"})
        self.link = add({"font_color": "#0B5394", "underline": 1, "valign": "top"})
        self.bad = add({**wrap, "bold": True, "font_color": "#9C0006", "font_size": 12})
        self.good = add({**wrap, "bold": True, "font_color": "#1B6E3C", "font_size": 12})
        self.marked = {weight: add({**look, "align": "center", "valign": "top"}) for weight, look in GRAVE.items()}

    def say(self, code: str, **facts: Any) -> str:
        """A text in the reader's language."""
        return text(code, self.marks.language, **facts)

    def write(self) -> None:
        for column, size in enumerate(_WIDTHS):
            self.page.set_column(column, column, size)
        self.page.hide_gridlines(2)
        self.page.set_portrait()
        self.page.set_paper(9)
        self.page.fit_to_pages(1, 0)
        self._verdict()
        rules = self.marks.by_rule()
        if rules:
            self._steps(rules)
            self._legend()
            self._rules(rules)
            self._places()

    def _line(self, words: str, look: Any, height: float = _LINE) -> None:
        """A text over the whole width, as high as it needs."""
        lines = sum(-(-max(1, width(part)) // (sum(_WIDTHS) - 6)) for part in words.splitlines() or [""])
        self.page.set_row(self.row, height * lines)
        self.page.merge_range(self.row, 0, self.row, len(_WIDTHS) - 1, "", look)
        self.page.write_string(self.row, 0, words, look)
        self.row += 1

    def _heading(self, words: str) -> None:
        self.row += 1
        self._line(words, self.heading, 21)

    def _row(self, cells: Sequence[str | int], looks: Sequence[Any]) -> None:
        """A row of a table; its last cell may need several lines."""
        lines = max(1, -(-width(str(cells[-1])) // (_WIDTHS[-1] - 4)), -(-width(str(cells[2])) // (_WIDTHS[2] - 2)))
        self.page.set_row(self.row, _LINE * lines)
        for column, (cell, look) in enumerate(zip(cells, looks, strict=True)):
            if isinstance(cell, int):
                self.page.write_number(self.row, column, cell, look)
            else:
                self.page.write_string(self.row, column, cell, look)
        self.row += 1

    def _verdict(self) -> None:
        told, counts = self.told, self.marks.counts()
        self._line(self.say("book.title"), self.title, 28)
        file, sheet = clean(told.file), clean(told.sheet) if told.sheet else None
        self._line(self.say("book.facts", file=file, sheet=sheet, rows=f"{told.rows:,}"), self.plain)
        said = [self.say(f"check.{level}", n=f"{count:,}") for level, count in _gravest(counts) if count]
        if counts["error"]:
            tail = self.say("check.colon") + self.say("check.and").join(said)
            self._line(self.say("check.invalid") + tail, self.bad)
        elif told.given_back:
            self._line(self.say("book.others_wrong"), self.bad)
        else:
            tail = self.say("check.colon") + self.say("check.and").join(said) if said else ""
            self._line(self.say("book.good") + tail, self.good)
        if told.given_back and counts["error"]:
            self._line(self.say("book.not_sent", sheet=self.own), self.plain)
        if told.files > 1:
            self._line(self.say("book.others", n=told.files), self.plain)

    def _steps(self, rules: Sequence[tuple[str, Severity, int, list[str]]]) -> None:
        self._heading(self.say("book.first"))
        gravest = [one for one in rules if one[1] == "error"] or rules
        for n, (rule, _, count, _) in enumerate(gravest[:STEPS], 1):
            title, how = self.say(f"rule.{rule}"), fix(rule, self.marks.language)
            self._line(self.say("book.step", n=n, title=title, count=f"{count:,}", fix=how), self.plain)
        if len(gravest) > STEPS:
            self._line(self.say("book.more"), self.plain)
        self._line(self.say("book.filter"), self.plain)
        self._line(self.say("book.again"), self.plain)

    def _legend(self) -> None:
        self._heading(self.say("book.legend"))
        for level, count in _gravest(self.marks.counts()):
            if count or level != "hold":
                self.page.write_string(self.row, 0, self.say(f"severity.{level}"), self.marked[GRAVITY[level]])
                self.page.write_string(self.row, 1, self.say(f"book.legend_{level}"), self.beside)
                self.row += 1
        self._line(self.say("book.legend_comment"), self.plain)
        if len(self.marks) > self.told.comments:
            self._line(self.say("book.legend_capped", n=f"{self.told.comments:,}"), self.plain)

    def _rules(self, rules: Sequence[tuple[str, Severity, int, list[str]]]) -> None:
        self._heading(self.say("book.by_rule"))
        names = ("field.severity", "field.count", "field.column", "book.where_first", "field.message")
        self._row([self.say(name) for name in names], [self.head] * len(names))
        first = self._first_of_each()
        for rule, severity, count, columns in rules:
            cells: list[str | int] = [
                self.say(f"severity.{severity}"),
                count,
                self._listed(columns),
                "",
                self._titled(rule),
            ]
            looks = [self.marked[GRAVITY[severity]], self.number, self.plain, self.link, self.inset]
            at = self.row
            self._row(cells, looks)
            if rule in first:
                self._link(at, 3, first[rule])

    def _listed(self, columns: Sequence[str]) -> str:
        return self.say("check.comma").join(columns)

    def _titled(self, rule: str) -> str:
        return (
            f"{self.say(f'rule.{rule}')}（{rule}）"
            if self.marks.language == "zh"
            else f"{self.say(f'rule.{rule}')} ({rule})"
        )

    def _first_of_each(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.marks.sample(1, PLACES):
            found.setdefault(self.marks.kind(entry).rule, entry)
        return found

    def _places(self) -> None:
        entries = self.marks.sample(EACH, PLACES)
        if not entries:
            return
        total, all_of_them = f"{len(self.marks):,}", len(entries) == len(self.marks)
        code = "book.places" if all_of_them else "book.places_capped"
        self._heading(self.say(code, total=total, shown=f"{len(entries):,}", sheet=self.own))
        names = ("book.place", "field.row", "field.column", "field.severity", "field.message")
        self._row([self.say(name) for name in names], [self.head] * len(names))
        for entry in entries:
            kind, row = self.marks.kind(entry), int(self.marks.rows[entry])
            cells: list[str | int] = [
                "",
                row,
                kind.column or "",
                self.say(f"severity.{kind.severity}"),
                self.marks.sentence(entry),
            ]
            looks = [self.link, self.number, self.plain, self.marked[GRAVITY[kind.severity]], self.inset]
            at = self.row
            self._row(cells, looks)
            self._link(at, 0, entry)

    def _link(self, row: int, column: int, entry: int) -> None:
        """A link to the cell that an entry is about."""
        place = int(self.marks.columns[entry])
        cell = f"{letters(self.first if place == WHOLE else place)}{int(self.marks.rows[entry])}"
        target = self.own.replace("'", "''")
        self.page.write_url(row, column, f"internal:'{target}'!{cell}", self.link, cell)


def _gravest(counts: dict[str, int]) -> list[tuple[Severity, int]]:
    return [(severity, counts[severity]) for severity in sorted(GRAVITY, key=lambda each: -GRAVITY[each])]
