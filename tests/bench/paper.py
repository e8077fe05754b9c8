"""What it costs to draw a form, and to judge a scanned page of it, in the confined child."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from exchanged.form.write import Form
from exchanged.sandbox import Sandbox
from exchanged.stages import confirm, form
from tests.bench.measure import forked, here, line, rounds, title
from tests.support import paper
from tests.support.paper import Scanner

DIGEST = "sha256:" + "0123456789abcdef" * 4
FORM = Form(
    unit="测试中心", head="甲", information_manager="乙", title="一月", date="2026-11-26", data_type="新增",
    counts=[("电工", "4", 120), ("保安员", "5", 80)], batch="jx-20261126-0123456789", digest=DIGEST, rows=200,
)  # fmt: skip


def run(folder: Path, count: int) -> None:
    """Measure and print."""
    title("the form, and a signed and stamped page of it, scanned askew")
    with Sandbox() as box:
        content = form.drawn(FORM, None, box)
        line("form drawn, in the child", f"{_wall(box, count) * 1000:.0f} ms", "")
    for dpi, mode in ((150, "grey"), (200, "rgb"), (300, "grey"), (600, "bw")):
        scan = folder / "scan.pdf"
        scan.write_bytes(paper.confirmed(content, dpi, Scanner(2.0, 1, mode)))
        cost = rounds(count, {"scan": partial(forked, partial(_judge, scan))})["scan"]
        line(f"page judged, {dpi} dpi, {mode}", f"{cost.cpu * 1000:.0f} ms CPU", "target under 1000 ms at 200 dpi")


def _wall(box: Sandbox, count: int) -> float:
    return rounds(count, {"form": partial(here, partial(form.drawn, FORM, None, box))})["form"].wall


def _judge(scan: Path) -> None:
    with scan.open("rb") as file:
        found = confirm.judge(confirm.examine(file), confirm.Table(DIGEST, 200))
    if any(one["rule"] == "confirmation-code-missing" for one in found):
        raise RuntimeError("the code was not found")
