"""Check spreadsheets: read, normalise, validate, in one pass over the files.

Takes   open binary files with the clerk's names, and what the check depends on
Gives   `Checked`: rows, digest of certificates.csv, counts, findings; or the table itself, in pieces
Redo    it only computes: the same files give the same result and the same bytes
Ends    never by a file's content. Meant to run in a child process with limits, since the files are not to be trusted
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from exchanged import filenames
from exchanged.batch import Checks, Finding, Reading, Severity
from exchanged.indexing import Index
from exchanged.reading import read
from exchanged.stages.normalise import Normaliser
from exchanged.stages.validate import Validation
from exchanged.standard import csvtable
from exchanged.standard.catalogue import Catalogue
from exchanged.standard.columns import Part, Table
from exchanged.standard.findings import SAMPLE, Hitlist, placed
from exchanged.standard.rules import RULES
from exchanged.standard.scope import Scope

_COLUMN_RULES = frozenset({"column-missing", "column-unknown", "column-duplicate"})
_WHOLE_ALL_THE_SAME = frozenset({"column-unknown", "column-duplicate"})
"""The rules of scope file that leave a table to send. What lacks data is an error whatever the configuration says."""

Files = Sequence[tuple[str, BinaryIO]]
Combination = tuple[str | None, str | None, str | None]


SMALL = 1 << 20  # bytes of a table that is kept, so that sealing at once need not read the spreadsheets again


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Where the data of one file is, and how many records it has."""

    name: str
    sheet: str | None
    header_row: int | None
    rows: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `digest` is None and `size` 0 where a file cannot be used; else of certificates.csv.

    `findings` are the first ones, `counted` counts all of them by rule. `index` (`exchanged.standard.index`) is empty
    unless it was asked for and the files can be used. `table` is certificates.csv itself, when it is small.
    """

    rows: int
    digest: str | None
    size: int
    files: tuple[FileFacts, ...]
    counts: tuple[tuple[Combination, int], ...]
    findings: tuple[Finding, ...]
    counted: dict[str, int]
    severities: dict[str, int]
    catalogue: str
    index: bytearray = field(default_factory=bytearray)
    table: bytes | None = None

    @property
    def valid(self) -> bool:
        """Nothing found that rejects the batch."""
        return not self.severities["error"]

    def to_dict(self) -> dict[str, Any]:
        """All but `index` and `table`, ready for JSON."""
        return {
            "verdict": "valid" if self.valid else "invalid",
            "rows": self.rows,
            "digest": self.digest,
            "bytes": self.size,
            "files": [
                {"name": f.name, "sheet": f.sheet, "header_row": f.header_row, "rows": f.rows} for f in self.files
            ],
            "counts": [
                {"qualification": qualification, "direction": direction, "level": level, "count": count}
                for (qualification, direction, level), count in self.counts
            ],
            "findings": [_finding(finding) for finding in self.findings],
            "summary": {**self.severities, "by_rule": self.counted},
            "catalogue": self.catalogue,
        }


@dataclass(frozen=True, slots=True)
class Everything:
    """All that a check found, as columns: file by file the reading and the number of records; the findings about files
    and total rows; the hits in the table's records."""

    readings: tuple[Reading, ...]
    records: tuple[int, ...]
    findings: tuple[Finding, ...]
    hits: Hitlist
    table: Table


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "file": finding.file,
        "sheet": finding.sheet,
        "row": finding.row,
        "column": finding.column,
        "facts": dict(finding.facts),
    }


def check(
    files: Files, checks: Checks, *, index: bool = False, progress: Callable[[int], None] | None = None
) -> Checked:
    """Check the spreadsheets of one batch; files are taken in the order of their NFC names.

    With `index` also what the ledger is told of every record; the rules of scope screen are then left to it, since they
    ask for the history too. `progress` hears how many records have been checked so far. Raises ConfigError when a
    catalogue file of `checks` cannot be used.
    """
    return _checked(files, checks, index, progress).result()


