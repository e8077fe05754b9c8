"""Rows as the cell-by-cell readers give them: the header among the first, the data below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exchanged.batch import Chunk, Finding, Kind, Limits, Reading
from exchanged.reading import header
from exchanged.reading.cells import Collector, Value
from exchanged.reading.trouble import Trouble, too_large

Row = Mapping[int, Value]


def texts_of(row: Row) -> header.Row:
    """The text cells of a row that hold more than white space."""
    return {c: text for c, (kind, text) in row.items() if kind == Kind.TEXT and text and text.strip()}


class Watch:
    """Takes the rows below the header, keeps the limits, notes data in columns without a header."""

    def __init__(self, layout: header.Layout, limits: Limits) -> None:
        if layout.width > limits.columns:
            raise too_large("columns", limits.columns)
        self.layout, self.limits = layout, limits
        self.stray: dict[int, int] = {}
        self.rows = 0
        self._rows = Collector(layout.wanted)

    def take(self, number: int, row: Row) -> None:
        """One filled row."""
        if number <= self.layout.row:
            return
        self.rows += 1
        if self.rows > self.limits.rows:
            raise too_large("rows", self.limits.rows)
        for column in row.keys() - self.layout.named:
            kind, text = row[column]
            if kind == Kind.TEXT and not (text and text.strip()):
                continue
            if column >= self.limits.columns:
                raise too_large("columns", self.limits.columns)
            self.stray.setdefault(column, number)
        self._rows.add(number, row)

    def chunks(self) -> Iterator[Chunk]:
        """The rows taken."""
        return self._rows.chunks()


class Sheets:
    """Rows of one sheet after the other, until it is known which one sheet holds the header."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self.found: list[tuple[str, Watch, list[Finding]]] = []
        self._sheet = ""
        self._early: list[tuple[int, Row]] | None = None
        self._watch: Watch | None = None
        self._of_records = False

    def begin(self, sheet: str) -> None:
        """A new sheet starts."""
        self._sheet, self._early, self._watch = sheet, [], None

    def take(self, number: int, row: Row) -> None:
        """One filled row, in order."""
        if self._early is not None and number <= header.LOOK:
            self._early.append((number, row))
            return
        self._decide()
        if self._watch:
            self._watch.take(number, row)

    def end(self) -> None:
        """The sheet ends."""
        self._decide()

    def _decide(self) -> None:
        early, self._early = self._early, None
        if early is None:
            return
        hit = header.best((number, texts_of(row)) for number, row in early)
        if not hit:
            return
        if not self._wanted(header.of_records(hit[1])):
            return
        layout, findings = header.layout(*hit, self.name, self._sheet)
        self._watch = Watch(layout, self.limits)
        self.found.append((self._sheet, self._watch, findings))
        for number, row in early:
            self._watch.take(number, row)

    def _wanted(self, of_records: bool) -> bool:
        """Whether a sheet with a header row is the one: a sheet of records rather than one that explains codes."""
        if of_records and self._of_records:
            raise Trouble("sheet-ambiguous", sheets=2)
        if of_records:
            self.found, self._of_records = [], True
        return of_records or not self._of_records

    def reading(self, epoch_1904: bool) -> Reading:
        """What came out of all sheets."""
        if not self.found:
            raise Trouble("header-missing")
        if len(self.found) > 1:
            raise Trouble("sheet-ambiguous", sheets=len(self.found))
        sheet, watch, findings = self.found[0]
        stray = [header.unnamed(c, n, self.name, sheet) for c, n in sorted(watch.stray.items())]
        return Reading(self.name, sheet, watch.layout.row, epoch_1904, tuple(findings + stray), watch.chunks())
