"""Workbooks that no program at hand writes: other programs' dialects of OOXML, and odd but legal ways to write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from xml.sax.saxutils import escape

from tests.corpus.content import Document, tidy
from tests.support import books

STRICT = "http://purl.oclc.org/ooxml"
_WIDTH = 12


@dataclass(frozen=True)
class Made:
    """A file and what it says."""

    name: str
    document: Document
    content: bytes


def files() -> Iterator[Made]:
    """All of them; they say what `tidy` says."""
    document = tidy()
    lines = [[str(cell) for cell in line] for line in document.sheets[0].lines]
    one = Document(document.sheets, "S1", 1, document.rows, right=document.right)
    yield Made("dialect-rich-text.xlsx", one, _rich(lines))
    yield Made("dialect-inline-rich.xlsx", one, books.raw_xlsx(books.sheet_xml(_rows(lines, _inline_rich))))
    yield Made("dialect-no-places.xlsx", one, books.raw_xlsx(books.sheet_xml(_bare(lines))))
    yield Made("dialect-wrong-dimension.xlsx", one, _wrong_dimension(lines))
    yield Made("dialect-prefix.xlsx", one, _prefixed(lines))
    yield Made("dialect-strict.xlsx", one, _strict(lines))
    yield Made("dialect-escapes.xlsx", one, books.raw_xlsx(books.sheet_xml(_rows(lines, _escaped))))
    yield Made("dialect-formulas.xlsx", one, books.raw_xlsx(books.sheet_xml(_rows(lines, _formula))))
    yield Made("dialect-spread.xlsx", one, books.raw_xlsx(books.sheet_xml(_spread(lines))))
    yield Made("dialect-external-link.xlsx", one, _linked(lines))


def _rows(lines: list[list[str]], cell: object) -> str:
    made = []
    for number, line in enumerate(lines, 1):
        cells = "".join(cell(f"{books.column(at)}{number}", value) for at, value in enumerate(line))  # type: ignore[operator]
        made.append(f'<row r="{number}">{cells}</row>')
    return "".join(made)


def _inline_rich(place: str, value: str) -> str:
    """Text in two runs with a phonetic guide, which is no part of it."""
    first, rest = escape(value[:1]), escape(value[1:])
    runs = f"<r><rPr><b/></rPr><t>{first}</t></r><r><t xml:space='preserve'>{rest}</t></r>"
    return f'<c r="{place}" t="inlineStr"><is>{runs}<rPh sb="0" eb="1"><t>pinyin</t></rPh></is></c>'


def _escaped(place: str, value: str) -> str:
    """Every character as a reference, a line break as Excel escapes it."""
    text = "".join(f"&#{ord(c)};" for c in value)
    return f'<c r="{place}" t="inlineStr"><is><t>{text}_x000D_&#10;</t></is></c>'


def _formula(place: str, value: str) -> str:
    return f'<c r="{place}" t="str"><f>CONCATENATE("{escape(value)}")</f><v>{escape(value)}</v></c>'


def _bare(lines: list[list[str]]) -> str:
    cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    return "".join(f"<row>{''.join(cell.format(escape(value)) for value in line)}</row>" for line in lines)


def _spread(lines: list[list[str]]) -> str:
    """Empty styled cells around the data and below it, spans and heights that say nothing."""
    rows = _rows(lines, lambda place, value: f'<c r="{place}" s="0" t="inlineStr"><is><t>{escape(value)}</t></is></c>')
    rows = rows.replace("</row>", '<c r="{}" s="0"/></row>')
    for number in range(1, len(lines) + 1):
        rows = rows.replace("{}", f"ZZ{number}", 1)
    below = "".join(
        f'<row r="{n}" spans="1:700" ht="15"><c r="A{n}" s="0"/><c r="ZZ{n}" s="0"/></row>' for n in range(500, 600)
    )
    return rows + below


def _rich(lines: list[list[str]]) -> bytes:
    """Shared strings with runs and phonetic guides, one string for every cell."""
    strings, cells = [], []
    for number, line in enumerate(lines, 1):
        made = []
        for at, value in enumerate(line):
            half = len(value) // 2
            runs = f"<r><t>{escape(value[:half])}</t></r><r><rPr><sz val='11'/></rPr><t>{escape(value[half:])}</t></r>"
            guide = '<rPh sb="0" eb="1"><t>ce</t></rPh><phoneticPr fontId="1"/>'
            made.append(f'<c r="{books.column(at)}{number}" t="s"><v>{len(strings)}</v></c>')
            strings.append(f"<si>{runs}{guide}</si>" if at % 2 else f"<si><t>{escape(value)}</t></si>")
        cells.append(f'<row r="{number}">{"".join(made)}</row>')
    table = f'<sst xmlns="{books.MAIN}" count="{len(strings)}">{"".join(strings)}</sst>'
    return books.raw_xlsx(books.sheet_xml("".join(cells)), strings=table)


def _wrong_dimension(lines: list[list[str]]) -> bytes:
    """As WPS and some exports write it: the sheet says that it is one cell."""
    sheet = books.sheet_xml("".join(books.inline_row(number, line) for number, line in enumerate(lines, 1)))
    return books.raw_xlsx(sheet.replace("<sheetData>", '<dimension ref="A1"/><sheetData>', 1))


def _prefixed(lines: list[list[str]]) -> bytes:
    """Elements with a prefix, as some .NET libraries write them."""
    rows = "".join(
        f'<x:row r="{number}">'
        + "".join(
            f'<x:c r="{books.column(at)}{number}" t="str"><x:v>{escape(value)}</x:v></x:c>'
            for at, value in enumerate(line)
        )
        + "</x:row>"
        for number, line in enumerate(lines, 1)
    )
    return books.raw_xlsx(f'<x:worksheet xmlns:x="{books.MAIN}"><x:sheetData>{rows}</x:sheetData></x:worksheet>')


def _strict(lines: list[list[str]]) -> bytes:
    """Strict OOXML as Excel saves it: other namespaces, dates as ISO 8601."""

    def cell(place: str, value: str) -> str:
        try:
            return f'<c r="{place}" t="d"><v>{date.fromisoformat(value).isoformat()}T00:00:00</v></c>'
        except ValueError:
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'

    content = books.raw_xlsx(books.sheet_xml(_rows(lines, cell)))
    parts = {}
    for name, part in books.members(content).items():
        text = part.decode().replace(books.MAIN, f"{STRICT}/spreadsheetml/main")
        parts[name] = text.replace(books.OFFICE, f"{STRICT}/officeDocument/relationships").encode()
    return books.zipped(parts)


def _linked(lines: list[list[str]]) -> bytes:
    """A workbook with links to other files, a macro and an embedded object beside its sheet: none is followed."""
    sheet = books.sheet_xml("".join(books.inline_row(number, line) for number, line in enumerate(lines, 1)))
    content = books.raw_xlsx(
        sheet,
        extra={
            "xl/vbaProject.bin": b"\xd0\xcf\x11\xe0",
            "xl/embeddings/oleObject1.bin": b"x" * 100,
            "xl/externalLinks/externalLink1.xml": f'<externalLink xmlns="{books.MAIN}"/>'.encode(),
        },
    )
    more = (
        f'<Relationship Id="x1" Type="{books.OFFICE}/externalLink" Target="externalLinks/externalLink1.xml"/>'
        f'<Relationship Id="x2" Type="{books.OFFICE}/worksheet" Target="file:///etc/passwd" TargetMode="External"/>'
        "</Relationships>"
    ).encode()
    return books.patched(content, "xl/_rels/workbook.xml.rels", lambda xml: xml.replace(b"</Relationships>", more))
