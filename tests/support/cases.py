"""Builds the rows and files that the tables of `tests/examples` describe."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import yaml

from exchanged.batch import Limits
from tests.support import books
from tests.support.checks import TODAY
from tests.support.records import HEADERS, records, resident_id

FOLDER = Path(__file__).parents[1] / "examples"
Case = Mapping[str, Any]


def load(name: str) -> Any:
    """A table in which every value is text as it stands."""
    return yaml.load((FOLDER / name).read_text("utf-8"), yaml.BaseLoader)


def rows_of(case: Case) -> list[dict[str, str]]:
    """The records of a case of rows.yaml."""
    right = records(len(case["rows"]), today=TODAY, 技能等级="4", 职业资格="保安员", 职业方向="无", 性别="1")
    made: list[dict[str, str]] = []
    for number, told in enumerate(case["rows"]):
        changes = {name: value for name, value in told.items() if name in HEADERS}
        fresh = right[number] | {
            "证书编号": f"26000000004{number + 1:05d}",
            "证件号码": resident_id(right[number]["出生日期"], 1 + 2 * number),
        }
        base = dict.fromkeys(HEADERS, "") | told["only"] if "only" in told else fresh
        made.append((made[int(told["like"]) - 1] if "like" in told else base) | changes)
    return made


def file_of(case: Case) -> tuple[str, bytes]:
    """Name and content of a case of files.yaml."""
    name = case.get("name", "a.csv")
    if "text" in case:
        return name, case["text"].encode()
    if "hex" in case:
        return name, bytes.fromhex(case["hex"])
    if "built" in case:
        return name, _locked() if case["built"] == "locked" else books.ole({"EncryptedPackage": b"x"})
    if "sheets" in case:
        return "a.xlsx", _workbook(case["sheets"])
    lines = _lines(case)
    if case.get("as") == "xlsx":
        content = books.by_openpyxl(lines)
        return name, content[: int(len(content) * float(case.get("cut", 1)))]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=case.get("separator", ",")).writerows(lines)
    return name, text.getvalue().encode(case.get("encoding", "utf-8"))


def limits_of(case: Case) -> Limits:
    """The limits of a case."""
    return Limits(**{name: int(value) for name, value in case.get("limits", {}).items()})


def _lines(case: Case) -> list[list[str]]:
    count, more, width = int(case.get("rows", 2)), case.get("more", {}), int(case.get("columns", 12))
    header = [case.get("header", {}).get(name, name) for name in HEADERS[:width]]
    body = [[row[name] for name in HEADERS[:width]] for row in records(count, today=TODAY)]
    titles = [["某某省职业资格证书数据"] for _ in range(int(case.get("above", 0)))]
    return [*titles, header + list(more), *(line + list(more.values()) for line in body)]


def _workbook(counts: Sequence[str]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, count in enumerate(map(int, counts)):
        page = book.create_sheet(f"表{number}")
        lines = [["说明", "填写须知"]] if count < 0 else _lines({"rows": count})
        for line in lines:
            page.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _locked() -> bytes:
    """An old workbook behind a password."""
    begin = struct.pack("<HHHHLLL", 0x0809, 16, 0x0600, 5, 0, 0, 0)
    return books.ole({"Workbook": begin + struct.pack("<HHHHH", 0x2F, 6, 0, 0, 0)})
