"""A batch's life, from the drop folder to the server and back to an empty disk."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from tests.support.judge import judge
from tests.support.lives import scan, sheet
from tests.support.world import World


def test_a_sheet_and_its_scan_are_delivered_and_nothing_is_left(world: World) -> None:
    sheet, scan = world.sheet("一月", 20), world.scan("一月")
    plain, picture = sheet.read_bytes(), scan.read_bytes()
    done = world.once()
    assert [one["state"] for one in done["batches"]] == ["closed"], world.log
    assert (done["pending"], done["rejected"]) == (0, 0)
    ((batch, files),) = world.delivered().items()
    assert list(files) == ["manifest.json", "certificates.csv", "confirmation.pdf"]
    assert files["confirmation.pdf"] == picture
    manifest = json.loads(files["manifest.json"])
    assert manifest["digest"] == "sha256:" + hashlib.sha256(files["certificates.csv"]).hexdigest()
    assert manifest["source"] == [{"name": "一月.csv", "sha256": hashlib.sha256(plain).hexdigest(), "rows": 20}]
    assert batch == done["batches"][0]["batch"]
    assert world.left("drop", "rejected", "forms") == []
    assert world.left("receipts") == [f"receipts/一月.{batch}.json", f"receipts/一月.{batch}.txt"]
    assert [name for name in world.left("state") if "spool" in name or "outbox" in name] == []
    assert world.ask("audit")["ok"]


@pytest.mark.slow
def test_an_odd_environment_changes_nothing(world: World) -> None:
    """No locale, another time zone, Python told otherwise, files open to all by default: the same bytes and modes."""
    world.configure(intake={"settle": "0s"})
    files = {"一月.csv": sheet(41), "一月.pdf": scan()}
    for name, content in files.items():
        world.put(name, content)
    odd = {
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "LANG": "",
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "7",
        "PYTHONOPTIMIZE": "2",
        "PYTHONINSPECT": "",
        "PYTHONWARNINGS": "error",
        "LD_BIND_NOW": "1",
        "GNUPGHOME": "/nonexistent",
    }
    before = os.umask(0)
    try:
        done = world.run("once", "--json", env=odd)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    judge(world, {"一月": files}, log=done.stderr)
