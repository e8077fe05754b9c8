"""The form as it is printed, and what is read back from its scan."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pikepdf
import pypdfium2
import pytest

from exchanged.form import layout
from exchanged.form.code import Code, parse
from exchanged.form.write import LABEL_RIGHT, ROW, FontMissing, Form, draw, find_font, most_pages
from exchanged.stages import confirm
from tests.support import paper, scans
from tests.support.paper import Scanner

DIGEST = "sha256:" + "0123456789abcdef" * 4
FORM = Form(
    unit="某某省职业技能鉴定指导中心",
    head="甲",
    information_manager="乙",
    title="一月",
    date="2026-11-26",
    data_type="新增",
    counts=[("电工", "4", 120), ("保安员", "5", 80)],
    batch="jx-20261126-0123456789",
    digest=DIGEST,
    rows=200,
)
LONG = "测试职业第{}种（名称较长的职业工种，需要折成两行才放得下）"
MANY = replace(FORM, counts=[(LONG.format(n), "3", 1) for n in range(60)], rows=60)
TABLE = confirm.Table(DIGEST, 200)


def form(said: Form = FORM) -> bytes:
    return draw(said, find_font())


def printed_code(page: str) -> Code | None:
    """The code in a page's text; it stands on two lines."""
    said = re.search(r"EXCHANGED1(/[^/]+){3}/[0-9]+/[0-9]", "".join(page.split()))
    return parse(said[0]) if said else None


def found(scan: bytes, table: confirm.Table = TABLE) -> list[tuple[str, Any]]:
    seen = confirm.examine(io.BytesIO(scan))
    return [(one["rule"], one["facts"].get("why")) for one in confirm.judge(seen, table)]


# --- in print ---------------------------------------------------------------------------------------------------------


def test_the_same_form_has_the_same_bytes() -> None:
    assert form() == form()


def test_it_says_what_annex_1_asks_for_with_its_font_embedded() -> None:
    with pypdfium2.PdfDocument(form()) as pdf:
        text = "".join(pdf[0].get_textpage().get_text_range().split())
    wanted = ("职业资格证书数据审核确认表", FORM.unit, "信息管理员", "数据类型", "电工", "四级", "120", "200", "盖章")
    assert [words for words in wanted if words not in text] == []
    with pikepdf.open(io.BytesIO(form())) as pdf:
        fonts = [each for each in pdf.objects if isinstance(each, pikepdf.Dictionary) and "/FontFile2" in each]
    assert fonts


@pytest.mark.parametrize("length", [34, 40, 60, 84])
def test_a_long_name_of_the_unit_or_the_batch_is_printed_in_full_inside_its_row(length: int) -> None:
    unit, title = ("某某省职业技能鉴定指导中心" * 9)[:length], ("二〇二六年第十一批证书数据" * 9)[:length]
    with pypdfium2.PdfDocument(form(replace(FORM, unit=unit, title=title))) as pdf:
        page = pdf[0].get_textpage()
        assert {unit, title} <= {"".join(page.get_text_bounded(*row).split()) for row in (row_of(0), row_of(3))}


def row_of(number: int) -> tuple[float, float, float, float]:
    """The value of one of the first facts, as PDF coordinates."""
    top = (layout.HEIGHT - layout.TOP - number * ROW) / layout.POINT
    return LABEL_RIGHT / layout.POINT, top - ROW / layout.POINT, layout.RIGHT / layout.POINT, top


def test_every_page_has_its_code_in_print_and_no_form_is_longer_than_is_said() -> None:
    with pypdfium2.PdfDocument(form(MANY)) as pdf:
        pages = [page.get_textpage().get_text_range() for page in pdf]
    codes = [printed_code(page) for page in pages]
    assert len(pages) > 2
    assert codes == [
        Code(MANY.batch, DIGEST.partition(":")[2][:32], 60, at, len(pages)) for at in range(1, len(pages) + 1)
    ]
    assert len(pages) <= most_pages(60)


def test_a_character_that_the_font_lacks_is_printed_as_such() -> None:
    with pypdfium2.PdfDocument(form(replace(FORM, head="\U0010fffd"))) as pdf:
        assert "〓" in pdf[0].get_textpage().get_text_range()


def test_a_file_that_is_no_font_is_told(tmp_path: Any) -> None:
    fake = tmp_path / "a.ttf"
    fake.write_bytes(b"no font")
    with pytest.raises(FontMissing):
        draw(FORM, str(fake))


# --- read back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize(("dpi", "mode"), [(150, "rgb"), (200, "grey"), (300, "bw"), (600, "bw")])
def test_a_signed_and_stamped_form_is_right_however_it_lay(dpi: int, mode: str, turns: int) -> None:
    scanner = Scanner(skew=(-5.0, 5.0, -2.0, 3.0)[turns], turns=turns, mode=mode)
    told = found(paper.confirmed(form(), dpi, scanner))
    assert told == [] or (mode == "bw" and told == [("confirmation-seal-missing", None)])


def test_the_scan_of_other_data_or_of_as_many_other_rows_does_not_belong() -> None:
    scan = paper.confirmed(form())
    other = [("confirmation-code-mismatch", "other-data")]
    assert found(scan, confirm.Table("sha256:" + 64 * "f", 200)) == other
    assert found(scan, confirm.Table(DIGEST, 201)) == other


