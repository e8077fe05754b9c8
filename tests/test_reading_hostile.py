"""Files that are damaged, locked, mislabelled or made to hurt: always one finding, never an exception, never a row."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from exchanged.batch import Limits
from exchanged.messages import rule_text, text
from exchanged.reading import read
from tests.support import books
from tests.support.books import HEADERS, row, table
from tests.support.memory import PEAK
from tests.support.taken import Taken, take

GOOD = books.by_xlsxwriter(table(20))
HTML = b"<html><head><meta charset='gbk'></head><body><table><tr><td>\xd0\xd5\xc3\xfb</td></tr></table></body></html>"
XML2003 = (
    b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
    b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'
)


def refused(data: bytes, rule: str, name: str = "表.xlsx", **limits: int) -> Taken:
    """The one finding a file must give."""
    got = take(data, name, **limits)
    assert got.rules == [rule]
    assert got.numbers == []
    assert got.findings[0].file == name
    return got


def sheet(rows: str, prologue: str = "") -> bytes:
    return books.raw_xlsx(books.sheet_xml(rows, prologue))


HEAD = books.inline_row(1, HEADERS)


@pytest.mark.parametrize(
    ("data", "name", "found"),
    [
        (HTML, "a.xls", "html"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><table>", "a.xls", "html"),
        (XML2003, "a.xls", "xml2003"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n", "a.xls", "mhtml"),
        (b"{\\rtf1 x}", "a.csv", "rtf"),
        (b"\x89PNG\r\n\x1a\n", "a.xlsx", "image"),
        (b'<?xml version="1.0"?><x/>', "a.xls", "xml"),
        (books.zipped({"word/document.xml": b"<x/>", "[Content_Types].xml": b"<x/>"}), "a.xlsx", "docx"),
        (books.zipped({"xl/workbook.bin": b"x", "[Content_Types].xml": b"<x/>"}), "a.xlsx", "xlsb"),
        (books.zipped({"a.txt": b"x"}), "a.zip", "zip"),
        (b"%PDF-1.4\n", "a.xlsx", "pdf"),
        (b"only words here", "note.txt", "text"),
        (bytes(range(256)) * 4, "a.bin", "unknown"),
        (b"", "a.bin", "unknown"),
    ],
)
def test_what_is_no_spreadsheet_is_named_for_what_it_is(data: bytes, name: str, found: str) -> None:
    assert dict(refused(data, "file-type", name).findings[0].facts) == {"found": found}
    assert all(text("file-type", language, found=found) != text("file-type", language) for language in ("zh", "en"))


def test_the_name_does_not_decide_what_content_tells() -> None:
    assert take(GOOD, "a.xls").findings == ()
    assert take(GOOD, "a.et").findings == ()
    assert take(GOOD, "a.csv").findings == ()


def test_sniffing_is_light_to_import() -> None:
    heavy = "{'numpy', 'pyarrow', 'olefile', 'isal'}"
    code = f"import sys, exchanged.reading.sniff; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "size",
    [4, 30, 500, 2000, len(GOOD) // 2, len(GOOD) - 30, len(GOOD) - 1],
    ids=["4", "30", "500", "2000", "half", "but 30", "but 1"],  # its length differs from one second to the next
)
def test_a_cut_workbook_is_unreadable(size: int) -> None:
    refused(GOOD[:size], "file-unreadable") if size > 60 else take(GOOD[:size])


def test_an_empty_xlsx_is_unreadable() -> None:
    refused(b"", "file-unreadable")


def test_flipped_bytes_never_raise_and_never_give_other_rows() -> None:
    right, dice = take(GOOD), random.Random(7)
    for _ in range(300):
        data = bytearray(GOOD)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        got = take(bytes(data))
        if not got.findings:
            assert got.texts == right.texts


def test_encryption_flags_and_containers_are_named() -> None:
    refused(books.ole({"EncryptionInfo": b"x", "EncryptedPackage": b"y"}), "file-encrypted")
    bof, locked = struct.pack("<HHHHLLL", 0x0809, 16, 0x0600, 5, 0, 0, 0), struct.pack("<HHHHH", 0x2F, 6, 0, 0, 0)
    refused(books.ole({"Workbook": bof + locked}), "file-encrypted", "a.xls")
    (finding,) = take(books.ole({"Workbook": bof + locked}), "a.xls").findings
    assert "取消“保护工作簿”" in rule_text(finding.rule, None, finding.facts, "zh")
    assert "undo “Protect Workbook”" in rule_text(finding.rule, None, finding.facts, "en")
    refused(books.ole({"Book": bof}), "file-unreadable", "a.xls")
    refused(books.ole({"WordDocument": b"x"}), "file-type", "a.xls")
    data = bytearray(GOOD)
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    refused(bytes(data), "file-encrypted")


def test_a_bomb_is_too_large_as_declared() -> None:
    got = refused(books.bomb(40 << 20), "file-too-large", unpacked=20 << 20)
    assert got.findings[0].facts["what"] == "unpacked"


def test_a_bomb_that_declares_a_small_size_is_unreadable() -> None:
    data = bytearray(books.bomb(40 << 20))
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"xl/worksheets/sheet1.xml"))
    struct.pack_into("<L", data, at + 24, 1000)
    refused(bytes(data), "file-unreadable", unpacked=20 << 20)


def test_a_lying_size_is_unreadable() -> None:
    data = bytearray(GOOD)
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"xl/worksheets/sheet1.xml"))
    struct.pack_into("<L", data, at + 24, 1000)
    refused(bytes(data), "file-unreadable")


def test_too_many_members_and_double_members_are_refused() -> None:
    parts = books.members(GOOD)
    refused(books.zipped({**parts, **{f"xl/media/{i}": b"" for i in range(10_001)}}), "file-too-large")
    refused(books.zipped({**parts, "XL/Worksheets/Sheet1.xml": b"<x/>"}), "file-unreadable")
    out = io.BytesIO(GOOD)
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("xl/worksheets/sheet1.xml", b"<x/>")
    refused(out.getvalue(), "file-unreadable")


def test_a_file_over_the_limit_of_bytes_is_not_opened() -> None:
    got = refused(GOOD, "file-too-large", file=1000)
    assert dict(got.findings[0].facts) == {"what": "bytes", "limit": 1000}


@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        "<!-- x -->" * 50 + "<!DOCTYPE x>",
        "<!-- x -->" * 50_000 + "<!DOCTYPE x>",
    ],
)
@pytest.mark.parametrize("member", ["sheet", "strings", "workbook"])
def test_a_document_type_is_refused_in_every_part(prologue: str, member: str) -> None:
    if member == "sheet":
        data = sheet(HEAD, prologue)
    else:
        part = {"strings": "xl/sharedStrings.xml", "workbook": "xl/workbook.xml"}[member]
        data = books.patched(GOOD, part, lambda xml: xml.replace(b"?>\n", b"?>\n" + prologue.encode(), 1))
    refused(data, "file-unreadable")


def test_one_cell_in_the_far_corner_takes_no_memory() -> None:
    refused(sheet(HEAD + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "file-too-large")
    got = take(sheet(HEAD + '<row r="1048576"><c r="B1048576"><v>1</v></c></row>'))
    assert got.numbers == [1_048_576]


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="3"><c r="A3"><v>1</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>',
        '<row r="2"><c r="A2"><v>1</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>',
        '<row r="2"><c r="A2"><v>1</v></c><c r="A2"><v>2</v></c></row>',
        '<row r="2"><c r="A3"><v>1</v></c></row>',
        '<row r="1048577"><c r="A1048577"><v>1</v></c></row>',
        '<row r="2"><c r="XFE2"><v>1</v></c></row>',
        '<row r="2"><c r="2A"><v>1</v></c></row>',
        '<row r="2"><c r="A2" t="s"><v>7</v></c></row>',
        '<row r="2"><c r="A2" t="s"><v>-1</v></c></row>',
        '<row r="2"><c r="A2" t="x"><v>7</v></c></row>',
        '<row r="2"><c r="A2"><v>seven</v></c></row>',
        '<row r="2"><c r="A2" t="inlineStr"><is><t>&nbsp;</t></is></c></row>',
        '<row r="2"><c r="A2" t="inlineStr"><is><t>a & b</t></is></c></row>',
        '<row r="0"><c r="A0"><v>1</v></c></row>',
        '<row r="2"><c r="A2"><v>1</v></row>',
    ],
)
def test_a_sheet_that_contradicts_itself_is_unreadable(rows: str) -> None:
    refused(sheet(HEAD + rows), "file-unreadable")


def test_bytes_that_are_no_utf8_are_unreadable() -> None:
    data = books.patched(sheet(HEAD + books.inline_row(2, row(1))), "xl/worksheets/sheet1.xml",
                         lambda xml: xml.replace("焊工".encode(), b"\xff\xfe"))  # fmt: skip
    refused(data, "file-unreadable")


def test_an_endless_text_is_refused() -> None:
    refused(sheet(HEAD + books.inline_row(2, ["x" * (9 << 20)])), "file-too-large")
    got = refused(sheet(HEAD + books.inline_row(2, ["x" * (2 << 20)])), "file-too-large")
    assert "length of one piece of text" in text("file-too-large", "en", **got.findings[0].facts)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (books.ods_row(row(1), ' table:number-rows-repeated="1000000000"'), "file-too-large"),
        (books.ods_row(row(1), ' table:number-rows-repeated="10000"'), None),
        (books.ods_row(row(1), ' table:number-rows-repeated="1048575"'), "file-too-large"),
        (books.ods_row([], "", '<table:table-cell table:number-columns-repeated="100000000" office:value-type="float" '
                       'office:value="1"/>'), "file-too-large"),
        (books.ods_row(["<text:s text:c='1000000000'/>"]), "file-too-large"),
        (books.ods_row([], ' table:number-rows-repeated="1000000000"', "<table:table-cell/>"), None),
        (books.ods_row([], "", '<table:table-cell table:number-columns-repeated="16384"/>'), None),
        (books.ods_row([], ' table:number-rows-repeated="x"'), "file-unreadable"),
    ],
)  # fmt: skip
def test_repeats_in_an_ods_are_counted_before_they_are_made(content: str, rule: str | None) -> None:
    data = books.ods(books.ods_row(HEADERS) + content)
    limits = {"rows": 1000} if rule is None and "1048575" in content else {}
    refused(data, rule or "file-too-large", "a.ods", **limits) if rule or limits else take(data, "a.ods")
    if not rule and not limits:
        assert take(data, "a.ods").findings == ()


def test_an_encrypted_ods_is_named() -> None:
    manifest = '<m:manifest xmlns:m="urn:x"><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>'
    refused(books.ods("", manifest), "file-encrypted", "a.ods")


def test_a_legal_look_at_every_hostile_file_stays_small(tmp_path: Path) -> None:
    """Bombs are looked at in bounded memory, the libraries and the allocator's slack included."""
    (tmp_path / "bomb.xlsx").write_bytes(books.bomb(300 << 20))
    (tmp_path / "far.xlsx").write_bytes(sheet(HEAD + '<row r="1048576"><c r="B1048576"><v>1</v></c></row>'))
    code = textwrap.dedent("""
        import sys, pathlib
        import exchanged.reading.xlsx
        from exchanged.reading import read
        from exchanged.batch import Limits
        for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
            with path.open("rb") as source:
                sum(len(chunk.numbers) for chunk in read(source, path.name, Limits()).chunks)
    """)
    out = subprocess.run([sys.executable, "-c", code + PEAK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(out.stdout) < 600


def test_no_text_of_a_cell_stands_in_a_finding() -> None:
    secret = "张三一二三"
    rows = [[*HEADERS, secret, None], [*row(1), secret, secret]]
    for data, name in (
        (books.by_openpyxl(rows), "a.xlsx"),
        (books.csv_bytes([[*line[:13], secret] for line in rows]), "a.csv"),
    ):
        reading = read(io.BytesIO(data), name, Limits())
        assert reading.findings
        assert secret not in repr(reading.findings)
