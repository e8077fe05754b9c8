"""The committed corpus: spreadsheets of many programs, each with the truth about it beside it.

Every rule is found everywhere it was planted (recall) and nowhere else (precision); what is right has the digest of its
records. `python -m tests.corpus.make` makes the files anew.
"""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchanged.checking import Checked, check
from exchanged.standard.rules import RULES
from tests.corpus import content, write
from tests.corpus.content import Document
from tests.support.checks import checks, spots

FOLDER = Path(__file__).parent / "corpus" / "files"
TRUTHS = sorted(FOLDER.glob("*.json"))
PROGRAMS = {"openpyxl", "XlsxWriter", "PyExcelerate", "xlwt", "odfpy", "JExcelApi", "LibreOffice", "Gnumeric"}


def truth(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def checked(path: Path) -> Checked:
    name = path.name.removesuffix(".json")
    content = io.BytesIO((FOLDER / name).read_bytes())
    return check([(name, content)], checks(today=truth(path)["today"], limit=0))


@pytest.mark.parametrize("path", TRUTHS, ids=lambda path: path.name.removesuffix(".json"))
def test_what_is_found_is_what_is_there(path: Path) -> None:
    told, result = truth(path), checked(path)
    found, planted = Counter(spots(result)), Counter((rule, row, column) for rule, row, column in told["findings"])
    assert {"missed": planted - found, "false": found - planted} == {"missed": Counter(), "false": Counter()}
    assert result.rows == told["rows"]
    if told["digest"]:
        assert (result.valid, result.digest) == (True, told["digest"])
    (file,) = result.files
    assert (file.sheet, file.header_row) == (told["sheet"], told["header_row"])


def test_the_corpus_holds_every_rule_of_a_cell_and_row_from_several_programs() -> None:
    by_rule: dict[str, set[str]] = {}
    for path in TRUTHS:
        told = truth(path)
        for rule, _, _ in told["findings"]:
            by_rule.setdefault(rule, set()).add(told["made_by"].split()[0])
    configured = {"certificate-number-issuer", "centre-unregistered", "authority-unregistered", "issued-before-16"}
    wanted = {rule.name for rule in RULES.values() if rule.scope in ("cell", "row")} - configured
    assert wanted <= by_rule.keys()
    assert {rule: sorted(by_rule[rule]) for rule in wanted if len(by_rule[rule]) < 3} == {}
    assert {truth(path)["made_by"].split()[0] for path in TRUTHS} >= PROGRAMS


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["xlsx", "xls", "ods"])
@pytest.mark.parametrize("make", [content.clerk, content.faults, content.computed, content.year_1904])
def test_the_libreoffice_at_hand_writes_what_is_read(make: Callable[[], Document], ending: str) -> None:
    if not shutil.which("soffice"):
        pytest.skip("LibreOffice is not installed (apt-get install libreoffice-calc-nogui)")
    document = make()
    saved = write.converted(write.by_xlsxwriter(document), ending)
    result = check([(f"a.{ending}", io.BytesIO(saved))], checks(today=content.TODAY, limit=0))
    known = [Counter(document.findings)]
    if make is content.computed and ending == "xls":  # not every version stores the texts that formulas give
        known.append(Counter(content.computed(texts=False).findings))
    assert Counter(spots(result)) in known and result.rows == document.rows
    assert document.digest in (None, result.digest)


def test_every_file_has_its_truth() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.suffix != ".json"}
    assert files == {path.name.removesuffix(".json") for path in TRUTHS}
