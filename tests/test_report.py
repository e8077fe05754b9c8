"""What the clerk gets: a page that needs nothing else, JSON that keeps the contract, a slip that can be filed."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from exchanged import report
from exchanged.batch import Finding, Severity
from exchanged.report import document

CHECKED: dict[str, Any] = {
    "rows": 200,
    "digest": "sha256:" + "ab" * 32,
    "bytes": 1000,
    "files": [{"name": "一月.xlsx", "sheet": "Sheet1", "header_row": 2, "rows": 200, "extra": 1}],
    "counts": [{"qualification": "社会体育指导员", "direction": "游泳", "level": "4", "count": 200}],
    "findings": [
        {"rule": "id-checksum", "severity": "error", "file": "一月.xlsx", "sheet": "Sheet1", "row": 17,
         "column": "证件号码", "facts": {}},
        {"rule": "required", "severity": "error", "file": "一月.xlsx", "sheet": "Sheet1", "row": 4,
         "column": "性别", "facts": {}},
        {"rule": "deadline-near", "severity": "warn", "file": "一月.xlsx", "sheet": "Sheet1", "row": 4,
         "column": "发证日期", "facts": {"days": 27}},
    ],
    "summary": {"error": 2, "hold": 0, "warn": 1, "by_rule": {"id-checksum": 1, "required": 1, "deadline-near": 1}},
}  # fmt: skip

SLIP: dict[str, Any] = {
    "batch": "jx-20261123-0a1b2c3d4e",
    "title": "一月",
    "unit": "某某省职业技能鉴定指导中心",
    "data_type": "新增",
    "state": "closed",
    "claimed": "2026-11-23T10:00:00.123+08:00",
    "sealed": "2026-11-23T10:00:01.000+08:00",
    "delivered": "2026-11-23T10:00:02.000+08:00",
    "rows": 200,
    "counts": CHECKED["counts"],
    "digest": CHECKED["digest"],
    "package": {"bytes": 64_000, "sha256": "cd" * 32},
    "signer": "A" * 40,
    "recipients": ["B" * 40],
    "delivery": {
        "host": "127.0.0.1",
        "port": 22,
        "remote": "/inbox/x.pgp",
        "method": "readback",
        "host_key": "SHA256:x",
    },
    "warnings": {"deadline-near": 3},
}


class Page(HTMLParser):
    """Which tags and addresses a page holds, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def rejected(result: dict[str, Any] = CHECKED, findings: tuple[Finding, ...] = ()) -> tuple[Page, dict[str, Any]]:
    files = report.reports("jx-1", "一月", result, findings, "zh")
    assert set(files) == {"report.html", "report.json"}
    return Page(files["report.html"].decode()), json.loads(files["report.json"])


def test_the_json_of_a_check_has_the_keys_of_the_contract_in_order() -> None:
    said = document.check(CHECKED, "zh")
    assert list(said) == ["format", "verdict", "rows", "digest", "files", "counts", "findings", "summary"]
    assert said["format"] == "exchanged-check/1" and said["verdict"] == "invalid"
    assert list(said["files"][0]) == ["name", "sheet", "header_row", "rows"]
    assert said["findings"][0] == {
        "rule": "id-checksum", "severity": "error", "file": "一月.xlsx", "sheet": "Sheet1", "row": 17,
        "column": "证件号码", "message": "身份证校验码错误",
    }  # fmt: skip
    assert said["summary"] == {"error": 2, "warn": 1, "by_rule": CHECKED["summary"]["by_rule"]}


def test_a_check_without_errors_is_valid_whatever_its_warnings() -> None:
    summary = {"error": 0, "hold": 1, "warn": 5, "by_rule": {}}
    said = document.check({**CHECKED, "summary": summary}, "en")
    assert said["verdict"] == "valid" and said["summary"]["hold"] == 1


def test_a_finding_that_points_at_another_file_names_it() -> None:
    twice = {**CHECKED["findings"][0], "rule": "duplicate-certificate", "facts": {"first": 3, "first_file": 1}}
    said = document.check({**CHECKED, "findings": [twice]}, "zh")
    assert said["findings"][0]["message"] == "批内证书编号重复，与“一月.xlsx”第 3 行相同"


