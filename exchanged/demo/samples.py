"""Sample files for the demonstration: three spreadsheets, one of them full of errors, and their scans.

All data is made up: resident IDs carry region codes ending in 0000, which no person has.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from exchanged.standard.fields import FIELDS
from exchanged.standard.identity import check_character

NAMES = tuple(field.name for field in FIELDS)
CENTRE, AUTHORITY = "示范省职业技能鉴定指导中心", "示范省人力资源和社会保障厅"
QUALIFICATIONS = (("保安员", "无"), ("社会体育指导员", "游泳"), ("消防设施操作员", "无"), ("应急救援员", "无"))
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林"
_GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂"
_DPI = 200

Row = dict[str, Any]


def rows(count: int, seed: int, today: date | None = None) -> list[Row]:
    """Valid rows, all issued within the last three weeks."""
    rng, day = random.Random(seed), today or date.today()
    return [_row(rng, seed * 10_000 + index, day) for index in range(count)]


def _row(rng: random.Random, index: int, today: date) -> Row:
    birth = date(1965, 1, 1) + timedelta(days=index * 7919 % 13_000)
    issue = today - timedelta(days=rng.randrange(1, 20))
    level, sequence = rng.randrange(3, 6), rng.randrange(1, 998)
    qualification, direction = rng.choice(QUALIFICATIONS)
    body = f"110000{birth:%Y%m%d}{sequence:03d}"
    values = (
        rng.choice(_SURNAMES) + "".join(rng.sample(_GIVEN, rng.choice((1, 2)))),
        "男" if sequence % 2 else "女",
        birth.isoformat(),
        issue.isoformat(),
        f"{issue:%y}14010001{level}{index % 99_999 + 1:05d}",
        "居民身份证",
        body + check_character(body),
        qualification,
        direction,
        str(level),
        CENTRE,
        AUTHORITY,
    )
    return dict(zip(NAMES, values, strict=True))


def spoilt(count: int, seed: int) -> list[Row]:
    """Rows of which a dozen and more are wrong, each in its own way."""
    made = rows(count, seed)
    number = made[2]["证件号码"]
    wrong: Sequence[Row] = (
        {"姓名": None},
        {"证件号码": made[1]["证件号码"][:17] + ("0" if made[1]["证件号码"][17] != "0" else "1")},
        {"证件号码": float(number[:17] + "0")},  # stored as a number: the last digits are lost
        {"性别": "未知"},
        {"发证日期": "2026-02-30"},
        {"出生日期": "03/04/1978"},
        {"证书编号": made[6]["证书编号"][:15]},
        {"技能等级": "1"},
        {"职业资格": "电子商务师"},
        {"证书编号": made[0]["证书编号"]},
        {"姓名": "张*"},
        {"鉴定中心": "#N/A"},
        {"发证机关": "厅" * 60},
        {"姓名": "刘\ufffd"},
        {"性别": "女" if made[14]["性别"] == "男" else "男"},
        {"职业方向": "=1+1"},
    )
    for row, changes in zip(made, wrong, strict=False):
        row.update(changes)
    return made


def write_xlsx(path: Path, table: Sequence[Row], title: str) -> Path:
    """A workbook as clerks make them: a title row above the header."""
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("Sheet1")
    sheet.merge_range(0, 0, 0, len(NAMES) - 1, title, book.add_format({"bold": True, "align": "center"}))
    sheet.set_column(0, len(NAMES) - 1, 20)
    sheet.write_row(1, 0, NAMES, book.add_format({"bold": True, "border": 1}))
    for number, row in enumerate(table, 2):
        for column, name in enumerate(NAMES):
            value = row[name]
            if value == "#N/A":
                sheet.write_formula(number, column, "=NA()", None, "#N/A")
            elif isinstance(value, float):
                sheet.write_number(number, column, value)
            elif value is not None:
                sheet.write_string(number, column, value)
    book.close()
    return path


def write_csv(path: Path, table: Sequence[Row]) -> Path:
    """A CSV as older programs export it: GB18030."""
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES)
    writer.writeheader()
    writer.writerows(table)
    path.write_bytes(text.getvalue().encode("gb18030"))
    return path


def write_scan(path: Path, seed: int) -> Path:
    """A page like a scanned form: A4 at 200 dpi, a table, handwriting, a red seal, a little noise and skew."""
    from PIL import Image, ImageDraw

    rng = random.Random(seed)
    wide, high = round(8.27 * _DPI), round(11.69 * _DPI)
    page = Image.new("RGB", (wide, high), (250, 249, 245))
    draw = ImageDraw.Draw(page)
    for line in range(14):
        y = 400 + line * 90
        draw.line((150, y, wide - 150, y), fill=(40, 40, 40), width=3)
        for word in range(rng.randrange(3, 9)):
            x = 180 + word * 150
            draw.line((x, y + 45, x + rng.randrange(40, 120), y + 45), fill=(60, 60, 60), width=18)
    for x in (150, wide - 150):
        draw.line((x, 400, x, 400 + 13 * 90), fill=(40, 40, 40), width=3)
    stroke = [(300 + step * 14, 1750 + rng.randrange(-50, 50)) for step in range(24)]
    draw.line(stroke, fill=(20, 30, 110), width=6, joint="curve")
    seal = (wide - 640, 1600, wide - 240, 2000)
    draw.ellipse(seal, outline=(205, 30, 40), width=14)
    draw.regular_polygon((wide - 440, 1800, 70), 5, fill=(205, 30, 40))
    page = page.rotate(rng.uniform(-1, 1), fillcolor=(250, 249, 245))
    page.save(path, "PDF", resolution=_DPI, quality=80)
    return path
