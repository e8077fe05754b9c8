"""Valid rows of the standard, made up: right under every rule on `today`, and nobody's.

Resident IDs carry region codes that end in 0000, which no person has; certificate numbers agree with date and level.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

HEADERS = (
    "姓名",
    "性别",
    "出生日期",
    "发证日期",
    "证书编号",
    "证件类型",
    "证件号码",
    "职业资格",
    "职业方向",
    "技能等级",
    "鉴定中心",
    "发证机关",
)
KEYS = (
    "name",
    "gender",
    "birth_date",
    "issue_date",
    "certificate_number",
    "id_type",
    "id_number",
    "qualification",
    "direction",
    "level",
    "centre",
    "authority",
)

CENTRE = "某某省职业技能鉴定指导中心"
AUTHORITY = "某某省人力资源和社会保障厅"
REGIONS = ("110000", "210000", "310000", "360000", "440000", "510000", "620000")
QUALIFICATIONS = (
    ("保安员", "无"),
    ("社会体育指导员", "游泳"),
    ("社会体育指导员", "滑雪"),
    ("消防设施操作员", "无"),
    ("应急救援员", "无"),
    ("游泳救生员", "无"),
    ("家畜繁殖员", "无"),
    ("轨道列车司机", "无"),
)
"""In the catalogue of 2017 and in that of 2021, so right for every issue date since 2017-09-12."""

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩邓冯曹"
GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉力梅玲红玉建国华志海云春雪峰"

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)

Record = dict[str, str]


def resident_id(birth: str, sequence: int, region: str = "110000") -> str:
    """A made-up resident ID: `birth` is `YYYY-MM-DD`; an odd sequence (0 to 999) is a man's."""
    body = f"{region}{birth.replace('-', '')}{sequence:03d}"
    return body + "10X98765432"[sum(w * int(d) for w, d in zip(_WEIGHTS, body, strict=True)) % 11]


def certificate_number(issue: str, level: str, index: int, issuer: str = "14") -> str:
    """A made-up certificate number, another one for every index under 10 million."""
    body, serial = divmod(index, 99_999)
    return f"{issue[2:4]}{issuer}{body // 1000:02d}0{body % 1000:03d}{level}{serial + 1:05d}"


def records(n: int, seed: int = 0, *, today: str | None = None, **over: str | Callable[[int], str]) -> list[Record]:
    """`n` different valid rows, the same for the same arguments.

    `today` is `YYYY-MM-DD` (the real one by default); all are issued within the 20 days before it. Further arguments
    set a field in every row, named in Chinese or by key, to a text or to what a function makes of the row's index;
    nothing else in the row follows (another level makes the certificate number wrong).
    """
    day = date.fromisoformat(today) if today else date.today()
    rng = random.Random(seed)
    made = [_record(rng, index, day) for index in range(n)]
    for field, value in over.items():
        name = HEADERS[KEYS.index(field)] if field in KEYS else field
        assert name in HEADERS, name
        for index, row in enumerate(made):
            row[name] = value if isinstance(value, str) else value(index)
    return made


def _record(rng: random.Random, index: int, today: date) -> Record:
    days, person = 14_000, index * 7919 % 14_000
    birth = (date(1960, 1, 1) + timedelta(days=person)).isoformat()
    sequence = 1 + (index // days * 37 + rng.randrange(37)) % 998
    issue = (today - timedelta(days=rng.randrange(1, 20))).isoformat()
    level = str(rng.randrange(1, 6))
    qualification, direction = rng.choice(QUALIFICATIONS)
    values = (
        rng.choice(SURNAMES) + "".join(rng.sample(GIVEN, rng.choice((1, 2)))),
        "1" if sequence % 2 else "2",
        birth,
        issue,
        certificate_number(issue, level, index),
        "201",
        resident_id(birth, sequence, REGIONS[index // (days * 26) % len(REGIONS)]),
        qualification,
        direction,
        level,
        CENTRE,
        AUTHORITY,
    )
    return dict(zip(HEADERS, values, strict=True))


def csv_text(rows: Iterable[Mapping[str, str]], headers: Sequence[str] = HEADERS) -> str:
    """The rows as CSV with a header row, CRLF, quoting only where needed."""
    out = io.StringIO()
    writer = csv.DictWriter(out, headers, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_csv(path: Path, rows: Iterable[Mapping[str, str]], encoding: str = "utf-8", **options: Any) -> Path:
    """Write `csv_text` to a file and give its path back."""
    path.write_bytes(csv_text(rows, **options).encode(encoding))
    return path