def everything(
    files: Files, checks: Checks, *, screened: bool = True, progress: Callable[[int], None] | None = None
) -> Everything:
    """The same check, with every place that was found, however many. `screened`: by the rules of scope screen too."""
    run = _checked(files, checks, False, progress)
    run.validation.finish(screened=screened)
    return Everything(
        tuple(run.readings), tuple(run.records), (*run.file_findings, *run.sums), run.validation.hits, run.table
    )


def _checked(files: Files, checks: Checks, index: bool, progress: Callable[[int], None] | None) -> _Run:
    run = _Run(checks, index)
    for number, (reading, parts) in enumerate(_parts(files, checks, run.normaliser)):
        run.open(reading)
        for part in parts:
            run.add(part)
            if progress:
                progress(len(run.table))
        run.close(number)
    return run


def table(files: Files, checks: Checks) -> Iterator[bytes]:
    """certificates.csv in pieces: the very bytes whose digest `check` gives for these files."""
    normaliser = Normaliser(checks.direction_placeholders)
    writer = csvtable.Writer(normaliser.words)
    yield csvtable.HEADER
    for _, parts in _parts(files, checks, normaliser):
        for part in parts:
            if len(part):
                yield writer.lines(part).to_pybytes()


def _parts(files: Files, checks: Checks, normaliser: Normaliser) -> Iterator[tuple[Reading, Iterator[Part]]]:
    ordered = sorted(files, key=lambda file: filenames.order(file[0]))
    for number, (name, source) in enumerate(ordered):
        source.seek(0)
        reading = read(source, name, checks.limits)
        yield reading, (normaliser.part(chunk, number, reading.epoch_1904) for chunk in reading.chunks)


