"""Checking whole batches: rows that repeat, files, table, digest, counts, limits."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exchanged.batch import Cells, Chunk, Kind
from exchanged.checking import Checked, check
from exchanged.stages.normalise import Normaliser
from exchanged.standard.arrow import column, texts
from exchanged.standard.columns import Part
from exchanged.standard.fields import FIELDS
from tests.support.checks import TODAY, checks, found, one, run, sheet, spots
from tests.support.memory import PEAK
from tests.support.records import HEADERS, KEYS, csv_text, records, resident_id

ROWS = records(40, today=TODAY)


def raw(text: str, name: str = "a.csv") -> tuple[str, io.BytesIO]:
    return name, io.BytesIO(text.encode())


# rows that repeat


def test_a_certificate_number_that_stands_three_times_is_found_on_the_second_and_third_row() -> None:
    rows = [dict(row) for row in ROWS[:5]]
    for row in rows[2:4]:
        row["证书编号"] = rows[0]["证书编号"]
    later = list(run(rows, severity={"certificate-number-level": "off", "certificate-number-year": "off"}).findings)
    assert [(f.rule, f.row, f.column, f.facts["first"]) for f in later] == [
        ("duplicate-certificate", 4, "证书编号", 2),
        ("duplicate-certificate", 5, "证书编号", 2),
    ]


def test_a_row_that_repeats_another_is_one_finding_even_when_spelled_otherwise() -> None:
    again = {**ROWS[0], "性别": {"1": "男", "2": "女"}[ROWS[0]["性别"]], "姓名": f" {ROWS[0]['姓名']} "}
    findings = run([ROWS[0], ROWS[1], again]).findings
    assert [(f.rule, f.row, f.column, dict(f.facts)) for f in findings] == [("duplicate-record", 4, None, {"first": 2})]


def test_a_repeated_row_with_a_wrong_number_is_a_repeated_row() -> None:
    bad = one(证书编号="1")
    assert [(rule, row) for rule, row, _ in found([bad, bad])] == [
        ("certificate-number-format", 2),
        ("duplicate-record", 3),
        ("certificate-number-format", 3),
    ]


def test_two_wrong_numbers_that_are_equal_are_no_duplicate_certificate() -> None:
    assert {rule for rule, _, _ in found([{**row, "证书编号": "123"} for row in ROWS[:2]])} == {
        "certificate-number-format"
    }


def test_one_id_with_two_names_is_a_conflict_on_the_later_row() -> None:
    other = {**ROWS[1], **{name: ROWS[0][name] for name in ("性别", "出生日期", "证件号码")}}
    findings = run([ROWS[0], ROWS[2], other]).findings
    assert [(f.rule, f.row, f.column, dict(f.facts)) for f in findings] == [
        ("id-conflict", 4, "证件号码", {"first": 2, "field": "姓名"})
    ]


def test_a_wrong_birth_date_is_a_mismatch_and_no_conflict() -> None:
    same = {**ROWS[1], **{name: ROWS[0][name] for name in ("姓名", "性别", "证件号码")}}
    assert [rule for rule, _, _ in found([ROWS[0], same])] == ["id-birth-mismatch"]


def test_the_same_award_twice_is_a_warning() -> None:
    again = {**ROWS[0], "证书编号": ROWS[0]["证书编号"][:11] + "00077"}
    checked = run([ROWS[0], again])
    assert spots(checked) == [("same-award-twice", 3, "证件号码")] and checked.valid


def test_repeats_are_found_across_files() -> None:
    checked = check([sheet(ROWS[:3], "b.csv"), sheet(ROWS[2:5], "a.csv")], checks())
    assert [(f.rule, f.file, f.row, dict(f.facts)) for f in checked.findings] == [
        ("duplicate-record", "b.csv", 4, {"first": 2, "first_file": 1})
    ]


# rows that are no records


@pytest.mark.parametrize("word", ["合计", "总计", "合 计", "小计", "备注：以上属实", "说明", "注:1", "合计：40人"])
def test_a_total_row_is_one_finding_and_no_record(word: str) -> None:
    checked = check([raw(csv_text(ROWS[:2]) + f"{word},,,,40,,,,,,,\r\n")], checks())
    assert spots(checked) == [("total-row", 4, None)]
    assert checked.rows == 2 and not checked.valid


def test_a_total_in_the_column_of_running_numbers_is_found_without_any_field() -> None:
    text = csv_text([{"序号": "1", **ROWS[0]}, {"序号": "合计"}], ["序号", *HEADERS])
    checked = check([raw(text)], checks())
    assert spots(checked) == [("total-row", 3, None)]


def test_a_person_whose_row_is_full_may_be_called_like_a_note() -> None:
    assert found([one(姓名="注册·安")]) == []


def test_empty_rows_are_skipped_and_keep_their_numbers() -> None:
    lines = csv_text([ROWS[0], {**ROWS[1], "姓名": ""}]).splitlines()
    text = "\r\n".join([lines[0], lines[1], "", "," * 11, " ,\u3000" + "," * 10, lines[2]]) + "\r\n"
    checked = check([raw(text)], checks())
    assert spots(checked) == [("required", 6, "姓名")] and checked.rows == 2


def test_a_table_without_a_record_is_empty() -> None:
    for text in (csv_text([]), csv_text([]) + "," * 11 + "\r\n"):
        checked = check([raw(text)], checks())
        assert spots(checked) == [("table-empty", None, None)]
        assert checked.digest is None and checked.rows == 0 and not checked.valid


def test_one_empty_file_among_others_is_an_error() -> None:
    checked = check([sheet(ROWS[:2], "a.csv"), sheet([], "b.csv")], checks())
    assert [(f.rule, f.file) for f in checked.findings] == [("table-empty", "b.csv")] and checked.digest is None


def test_a_file_that_cannot_be_read_is_one_finding() -> None:
    checked = check([("a.xlsx", io.BytesIO(b"nothing"))], checks())
    assert len(checked.findings) == 1 and checked.digest is None and checked.size == 0


def test_a_missing_column_is_one_finding_and_the_rest_is_still_checked() -> None:
    headers = [name for name in HEADERS if name != "证书编号"]
    checked = check([sheet([{**ROWS[0], "性别": "x"}, *ROWS[1:5]], headers=headers)], checks())
    assert [(f.rule, f.column) for f in checked.findings] == [("column-missing", "证书编号"), ("bad-code", "性别")]
    assert checked.digest is None and checked.rows == 5


def test_a_column_too_many_may_be_made_a_warning_and_the_table_is_whole() -> None:
    rows = [{**row, "备用": "1"} for row in ROWS]
    files = [sheet(rows, headers=[*HEADERS, "备用"])]
    assert not check(files, checks()).valid
    warned = check(files, checks(severity={"column-unknown": "warn"}))
    assert warned.valid and warned.severities["warn"] == 1
    assert warned.digest == run(ROWS).digest


@pytest.mark.parametrize("rule", ["column-missing", "table-empty", "file-type"])
def test_what_lacks_data_is_an_error_whatever_is_configured(rule: str) -> None:
    headers = [name for name in HEADERS if name != "性别"]
    files = [sheet(ROWS, "a.csv", headers), sheet([], "b.csv"), ("c.xlsx", io.BytesIO(b"nothing"))]
    checked = check(files, checks(severity={rule: "warn"}))
    assert checked.severities["error"] == 3 and checked.digest is None


@pytest.mark.parametrize("missing", HEADERS)
def test_any_one_column_may_be_missing(missing: str) -> None:
    checked = check([sheet(ROWS, headers=[name for name in HEADERS if name != missing])], checks(), index=True)
    assert checked.counted == {"column-missing": 1}
    assert checked.index == b"", "what cannot be used is not compared"


# cells by their kind


def part(kind: Kind | list[Kind], key: str, values: list[str | None], **columns: list[str]) -> tuple[Normaliser, Part]:
    normaliser = Normaliser()
    kinds = kind if isinstance(kind, Kind) else np.array(kind, np.uint8)
    cells = {
        name: Cells(column([row[title] for row in ROWS[: len(values)]]), Kind.TEXT)
        for name, title in zip(KEYS, HEADERS, strict=True)
    }
    import pyarrow as pa

    cells[key] = Cells(pa.array(values, pa.string()), kinds)
    numbers = np.arange(2, 2 + len(values), dtype=np.int32)
    return normaliser, normaliser.part(Chunk(numbers, cells), 0)


def hits(normaliser: Normaliser, made: Part) -> list[tuple[str, str | None, list[int]]]:
    from exchanged.stages.validate import Validation
    from exchanged.standard.catalogue import Catalogue
    from exchanged.standard.columns import Table

    validation = Validation(Table(normaliser.words), checks(), Catalogue.load())
    validation.part(made)
    validation.finish()
    return [(hit.rule, hit.column, hit.rows.tolist()) for hit in validation.hits.hits]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.FORMULA])
def test_a_cell_with_an_error_is_that_and_not_empty(key: str, kind: Kind) -> None:
    title = HEADERS[KEYS.index(key)]
    values: list[str | None] = [ROWS[0][title], None, ROWS[2][title]]
    assert hits(*part([Kind.TEXT, kind, Kind.TEXT], key, values)) == [("formula-error", key, [1])]


@pytest.mark.parametrize("key", ["certificate_number", "id_number"])
def test_a_number_cell_is_lost_precision_whatever_it_shows(key: str) -> None:
    title = HEADERS[KEYS.index(key)]
    values: list[str | None] = [ROWS[0][title], "1.1010119900101123e+17", ROWS[2][title], None]
    assert hits(*part([Kind.TEXT, Kind.NUMBER, Kind.NUMBER, Kind.EMPTY], key, values)) == [
        ("number-precision", key, [1, 2]),
        ("required", key, [3]),
    ]


def test_dates_from_cells_and_serials_of_both_systems() -> None:
    for epoch, serial in ((False, "43231"), (True, "41769")):
        normaliser = Normaliser()
        cells = {"issue_date": Cells(column([serial, "2018-05-11", "2018-05-11 00:00:00"]), Kind.NUMBER)}
        made = normaliser.part(Chunk(np.array([2, 3, 4], np.int32), cells), 0, epoch)
        assert made.codes["issue_date"].tolist() == [20180511] * 3


def test_a_serial_means_another_day_in_the_next_file_of_another_system() -> None:
    normaliser = Normaliser()
    chunk = Chunk(np.array([2], np.int32), {"issue_date": Cells(column(["43231"]), Kind.NUMBER)})
    days = [int(normaliser.part(chunk, 0, epoch).codes["issue_date"][0]) for epoch in (False, True, False)]
    assert days == [20180511, 20220512, 20180511]


def test_normalising_leaves_the_cells_it_was_given_as_they_were() -> None:
    values = ["11000019900307001x", " 11000019900307001X", "x"]
    given = column(values)
    Normaliser().part(Chunk(np.array([2, 3, 4], np.int32), {"id_number": Cells(given, Kind.TEXT)}), 0)
    assert texts(given) == values


# what is told


def test_counts_add_up_by_qualification_direction_and_level() -> None:
    checked = run([{**ROWS[0], "技能等级": "四级"}, *ROWS[1:]], severity={"certificate-number-level": "warn"})
    assert sum(count for _, count in checked.counts) == 40
    assert checked.counts == tuple(sorted(checked.counts))
    expected = sum((r["职业资格"], r["职业方向"], r["技能等级"]) == ("保安员", "无", "4") for r in ROWS[1:])
    first = ROWS[0]["职业资格"] == "保安员"
    assert dict(checked.counts).get(("保安员", "无", "4"), 0) == expected + first


def test_counts_of_a_wrong_batch_do_not_tell_what_stands_in_wrong_cells() -> None:
    checked = run([one(职业资格="某人姓名", 职业方向="某人方向"), *ROWS[1:3]])
    told = json.dumps(checked.to_dict(), ensure_ascii=False)
    assert "某人" not in told
    assert sum(count for _, count in checked.counts) == 3


def test_the_editions_that_dates_called_for_are_named() -> None:
    assert run(ROWS).catalogue == "2021"
    assert run([one(发证日期="2018-01-01"), ROWS[1]]).catalogue == "2017,2021"
    assert run([one(发证日期="2010-01-01")]).catalogue == "2021"


def test_the_answer_is_json_with_the_contracts_keys() -> None:
    told = json.loads(json.dumps(run([one(姓名="")]).to_dict()))
    assert told["verdict"] == "invalid" and told["digest"].startswith("sha256:")
    assert told["files"] == [{"name": "a.csv", "sheet": None, "header_row": 1, "rows": 1}]
    assert told["summary"] == {"error": 1, "hold": 0, "warn": 0, "by_rule": {"required": 1}}
    assert told["findings"] == [
        {
            "rule": "required",
            "severity": "error",
            "file": "a.csv",
            "sheet": None,
            "row": 2,
            "column": "姓名",
            "facts": {},
        }
    ]


def many() -> list[dict[str, str]]:
    rows = [{**row, "鉴定中心": "中" * 60} for row in records(500, today=TODAY)]
    rows[450]["姓名"] = ""
    rows[460]["性别"] = "x"
    return rows


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 100, 501, 502, 503])
def test_the_limit_caps_findings_and_never_the_summary(limit: int) -> None:
    checked = run(many(), limit=limit)
    assert len(checked.findings) == min(limit, 502)
    assert checked.counted == {"required": 1, "too-long-bytes": 500, "bad-code": 1}
    if limit >= 3:
        assert {f.rule for f in checked.findings} == set(checked.counted)
    places = [f.row or 0 for f in checked.findings]
    assert places == sorted(places)


def test_without_a_limit_all_findings_are_given() -> None:
    assert len(run(many(), limit=0).findings) == 502


def test_errors_are_shown_before_warnings_when_there_is_room_for_few() -> None:
    assert run(many(), limit=1).findings[0].severity == "error"


def test_total_rows_count_against_the_limit_too() -> None:
    text = csv_text(ROWS[:2]) + "合计,,,,,,,,,,,\r\n" * 30
    checked = check([raw(text)], checks(limit=25))
    assert len(checked.findings) <= 25 and checked.counted == {"total-row": 30}


def test_progress_tells_how_many_rows_are_checked() -> None:
    heard: list[int] = []
    check([sheet(ROWS, "a.csv"), sheet(ROWS[:5], "b.csv")], checks(), progress=heard.append)
    assert heard[-1] == 45 and heard == sorted(heard)


def test_the_fields_of_the_table_are_those_of_the_standard() -> None:
    assert tuple(field.key for field in FIELDS) == KEYS
    assert isinstance(run(ROWS), Checked)
    assert resident_id("1990-03-07", 1) == "11000019900307001X"


@pytest.mark.slow
def test_a_million_rows_are_checked_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "million.csv"
    with path.open("w", encoding="utf-8") as out:
        out.write(csv_text([]))
        out.writelines(
            f"张三丰,1,1990-03-07,2026-11-01,26140000{n // 10000:03d}1{n % 10000:04d},201,11000019900307001X,"
            f"保安员,无,1,第{n % 600}职业技能鉴定所（站）,某某省人力资源和社会保障厅\n"
            for n in range(1_000_000)
        )
    script = (
        "import sys; from exchanged.batch import Checks; from exchanged.checking import check;"
        f"done = check([('m.csv', open(sys.argv[1], 'rb'))], Checks(today='{TODAY}'));"
        "print(done.rows)" + PEAK
    )
    settings = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], env={**os.environ, **settings}, capture_output=True, check=True
    )
    rows, megabytes = map(int, done.stdout.split())
    assert rows == 1_000_000
    assert megabytes < 450
