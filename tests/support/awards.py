"""Certificates that screening looks at: written as rows of a sheet, checked, and put before a ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from exchanged.checking import Checked, check
from exchanged.comparison import question
from exchanged.ledger import Comparison, Ledger, Record, Source
from exchanged.secrets import Secrets
from exchanged.stages.check import entries
from exchanged.states import State
from tests.support.checks import checks, one, sheet
from tests.support.records import CENTRE, QUALIFICATIONS, REGIONS, resident_id
from tests.support.screened import Award, Told

FIRST = date(2024, 6, 1)
SCREEN = ("many-awards", "level-jump", "daily-burst", "serial-gap")


@dataclass(frozen=True)
class Cert:
    """One certificate: `day` counts from FIRST, `what` is a place in QUALIFICATIONS, `wrong` a field left empty."""

    person: int = 0
    day: int = 0
    level: int = 4
    what: int = 0
    centre: int = 0
    body: int = 0
    serial: int = 1
    kind: str = "201"
    wrong: str | None = None

    @property
    def issued(self) -> date:
        return FIRST + timedelta(days=self.day)

    @property
    def number(self) -> str:
        return f"{self.issued:%y}14{self.body:02d}0000{self.level}{self.serial:05d}"

    def row(self) -> dict[str, str]:
        qualification, direction = QUALIFICATIONS[self.what]
        cells = one(
            姓名="张三",
            性别="2",
            出生日期="1980-05-05",
            发证日期=self.issued.isoformat(),
            证书编号=self.number,
            证件类型=self.kind,
            证件号码=resident_id("1980-05-05", 2 * (self.person % 499), REGIONS[self.person // 499]),
            职业资格=qualification,
            职业方向=direction,
            技能等级=str(self.level),
            鉴定中心=f"{CENTRE}{self.centre}",
        )
        return cells | ({self.wrong: ""} if self.wrong else {})

    def award(self, record: int | None) -> Award:
        """As the naive screening takes it."""
        wrong = self.wrong
        return Award(
            record,
            None if wrong == "证书编号" or not self.serial else self.number,
            None if wrong in ("证件号码", "证件类型") else f"{self.kind} {self.person}",
            None if wrong == "发证日期" else self.issued,
            None if wrong == "职业资格" else QUALIFICATIONS[self.what][0],
            None if wrong == "技能等级" else self.level,
            None if wrong == "鉴定中心" else str(self.centre),
        )


def once(certs: Sequence[Cert]) -> dict[int, Cert]:
    """The certificates by their row in the sheet, without those that repeat an earlier row or its number."""
    seen: set[str] = set()
    kept = {}
    for row, cert in enumerate(certs, 2):
        whole, number = ",".join(cert.row().values()), cert.row()["证书编号"]
        if not seen & {whole, number}:
            kept[row] = cert
        seen |= {whole, number} - {""}
    return kept


def checked(certs: Sequence[Cert], *, index: bool = False, **over: Any) -> Checked:
    """The certificates as one sheet, checked."""
    return check([sheet(cert.row() for cert in certs)], checks(limit=0, **over), index=index)


def told(rule: str, facts: Any) -> str:
    """What a finding says, as the naive screening says it."""
    if rule == "level-jump":
        return f"{facts['steps']} levels in {facts['days']} days"
    if rule == "serial-gap":
        return f"{facts['missing']} {facts['side']}"
    return f"{facts['count']} over {facts['limit']}"


def found(result: Checked) -> set[Told]:
    """What screening found within a batch."""
    screened = [one for one in result.findings if one.rule in SCREEN]
    spots = {(one.rule, one.row or 0, told(one.rule, one.facts)) for one in screened}
    assert len(spots) == len(screened)
    return spots


class History:
    """A ledger, and batches that come one after the other."""

    def __init__(self, folder: Path, **over: Any) -> None:
        self.secrets = Secrets.load(folder / "ledger.key")
        self.ledger = Ledger(folder / "ledger.db", self.secrets)
        self.over = over
        self._count = 0

    def claim(self) -> Record:
        self._count += 1
        name = f"jx-20260101-{self._count:04d}"
        self.ledger.claim(name, name, "新增", name.encode(), [Source(1, "a.csv", "a" * 64, 9, name)])
        return self.batch(name)

    def batch(self, name: str) -> Record:
        found = self.ledger.batch(name)
        assert found is not None
        return found

    def enter(self, certs: Sequence[Cert], *, corrects: bool = False) -> tuple[Record, Comparison]:
        """Compare a batch and enter it, whatever was found."""
        return self.enter_index(checked(certs, index=True, **self.over).index, corrects=corrects)

    def enter_index(self, index: bytearray, *, corrects: bool = False) -> tuple[Record, Comparison]:
        """The same for a batch that has been checked."""
        batch, told = self.claim(), []

        def judge(found: Comparison) -> dict[str, Any]:
            told.append(found)
            return {"rows": 1}

        asked = question(checks(**self.over), corrects)
        self.ledger.validate(batch, entries(index, self.secrets.pseudonym), asked, judge)
        return self.batch(batch.id), told[0]

    def undo(self, batch: Record) -> None:
        self.ledger.move(self.batch(batch.id), State.WITHDRAWN)


@contextmanager
def history(**over: Any) -> Iterator[History]:
    """A ledger of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = History(Path(folder), **over)
        try:
            yield made
        finally:
            made.ledger.close()


def screened_in(comparison: Comparison) -> set[Told]:
    """What screening found in a batch together with the history."""
    places = [one for one in comparison.places if one.rule in SCREEN]
    spots = {(one.rule, one.row, told(one.rule, one.facts)) for one in places}
    assert len(spots) == len(places) == sum(comparison.counts.get(rule, 0) for rule in SCREEN)
    return spots
