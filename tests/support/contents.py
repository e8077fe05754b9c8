"""What came of something that was dropped, compared with it: a package, a folder given back, files that lie."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import openpyxl

from tests.support.remains import sha256

TABLE = "certificates.csv"  # beside sheets that are not CSV: the rows that must arrive


def records(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"))))


def table(files: Mapping[str, bytes]) -> list[list[str]]:
    """The rows that must arrive, header first."""
    if TABLE in files:
        return records(files[TABLE])
    tables = [records(files[name]) for name in sorted(files) if name.endswith(".csv")]
    return tables[0] + [row for table in tables[1:] for row in table[1:]]


def lies(files: Mapping[str, bytes]) -> list[bytes]:
    return sorted(without_table(files).values())


def without_table(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != TABLE}


def arrived_as(there: Mapping[str, bytes]) -> Any:
    """A comparison of a package's content with what was dropped."""
    sources = sorted(one["sha256"] for one in json.loads(there["manifest.json"])["source"])

    def same(files: Mapping[str, bytes]) -> bool:
        sheets = [content for name, content in without_table(files).items() if not name.lower().endswith(".pdf")]
        scans = [content for name, content in files.items() if name.lower().endswith(".pdf")]
        return (
            records(there[TABLE]) == table(files)
            and sources == sorted(sha256(sheet) for sheet in sheets)
            and scans in ([], [there["confirmation.pdf"]])
        )

    return same


def returned_as(there: Mapping[str, bytes], *, marked: bool) -> Any:
    """A comparison of a rejected folder with what was dropped: the originals untouched, the reports, the workbooks."""

    def same(files: Mapping[str, bytes]) -> bool:
        originals = without_table(files)
        reports = "report.html" in there and json.loads(there.get("report.json", b"null"))
        sheets = [name for name in originals if name.endswith(".csv")] if marked else []
        books = all(_marked_as(there.get(f"{name[:-4]}.annotated.xlsx", b""), originals[name]) for name in sheets)
        return bool(reports) and books and all(there.get(name) == content for name, content in originals.items())

    return same


def _marked_as(book: bytes, sheet: bytes) -> bool:
    """Whether an annotated workbook holds exactly the rows of a sheet, beside its page of explanations."""
    rows = records(sheet)
    try:
        found = openpyxl.load_workbook(io.BytesIO(book), read_only=True)
    except (zipfile.BadZipFile, KeyError):
        return False
    lines = [[str(value or "") for value in line] for page in found for line in page.iter_rows(values_only=True)]
    held = [line[: len(rows[0])] for line in lines if len(line) >= len(rows[0])]
    return held == rows
