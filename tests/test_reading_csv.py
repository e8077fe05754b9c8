"""CSV files as clerks make them."""

from __future__ import annotations

import io

import pytest

from exchanged.batch import Kind, Limits
from exchanged.reading import csvfile, read
from tests.support.books import HEADERS, csv_bytes, row, table
from tests.support.taken import take, taken

ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_every_accepted_encoding_separator_and_line_end_gives_the_same_rows(
    encoding: str, separator: str, end: str
) -> None:
    got = take(csv_bytes(table(3), encoding, separator, end), "表.csv")
    assert got.findings == ()
    assert got.numbers == [2, 3, 4]
    assert [got.texts[key][1] for key in got.texts] == row(2)


def test_a_rare_character_survives_gb18030() -> None:
    rows = table(1)
    rows[1][0] = "䶮𠮷·测试"
    assert take(csv_bytes(rows, "gb18030"), "a.csv").texts["name"] == ["䶮𠮷·测试"]


def test_blank_lines_and_lines_of_separators_keep_their_numbers() -> None:
    lines = csv_bytes(table(3)).decode().split("\r\n")
    lines[2:2] = ["", "," * 11, "  "]
    got = take("\r\n".join(lines).encode(), "a.csv")
    filled = [n for n, name in zip(got.numbers, got.texts["name"], strict=True) if name and name.strip()]
    assert filled == [2, 6, 7]


def test_title_rows_above_the_header_and_a_serial_column() -> None:
    rows = [["数据采集表"], [], ["序号", *HEADERS], ["1", *row(1)], ["2", *row(2)]]
    got = take(csv_bytes(rows), "a.csv")
    assert (got.header_row, got.numbers, got.findings) == (3, [4, 5], ())
    assert got.texts[""] == ["1", "2"]


def test_a_quoted_cell_may_hold_separators_quotes_and_line_ends_and_counts_as_one_row() -> None:
    rows = table(3)
    rows[1][10] = '"甲,""乙""\r\n丙"'
    got = take(csv_bytes(rows), "a.csv")
    assert got.numbers == [2, 3, 4]
    assert got.texts["centre"][0] in ('甲,"乙"\r\n丙', '甲,"乙"\n丙')


def test_every_cell_quoted_reads_the_same_as_none() -> None:
    quoted = [[f'"{value}"' for value in line] for line in table(5)]
    assert take(csv_bytes(quoted), "a.csv").texts == take(csv_bytes(table(5)), "a.csv").texts


def test_a_quote_that_never_closes_is_unreadable_and_named_by_row() -> None:
    rows = table(5)
    rows[3][0] = '"测试'
    got = take(csv_bytes(rows), "a.csv")
    assert got.rules == ["file-unreadable"]
    assert got.findings[0].facts["row"] == 4
    assert got.numbers == []


def test_a_quote_that_closes_in_a_later_row_is_unreadable_not_swallowed() -> None:
    rows = table(5)
    rows[2][0], rows[4][0] = '"测试', '"测试"'
    assert take(csv_bytes(rows), "a.csv").rules == ["file-unreadable"]


def test_a_literal_quote_inside_a_cell_stays() -> None:
    rows = table(2)
    rows[1][8] = '5"管'
    assert take(csv_bytes(rows), "a.csv").texts["direction"][0] == '5"管'


def test_short_rows_are_filled_with_nothing() -> None:
    got = take(csv_bytes([list(HEADERS), row(1)[:3], row(2)]), "a.csv")
    assert got.texts["authority"] == [None, row(2)[11]]
    assert got.findings == ()


def test_extra_cells_are_a_column_nobody_knows() -> None:
    got = take(csv_bytes([list(HEADERS), row(1), [*row(2), "", " ", "x"], [*row(3), "", "", "y"]]), "a.csv")
    assert [(f.rule, f.row, dict(f.facts)) for f in got.findings] == [("column-unknown", 3, {"position": "O"})]
    assert got.numbers == [2, 3, 4]


