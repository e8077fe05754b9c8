"""The rules alone: 100,000 rows that are in memory already, beside pandera on pandas with checks of the same kind.

And what the ledger adds: comparing with what was reported, screening, entering.
"""

from __future__ import annotations

import io
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from tests.bench import data
from tests.bench.measure import here, line, ratio, rounds, title

ROWS = 100_000
WRONG = 0.01
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def run(count: int) -> None:
    """Measure and print."""
    title(f"normalise and validate {ROWS:,} rows in memory")
    schema = _schema()
    for wrong in (WRONG, 0.0):
        _compare(count, schema, wrong)
    title("compare with the history, screen and enter in the ledger")
    for rows in (200, ROWS):
        _ledger(count, rows)


def _ledger(count: int, rows: int) -> None:
    """Batches one after the other, so that all but the first have a history."""
    from tests.support.awards import History

    with tempfile.TemporaryDirectory() as folder:
        past, made = History(Path(folder)), iter(range(count + 1))
        indexes = [_index(Path(folder), rows, number * rows) for number in range(count + 1)]
        cost = rounds(count, {"ledger": lambda: here(lambda: past.enter_index(indexes[next(made)]))})["ledger"]
        past.ledger.close()
    line(
        f"{rows:,} rows", f"{cost.wall * 1000:.1f} ms, {cost.cpu * 1000:.1f} ms CPU", f"{rows / cost.wall:,.0f} rows/s"
    )


def _index(folder: Path, rows: int, start: int) -> bytearray:
    from exchanged.batch import Checks
    from exchanged.checking import check

    content = data.write_csv(folder / "a.csv", data.table(rows, start=start)).read_bytes()
    return check([("a.csv", io.BytesIO(content))], Checks(date.today().isoformat()), index=True).index


def _compare(count: int, schema: Any, wrong: float) -> None:
    made = data.table(ROWS, wrong=wrong)
    chunks, frame, seen = _chunks(made), made.to_pandas(), {"ours": 0, "pandera": 0}

    def ours() -> None:
        seen["ours"] = _ours(chunks)

    def theirs() -> None:
        seen["pandera"] = _pandera(schema, frame)

    found = rounds(count, {"ours": lambda: here(ours), "pandera": lambda: here(theirs)})
    names = {"ours": "ours, all rules, every finding placed", "pandera": "pandera on pandas, vectorised checksum"}
    print(f"{wrong:.0%} of the rows wrong")
    for key, cost in found.items():
        figure = f"{cost.wall * 1000:.0f} ms, {cost.cpu * 1000:.0f} ms CPU"
        line(names[key], figure, f"{ROWS / cost.wall:,.0f} rows/s, {seen[key]:,} findings")
    ratio("as fast as pandera", found["pandera"].wall, found["ours"].wall, 8)
    ratio("  the same by CPU", found["pandera"].cpu, found["ours"].cpu, 8)


def _chunks(made: Any) -> list[Any]:
    """The rows as a reader gives them."""
    import numpy as np

    from exchanged.batch import Cells, Chunk, Kind
    from exchanged.standard.fields import BY_NAME

    out, at = [], 2
    for batch in made.to_batches(65_536):
        columns = {BY_NAME[name].key: Cells(batch.column(name), Kind.TEXT) for name in made.column_names}
        out.append(Chunk(np.arange(at, at + len(batch), dtype=np.int32), columns))
        at += len(batch)
    return out


def _ours(chunks: list[Any]) -> int:
    from exchanged.batch import Checks
    from exchanged.stages.normalise import Normaliser
    from exchanged.stages.validate import Validation
    from exchanged.standard.catalogue import Catalogue
    from exchanged.standard.columns import Table
    from exchanged.standard.findings import placed

    checks = Checks(date.today().isoformat(), limit=0)
    normaliser = Normaliser(checks.direction_placeholders)
    table = Table(normaliser.words)
    validation = Validation(table, checks, Catalogue.load(()))
    for chunk in chunks:
        validation.part(normaliser.part(chunk, 0))
    validation.finish()
    hits = validation.hits
    return len([placed(hit, nth, table, [("a.csv", None)], hits.severity) for hit, nth in hits.chosen(0)])


def _schema() -> Any:
    import pandas as pd
    import pandera.pandas as pandera

    def checksum(numbers: Any) -> Any:
        right = numbers.str.fullmatch("[0-9]{17}[0-9X]").fillna(False)
        total = sum(weight * pd.to_numeric(numbers.str[at], errors="coerce") for at, weight in enumerate(WEIGHTS))
        last = (total % 11).map(dict(enumerate("10X98765432")))
        return right & (last == numbers.str[17])

    def real_day(days: Any) -> Any:
        return pd.to_datetime(days, format="%Y-%m-%d", errors="coerce").notna()

    def man(frame: Any) -> Any:
        return pd.to_numeric(frame["证件号码"].str[16], errors="coerce") % 2 == (frame["性别"] == "1")

    filled = pandera.Check.str_length(min_value=1)
    codes = {"性别": ["1", "2"], "证件类型": ["201"], "技能等级": list("12345")}
    columns = {
        **{name: pandera.Column(str, filled) for name in ("姓名", "职业资格", "职业方向", "鉴定中心", "发证机关")},
        **{name: pandera.Column(str, pandera.Check.isin(known)) for name, known in codes.items()},
        **{name: pandera.Column(str, pandera.Check(real_day)) for name in ("出生日期", "发证日期")},
        "证书编号": pandera.Column(str, pandera.Check.str_matches("^[0-9]{16}$"), unique=True),
        "证件号码": pandera.Column(str, pandera.Check(checksum)),
    }
    wide = [
        pandera.Check(
            lambda f: f["证件号码"].str[6:14] == f["出生日期"].str.replace("-", "", regex=False), name="birth"
        ),
        pandera.Check(man, name="gender"),
        pandera.Check(lambda f: f["证书编号"].str[:2] == f["发证日期"].str[2:4], name="year"),
        pandera.Check(lambda f: f["证书编号"].str[10] == f["技能等级"], name="level"),
        pandera.Check(lambda f: f["出生日期"] < f["发证日期"], name="order"),
    ]
    return pandera.DataFrameSchema(columns, checks=wide)


def _pandera(schema: Any, frame: Any) -> int:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        return len(errors.failure_cases)
    return 0
