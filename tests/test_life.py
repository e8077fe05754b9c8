"""A batch's life, from the drop folder to the server and back to an empty disk."""

from __future__ import annotations

import hashlib
import json

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