def test_empty_columns_behind_the_last_header_are_nothing() -> None:
    rows = [[*line, "", "", ""] for line in table(3)]
    assert take(csv_bytes(rows), "a.csv").findings == ()
    rows[2][13] = "x"
    got = take(csv_bytes(rows), "a.csv")
    assert [(f.rule, f.row, dict(f.facts)) for f in got.findings] == [("column-unknown", 3, {"position": "N"})]
    far = [[*line, *[""] * 16_000] for line in table(3)]
    assert take(csv_bytes(far), "a.csv").findings == ()


def test_data_under_an_empty_header_cell_is_a_column_nobody_knows() -> None:
    rows = [["", *HEADERS], ["", *row(1)], ["", *row(2)], ["x", *row(3)]]
    got = take(csv_bytes(rows), "a.csv")
    assert [(f.rule, f.row, dict(f.facts)) for f in got.findings] == [("column-unknown", 4, {"position": "A"})]


@pytest.mark.parametrize("tail", [b"\x1a", b"\x1a\r\n", b"\x1a\0\0\0"])
def test_a_trailing_end_mark_is_no_row(tail: bytes) -> None:
    got = take(csv_bytes(table(2)) + tail, "a.csv")
    assert (got.numbers, got.findings) == ([2, 3], ())


def test_nul_is_unreadable() -> None:
    data = csv_bytes(table(2)).replace(b"201", b"2\x001", 1)
    got = take(data, "a.csv")
    assert got.rules == ["file-unreadable"]
    assert got.findings[0].facts["byte"] == data.index(b"\0") + 1


def test_bytes_of_no_encoding_are_named_by_their_place() -> None:
    data = csv_bytes(table(2), "gb18030") + b"\xff\xff\r\n"
    got = take(data, "a.csv")
    assert got.rules == ["file-encoding"]
    assert got.findings[0].facts["byte"] == len(data) - 3


def test_utf8_with_one_line_of_gbk_is_no_encoding() -> None:
    rows = csv_bytes(table(2)) + ",".join(row(3)).encode("gbk") + b"\r\n"
    assert take(rows, "a.csv").rules == ["file-encoding"]


def test_a_bom_that_lies_is_no_encoding() -> None:
    assert take(b"\xef\xbb\xbf" + csv_bytes(table(2), "gbk"), "a.csv").rules == ["file-encoding"]


def test_utf16_without_mark_is_no_encoding() -> None:
    assert take(csv_bytes(table(2), "utf-16-le"), "a.csv").rules == ["file-encoding"]


def test_a_cut_utf16_file_is_no_encoding() -> None:
    assert take(csv_bytes(table(2), "utf-16")[:-1], "a.csv").rules == ["file-encoding"]


def test_big5_has_no_known_header() -> None:
    big5 = csv_bytes([["姓名", "性別", "出生日期", "發證日期"], ["測試", "男", "1990-03-07", "2018-05-11"]], "big5")
    assert take(big5, "a.csv").rules == ["header-missing"]


def test_a_hint_line_of_excel_is_no_row() -> None:
    got = take(b"sep=;\r\n" + csv_bytes(table(2), separator=";"), "a.csv")
    assert (got.header_row, got.numbers, got.findings) == (1, [2, 3], ())


def test_guards_against_lost_digits_arrive_as_written() -> None:
    rows = table(1)
    rows[1][5], rows[1][9] = '="201"', "\t4"
    got = take(csv_bytes(rows), "a.csv")
    assert (got.texts["id_type"], got.texts["level"]) == (['="201"'], ["\t4"])


