"""The seal stage with the real child process and real gpg: what was validated is what is sealed, or nothing is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from exchanged import disk, standard
from exchanged.batch import Checks, Limits, Parcel
from exchanged.errors import Held, NotYet
from exchanged.sandbox import Bounds, Sandbox
from exchanged.sealing import package
from exchanged.sealing.gnupg import Gnupg
from exchanged.sealing.package import Contents
from exchanged.stages.seal import seal
from tests.support.gpghome import Keyring
from tests.support.records import records, write_csv

CHECKS = Checks(today=date.today().isoformat())


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


@dataclass(frozen=True)
class Batch:
    """A validated batch as the stage gets it."""

    contents: Contents
    sources: list[Path]
    scan: Path
    target: Path

    def seal(self, keyring: Keyring, sandbox: Sandbox, gnupg: Gnupg | None = None) -> Parcel:
        sealing = gnupg or keyring.sender()
        return seal(self.contents, self.sources, self.scan, sealing, sandbox, CHECKS, self.target)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Two spreadsheets, kept under names of our own, and a scan."""
    from exchanged import checking

    spool, out = tmp_path / "spool", tmp_path / "out"
    spool.mkdir()
    out.mkdir()
    rows = records(100, seed=1)
    sources = [write_csv(spool / "1", rows[:30]), write_csv(spool / "2", rows[30:], "gb18030")]
    names = ["一月.csv", "二月.csv"]
    scan = spool / "scan"
    scan.write_bytes(b"%PDF-1.7\n" + os.urandom(200_000))
    with sources[0].open("rb") as first, sources[1].open("rb") as second:
        checked = checking.check(list(zip(names, (first, second), strict=True)), CHECKS).to_dict()
    assert checked["verdict"] == "valid"
    contents = Contents(
        batch="jx-20260101-1",
        unit_code="jx",
        unit_name="江西",
        title="一月",
        data_type="新增",
        created="2026-01-01T00:00:00+08:00",
        rows=checked["rows"],
        digest=checked["digest"],
        table_bytes=checked["bytes"],
        scan_sha256=disk.sha256(scan),
        scan_bytes=scan.stat().st_size,
        counts=[],
        warnings={},
        catalogue="2021",
        form_code=False,
        source=[
            {"name": name, "sha256": disk.sha256(path), "rows": number}
            for name, path, number in zip(names, sources, (30, 70), strict=True)
        ],
        previous=None,
        ledger_head="0" * 64,
        software="exchanged",
    )
    return Batch(contents, sources, scan, out / "jx-20260101-1.pgp")


def test_the_other_side_gets_the_validated_table_and_the_scan(
    batch: Batch, keyring: Keyring, sandbox: Sandbox, tmp_path: Path
) -> None:
    parcel = batch.seal(keyring, sandbox)
    report = package.open_package(Path(parcel.path), keyring.receiver(), tmp_path / "opened", [keyring.signer])
    assert report["digest"] == batch.contents.digest
    assert report["rows"] == 100
    table = (tmp_path / "opened" / "certificates.csv").read_bytes()
    assert "sha256:" + hashlib.sha256(table).hexdigest() == batch.contents.digest
    assert (tmp_path / "opened" / "confirmation.pdf").read_bytes() == batch.scan.read_bytes()
    assert (parcel.bytes, parcel.sha256) == (batch.target.stat().st_size, disk.sha256(batch.target))


def test_plain_gpg_and_tar_are_enough(batch: Batch, keyring: Keyring, sandbox: Sandbox, tmp_path: Path) -> None:
    path = batch.seal(keyring, sandbox).path
    command = f"gpg --homedir {keyring.national.path} --batch -d {path} 2>/dev/null | tar -xzv"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.split() == [b"manifest.json", b"certificates.csv", b"confirmation.pdf"]
    assert json.loads((tmp_path / "manifest.json").read_text())["unit"]["code"] == "jx"


def test_no_plaintext_and_no_other_file_is_left(
    batch: Batch, keyring: Keyring, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    batch.seal(keyring, sandbox)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {batch.target}


def test_a_source_changed_since_validation_is_held(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    write_csv(batch.sources[0], records(30, seed=3))
    with pytest.raises(Held, match=r"sealing\.content_changed"):
        batch.seal(keyring, sandbox)
    assert list(batch.target.parent.iterdir()) == []


def test_a_source_with_one_row_less_is_held(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    write_csv(batch.sources[0], records(100, seed=1)[:29])
    with pytest.raises(Held, match=r"sealing\.content_changed"):
        batch.seal(keyring, sandbox)
    assert list(batch.target.parent.iterdir()) == []


def test_a_scan_changed_since_it_was_checked_is_held(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    content = bytearray(batch.scan.read_bytes())
    content[-1] ^= 1
    batch.scan.write_bytes(content)
    with pytest.raises(Held, match=r"sealing\.content_changed"):
        batch.seal(keyring, sandbox)
    assert list(batch.target.parent.iterdir()) == []


def test_a_revoked_key_stops_before_the_sources_are_read(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    keyring.unit.revoke(keyring.signer)
    batch.sources[0].write_bytes(b"would be noticed if it were read")
    with pytest.raises(NotYet, match=r"sealing\.signer_revoked"):
        batch.seal(keyring, sandbox)
    assert list(batch.target.parent.iterdir()) == []


def test_gpg_that_fails_half_way_is_told_by_its_own_reason(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    key = keyring.unit.make("Locked", passphrase="right")
    keyring.unit.kill()
    gnupg = Gnupg(keyring.unit.path, key, (keyring.recipient,), lambda: "wrong")
    with pytest.raises(NotYet, match=r"sealing\.passphrase_wrong"):
        batch.seal(keyring, sandbox, gnupg)
    assert list(batch.target.parent.iterdir()) == []


def test_a_table_that_takes_too_long_waits(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    big = write_csv(batch.sources[0], records(20_000, seed=4))
    source = [{**batch.contents.source[0]}, {**batch.contents.source[1]}]
    contents = replace(batch.contents, source=source, table_bytes=big.stat().st_size * 2)
    bounds = Bounds(memory=2 << 30, cpu=60, wall=0.01)
    with pytest.raises(NotYet) as problem:
        seal(contents, batch.sources, batch.scan, keyring.sender(), sandbox, CHECKS, batch.target, bounds=bounds)
    assert (problem.value.code, problem.value.facts["cause"]) == ("sealing.table_failed", "time")
    assert list(batch.target.parent.iterdir()) == []


def test_a_parcel_that_was_not_recorded_is_written_anew(batch: Batch, keyring: Keyring, sandbox: Sandbox) -> None:
    first = batch.seal(keyring, sandbox)
    second = batch.seal(keyring, sandbox)
    assert first.path == second.path
    assert disk.sha256(batch.target) == second.sha256 != first.sha256


def test_catalogues_of_the_operator_can_be_read_by_the_child(
    batch: Batch, keyring: Keyring, sandbox: Sandbox, tmp_path: Path
) -> None:
    extra = tmp_path / "extra.csv"
    extra.write_bytes((Path(standard.__file__).parent / "data" / "catalogue-2021.csv").read_bytes())
    checks = replace(CHECKS, catalogues=(str(extra),), limits=Limits())
    seal(batch.contents, batch.sources, batch.scan, keyring.sender(), sandbox, checks, batch.target)
    assert batch.target.is_file()