def test_the_page_needs_nothing_from_elsewhere_and_no_script() -> None:
    page, _ = rejected()
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert page.addresses == []


def test_a_direction_mark_in_a_name_turns_no_line_of_the_page() -> None:
    named = {**CHECKED, "files": [{**CHECKED["files"][0], "name": "a\u202eb.xlsx"}]}
    marked, altered = ("c\u202ed.annotated.xlsx",), ("e\u202ef.csv",)
    files = report.reports("jx-1", "g\u202eh", named, (), "zh", marked=marked, altered=altered)
    assert "\u202e" not in files["report.html"].decode()


def test_the_page_says_first_what_to_do_then_lists_by_rule_and_row() -> None:
    page, _ = rejected()
    order = [page.text.index(word) for word in ("先做这几件事", "按问题分类", "逐行清单")]
    assert order == sorted(order)
    assert "按证件原件逐位核对" in page.text
    rows = page.text[page.text.index("逐行清单") :]
    assert rows.index("性别") < rows.index("证件号码")


def test_what_concerns_a_file_or_its_columns_as_a_whole_comes_first() -> None:
    unknown = {**CHECKED["findings"][0], "rule": "column-unknown", "row": 2, "column": None, "facts": {"position": "N"}}
    by_rule = {"id-checksum": 9, "column-unknown": 1}
    found = {
        **CHECKED,
        "findings": [CHECKED["findings"][0], unknown],
        "summary": {"error": 10, "warn": 0, "by_rule": by_rule},
    }
    page, _ = rejected(found)
    assert page.text.index("存在采集标准以外的列") < page.text.index("身份证校验码错误")


def test_it_points_at_the_annotated_workbooks_where_there_are_some() -> None:
    marked = ["一月.annotated.xlsx", "<b>.annotated.xlsx"]
    files = report.reports("jx-1", "一月", CHECKED, (), "zh", marked=marked)
    page = Page(files["report.html"].decode())
    assert "打开同一文件夹里的 一月.annotated.xlsx、<b>.annotated.xlsx" in page.text and "b" not in page.tags
    assert page.text.index("打开同一文件夹里的") < page.text.index("按证件原件逐位核对")
    assert json.loads(files["report.json"])["annotated"] == marked
    assert "annotated" not in rejected()[0].text and rejected()[1]["annotated"] == []


def stopped(*findings: tuple[str, str, str | None]) -> Page:
    """The page of a batch with these findings: rule, severity, file; its workbook has been marked."""
    found = [
        {"rule": rule, "severity": severity, "file": file, "sheet": None, "row": None, "column": None, "facts": {}}
        for rule, severity, file in findings
    ]
    summary = {level: sum(one["severity"] == level for one in found) for level in ("error", "hold", "warn")}
    by_rule = {rule: 1 for rule, _, _ in findings}
    result = {**CHECKED, "findings": found, "summary": {**summary, "by_rule": by_rule}}
    files = report.reports("jx-1", "一月", result, (), "zh", marked=["一月.annotated.xlsx"])
    return Page(files["report.html"].decode())


@pytest.mark.parametrize("rule", ["confirmation-code-mismatch", "confirmation-blank", "file-encrypted"])
def test_where_only_the_scan_stops_a_batch_nobody_is_sent_to_the_spreadsheet(rule: str) -> None:
    page = stopped(("deadline-near", "warn", "一月.xlsx"), (rule, "error", "一月.PDF"))
    assert "表格没有错误，不必修改" in page.text and "先把这里退还的表格原件放回收件夹" in page.text
    assert "打开同一文件夹里的" not in page.text and "改好后保存" not in page.text


@pytest.mark.parametrize(("rule", "file"), [("file-encrypted", "一月.xlsx"), ("bad-code", "一月.xlsx")])
def test_where_a_spreadsheet_stops_it_too_it_is_to_be_opened(rule: str, file: str) -> None:
    page = stopped((rule, "error", file), ("confirmation-blank", "error", "一月.pdf"))
    assert "不必修改" not in page.text and "打开同一文件夹里的" in page.text and "改好后保存" in page.text


def test_rows_of_several_files_are_told_apart() -> None:
    second = {**CHECKED["findings"][0], "file": "二月.xlsx", "row": 9}
    files = [*CHECKED["files"], {**CHECKED["files"][0], "name": "二月.xlsx"}]
    page, _ = rejected({**CHECKED, "files": files, "findings": [*CHECKED["findings"], second]})
    assert "一月.xlsx：第 17 行" in page.text and "二月.xlsx：第 9 行" in page.text