def test_limits_of_rows_and_columns_hold() -> None:
    assert take(csv_bytes(table(10)), "a.csv", rows=10).findings == ()
    got = take(csv_bytes(table(11)), "a.csv", rows=10)
    assert (got.rules, dict(got.findings[0].facts), got.numbers) == (
        ["file-too-large"],
        {"what": "rows", "limit": 10},
        [],
    )
    wide = [[*HEADERS, *(f"列{i}" for i in range(200))], row(1)]
    assert take(csv_bytes(wide), "a.csv").rules == ["file-too-large"]
    ragged = [list(HEADERS), [*row(1), *[""] * 200, "x"]]
    assert take(csv_bytes(ragged), "a.csv").rules == ["file-too-large"]


def test_an_endless_field_is_unreadable() -> None:
    rows = [list(HEADERS), ['"' + "x" * (2 << 20) + '"', *row(1)[1:]], row(2)]
    assert take(csv_bytes(rows), "a.csv").rules == ["file-unreadable"]


def test_a_quote_that_is_never_closed_is_told_as_such_however_much_follows() -> None:
    made = csv_bytes([list(HEADERS), row(1)]) + b'"' + csv_bytes([row(2)] * 20_000)
    (finding,) = take(made, "a.csv").findings
    assert (finding.rule, finding.facts["why"]) == ("file-unreadable", "quotes")
    endless = csv_bytes([list(HEADERS), row(1)]) + b"x" * (2 << 20)  # no quote in it, so none is blamed
    assert dict(take(endless, "a.csv").findings[0].facts)["what"] == "piece"


def test_an_empty_csv_has_no_header() -> None:
    assert take(b"", "a.csv").rules == ["header-missing"]
    assert take(b"\xef\xbb\xbf", "a.csv").rules == ["header-missing"]


def test_large_files_are_read_twice_and_small_ones_once_with_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["标题"], list(HEADERS), *(row(i) for i in range(400))]
    rows[100][0] = '"甲\n乙"'
    rows[200] = []
    rows[300] = rows[300][:5]
    data = csv_bytes(rows, "gb18030")
    kept = take(data, "a.csv")
    monkeypatch.setattr(csvfile, "KEEP", 0)
    monkeypatch.setattr("exchanged.reading.csvtext.BLOCK", 1000)
    again = take(data, "a.csv")
    assert kept.numbers == again.numbers
    assert kept.texts == again.texts
    assert len(kept.numbers) == 399


@pytest.mark.parametrize("block", [7, 64, 333, 5000])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_size_of_a_block_changes_nothing(block: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table(40)
    rows[7][10] = '"甲,""乙\n\n丙"""'
    rows[9][8] = '5"管'
    rows[20] = []
    rows[30] = ['"', *row(30)[1:3], '"', *row(30)[1:]]
    rows[30] = ['"一\r\n二"', *row(30)[1:]]
    data = csv_bytes(rows, encoding)
    whole = take(data, "a.csv")
    monkeypatch.setattr("exchanged.reading.csvtext.BLOCK", block)
    parts = take(data, "a.csv")
    assert parts.numbers == whole.numbers == [n for n in range(2, 42) if n != 21]
    assert parts.findings == whole.findings == ()
    assert {k: [v and v.replace("\r\n", "\n") for v in t] for k, t in parts.texts.items()} == {
        k: [v and v.replace("\r\n", "\n") for v in t] for k, t in whole.texts.items()
    }


def test_all_cells_are_text() -> None:
    reading = read(io.BytesIO(csv_bytes(table(2))), "a.csv", Limits())
    assert all(cells.kind == Kind.TEXT for chunk in reading.chunks for cells in chunk.columns.values())
    assert taken(reading).numbers == []  # chunks are taken once


@pytest.mark.parametrize("name", ["报表.xls", "报表.xlsx", "报表.et"])
def test_delimited_text_under_a_workbooks_name_is_told_by_its_content(name: str) -> None:
    for separator in (",", "\t"):
        reading = read(io.BytesIO(csv_bytes(table(2), "gb18030", separator)), name, Limits())
        assert (reading.findings, reading.header_row) == ((), 1)
