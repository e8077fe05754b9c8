"""What the operator decides, and what happens when the world outside is not there."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from exchanged import config
from exchanged.engine import Engine
from exchanged.standard.tables import DATA
from tests.support import records
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def one(done: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    (batch,) = done["batches"]
    return batch


def complete(world: World) -> None:
    world.sheet("一月", 5)
    world.scan("一月")


def test_a_server_that_is_down_delays_the_batch_and_loses_nothing(world: World) -> None:
    world.server.stop()
    complete(world)
    done = world.run("once", "--json")
    assert done.returncode == 3
    batch = one(json.loads(done.stdout))
    assert (batch["state"], batch["reason"]) == ("sealed", "delivery.unreachable")
    assert "next_attempt" in world.ask("show", batch["batch"])
    world.server.start()
    assert world.once()["pending"] == 1, "the next try is in a minute"
    assert world.run("retry", batch["batch"]).returncode == 0
    assert one(world.once())["state"] == "closed"


def test_a_changed_host_key_stops_delivery_and_shows_both(world: World) -> None:
    other = world.server.host_key.split()[0] + " AAAAC3NzaC1lZDI1NTE5AAAAIGF2b2lkIHRoZSByZWFsIGtleSBpbiB0aGlzIHRlc3Qh"
    world.configure(delivery={"host_keys": [other]})
    complete(world)
    batch = one(world.once())
    assert batch["reason"] == "delivery.host_key_mismatch"
    facts = world.ask("show", batch["batch"])["reason_facts"]
    assert facts["expected"].split()[-1].startswith("SHA256:")
    assert facts["offered"].split()[-1].startswith("SHA256:")
    assert list(world.inbox.iterdir()) == []


def test_a_foreign_file_of_the_same_name_is_never_overwritten(world: World) -> None:
    world.run("hold")
    complete(world)
    batch = one(world.once())
    assert batch["state"] == "sealed"
    (world.inbox / f"{batch['batch']}.pgp").write_bytes(b"foreign")
    world.run("release")
    assert one(world.once())["reason"] == "delivery.conflict"
    assert world.ask("status")["states"] == {"held": 1}
    assert (world.inbox / f"{batch['batch']}.pgp").read_bytes() == b"foreign"
    (world.inbox / f"{batch['batch']}.pgp").unlink()
    assert world.run("release", batch["batch"]).returncode == 0
    assert one(world.once())["state"] == "closed"


def test_an_altered_package_is_not_sent(world: World) -> None:
    world.run("hold")
    complete(world)
    batch = one(world.once())["batch"]
    package = world.state / "outbox" / f"{batch}.pgp"
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    world.run("release")
    assert one(world.once())["reason"] == "delivery.package_changed"
    assert list(world.inbox.iterdir()) == []


def test_an_altered_source_is_not_sealed(world: World) -> None:
    world.sheet("一月", 5)
    batch = one(world.once())["batch"]
    source = world.state / "spool" / batch / "1"
    source.write_bytes(source.read_bytes().replace("中心".encode(), "中央".encode()))
    world.scan("一月")
    assert one(world.once())["state"] == "held"
    assert list(world.inbox.iterdir()) == []


def test_a_held_batch_waits_for_the_operator(world: World) -> None:
    world.sheet("一月", 5)
    batch = one(world.once())["batch"]
    assert world.run("hold", batch).returncode == 0
    world.scan("一月")
    assert one(world.once())["state"] == "held"
    assert world.run("release", batch).returncode == 0
    assert one(world.once())["state"] == "closed"
    assert world.run("release", batch).returncode == 3


def test_findings_of_severity_hold_wait_for_a_person_who_is_told_which_they_are(world: World) -> None:
    world.configure(standard={"severity": {"name-suspicious": "hold", "certificate-number-year": "warn"}})
    rows = records.records(5)
    rows[2]["姓名"], rows[4]["姓名"] = "测试1", "测试2"
    world.put("一月.csv", records.csv_text(rows).encode())
    world.scan("一月")
    batch = one(world.once())
    assert (batch["state"], batch["reason"]) == ("held", "finding.hold")
    shown = world.ask("show", batch["batch"])
    assert shown["facts"]["held"] == [
        {"rule": "name-suspicious", "sheet": 1, "row": row, "column": "姓名"} for row in (4, 6)
    ]
    said = world.run("show", batch["batch"]).stdout
    assert "suspicious name" in said and "row 4 姓名" in said and "row 6 姓名" in said
    assert "测试1" not in said
    assert world.run("release", batch["batch"]).returncode == 0
    assert one(world.once())["state"] == "closed"


def test_a_held_batch_says_why_also_after_its_scan_has_come(world: World) -> None:
    world.sheet("一月", 5)
    batch = one(world.once())["batch"]
    assert world.run("hold", batch).returncode == 0
    world.scan("一月")
    world.once()
    shown = world.ask("show", batch)
    assert (shown["state"], shown["reason"]) == ("held", "operator.hold")
    assert world.run("release", batch).returncode == 0
    assert one(world.once())["state"] == "closed"


def test_a_withdrawn_batch_gives_the_files_back_at_once(world: World) -> None:
    world.run("hold")
    complete(world)
    batch = one(world.once())["batch"]
    assert world.run("withdraw", batch, "--reason", "wrong month").returncode == 0
    assert world.ask("show", batch)["state"] == "withdrawn"
    assert {path.name for path in (world.rejected / batch).iterdir()} >= {"一月.csv", "一月.pdf"}
    assert "took this batch back" in (world.rejected / batch / "report.html").read_text()
    assert world.left("state/spool", "state/outbox") == []
    world.run("release")
    complete(world)
    assert one(world.once())["state"] == "closed", "what was withdrawn may be reported anew"


def test_a_withdrawal_needs_a_reason_and_shows_it(world: World) -> None:
    world.sheet("一月", 5)
    batch = one(world.once())["batch"]
    assert world.run("withdraw", batch, "--reason", " ").returncode == 2
    assert world.run("withdraw", batch, "--reason", "wrong month").returncode == 0
    assert world.ask("show", batch)["note"] == "wrong month"
    assert b"wrong month" not in (world.state / "ledger.db").read_bytes()


def test_status_says_what_lies_in_the_drop_folder(world: World) -> None:
    world.scan("一月")
    world.once()
    assert world.ask("status")["drop"] == {
        "files": 0,
        "scans": 1,
        "refused": 0,
        "unreadable": 0,
        "deeper": 0,
        "ignored": 0,
    }
    assert "wait for a spreadsheet" in world.run("status").stdout


def test_status_says_by_when_the_oldest_certificate_must_be_queryable(world: World) -> None:
    days = [dt.date.today() - dt.timedelta(days=back) for back in (3, 28, 11)]
    rows = [{**row, "发证日期": day.isoformat()} for row, day in zip(records.records(3), days, strict=True)]
    world.put("一月.csv", records.csv_text(rows).encode())
    world.once()
    (deadline,) = world.ask("status")["deadlines"]
    until = (days[1] + dt.timedelta(days=30)).isoformat()
    assert deadline["query_until"] == until
    assert re.search(rf"to be queryable by +{until}", world.run("status").stdout)


def test_a_catalogue_that_went_wrong_since_makes_the_batch_wait(world: World, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text((DATA / "catalogue-2021.csv").read_text("utf-8"), "utf-8")
    world.configure(standard={"catalogues": [str(more)]}, intake={"settle": "0s"})
    engine = Engine(config.load(world.file))
    more.write_text("a,b\n1,2\n")
    world.sheet("一月")
    try:
        (batch,) = engine.once()["batches"]
    finally:
        engine.close()
    assert (batch["state"], batch["reason"]) == ("claimed", "catalogue.unusable")
    assert world.run("doctor").returncode == 78


def test_the_list_can_be_cut_to_what_is_open_and_to_the_newest(world: World) -> None:
    for seed, stem in enumerate(("一月", "二月", "三月")):
        world.sheet(stem, 3, seed=seed)
    world.scan("二月")
    world.once()

    def listed(*words: str) -> list[str]:
        return [one["stem"] for one in json.loads(world.run("list", "--json", *words).stdout)["batches"]]

    newest, older, oldest = listed()
    assert listed("--open") == [stem for stem in (newest, older, oldest) if stem != "二月"]
    assert listed("--last", "2") == [newest, older]
    assert listed("--last", "9" * 30) == [newest, older, oldest]
    assert listed("--last", "1", "--open") == [one for one in (newest, older) if one != "二月"][:1]


def test_a_delivered_batch_cannot_be_withdrawn(world: World) -> None:
    complete(world)
    batch = one(world.once())["batch"]
    assert world.run("withdraw", batch, "--reason", "late").returncode == 3


def test_the_history_of_a_certificate_can_be_traced(world: World) -> None:
    sheet = world.sheet("一月", 5).read_text()
    world.scan("一月")
    batch = one(world.once())["batch"]
    number = sheet.splitlines()[3].split(",")[4]
    found = world.ask("trace", number)
    assert [(one["batch"], one["row"], one["state"]) for one in found["history"]] == [(batch, 4, "closed")]
    assert world.ask("trace", "9999999999999999")["history"] == []


def test_an_altered_ledger_or_evidence_is_found(world: World) -> None:
    complete(world)
    batch = one(world.once())["batch"]
    assert world.run("audit").returncode == 0
    path = world.state / "evidence" / f"{batch}.json"
    good = path.read_text()
    path.write_text(good.replace('"rows": 5', '"rows": 6'))
    assert world.run("audit").returncode == 4
    path.write_text(good)
    assert world.run("audit").returncode == 0
    import sqlite3

    with sqlite3.connect(world.state / "ledger.db") as db:
        db.execute("DROP TRIGGER event_stays")
        db.execute("UPDATE event SET facts = replace(facts, '\"rows\":5', '\"rows\":6')")
    assert world.run("audit").returncode == 4


def test_a_key_that_is_gone_makes_the_batch_wait(world: World) -> None:
    away = world.unit.path.with_name(world.unit.path.name + "x")
    world.unit.kill()
    shutil.move(world.unit.path, away)
    world.unit.path.mkdir(mode=0o700)
    complete(world)
    batch = one(world.once())
    assert (batch["state"], batch["reason"]) == ("confirmed", "sealing.signer_missing")
    world.unit.kill()
    shutil.rmtree(world.unit.path)
    shutil.move(away, world.unit.path)
    world.run("retry", batch["batch"])
    assert one(world.once())["state"] == "closed"


def test_a_second_instance_is_refused(world: World) -> None:
    daemon = world.daemon()
    world.wait(lambda: b"daemon.ready" in (world.root / "log").read_bytes())
    assert world.run("once").returncode == 3
    assert world.ask("status")["daemon"]
    daemon.terminate()
    assert daemon.wait(20) == 0
    assert not world.ask("status")["daemon"]


def test_a_lost_key_or_an_older_ledger_stops_everything(world: World) -> None:
    world.sheet("一月", 5, seed=1)
    world.scan("一月")
    world.once()
    ledger, key = world.state / "ledger.db", world.state / "ledger.key"
    older, good = ledger.read_bytes(), key.read_bytes()
    world.sheet("二月", 5, seed=2)
    world.scan("二月")
    assert one(world.once())["state"] == "closed"
    world.sheet("三月", 5, seed=3)
    world.scan("三月")
    key.unlink()
    assert world.run("once").returncode == 3
    assert not key.exists(), "no new key is made beside an old ledger"
    key.write_bytes(b"x" * 32)
    key.chmod(0o600)
    assert world.run("once").returncode == 3
    key.write_bytes(good)
    latest = ledger.read_bytes()
    for damaged, status in ((older, 4), (b"", 4), (b"garbage" * 1000, 4), (latest[:8192], 4)):
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (world.state / name).unlink(missing_ok=True)
        ledger.write_bytes(damaged)
        assert world.run("once").returncode == status
        assert world.run("doctor").returncode == 3
    assert len(world.delivered()) == 2
    ledger.write_bytes(latest)
    assert one(world.once())["state"] == "closed"


def test_a_flipped_bit_is_an_integrity_failure_and_never_a_bug(world: World) -> None:
    complete(world)
    world.once()
    good = (world.state / "ledger.db").read_bytes()
    for at in range(30, len(good), len(good) // 25):
        flipped = bytearray(good)
        flipped[at] ^= 0x10
        (world.state / "ledger.db").write_bytes(flipped)
        assert world.run("audit").returncode in (0, 3, 4), at


def test_a_wrong_passphrase_is_tried_once_until_the_operator_says_so(world: World) -> None:
    signer = world.unit.make("Locked", passphrase="right")
    world.unit.give(signer, world.national)
    secret = world.root / "credentials" / "pin"
    secret.write_text("wrong")
    secret.chmod(0o600)
    world.configure(sealing={"sign_with": signer, "passphrase": "pin"})
    for number in range(3):
        world.sheet(f"第{number}批", 5, seed=number)
        world.scan(f"第{number}批")
    calls = world.root / "calls"
    wrapper = world.root / "bin"
    wrapper.mkdir()
    (wrapper / "gpg").write_text(
        f'#!/bin/sh\ncase " $* " in *" --sign "*) echo x >> {calls};; esac\nexec {shutil.which("gpg")} "$@"\n'
    )
    (wrapper / "gpg").chmod(0o755)
    path = os.environ["PATH"]
    try:
        os.environ["PATH"] = f"{wrapper}:{path}"
        world.unit.kill()
        done = world.once()
        assert {batch["reason"] for batch in done["batches"]} == {"sealing.passphrase_wrong"}
        world.once()
        assert calls.read_text().split() == ["x"], "a token would be locked after three"
        secret.write_text("right")
        world.run("retry", *(batch["batch"] for batch in done["batches"]))
        assert {batch["state"] for batch in world.once()["batches"]} == {"closed"}
    finally:
        os.environ["PATH"] = path


def test_a_slip_that_could_not_be_written_keeps_the_batch_pending(world: World) -> None:
    complete(world)
    world.receipts.rename(world.root / "away")
    done = world.once()
    assert (one(done)["state"], one(done)["reason"], done["pending"]) == ("closed", "folder.missing", 1)
    assert "A folder is missing or not mounted" in world.run("status").stdout
    (world.root / "away").rename(world.receipts)
    assert world.run("retry", one(done)["batch"]).returncode == 0
    assert world.once()["pending"] == 0
    assert len(world.left("receipts")) == 2
    assert one(world.ask("list"))["reason"] is None


def test_why_a_batch_went_back_is_told_also_when_something_was_in_the_way_later(world: World) -> None:
    world.put("一月.csv", b"x")
    (world.state / "evidence").mkdir(exist_ok=True)
    (world.state / "evidence").rename(world.root / "away")
    (world.state / "evidence").touch()
    done = world.once()
    assert (one(done)["state"], done["pending"]) == ("rejected", 1)
    (world.state / "evidence").unlink()
    (world.root / "away").rename(world.state / "evidence")
    assert world.run("retry", one(done)["batch"]).returncode == 0
    world.once()
    assert one(world.ask("list"))["reason"] == "header-missing"


def test_the_receiving_side_opens_with_its_own_configuration(world: World) -> None:
    complete(world)
    batch = one(world.once())["batch"]
    sealing = dict(world.config["sealing"])
    theirs = {"gnupg_home": str(world.national.path), "sign_with": sealing["encrypt_to"][0]}
    world.configure(sealing={**theirs, "encrypt_to": [sealing["sign_with"]]})
    package = str(world.inbox / f"{batch}.pgp")
    assert world.run("open", package, "-o", str(world.root / "out")).returncode == 0
    assert sorted(path.name for path in (world.root / "out").iterdir()) == [
        "certificates.csv", "confirmation.pdf", "manifest.json"
    ]  # fmt: skip
    other = world.run("open", package, "-o", str(world.root / "out2"), "--signer", sealing["encrypt_to"][0])
    assert other.returncode == 4
