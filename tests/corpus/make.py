"""Makes the corpus anew: `python -m tests.corpus.make` writes every file and its truth into tests/corpus/files.

Only for who wants to change or add files; the tests read what is committed. The truth beside each file says by which
program it was made, where its data is, its digest where it is right, and every finding as (rule, row, column).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.corpus import content, handmade, write
from tests.corpus.content import TODAY, Document, Fx, Spot

FOLDER = Path(__file__).parent / "files"
UTF8 = "Text - txt - csv (StarCalc):44,34,76,1,,0,false,true"
LIBREOFFICE, GNUMERIC, JEXCELAPI, HAND = "LibreOffice 7.4", "Gnumeric 1.12", "JExcelApi 2.6", "by hand"


@dataclass(frozen=True)
class File:
    """One file of the corpus: its name, who writes it, what it says, and how."""

    name: str
    program: str
    document: Document
    write: Callable[[Document], bytes]


def uncomputed(document: Document) -> Document:
    """The document as a program sees it that keeps formulas without their values."""
    header = document.sheets[0].lines[0]
    found: list[Spot] = [
        ("formula-error", row, str(header[column]))
        for row, line in enumerate(document.sheets[0].lines, 1)
        for column, value in enumerate(line)
        if isinstance(value, Fx)
    ]
    return replace(document, findings=found)


def in_csv(document: Document) -> Document:
    """The document as a CSV has it: no sheets."""
    return replace(document, sheet=None)


def in_full(document: Document, identity: str = "number-precision") -> Document:
    """The document in the CSV of a program that writes numbers of 16 digits in full: they cannot be told from text.

    `identity`: what is found in the ID number that was a number.
    """
    row = next(row for rule, row, column in document.findings if (rule, column) == ("number-precision", "证件号码"))
    kept = [spot for spot in document.findings if spot[0] != "number-precision"]
    return replace(in_csv(document), findings=[*kept, (identity, row, "证件号码")])


def refused(rule: str) -> Document:
    """What cannot be used at all."""
    return Document(content.tidy().sheets, None, None, 0, [(rule, None, None)])


def _encoded(encoding: str, separator: str = ",", end: str = "\r\n", head: str = "") -> Callable[[Document], bytes]:
    return lambda document: (head + write.as_csv(document, separator, end)).encode(encoding)


def _soffice(ending: str, options: str = "") -> Callable[[Document], bytes]:
    return lambda document: write.converted(write.by_xlsxwriter(document), ending, options)


def _gnumeric(ending: str, exporter: str, options: str = "") -> Callable[[Document], bytes]:
    return lambda document: write.by_gnumeric(write.by_xlsxwriter(document), ending, exporter, options)


def of_libraries() -> Iterator[File]:
    """Files of libraries: Python's, and one of Java's."""
    documents = {
        "tidy": content.tidy(),
        "clerk": content.clerk(),
        "footed": content.footed(),
        "faults": content.faults(),
        "1904": content.year_1904(),
    }
    for name, document in documents.items():
        yield File(f"{name}-openpyxl.xlsx", "openpyxl 3.1", document, write.by_openpyxl)
        yield File(f"{name}-xlsxwriter.xlsx", "XlsxWriter 3.3", document, write.by_xlsxwriter)
        yield File(f"{name}-xlwt.xls", "xlwt 1.3", document, write.by_xlwt)
    for name in ("tidy", "clerk", "faults"):
        inline = f"{name}-xlsxwriter-inline.xlsx"
        yield File(
            inline, "XlsxWriter 3.3", documents[name], lambda document: write.by_xlsxwriter(document, inline=True)
        )
        yield File(f"{name}-odfpy.ods", "odfpy 1.4", documents[name], write.by_odfpy)
    yield File("tidy-pyexcelerate.xlsx", "PyExcelerate 0.13", documents["tidy"], write.by_pyexcelerate)
    yield File("faults-pyexcelerate.xlsx", "PyExcelerate 0.13", content.faults(False), write.by_pyexcelerate)
    yield File("clerk-wps.et", "xlwt 1.3", documents["clerk"], write.by_xlwt)
    computed = content.computed()
    yield File("computed-xlsxwriter.xlsx", "XlsxWriter 3.3", computed, write.by_xlsxwriter)
    yield File("computed-openpyxl.xlsx", "openpyxl 3.1", uncomputed(computed), write.by_openpyxl)
    yield File("tidy-jxl.xls", JEXCELAPI, documents["tidy"], write.by_jexcelapi)
    yield File("computed-jxl.xls", JEXCELAPI, uncomputed(computed), write.by_jexcelapi)


def of_programs() -> Iterator[File]:
    """Files that LibreOffice and Gnumeric saved."""
    documents = {
        "tidy": content.tidy(),
        "clerk": content.clerk(),
        "footed": content.footed(),
        "faults": content.faults(),
        "1904": content.year_1904(),
        "computed": content.computed(),
    }
    for name, document in documents.items():
        for ending in ("xlsx", "ods"):
            yield File(f"{name}-libreoffice.{ending}", LIBREOFFICE, document, _soffice(ending))
        in_xls = content.computed(texts=False) if name == "computed" else document  # it stores 0 for them
        yield File(f"{name}-libreoffice.xls", LIBREOFFICE, in_xls, _soffice("xls"))
        yield File(f"{name}-gnumeric.xlsx", GNUMERIC, document, _gnumeric("xlsx", "Gnumeric_Excel:xlsx2"))
        yield File(f"{name}-gnumeric.xls", GNUMERIC, document, _gnumeric("xls", "Gnumeric_Excel:excel_biff8"))
        yield File(f"{name}-gnumeric.ods", GNUMERIC, document, _gnumeric("ods", "Gnumeric_OpenCalc:openoffice"))
    for name in ("tidy", "footed", "faults", "computed"):
        by_office, by_gnumeric = in_csv(documents[name]), in_csv(documents[name])
        if name == "faults":
            by_office, by_gnumeric = in_full(by_office), in_full(by_gnumeric, "id-checksum")
        yield File(f"{name}-libreoffice.csv", LIBREOFFICE, by_office, _soffice("csv", UTF8))
        yield File(f"{name}-gnumeric.csv", GNUMERIC, by_gnumeric, _gnumeric("csv", "Gnumeric_stf:stf_csv"))


def of_excel() -> Iterator[File]:
    """CSV as Excel in China saves it, from what it displays."""
    tidy, clerk, faults = (in_csv(made) for made in (content.tidy(), content.clerk(displayed=True), content.faults()))
    for name, document in (("tidy", tidy), ("clerk", clerk), ("faults", faults)):
        yield File(f"{name}-unicode-text.csv", HAND, document, _encoded("utf-16", "\t"))
        yield File(f"{name}-utf8.csv", HAND, document, _encoded("utf-8-sig"))
    for name, document in (("tidy", tidy), ("clerk", clerk)):
        yield File(f"{name}-gbk.csv", HAND, document, _encoded("gb18030"))
        yield File(f"{name}-semicolon.csv", HAND, document, _encoded("gb18030", ";"))
        yield File(f"{name}-sep.csv", HAND, document, _encoded("utf-8-sig", ";", head="sep=;\r\n"))
    yield File("tidy-mac.csv", HAND, tidy, _encoded("gb18030", end="\r"))
    yield File("tidy-dos.csv", HAND, tidy, lambda document: _encoded("gb18030")(document) + b"\x1a")


def of_strangers() -> Iterator[File]:
    """What is no spreadsheet that is read, or not without a password."""
    for name, ending, options in (
        ("flat.fods", "fods", ""),
        ("web-page.xls", "html", ""),
        ("text.pdf", "pdf", ""),
    ):
        yield File(f"refused-{name}", LIBREOFFICE, refused("file-type"), _soffice(ending, options))
    biff7 = _gnumeric("xls", "Gnumeric_Excel:excel_biff7")
    yield File("refused-excel-95.xls", GNUMERIC, refused("file-unreadable"), biff7)
    yield File("refused-locked.xlsx", "msoffcrypto 6.1", refused("file-encrypted"), write.locked)
    yield File("tidy-protected.xlsx", "openpyxl 3.1", content.tidy(), write.protected)


def everything() -> Sequence[File]:
    """All files."""
    by_hand = [File(made.name, HAND, made.document, lambda _, made=made: made.content) for made in handmade.files()]
    return [*of_libraries(), *of_programs(), *of_excel(), *of_strangers(), *by_hand]


def truth(file: File) -> dict[str, object]:
    """What is to be found in a file."""
    document = file.document
    return {
        "made_by": file.program,
        "today": TODAY,
        "sheet": document.sheet,
        "header_row": document.header_row,
        "rows": document.rows,
        "digest": document.digest,
        "findings": [list(spot) for spot in document.findings],
    }


def main(names: Sequence[str]) -> None:
    """Writes the files named, or all."""
    missing = write.programs()
    if missing:
        sys.exit(f"Please install first: {', '.join(missing)}")
    FOLDER.mkdir(exist_ok=True)
    for file in everything():
        if not names or file.name in names:
            (FOLDER / file.name).write_bytes(file.write(file.document))
            told = json.dumps(truth(file), ensure_ascii=False, indent=1).replace("[\n   ", "[").replace("\n   ", " ")
            (FOLDER / f"{file.name}.json").write_text(told.replace("\n  ]", "]") + "\n", "utf-8")
            print(file.name)


if __name__ == "__main__":
    main(sys.argv[1:])