class _Run:
    """One check in the making."""

    def __init__(self, checks: Checks, index: bool) -> None:
        self.checks = checks
        self.catalogue = Catalogue.load(checks.catalogues)
        self.normaliser = Normaliser(checks.direction_placeholders)
        self.table = Table(self.normaliser.words)
        self.validation = Validation(self.table, checks, self.catalogue)
        self.writer = csvtable.Writer(self.normaliser.words)
        self.digest = hashlib.sha256(csvtable.HEADER)
        self.size = len(csvtable.HEADER)
        self.readings: list[Reading] = []
        self.records: list[int] = []
        self.usable = True
        self.file_findings: list[Finding] = []
        self.sums: list[Finding] = []
        self.counter: Counter[tuple[int, int, int, bool]] = Counter()
        self.index = Index(self.table) if index else None
        self.small: list[bytes] | None = [csvtable.HEADER]

    def open(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.records.append(0)
        for finding in reading.findings:
            self._note_file(finding)

    def add(self, part: Part) -> None:
        if self.validation.hits.active("total-row"):
            self.sums += [self._finding("total-row", int(row)) for row in part.sums]
            self.sums += [self._finding("total-row", int(row), what="header") for row in part.headers]
        if not len(part):
            return
        scope = self.validation.part(part)
        self.records[-1] += len(part)
        self.counter.update(_combinations(scope, self.table))
        lines = self.writer.lines(part)
        self.digest.update(lines)
        self.size += lines.size
        if self.small is not None:
            self.small = [*self.small, lines.to_pybytes()] if self.size <= SMALL else None
        if self.index is not None and self.usable:
            self.index.add(scope, lines)

    def close(self, number: int) -> None:
        """A file without records is a finding, unless one that explains it is there already."""
        if not self.records[number] and all(f.rule in _COLUMN_RULES for f in self.readings[number].findings):
            self._note_file(self._finding("table-empty", None))

    def _note_file(self, finding: Finding) -> None:
        whole = finding.rule in _WHOLE_ALL_THE_SAME
        severity = self.validation.hits.severity(finding.rule) if whole else Severity.ERROR
        self.usable &= severity is not Severity.ERROR
        self.file_findings.append(replace(finding, severity=severity))

    def _finding(self, rule: str, row: int | None, **facts: str) -> Finding:
        reading = self.readings[-1]
        return Finding(rule, self.validation.hits.severity(rule), reading.file, reading.sheet, row, facts=facts)

    def result(self) -> Checked:
        screening = self.validation.finish(screened=self.index is None)
        index = self.index.finish(screening.marks()) if self.index is not None and self.usable else bytearray()
        counted, severities = self._counted()
        return Checked(
            rows=len(self.table),
            digest=f"sha256:{self.digest.hexdigest()}" if self.usable else None,
            size=self.size if self.usable else 0,
            files=tuple(self._file(*each) for each in zip(self.readings, self.records, strict=True)),
            counts=_counts(self.counter, self.table, shown=not severities["error"]),
            findings=tuple(self._findings()),
            counted=counted,
            severities=severities,
            catalogue=self._editions(),
            index=index,
            table=b"".join(self.small) if self.small and self.usable else None,
        )

    @staticmethod
    def _file(reading: Reading, records: int) -> FileFacts:
        return FileFacts(reading.file, reading.sheet, reading.header_row or None, records)

    def _counted(self) -> tuple[dict[str, int], dict[str, int]]:
        hits, other = self.validation.hits, self.file_findings + self.sums
        total = Counter(hits.counts())
        severities = {"error": 0, "hold": 0, "warn": 0}
        for rule, count in total.items():
            severities[hits.severity(rule).value] += count
        for finding in other:
            severities[finding.severity.value] += 1
        total.update(finding.rule for finding in other)
        return {rule: total[rule] for rule in RULES if rule in total}, severities

    def _findings(self) -> list[Finding]:
        """What is wrong with the files, then with the rows in their order; as many as the limit allows."""
        limit, hits = self.checks.limit, self.validation.hits
        files = self.file_findings[: limit or None]
        left = limit - len(files)
        sums = self.sums if not limit else self.sums[: max(min(SAMPLE, left), left - sum(hits.counts().values()))]
        room = limit - len(files) - len(sums)
        chosen = [] if limit and room <= 0 else hits.chosen(room if limit else 0)
        sheets = [(reading.file, reading.sheet) for reading in self.readings]
        order = {sheet: at for at, sheet in enumerate(sheets)}
        rows = sums + [placed(hit, nth, self.table, sheets, hits.severity) for hit, nth in chosen]
        if sums:
            rows.sort(key=lambda finding: (order[finding.file or "", finding.sheet], finding.row or 0))
        return files + rows

    def _editions(self) -> str:
        editions = [edition.name for edition in self.catalogue.editions()]
        return ",".join(name for name in editions if name in self.validation.editions) or editions[-1]


def _combinations(scope: Scope, table: Table) -> dict[tuple[int, int, int, bool], int]:
    """How often each combination of 职业资格, 职业方向, 技能等级 stands in a part, and whether it is right; by code."""
    directions, levels = len(table.words["direction"]), len(table.words["level"])
    whole = scope.codes("qualification").astype(np.int64) * directions + scope.codes("direction")
    right = scope.ok["qualification"] & scope.ok["direction"] & scope.ok["level"] & scope.ok["listed"]
    keys, counts = np.unique((whole * levels + scope.codes("level")) * 2 + right, return_counts=True)
    out = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        rest, level = divmod(key // 2, levels)
        out[(*divmod(rest, directions), level, bool(key % 2))] = count
    return out


def _counts(
    counter: Counter[tuple[int, int, int, bool]], table: Table, *, shown: bool
) -> tuple[tuple[Combination, int], ...]:
    """The combinations in words. In a batch that is not right, cells that may be anything are left out of the words."""
    texts = [table.words[key].texts for key in ("qualification", "direction", "level")]
    total: Counter[Combination] = Counter()
    for (qualification, direction, level, right), count in counter.items():
        words = (texts[0][qualification], texts[1][direction], texts[2][level])
        total[words if shown or right else (None, None, None)] += count
    return tuple(sorted(total.items(), key=lambda each: tuple(word or "" for word in each[0])))