def test_every_page_of_the_form_must_be_there_in_any_order() -> None:
    pages = [Scanner().scan(page, 150) for page in paper.printed(form(MANY), 150)]
    table = confirm.Table(DIGEST, 60)
    whole = paper.saved(pages[::-1], 150)
    assert [rule for rule, _ in found(whole, table) if rule == "confirmation-code-mismatch"] == []
    assert found(paper.saved(pages[1:], 150), table) == [("confirmation-code-mismatch", "page-missing")]


def test_pages_of_two_forms_do_not_make_one() -> None:
    other = replace(MANY, batch="jx-20261126-ffffffffff")
    pages = [Scanner().scan(page, 150) for page in paper.printed(form(MANY), 150)]
    pages[1] = Scanner().scan(paper.printed(form(other), 150)[1], 150)
    told = found(paper.saved(pages, 150), confirm.Table(DIGEST, 60))
    assert told == [("confirmation-code-mismatch", "mixed-forms")]


def test_a_page_without_a_code_beside_the_form_does_no_harm() -> None:
    pages = [Scanner().scan(page, 150) for page in paper.printed(form(), 150)]
    attached = np.asarray(scans.picture(150, "L"))
    told = found(paper.saved([*pages, attached], 150))
    assert ("confirmation-code-missing", None) not in told
    assert ("confirmation-code-mismatch", "other-data") not in told


def test_a_form_of_the_units_own_lacks_only_its_code() -> None:
    assert found(scans.scan()) == [("confirmation-code-missing", None)]


def test_a_red_stamp_of_another_shape_is_no_seal() -> None:
    page = paper.printed(form(), 200)[0]
    scale = 200 / 25.4
    rows, columns = slice(int(250 * scale), int(260 * scale)), slice(int(110 * scale), int(160 * scale))
    page[rows, columns] = paper.RED
    told = [rule for rule, _ in found(paper.saved([Scanner().scan(page, 200)], 200))]
    assert "confirmation-seal-missing" in told


@pytest.mark.slow
@pytest.mark.parametrize("first", range(5))
def test_generated_scans_are_read_back_with_few_errors(first: int) -> None:
    """A third of the five hundred; `python -m tests.torture scans` reads all."""
    assert not mistakes(range(first * 3, 500, 15))


def mistakes(seeds: Sequence[int]) -> list[str]:
    """What is wrong with the rates over generated scans: codes and marks missed, or seen where there is nothing."""
    pages = {dpi: paper.printed(form(), dpi)[0] for dpi in (150, 200, 300)}
    count: Counter[tuple[str, str, bool, bool]] = Counter()
    missed = 0
    for seed in seeds:
        rand = Random(seed)
        dpi, mode = rand.choice((150, 200, 200, 300)), rand.choice(("rgb", "rgb", "grey", "bw"))
        wanted = {name: rand.random() < 0.5 for name in ("manager", "head", "seal")}
        picture = _filled_in(pages[dpi].copy(), dpi, wanted, rand, seed)
        scanner = Scanner(
            rand.uniform(-5, 5), rand.randrange(4), mode, rand.uniform(2, 12), rand.uniform(0.4, 1.4),
            rand.randint(30, 85), rand.uniform(0, 0.2), rand.randint(215, 250), seed,
        )  # fmt: skip
        seen = _read_back(scanner.scan(picture, dpi), dpi)
        missed += seen is None
        for name, there in wanted.items():
            count[name, mode, there, name in (seen or ())] += 1
    most = max(1, 3 * len(seeds) // 50)
    wrong = {name: sum(n for key, n in count.items() if key[0] == name and key[2] != key[3]) for name in wanted}
    false_seals = count["seal", "grey", False, True] + count["seal", "bw", False, True]
    coloured = [there == told for name, mode, there, told in count if (name, mode) == ("seal", "rgb")]
    rules = {
        "code": missed == 0,
        "manager": wrong["manager"] <= most,
        "head": wrong["head"] <= most,
        "seal in colour": all(coloured),
        "seal without colour": false_seals <= max(1, len(seeds) // 50),
    }
    return [f"{rule}: {sorted(count.items())}, {missed} codes missed" for rule, held in rules.items() if not held]


def _filled_in(page: paper.Picture, dpi: int, wanted: dict[str, bool], rand: Random, seed: int) -> paper.Picture:
    ink = rand.choice([(60, 30, 30), (40, 40, 40), (140, 50, 30), (90, 90, 90), (150, 80, 60)])
    size = rand.uniform(15, 30), rand.uniform(6, 11)
    if wanted["manager"]:
        page = paper.signed(page, dpi, (rand.uniform(60, 125), rand.uniform(208, 220)), seed, ink, size)
    if wanted["head"]:
        page = paper.signed(page, dpi, (rand.uniform(45, 90), rand.uniform(240, 262)), seed + 1, ink, size)
    if rand.random() < 0.5:  # the dates
        page = paper.signed(page, dpi, (148, 225), seed + 2, ink, (8, 4))
        page = paper.signed(page, dpi, (149, 266), seed + 3, ink, (7, 4))
    if not wanted["seal"]:
        return page
    return paper.stamped(
        page, dpi, (rand.uniform(95, 165), rand.uniform(248, 268)), radius=rand.choice((19, 20, 21, 22.5)),
        strength=rand.uniform(0.35, 0.9), seed=seed,
        colour=(rand.randint(30, 110), rand.randint(30, 110), rand.randint(190, 235)),
    )  # fmt: skip


def _read_back(picture: paper.Picture, dpi: int) -> set[str] | None:
    from exchanged.form import ink, read

    page = read.find(picture, dpi)
    if page is None:
        return None
    marks = ink.marks(picture, page.place)
    return {*marks.signed, *(["seal"] if marks.sealed else [])}
