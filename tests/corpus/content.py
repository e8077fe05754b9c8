"""What the corpus says: sheets of made-up records, and for each what is to be found in it, known from how it was made.

Nothing here asks the code under test. A sheet is rows of cells: text, `Num`, `Day`, `Fx` or None for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from tests.support.records import HEADERS, Record, certificate_number, csv_text, records, resident_id

TODAY = "2026-11-20"
Spot = tuple[str, int | None, str | None]


@dataclass(frozen=True)
class Num:
    """A cell that holds a number, with a number format."""

    value: float
    form: str = "General"


@dataclass(frozen=True)
class Day:
    """A cell that holds a date, or a moment, shown in a date format."""

    value: date
    form: str = "yyyy-mm-dd"


@dataclass(frozen=True)
class Fx:
    """A formula and its stored value: text, a number, an error (#N/A), or None where it was never computed."""

    formula: str
    value: str | float | None


Cell = str | Num | Day | Fx | None


@dataclass(frozen=True)
class Sheet:
    """A sheet to write. Rows and columns of `merged` (first row, first column, last row, last column) and `hidden`
    ones are counted from 0."""

    name: str
    lines: Sequence[Sequence[Cell]]
    merged: Sequence[tuple[int, int, int, int]] = ()
    hidden_rows: Sequence[int] = ()
    hidden_columns: Sequence[int] = ()
    hidden: bool = False
    widths: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """Sheets, and the truth about them: where the data is, how many records, what they are when all is right."""

    sheets: Sequence[Sheet]
    sheet: str | None
    header_row: int | None
    rows: int
    findings: Sequence[Spot] = ()
    right: Sequence[Record] | None = None
    epoch_1904: bool = False

    @property
    def digest(self) -> str | None:
        """The digest of certificates.csv, where the document is right."""
        if self.right is None:
            return None
        return "sha256:" + hashlib.sha256(csv_text(self.right).encode()).hexdigest()


def tidy() -> Document:
    """Text in every cell, the header in the first row."""
    rows = records(12, seed=1, today=TODAY)
    lines = [list(HEADERS), *([row[name] for name in HEADERS] for row in rows)]
    return Document([Sheet("Sheet1", lines)], "Sheet1", 1, len(rows), right=rows)


ORDER = ("姓名", "证件类型", "证件号码", "性别", "出生日期", "职业资格", "职业方向", "技能等级", "证书编号", "发证日期",
         "鉴定中心", "发证机关")  # fmt: skip
LEVELS = {"1": "一级/高级技师", "2": "技师（二级）", "3": "高级", "4": "国家职业资格四级", "5": "五级"}


def _wide(text: str) -> str:
    """ASCII as full-width characters."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _as_clerks_write(number: int, row: Record, displayed: bool) -> list[Cell]:
    """One record in cells as people fill them, another way in each row."""
    birth, issue = date.fromisoformat(row["出生日期"]), date.fromisoformat(row["发证日期"])
    ways: dict[str, Sequence[Cell]] = {
        "姓名": [row["姓名"], f" {row['姓名']}\u3000", f"\u200b{row['姓名']}", row["姓名"].replace("·", "•")],
        "证件类型": [Num(201), "居民身份证", "201", "身份证", "２０１"],
        "证件号码": [row["证件号码"], row["证件号码"].lower(), _wide(row["证件号码"]), f"{row['证件号码']}\n"],
        "性别": [Num(float(row["性别"])), "男" if row["性别"] == "1" else "女", _wide(row["性别"]), row["性别"]],
        "出生日期": [Day(birth), Day(birth, "yyyy/m/d"), f"{birth.year}年{birth.month}月{birth.day}日",
                 Day(birth, 'yyyy"年"m"月"d"日"'), f"{birth:%Y%m%d}", f"{birth:%Y.%m.%d}", row["出生日期"]],
        "职业资格": [row["职业资格"], f"{row['职业资格']} ", f"\u00a0{row['职业资格']}"],
        "职业方向": [row["职业方向"] if row["职业方向"] != "无" else way for way in ("无", "—", "-", "/", "／")],
        "技能等级": [Num(float(row["技能等级"])), LEVELS[row["技能等级"]], f"{row['技能等级']}级", row["技能等级"]],
        "证书编号": [row["证书编号"], f" {row['证书编号']}", f"{row['证书编号']}\u200b"],
        "发证日期": [Day(issue, "yyyy/mm/dd"), row["发证日期"], f"{issue.year}/{issue.month}/{issue.day}",
                 Day(issue, "yyyy/m/d" if displayed else 'm"月"d"日"'), f"{row['发证日期']} 00:00:00"],
        "鉴定中心": [row["鉴定中心"], f"{row['鉴定中心'][:4]}\n{row['鉴定中心'][4:]}"],
        "发证机关": [row["发证机关"], f"{row['发证机关']}\u3000"],
    }  # fmt: skip
    return [Num(number + 1), *(ways[name][number % len(ways[name])] for name in ORDER)]


GUIDE = Sheet("填写说明", [["字段", "说明"], ["性别", "1=男；2=女"], ["证件类型", "201=居民身份证"]], hidden=True)


def clerk(displayed: bool = False) -> Document:
    """What a clerk makes: titles, merged cells, hidden rows and columns, running numbers, cells of every kind, gaps.

    `displayed`: without dates whose format hides the year, which a CSV of displayed values loses.
    """
    rows = records(13, seed=2, today=TODAY)
    rows[3]["姓名"] = "阿卜杜拉·买买提"
    rows[7]["姓名"] = "阿依古丽·阿卜·买提"
    rows[5]["姓名"] = "\U00020bb7田"  # 𠮷: outside the basic plane
    body: list[list[Cell]] = [_as_clerks_write(number, row, displayed) for number, row in enumerate(rows)]
    for number in (4, 9):  # a date whose cell has no date format
        days = (date.fromisoformat(rows[number]["出生日期"]) - date(1899, 12, 30)).days
        body[number][1 + ORDER.index("出生日期")] = Num(days)
    titles: list[list[Cell]] = [
        ["某某省职业资格证书数据（2026年第11批）"],
        ["单位：某某省职业技能鉴定指导中心", *[None] * 9, "填报日期：2026年11月20日"],
        [],
    ]
    marks = {
        "姓名": "*姓名",
        "性别": "性别\n（1=男；2=女）",
        "证书编号": " 证书编号 ",
        "证件号码": "证件号码[必填]",
        "技能等级": "技能 等级*",
    }
    header: list[Cell] = ["序号", *(marks.get(name, name) for name in ORDER)]
    lines = [*titles, header, *body[:6], [], *body[6:], [], []]
    page = Sheet("2026年11月", lines, [(0, 0, 0, 12), (1, 0, 1, 5)], (6, 12), (3, 12), widths={3: 24, 9: 20, 11: 34})
    return Document([page, GUIDE], page.name, 4, len(rows), right=rows)


def footed() -> Document:
    """Totals and notes among and below the data."""
    rows = records(6, seed=3, today=TODAY)
    body: list[list[Cell]] = [[row[name] for name in HEADERS] for row in rows]
    foot: list[list[Cell]] = [
        ["合  计", "6", *[None] * 10],
        [],
        ["备注：以上数据真实有效。"],
        ["填表人：测试甲", *[None] * 5, "审核人："],
    ]
    lines = [list(HEADERS), *body[:3], ["小计", "3", *[None] * 10], *body[3:], *foot]
    findings: list[Spot] = [("total-row", row, None) for row in (5, 9, 11, 12)]
    return Document([Sheet("数据", lines, [(10, 0, 10, 11)])], "数据", 1, 6, findings)


def year_1904() -> Document:
    """A workbook of the calendar that begins in 1904, with dates as dates and as bare serial numbers."""
    rows = records(6, seed=4, today=TODAY)
    lines: list[list[Cell]] = [list(HEADERS)]
    for number, row in enumerate(rows):
        line: list[Cell] = [row[name] for name in HEADERS]
        birth, issue = date.fromisoformat(row["出生日期"]), date.fromisoformat(row["发证日期"])
        line[2] = Day(birth, "yyyy/m/d") if number % 2 else Num((birth - date(1904, 1, 1)).days)
        line[3] = Day(issue) if number % 3 else str((issue - date(1904, 1, 1)).days)
        lines.append(line)
    return Document([Sheet("Sheet1", lines)], "Sheet1", 1, 6, right=rows, epoch_1904=True)


def computed(texts: bool = True) -> Document:
    """Formulas: with their values, and with errors. `texts`: whether what they give as text is stored, too."""
    rows = records(5, seed=5, today=TODAY)
    lines: list[list[Cell]] = [list(HEADERS), *([row[name] for name in HEADERS] for row in rows)]
    for number, row in enumerate(rows, 1):
        lines[number][10] = Fx('"某某省"&"职业技能鉴定指导中心"', row["鉴定中心"])
        lines[number][9] = Fx(f"1+{int(row['技能等级']) - 1}", float(row["技能等级"]))
    lines[2][7] = Fx("NA()", "#N/A")
    lines[3][2] = Fx("1/0", "#DIV/0!")
    lines[4][0] = Fx('VLOOKUP("x",A1:B1,2,FALSE)', "#N/A")
    findings: list[Spot] = [
        ("formula-error", 3, "职业资格"),
        ("formula-error", 4, "出生日期"),
        ("formula-error", 5, "姓名"),
    ]
    if not texts:
        findings += [("formula-error", row, "鉴定中心") for row in range(2, 7)]
    return Document([Sheet("Sheet1", lines)], "Sheet1", 1, 5, findings)


def _issued(row: Record, day: str, **more: str) -> dict[str, Cell]:
    return {"发证日期": day, "证书编号": day[2:4] + row["证书编号"][2:], **more}


@dataclass(frozen=True)
class Fault:
    """What is changed in one record, and what is found because of it."""

    changes: Mapping[str, Cell]
    findings: Sequence[tuple[str, str]]


def _plain_faults(row: Record) -> list[Fault]:
    """One rule after the other, in text."""
    number, birth = row["证书编号"], row["出生日期"]
    identity = row["证件号码"]
    wrong_check = row["证件号码"][:17] + ("0" if row["证件号码"][17] != "0" else "1")
    other = "2" if row["性别"] == "1" else "1"
    odd = 11 if row["性别"] == "1" else 12
    late = [("deadline-missed", "发证日期")]
    simple: list[tuple[dict[str, Cell], str, str]] = [
        ({"姓名": None}, "required", "姓名"),
        ({"职业方向": " \u3000"}, "required", "职业方向"),
        ({"发证机关": "\u200b"}, "required", "发证机关"),
        ({"姓名": "测" * 41}, "too-long", "姓名"),
        ({"鉴定中心": "测" * 101}, "too-long", "鉴定中心"),
        ({"姓名": "测" * 21}, "too-long-bytes", "姓名"),
        ({"职业方向": "焊" * 31}, "too-long-bytes", "职业方向"),
        ({"姓名": "王\ue863"}, "illegal-character", "姓名"),
        ({"鉴定中心": "某某\ufffd中心"}, "illegal-character", "鉴定中心"),
        ({"出生日期": "1990-02-30"}, "bad-date", "出生日期"),
        ({"发证日期": "26-11-01"}, "bad-date", "发证日期"),
        ({"发证日期": "03/04/2018"}, "date-ambiguous", "发证日期"),
        ({"出生日期": "1890-01-01"}, "date-out-of-range", "出生日期"),
        ({"发证日期": "2027-01-01"}, "date-out-of-range", "发证日期"),
        ({"性别": "未知"}, "bad-code", "性别"),
        ({"证件类型": "护照"}, "bad-code", "证件类型"),
        ({"技能等级": "特级技师"}, "bad-code", "技能等级"),
        ({"证件号码": row["证件号码"][:17]}, "id-format", "证件号码"),
        ({"证件号码": f"{identity[:6]} {identity[6:14]} {identity[14:]}"}, "id-format", "证件号码"),
        ({"证件类型": "210", "证件号码": "A00000000"}, "id-format", "证件号码"),
        ({"证件号码": wrong_check}, "id-checksum", "证件号码"),
        ({"证件号码": resident_id(birth, odd, "990000")}, "id-region", "证件号码"),
        ({"出生日期": "1959-12-31"}, "id-birth-mismatch", "证件号码"),
        ({"性别": other}, "id-gender-mismatch", "证件号码"),
        ({"姓名": "刘*"}, "name-masked", "姓名"),
        ({"证件号码": f"{row['证件号码'][:6]}********{row['证件号码'][14:]}"}, "name-masked", "证件号码"),
        ({"姓名": "测 试"}, "name-suspicious", "姓名"),
        ({"姓名": "测?"}, "name-suspicious", "姓名"),
        ({"证书编号": number[:15]}, "certificate-number-format", "证书编号"),
        ({"证书编号": "Y000011000000264000001"}, "certificate-number-format", "证书编号"),
        ({"证书编号": "25" + number[2:]}, "certificate-number-year", "证书编号"),
        ({"证书编号": number[:6] + "7" + number[7:]}, "certificate-number-body", "证书编号"),
        ({"证书编号": f"{number[:10]}{int(number[10]) % 5 + 1}{number[11:]}"}, "certificate-number-level", "证书编号"),
        ({"职业资格": "占星师", "职业方向": "无"}, "not-in-catalogue", "职业资格"),
        ({"职业资格": "社会体育指导员（游泳）", "职业方向": "游泳"}, "not-in-catalogue", "职业资格"),
        ({"职业资格": "社会体育指导员", "职业方向": "太极"}, "direction-unknown", "职业方向"),
    ]  # fmt: skip
    return [Fault(changes, [(rule, column)]) for changes, rule, column in simple] + [
        Fault(_issued(row, "2026-10-25"), [("deadline-near", "发证日期")]),
        Fault(_issued(row, "2020-10-10", 职业资格="茶艺师", 职业方向="无"), [*late, ("catalogue-leaving", "职业资格")]),
        Fault(_issued(row, "2018-05-11", 职业资格="焊工", 职业方向="电焊工"), late),
        Fault({"姓名": "", "性别": "x", "出生日期": "不详"},
              [("required", "姓名"), ("bad-code", "性别"), ("bad-date", "出生日期")]),
    ]  # fmt: skip


def _typed_faults(row: Record) -> list[Fault]:
    """What only cells with a type can be, or what is seen otherwise in a CSV."""
    issue = date.fromisoformat(row["发证日期"])
    return [
        Fault({"证书编号": Num(float(row["证书编号"]))}, [("number-precision", "证书编号")]),
        Fault({"证件号码": Num(110000199003070016.0)}, [("number-precision", "证件号码")]),
        Fault(
            {"发证日期": Day(datetime(issue.year, issue.month, issue.day, 8, 30), "yyyy-mm-dd hh:mm")},
            [("bad-date", "发证日期")],
        ),
        Fault({"发证日期": Day(issue + timedelta(days=400))}, [("date-out-of-range", "发证日期")]),
        Fault({"出生日期": Num(1990)}, [("bad-date", "出生日期")]),
        Fault({"性别": Num(0)}, [("bad-code", "性别")]),
        Fault({"技能等级": Num(2.5, "0.0")}, [("bad-code", "技能等级")]),
    ]


def faults(formulas_as_text: bool = True) -> Document:
    """A row for every rule of a cell, each with its own fault, and rows that repeat.

    `formulas_as_text`: with texts that begin like formulas, which some programs cannot keep as text.
    """
    count = len(_plain_faults(records(1, today=TODAY)[0])) + len(_typed_faults(records(1, today=TODAY)[0]))
    rows = records(count + 8, seed=6, today=TODAY, 职业资格="保安员", 职业方向="无")
    for number, row in enumerate(rows):  # numbers of people and certificates that no fault can make equal
        row["证件号码"] = resident_id(row["出生日期"], 100 + 2 * number + (row["性别"] == "1"), "640000")
        row["证书编号"] = certificate_number(row["发证日期"], row["技能等级"], 500 + number)
    made: list[tuple[Mapping[str, Cell], Sequence[tuple[str, str | None]]]] = []
    for number in range(count):
        row = rows[number]
        all_of_row = _plain_faults(row) + _typed_faults(row)
        made.append(({**row, **all_of_row[number].changes}, all_of_row[number].findings))
    left = rows[count:]
    made.append((left[0], []))
    made.append((left[0], [("duplicate-record", None)]))
    same = {name: left[0][name] for name in ("证书编号", "技能等级", "发证日期")}
    made.append(({**left[1], **same}, [("duplicate-certificate", "证书编号")]))
    made.append((left[2], []))
    again = {"证书编号": left[2]["证书编号"][:11] + "99999"}
    made.append(({**left[2], **again}, [("same-award-twice", "证件号码")]))
    made.append(
        (
            {**left[2], "证书编号": left[2]["证书编号"][:11] + "99998", "姓名": "测试乙"},
            [("id-conflict", "证件号码"), ("serial-gap", "证书编号")],
        )
    )
    if formulas_as_text:
        made.append(({**left[3], "鉴定中心": "=1+1"}, [("formula-text", "鉴定中心")]))
        made.append(({**left[4], "发证机关": "@某某厅"}, [("formula-text", "发证机关")]))
    lines: list[list[Cell]] = [list(HEADERS), *([row[name] for name in HEADERS] for row, _ in made)]
    findings = [(rule, 2 + at, column) for at, (_, found) in enumerate(made) for rule, column in found]
    return Document([Sheet("Sheet1", lines)], "Sheet1", 1, len(made), findings)
