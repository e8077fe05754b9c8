"""Corrections and screening in the daemon: from the drop folder to manifest, evidence and what the operator sees."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support import scans
from tests.support.awards import Cert
from tests.support.records import csv_text
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("warm")

ONE, TWO, THREE = (Cert(person=n, serial=n + 1) for n in range(3))
QUIET = {"deadline-missed": "off", "confirmation-code-missing": "off"}


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"}, standard={"severity": QUIET})


def changed(cert: Cert, version: int = 1) -> Cert:
    return replace(cert, centre=version)


def drop(world: World, name: str, *certs: Cert, scan: bool = True) -> None:
    world.put(f"{name}.csv", csv_text(cert.row() for cert in certs).encode())
    if scan:
        world.put(f"{name}.pdf", scans.scan())


def take(world: World, name: str, *certs: Cert, scan: bool = True) -> dict[str, Any]:
    """Drop a batch and do all that can be done; gives that batch as `once` tells it."""
    drop(world, name, *certs, scan=scan)
    return named(world.once(), name)


def named(done: dict[str, Any], name: str) -> dict[str, Any]:
    (batch,) = [one for one in done["batches"] if one["stem"] == name.rpartition("/")[2]]
    return batch


def manifest(world: World, batch: str) -> dict[str, Any]:
    return dict(json.loads(world.delivered()[batch]["manifest.json"]))


def test_the_manifest_of_a_correction_says_last_what_each_record_corrects(world: World) -> None:
    first = take(world, "一月", ONE, TWO)["batch"]
    second = take(world, "二月", THREE)["batch"]
    correction = take(world, "更正/三月", changed(THREE), changed(ONE), changed(TWO))
    assert correction["state"] == "closed", world.log
    document = manifest(world, correction["batch"])
    assert list(document)[-2:] == ["software", "corrects"]
    assert document["corrects"] == [{"batch": first, "records": [2, 3]}, {"batch": second, "records": [1]}]
    assert list(manifest(world, first))[-1] == "software", "other batches have the keys of the contract"
    ranges = [{"batch": first, "records": "2-3"}, {"batch": second, "records": "1"}]
    shown = world.ask("show", correction["batch"])
    assert shown["facts"]["corrects"] == ranges
    assert f"{first} (2-3); {second} (1)" in world.run("show", correction["batch"]).stdout
    evidence = json.loads((world.state / "evidence" / f"{correction['batch']}.json").read_text())
    assert evidence["corrects"] == ranges
    assert "corrects" not in json.loads((world.state / "evidence" / f"{first}.json").read_text())
    assert world.ask("audit")["ok"]


def test_the_receiver_opens_a_correction_and_reads_what_it_corrects(world: World) -> None:
    first = take(world, "一月", ONE)["batch"]
    correction = take(world, "更正/一月", changed(ONE))["batch"]
    world.config["sealing"] |= {"gnupg_home": str(world.national.path)}
    world.configure()
    opened = world.run("open", str(world.inbox / f"{correction}.pgp"), "-o", str(world.root / "out"), "--json")
    assert opened.returncode == 0, opened.stderr
    assert json.loads(opened.stdout)["manifest"]["corrects"] == [{"batch": first, "records": [1]}]


def test_what_a_correction_corrects_outlives_a_restart_before_sealing(world: World) -> None:
    first = take(world, "一月", ONE)["batch"]
    waiting = take(world, "更正/一月", changed(ONE), scan=False)
    assert waiting["state"] == "validated"
    assert world.ask("show", waiting["batch"])["facts"]["corrects"] == [{"batch": first, "records": "1"}]
    world.put("更正/一月.pdf", scans.scan())
    assert named(world.once(), "一月")["state"] == "closed", world.log
    assert manifest(world, waiting["batch"])["corrects"] == [{"batch": first, "records": [1]}]


def test_a_correction_is_not_sent_before_what_it_corrects(world: World) -> None:
    first = take(world, "一月", ONE, scan=False)["batch"]
    early = take(world, "更正/二月", changed(ONE))
    assert (early["state"], early["reason"]) == ("confirmed", "correction.waiting")
    assert first in world.run("status").stdout
    world.put("一月.pdf", scans.scan())
    done = world.once()
    assert [named(done, stem)["state"] for stem in ("一月", "二月")] == ["closed", "closed"], world.log
    order = [event["time"] for name in (first, early["batch"]) for event in world.ask("show", name)["events"]
             if event["event"] == "batch.delivered"]  # fmt: skip
    assert order == sorted(order)
    assert manifest(world, early["batch"])["corrects"] == [{"batch": first, "records": [1]}]


def test_a_correction_whose_batch_was_withdrawn_waits_for_the_operator(world: World) -> None:
    kept = take(world, "一月", TWO)["batch"]
    gone = take(world, "二月", ONE, scan=False)["batch"]
    correction = take(world, "更正/三月", changed(ONE), changed(TWO))["batch"]
    assert world.run("withdraw", gone, "--reason", "wrong month").returncode == 0
    world.once()
    held = world.ask("show", correction)
    assert (held["state"], held["reason"]) == ("held", "correction.changed")
    assert held["reason_facts"] == {"other": gone}
    assert world.run("release", correction).returncode == 0
    assert named(world.once(), "三月")["state"] == "closed", world.log
    assert manifest(world, correction)["corrects"] == [{"batch": kept, "records": [2]}]
    assert world.ask("show", correction)["facts"]["corrects"] == [{"batch": kept, "records": "2"}]


def test_a_batch_replaced_while_its_correction_waits_holds_the_correction(world: World) -> None:
    take(world, "一月", ONE, scan=False)
    take(world, "更正/二月", changed(ONE))
    drop(world, "一月", TWO, scan=False)
    assert named(world.once(), "二月")["reason"] == "correction.changed"


def test_all_that_is_wrong_with_a_batch_is_told_at_once(world: World) -> None:
    first = take(world, "一月", ONE, TWO)["batch"]
    rejected = take(world, "二月", ONE, replace(THREE, wrong="姓名"), Cert(person=8, serial=300))
    assert (rejected["state"], rejected["reason"]) == ("rejected", "already-reported")
    report = json.loads((world.rejected / rejected["batch"] / "report.json").read_text())
    assert [(one["rule"], one["row"], one["file"]) for one in report["findings"]] == [
        ("already-reported", 2, "二月.csv"),
        ("required", 3, "二月.csv"),
        ("serial-gap", 4, "二月.csv"),
    ]
    assert report["findings"][0]["message"] == f"reported before (batch {first})"
    assert report["summary"] == {
        "error": 2, "warn": 1, "by_rule": {"required": 1, "already-reported": 1, "serial-gap": 1},
    }  # fmt: skip
    assert report["verdict"] == "invalid"
    again = take(world, "三月", THREE, Cert(person=8, serial=300))
    assert again["state"] == "closed", "a batch that was rejected has entered nothing"


def test_a_batch_of_several_files_names_file_and_sheet(world: World) -> None:
    take(world, "一月", ONE, TWO)
    for name, cert in (("甲", THREE), ("乙", TWO)):
        world.put(f"二月/{name}.csv", csv_text([cert.row()]).encode())
    world.put("二月/扫描.pdf", scans.scan())
    rejected = named(world.once(), "二月")
    report = json.loads((world.rejected / rejected["batch"] / "report.json").read_text())
    assert [(one["file"], one["row"]) for one in report["findings"]] == [("乙.csv", 2)]


@pytest.mark.parametrize("severity", ["error", "hold", "warn", "off"])
def test_screening_asks_the_history_and_weighs_what_is_configured(world: World, severity: str) -> None:
    world.configure(standard={"severity": {**QUIET, "level-jump": severity}})
    take(world, "一月", Cert(level=5))
    batch = take(world, "二月", Cert(level=3, day=9))
    if severity == "error":
        assert (batch["state"], batch["reason"]) == ("rejected", "level-jump")
        assert "level rises too fast" in (world.rejected / batch["batch"] / "report.html").read_text()
        return
    if severity == "hold":
        assert (batch["state"], batch["reason"]) == ("held", "finding.hold")
        assert world.run("release", batch["batch"]).returncode == 0
        assert named(world.once(), "二月")["state"] == "closed"
    warnings = manifest(world, batch["batch"])["warnings"]
    assert warnings == ({} if severity == "off" else {"level-jump": 1})


def test_the_thresholds_are_those_of_the_configuration(world: World) -> None:
    world.configure(standard={"severity": QUIET, "thresholds": {"serial-gap": 300}})
    take(world, "一月", ONE)
    assert manifest(world, take(world, "二月", Cert(person=1, serial=302))["batch"])["warnings"] == {}
    assert manifest(world, take(world, "三月", Cert(person=2, serial=604))["batch"])["warnings"] == {"serial-gap": 1}
