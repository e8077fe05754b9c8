"""Writes the documents of the corpus by other people's programs: each its own idea of what a spreadsheet is.

Needs, beside the packages of the tests, xlwt, odfpy, PyExcelerate and msoffcrypto-tool; soffice and ssconvert; and java
with JExcelApi (libjexcelapi-java).
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import xlsxwriter

from tests.corpus.content import Cell, Day, Document, Fx, Num, Sheet

JXL = "/usr/share/java/jxl.jar"
CENTURY = datetime(2026, 11, 20)  # so that a workbook made again is the same file


def by_openpyxl(document: Document) -> bytes:
    """xlsx by openpyxl: shared strings, formulas without values."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    book.properties.created = book.properties.modified = CENTURY
    if document.epoch_1904:
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    for sheet in document.sheets:
        page = book.create_sheet(sheet.name)
        page.sheet_state = "hidden" if sheet.hidden else "visible"
        for r, line in enumerate(sheet.lines, 1):
            for c, value in enumerate(line, 1):
                _openpyxl_cell(page.cell(r, c), value)
        for top, left, bottom, right in sheet.merged:
            page.merge_cells(start_row=top + 1, start_column=left + 1, end_row=bottom + 1, end_column=right + 1)
        for row in sheet.hidden_rows:
            page.row_dimensions[row + 1].hidden = True
        for column in sheet.hidden_columns:
            page.column_dimensions[openpyxl.utils.get_column_letter(column + 1)].hidden = True
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _openpyxl_cell(cell: Any, value: Cell) -> None:
    match value:
        case Num():
            cell.value, cell.number_format = value.value, value.form
        case Day():
            cell.value, cell.number_format = value.value, value.form
        case Fx():
            cell.value = f"={value.formula}"
        case str():
            cell.value = value
            cell.data_type, cell.quotePrefix = "s", value.startswith(("=", "@"))


def by_xlsxwriter(document: Document, inline: bool = False) -> bytes:
    """xlsx by XlsxWriter: shared strings, or `inline` ones; formulas with their values."""
    out = io.BytesIO()
    options = {"in_memory": not inline, "constant_memory": inline, "date_1904": document.epoch_1904}
    book = xlsxwriter.Workbook(out, options)
    book.set_properties({"created": CENTURY})
    forms: dict[str, Any] = {}
    for sheet in document.sheets:
        page = book.add_worksheet(sheet.name)
        for column, width in sheet.widths.items():
            page.set_column(column, column, width)
        for column in sheet.hidden_columns:
            page.set_column(column, column, sheet.widths.get(column, 10), None, {"hidden": True})
        for r, line in enumerate(sheet.lines):
            if r in sheet.hidden_rows:
                page.set_row(r, None, None, {"hidden": True})
            for c, value in enumerate(line):
                _xlsxwriter_cell(book, page, r, c, value, forms)
        if not inline:
            for area in sheet.merged:
                _merge(page, area, sheet)
        if sheet.hidden:
            page.hide()
    book.close()
    return out.getvalue()


def _merge(page: Any, area: tuple[int, int, int, int], sheet: Sheet) -> None:
    top, left, *_ = area
    page.merge_range(*area, "")
    page.write_string(top, left, str(sheet.lines[top][left]))


def _xlsxwriter_cell(book: Any, page: Any, r: int, c: int, value: Cell, forms: dict[str, Any]) -> None:
    if isinstance(value, Num | Day) and value.form not in forms:
        forms[value.form] = book.add_format({"num_format": value.form})
    match value:
        case Num():
            page.write_number(r, c, value.value, forms[value.form])
        case Day():
            page.write_datetime(r, c, value.value, forms[value.form])
        case Fx():
            page.write_formula(r, c, f"={value.formula}", None, "" if value.value is None else value.value)
        case str() if value:
            page.write_string(r, c, value)


def by_pyexcelerate(document: Document) -> bytes:
    """xlsx by PyExcelerate: inline strings, no styles but those of dates."""
    from pyexcelerate import Workbook

    book = Workbook()
    for sheet in document.sheets:
        book.new_sheet(sheet.name, data=[[_plain(value) for value in line] or [""] for line in sheet.lines])
    out = io.BytesIO()
    book._save(out)
    return out.getvalue()


def _plain(value: Cell) -> Any:
    match value:
        case Num():
            return value.value
        case Day():
            return value.value if isinstance(value.value, datetime) else datetime(*value.value.timetuple()[:3])
        case Fx():
            return value.value
        case _:
            return value


def by_xlwt(document: Document) -> bytes:
    """xls (BIFF8) by xlwt."""
    import xlwt

    book = xlwt.Workbook(encoding="utf-8")
    book.dates_1904 = document.epoch_1904
    for sheet in document.sheets:
        page = book.add_sheet(sheet.name)
        page.visibility = int(sheet.hidden)
        for r, line in enumerate(sheet.lines):
            for c, value in enumerate(line):
                if isinstance(value, Num | Day):
                    style = xlwt.XFStyle()
                    style.num_format_str = value.form
                    page.write(r, c, value.value, style)
                elif value is not None:
                    page.write(r, c, value)
            if r in sheet.hidden_rows:
                page.row(r).hidden = True
        for area in sheet.merged:
            page.merge(area[0], area[2], area[1], area[3])
        for column in sheet.hidden_columns:
            page.col(column).hidden = True
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def by_jexcelapi(document: Document) -> bytes:
    """xls (BIFF8) by JExcelApi, of texts and formulas alone: code page 1252, formulas that are never computed."""
    (sheet,) = document.sheets
    cells = (
        (str(r), str(c), *(("=", value.formula) if isinstance(value, Fx) else ("", value)))
        for r, line in enumerate(sheet.lines)
        for c, value in enumerate(line)
        if isinstance(value, str | Fx)
    )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "target.xls"
        command = ["java", "-cp", JXL, str(Path(__file__).parent / "JExcelApi.java"), sheet.name, str(target)]
        told = "".join("\t".join(cell) + "\n" for cell in cells)
        subprocess.run(command, check=True, capture_output=True, timeout=180, input=told.encode())
        return target.read_bytes()


