"""The annotated workbook handed in again: what was added to it is left out, whatever a program made of it since."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchanged.batch import Kind, Limits
from exchanged.reading import read, whole
from exchanged.reading.header import is_ours
from tests.support import books
from tests.support.marked import ROWS, checked, data, found, lines, marked, opened, reasons, sheet
from tests.support.records import HEADERS, csv_text, records
from tests.support.world import World

WRONG = {"B3": "?", "G5": "110000199003070019", "E7": None, "A9": "=1+1"}
Save = Callable[[bytes, Path], tuple[bytes, str]]


def corrected(made: bytes, change: Callable[[Any], None] | None = None) -> bytes:
    """What a clerk makes of it who puts right what is marked; `change` gets the workbook."""
    book = opened(made)
    page = book.worksheets[1]
    for place in WRONG:
        row, column = openpyxl.utils.cell.coordinate_to_tuple(place)
        page.cell(row, column).value = ROWS[row - 2][HEADERS[column - 1]]
    if change:
        change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def by_soffice(ending: str) -> Save:
    return lambda made, folder: (books.by_soffice(made, ending, folder), f"a.{ending}")


def by_openpyxl(made: bytes, _folder: Path) -> tuple[bytes, str]:
    out = io.BytesIO()
    opened(made).save(out)
    return out.getvalue(), "a.xlsx"


SAVED = [
    pytest.param(by_soffice("xlsx"), id="LibreOffice xlsx"),
    pytest.param(by_soffice("ods"), id="LibreOffice ods"),
    pytest.param(by_soffice("xls"), id="LibreOffice xls"),
    pytest.param(by_openpyxl, id="openpyxl"),
    pytest.param(lambda made, _: (made, "a.xlsx"), id="as it is"),
]


@pytest.mark.parametrize("save", SAVED)
def test_corrected_it_is_accepted_and_is_the_same_data(save: Save, tmp_path: Path) -> None:
    result = checked(*save(corrected(marked(sheet(**WRONG))), tmp_path))
    assert (result.valid, result.counted) == (True, {})
    assert result.digest == checked(sheet()).digest


@pytest.mark.parametrize("save", SAVED)
def test_left_as_it_is_it_has_the_same_findings_in_the_same_rows(save: Save, tmp_path: Path) -> None:
    rows = [["采集表"], [], *lines()[:4], [], *lines()[4:], ["合计", 12]]
    rows[4][3], rows[8][6] = "03/04/2026", 110101199001011234
    source = books.by_openpyxl(rows)
    expected = found(source)
    assert {row for _, row, _ in expected} == {5, 9, 17}
    assert found(*save(marked(source), tmp_path)) == expected


@pytest.mark.parametrize("save", SAVED)
def test_marked_once_more_the_reasons_take_the_place_of_the_old_ones(save: Save, tmp_path: Path) -> None:
    def one_left(book: Any) -> None:
        book.worksheets[1]["J4"] = "九"

    again = data(marked(*save(corrected(marked(sheet(**WRONG)), one_left), tmp_path)))
    assert reasons(again) == {4: "【错误】技能等级：不在代码表中"}
    assert is_ours(str(again["M1"].value)) and again["N1"].value is None
    assert [cell.value for cell in again[1]][:12] == list(HEADERS)


def test_days_counted_from_1904_stay_the_days_they_are() -> None:
    """As numbers, as text, and as dates."""
    book = openpyxl.load_workbook(io.BytesIO(sheet()))
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    page = book.worksheets[0]
    kind, number, born, issued = (HEADERS.index(name) + 1 for name in ("证件类型", "证件号码", "出生日期", "发证日期"))
    days = [(31477, 44691), ("31477", "44691"), (dt.date(1990, 3, 7), dt.date(2026, 5, 12))]
    for row, (first, second) in enumerate(days, 2):
        page.cell(row, kind).value, page.cell(row, number).value = "227", f"E1234567{row}"
        page.cell(row, born).value, page.cell(row, issued).value = first, second
    made = io.BytesIO()
    book.save(made)
    before, after = checked(made.getvalue()), checked(marked(made.getvalue()))
    assert before.digest and after.digest == before.digest
    assert [str(each) for each in after.findings] == [str(each) for each in before.findings]


def test_a_csv_saved_from_it_is_accepted_too() -> None:
    page = data(corrected(marked(sheet(**WRONG))))
    rows = [["" if cell.value is None else cell.value for cell in row] for row in page.iter_rows()]
    assert found(books.csv_bytes(rows, "gb18030"), "a.csv") == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda book: book.worksheets[1].delete_cols(13), id="without the reason column"),
        pytest.param(lambda book: book.remove(book.worksheets[0]), id="without the summary"),
        pytest.param(lambda book: book.move_sheet(book.worksheets[0], 1), id="the summary behind"),
        pytest.param(lambda book: book.worksheets[1].move_range("M1:M13", cols=9), id="the reason column elsewhere"),
        pytest.param(lambda book: book.worksheets[1].insert_cols(13), id="an empty column between"),
        pytest.param(lambda book: setattr(book.worksheets[1]["M3"], "value", "已改"), id="a note over a reason"),
        pytest.param(lambda book: setattr(book.worksheets[1], "title", "新名字"), id="the sheet renamed"),
    ],
)
def test_what_clerks_do_to_it_does_not_matter(change: Callable[[Any], None]) -> None:
    assert found(corrected(marked(sheet(**WRONG)), change)) == []


def test_a_row_that_was_emptied_is_no_record_though_its_reason_is_left() -> None:
    def emptied(book: Any) -> None:
        for column in range(1, 13):
            book.worksheets[1].cell(5, column).value = None

    result = checked(corrected(marked(sheet(**WRONG)), emptied))
    assert (result.valid, result.rows) == (True, 11)


def test_a_cell_that_was_only_coloured_is_no_finding() -> None:
    rows = [[*line, None] for line in lines()]
    made = marked(books.by_openpyxl([*rows, ["合计", 12]]))
    book = opened(made)
    for column in range(1, 4):
        book.worksheets[1].cell(14, column).value = None  # its colour, border and comment stay
    out = io.BytesIO()
    book.save(out)
    assert found(out.getvalue()) == []


@pytest.mark.parametrize(
    "name", ["问题说明", "问题说明（系统填写，重新提交时自动忽略）", "exchanged", "校验结果", "Problems"]
)
def test_a_column_of_the_clerks_own_is_not_taken_for_ours(name: str) -> None:
    rows = [[*line, "我的说明"] for line in lines()]
    rows[0][12] = name
    assert found(books.by_openpyxl(rows)) == [("column-unknown", 1, None)]


def test_a_column_of_the_clerks_own_beside_ours_is_still_found() -> None:
    def added(book: Any) -> None:
        page = book.worksheets[1]
        page["N1"], page["N4"] = "问题说明", "x"
        page["P6"] = "y"

    assert found(corrected(marked(sheet(**WRONG)), added)) == [
        ("column-unknown", 1, None),
        ("column-unknown", 6, None),
    ]


def test_the_mark_is_known_in_whatever_letters_and_spaces_it_was_saved() -> None:
    header = str(data(marked(sheet()))["M1"].value)
    for each in (
        header,
        f" {header} ",
        header.upper(),
        header.replace("[", "［").replace("]", "］"),
        f"{header}\u200b\n",
    ):
        assert is_ours(each)
    assert not is_ours("问题说明") and not is_ours("exchanged")


def test_the_summary_alone_is_no_sheet_with_data() -> None:
    book = opened(marked(sheet(**{f"{column}{row}": "?" for column in "BCDEFGHIJ" for row in range(2, 14)})))
    book.remove(book.worksheets[1])
    out = io.BytesIO()
    book.save(out)
    assert found(out.getvalue()) == [("header-missing", None, None)]


def test_given_back_corrected_and_dropped_again_with_its_old_scan_it_is_delivered(world: World) -> None:
    rows = records(12)
    world.put("一月.csv", csv_text([{**rows[0], "性别": "?"}, *rows[1:]]).encode())
    world.scan("一月")
    (batch,) = world.once()["batches"]
    folder = world.rejected / batch["batch"]
    assert {path.name for path in folder.iterdir()} == {
        "一月.csv",
        "一月.pdf",
        "一月.annotated.xlsx",
        "report.html",
        "report.json",
    }
    book = openpyxl.load_workbook(folder / "一月.annotated.xlsx")
    book.worksheets[1]["B2"] = rows[0]["性别"]
    out = io.BytesIO()
    book.save(out)
    world.put("一月.annotated.xlsx", out.getvalue())
    world.put("一月.pdf", (folder / "一月.pdf").read_bytes())
    (again,) = world.once()["batches"]
    assert (again["state"], again["stem"], again["rows"]) == ("closed", "一月", 12)
    assert len(world.delivered()) == 1


def test_dropped_once_more_it_replaces_the_one_that_waits_for_its_scan(world: World) -> None:
    content = books.by_openpyxl(lines(records(12)))
    world.put("一月.xlsx", content)
    (first,) = world.once()["batches"]
    world.put("一月.annotated.xlsx", marked(content))
    world.once()
    states = {one["batch"]: (one["state"], one["rows"]) for one in world.ask("list")["batches"]}
    assert states.pop(first["batch"])[0] == "superseded"
    assert list(states.values()) == [("validated", 12)]


CELLS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.sampled_from(["=1", "_x0041_", " a ", "\n", "<&>", "1", "2018-05-11", "\ufffe"]),
    st.integers(-(10**18), 10**18),
    st.floats(-1e300, 1e300, allow_subnormal=False),
    st.booleans(),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(9999, 12, 31)).map(lambda moment: moment.replace(microsecond=0)),
)


def cells(content: bytes, columns: int) -> dict[tuple[int, int], tuple[int, str | None]]:
    """Every filled cell below the header, as our reader sees it; a truth value as the text that is shown for it."""
    source = io.BytesIO(content)
    reading = read(source, "a.xlsx", Limits())
    found = whole.read(source, "a.xlsx", Limits(), whole.Place(reading.sheet, 1, frozenset(range(columns))))
    assert found is not None
    told = {}
    for chunk in found.chunks:
        for column, each in chunk.columns.items():
            kinds = [each.kind] * len(chunk.numbers) if isinstance(each.kind, Kind) else each.kind.tolist()
            for row, kind, text in zip(chunk.numbers.tolist(), kinds, each.text.to_pylist(), strict=True):
                if text is not None:
                    told[row, int(column)] = (Kind.TEXT if kind == Kind.BOOL else kind, text)
    return told


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(CELLS, min_size=15, max_size=15), min_size=1, max_size=4))
def test_whatever_stands_in_the_cells_is_written_as_it_was_read(rows: list[list[Any]]) -> None:
    source = books.by_xlsxwriter(
        [[*HEADERS, "甲", "乙", "丙"], *rows], strings_to_formulas=False, strings_to_urls=False
    )
    made = marked(source)
    assert cells(made, 15) == cells(source, 15)
    assert found(made) == found(source)