def test_many_sentences_of_one_rule_are_left_to_the_list_by_row() -> None:
    twice = {**CHECKED["findings"][0], "rule": "duplicate-certificate"}
    many = [{**twice, "row": row, "facts": {"first": row - 1}} for row in range(3, 103)]
    summary = {"error": 100, "warn": 0, "by_rule": {"duplicate-certificate": 100}}
    page, _ = rejected({**CHECKED, "findings": many, "summary": summary})
    by_rule = page.text[page.text.index("按问题分类") : page.text.index("逐行清单")]
    assert by_rule.count("相同") == 6


def test_names_of_files_cannot_become_part_of_the_page() -> None:
    evil = {**CHECKED, "files": [{**CHECKED["files"][0], "name": "<script>alert(1)</script>.xlsx"}]}
    page, said = rejected(evil)
    assert "script" not in page.tags and "alert(1)" in page.text
    assert said["files"][0]["name"] == "<script>alert(1)</script>.xlsx"


def test_a_name_that_is_no_utf8_can_still_be_reported() -> None:
    odd = {**CHECKED, "files": [{**CHECKED["files"][0], "name": "\udcff.xlsx"}]}
    page, said = rejected(odd)
    assert "\\udcff" in page.text and said["files"][0]["name"] == "\udcff.xlsx"


def test_findings_that_no_check_made_are_reported_too() -> None:
    result = {"rows": 3, "digest": None, "files": [], "counts": [], "summary": {"error": 1, "by_rule": {}}}
    finding = Finding("confirmation-resolution", Severity.ERROR, "一月.pdf", facts={"page": 2, "dpi": 100})
    page, said = rejected(result, (finding,))
    assert said["findings"][0]["message"] == "第 2 页扫描分辨率低于150dpi（100 dpi）"
    assert "100 dpi" in page.text


def test_a_long_report_stays_a_page_that_can_be_read() -> None:
    many = [{**CHECKED["findings"][0], "row": row} for row in range(2, 6000)]
    summary = {"error": 5998, "warn": 0, "by_rule": {"id-checksum": 5998}}
    page, said = rejected({**CHECKED, "findings": many, "summary": summary})
    assert len(said["findings"]) == 5998
    assert "5,998" in page.text and len(page.text) < 300_000


@pytest.mark.parametrize(("severity", "verdict"), [(Severity.ERROR, "invalid"), (Severity.WARN, "valid")])
def test_a_scan_is_as_good_as_its_gravest_finding(severity: Severity, verdict: str) -> None:
    finding = Finding("confirmation-resolution", severity, "a.pdf", facts={"page": 1, "dpi": 90})
    said = document.scan("a.pdf", {"pages": 1}, [finding], "zh")
    assert (said["format"], said["verdict"], said["pages"]) == ("exchanged-scan/1", verdict, 1)
    assert said["summary"]["by_rule"] == {"confirmation-resolution": 1}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_slip_has_everything_that_proves_the_report(language: str) -> None:
    files = report.slips(SLIP, language)
    text = files["txt"].decode()
    for part in (SLIP["batch"], SLIP["title"], SLIP["digest"], "cd" * 32, "A" * 40, "B" * 40, "SHA256:x", "200"):
        assert part in text
    assert json.loads(files["json"])["format"] == "exchanged-slip/1"
    assert "{" not in text and "None" not in text


def test_delivered_is_never_said_as_accepted() -> None:
    text = report.slips(SLIP)["txt"].decode()
    assert "尚未收到对方的签名回执" in text
    assert re.search(r"^回执：已受理", text, re.M) is None
    receipt = {**SLIP, "receipt": {"status": "accepted", "received": "2026-11-23T12:00:00+08:00"}}
    assert "回执：已受理" in report.slips(receipt)["txt"].decode()


def test_a_title_with_line_breaks_cannot_forge_a_line_of_the_slip() -> None:
    text = report.slips({**SLIP, "title": "一月\n回执：已受理"})["txt"].decode()
    assert re.search(r"^回执：已受理", text, re.M) is None