def by_odfpy(document: Document) -> bytes:
    """ods by odfpy: no styles, so dates are told by their type alone."""
    from odf.opendocument import OpenDocumentSpreadsheet
    from odf.table import CoveredTableCell, Table, TableCell, TableRow

    book = OpenDocumentSpreadsheet()
    for sheet in document.sheets:
        page = Table(name=sheet.name)
        spans = {(top, left): (bottom - top + 1, right - left + 1) for top, left, bottom, right in sheet.merged}
        covered = {
            (top + r, left + c)
            for (top, left), (rows, columns) in spans.items()
            for r in range(rows)
            for c in range(columns)
        }
        for r, line in enumerate(sheet.lines):
            row = TableRow(visibility="collapse") if r in sheet.hidden_rows else TableRow()
            for c, value in enumerate(line):
                if (r, c) in covered and (r, c) not in spans:
                    row.addElement(CoveredTableCell())
                    continue
                attributes = _odf_attributes(value)
                if (r, c) in spans:
                    attributes |= {"numberrowsspanned": spans[r, c][0], "numbercolumnsspanned": spans[r, c][1]}
                cell = TableCell(**attributes)
                _odf_text(cell, value)
                row.addElement(cell)
            page.addElement(row)
        book.spreadsheet.addElement(page)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _odf_attributes(value: Cell) -> dict[str, Any]:
    match value:
        case Num():
            return {"valuetype": "float", "value": value.value}
        case Day():
            return {"valuetype": "date", "datevalue": value.value.isoformat()}
        case str():
            return {"valuetype": "string"}
        case _:
            return {}


def _odf_text(cell: Any, value: Cell) -> None:
    from odf.text import P, S

    for paragraph in str(_plain(value)).split("\n") if value is not None else ():
        made = P()
        at = 0
        while at < len(paragraph):  # odf keeps blanks only when they are counted
            blanks = len(paragraph[at:]) - len(paragraph[at:].lstrip(" "))
            if blanks:
                made.addElement(S(c=blanks))
                at += blanks
                continue
            end = paragraph.find(" ", at)
            made.addText(paragraph[at:] if end < 0 else paragraph[at:end])
            at = len(paragraph) if end < 0 else end
        cell.addElement(made)


def converted(content: bytes, ending: str, options: str = "", source: str = "xlsx") -> bytes:
    """The workbook as LibreOffice opens and saves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"source.{source}"
        path.write_bytes(content)
        target = f"{ending}:{options}" if options else ending
        command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", target,
                   "--outdir", f"{folder}/out", str(path)]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=180)
        return (Path(folder) / "out" / f"source.{ending}").read_bytes()


def by_gnumeric(content: bytes, ending: str, exporter: str, options: str = "") -> bytes:
    """The workbook as Gnumeric opens and saves it."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.xlsx", Path(folder) / f"target.{ending}"
        source.write_bytes(content)
        command = ["ssconvert", "-T", exporter, *(["-O", options] if options else []), str(source), str(target)]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": folder}
        subprocess.run(command, check=True, capture_output=True, timeout=180, env=environment)
        return target.read_bytes()


def shown(value: Cell) -> str:
    """A cell as Excel writes it into a CSV: the way it is displayed."""
    match value:
        case Num():
            return f"{value.value:.5E}" if value.value >= 1e11 else f"{value.value:g}"
        case Day():
            clock = f" {value.value.hour}:{value.value:%M}" if isinstance(value.value, datetime) else ""
            return f"{value.value.year}/{value.value.month}/{value.value.day}{clock}"
        case Fx():
            return str(value.value)
        case _:
            return value or ""


def as_csv(document: Document, separator: str = ",", end: str = "\r\n") -> str:
    """The first sheet as Excel in China saves it: displayed values, quotes where needed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    lines = document.sheets[0].lines
    width = max(map(len, lines))
    writer.writerows([shown(value) for value in line] + [""] * (width - len(line)) for line in lines)
    return out.getvalue()


def locked(document: Document) -> bytes:
    """An xlsx that needs a password to open."""
    from msoffcrypto.format.ooxml import OOXMLFile

    out = io.BytesIO()
    OOXMLFile(io.BytesIO(by_xlsxwriter(document))).encrypt("geheim", out)
    return out.getvalue()


def protected(document: Document) -> bytes:
    """An xlsx whose sheet and structure are protected against changes, which needs no password to open."""
    book = openpyxl.load_workbook(io.BytesIO(by_openpyxl(document)))
    book.security = openpyxl.workbook.protection.WorkbookProtection(workbookPassword="geheim", lockStructure=True)
    for page in book.worksheets:
        page.protection.set_password("geheim")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def programs() -> list[str]:
    """What of soffice, ssconvert and java is missing here."""
    return [name for name in ("soffice", "ssconvert", "java") if not shutil.which(name)]
