"""The inside of a package: any tar opens it, the manifest and the content agree, anything else is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged.errors import IntegrityFailure, NotYet
from exchanged.sealing import package
from exchanged.sealing.package import Contents
from tests.support.gpghome import Keyring

TABLE = "姓名,性别\r\n".encode() + "欧阳·娜,2\r\n".encode() * 1000
SCAN = b"%PDF-1.7\n" + os.urandom(100_001)
SEALED_AT = 1_767_225_600.9


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


CONTENTS = Contents(
    batch="jx-20260101-1",
    unit_code="jx",
    unit_name="江西省职业技能鉴定指导中心",
    title="一月",
    data_type="新增",
    created="2026-01-01T00:00:00+08:00",
    rows=1000,
    digest="sha256:" + sha256(TABLE),
    table_bytes=len(TABLE),
    scan_sha256=sha256(SCAN),
    scan_bytes=len(SCAN),
    counts=[{"qualification": "焊工", "direction": "电焊工", "level": "4", "count": 1000}],
    warnings={"seal-missing": 1},
    catalogue="2021",
    form_code=True,
    source=[{"name": "一月.xlsx", "sha256": "0" * 64, "rows": 1000}],
    previous=None,
    ledger_head="1" * 64,
    software="exchanged 0.1.0",
)


def inside(contents: Contents = CONTENTS, table: bytes = TABLE, scan: bytes = SCAN) -> bytes:
    """The packed inside of a package, before sealing."""
    out = io.BytesIO()
    pieces = [table[at : at + 777] for at in range(0, len(table), 777)]
    manifest = package.manifest(contents)
    package.pack(out, manifest, pieces, contents.table_bytes, io.BytesIO(scan), contents.scan_bytes, SEALED_AT)
    return out.getvalue()


def sealed(keyring: Keyring, folder: Path, content: bytes) -> Path:
    def write(pipe: int) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(pipe, view) :]

    target = folder / "jx-20260101-1.pgp"
    keyring.sender().seal(write, target)
    return target


def test_the_manifest_has_the_documented_keys_in_order() -> None:
    document = json.loads(package.manifest(CONTENTS))
    assert list(document) == [
        *("format", "batch", "unit", "title", "data_type", "created", "files", "rows", "digest", "counts"),
        *("warnings", "catalogue", "form_code", "source", "previous", "ledger_head", "software"),
    ]
    assert document["format"] == "exchanged-package/1"
    assert document["unit"] == {"code": "jx", "name": "江西省职业技能鉴定指导中心"}
    assert document["files"] == [
        {"name": "certificates.csv", "bytes": len(TABLE), "sha256": sha256(TABLE)},
        {"name": "confirmation.pdf", "bytes": len(SCAN), "sha256": sha256(SCAN)},
    ]
    assert document["digest"] == "sha256:" + sha256(TABLE)


def test_the_manifest_of_a_correction_ends_with_what_it_corrects() -> None:
    corrects = [{"batch": "jx-20251201-1", "records": [1, 1000]}, {"batch": "jx-20251215-1", "records": [7]}]
    document = json.loads(package.manifest(replace(CONTENTS, corrects=corrects)))
    assert list(document)[:-1] == list(json.loads(package.manifest(CONTENTS)))
    assert (list(document)[-1], document["corrects"]) == ("corrects", corrects)
    assert json.loads(package.manifest(replace(CONTENTS, corrects=[])))["corrects"] == []


def test_any_tar_opens_it_and_finds_the_files_in_order_without_an_owner(tmp_path: Path) -> None:
    (tmp_path / "inside.tar.gz").write_bytes(inside())
    listed = subprocess.run(
        ["tar", "-tzvf", "inside.tar.gz", "--numeric-owner"], cwd=tmp_path, capture_output=True, check=True
    )
    lines = [line.split() for line in listed.stdout.decode().splitlines()]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        ("-rw-------", "0/0", name) for name in ("manifest.json", "certificates.csv", "confirmation.pdf")
    ]
    assert listed.stderr == b""
    with tarfile.open(tmp_path / "inside.tar.gz") as archive:
        assert {member.mtime for member in archive} == {int(SEALED_AT)}


def test_gzip_names_the_time_of_sealing_and_no_file() -> None:
    packed = inside()
    assert packed[:4] == b"\x1f\x8b\x08\x00"
    assert int.from_bytes(packed[4:8], "little") == int(SEALED_AT)


def test_the_same_content_and_time_give_the_same_bytes() -> None:
    assert inside() == inside()


def test_packing_tells_the_digest_of_the_table() -> None:
    manifest = package.manifest(CONTENTS)
    told = package.pack(io.BytesIO(), manifest, [TABLE], len(TABLE), io.BytesIO(SCAN), len(SCAN), SEALED_AT)
    assert told == sha256(TABLE)


@pytest.mark.parametrize(
    ("table", "scan"),
    [
        (TABLE + b"x", SCAN),
        (TABLE[:-1], SCAN),
        (TABLE[:-3] + b"1\r\n", SCAN),
        (TABLE, SCAN + b"x"),
        (TABLE, SCAN[:-1]),
        (TABLE, SCAN[:-1] + b"\0\1"[SCAN[-1] == 0 :][:1]),
        (b"", SCAN),
    ],
)
def test_what_is_not_what_the_manifest_says_is_not_packed(table: bytes, scan: bytes) -> None:
    with pytest.raises(package.Changed):
        inside(table=table, scan=scan)


def test_plain_gpg_and_tar_open_a_package(keyring: Keyring, tmp_path: Path) -> None:
    path = sealed(keyring, tmp_path, inside())
    packed = keyring.national.plain(path)
    subprocess.run(["tar", "-xzf", "-"], cwd=tmp_path, input=packed, check=True)
    assert (tmp_path / "certificates.csv").read_bytes() == TABLE
    assert (tmp_path / "confirmation.pdf").read_bytes() == SCAN
    assert json.loads((tmp_path / "manifest.json").read_bytes())["batch"] == "jx-20260101-1"


def test_an_opened_package_is_the_three_files_and_a_report(keyring: Keyring, tmp_path: Path) -> None:
    path = sealed(keyring, tmp_path, inside())
    report = package.open_package(path, keyring.receiver(), tmp_path / "out", [keyring.signer])
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == sorted(package.MEMBERS)
    assert (tmp_path / "out" / "certificates.csv").read_bytes() == TABLE
    assert (tmp_path / "out" / "confirmation.pdf").read_bytes() == SCAN
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "out").iterdir()} == {0o600}
    assert (report["batch"], report["signer"], report["rows"]) == ("jx-20260101-1", keyring.signer, 1000)
    assert report["package_sha256"] == sha256(path.read_bytes())
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize("corrects", [[], [{"batch": "jx-1", "records": [1, 1000]}, {"batch": "jx-2", "records": [2]}]])
def test_a_correction_is_opened(keyring: Keyring, tmp_path: Path, corrects: list[dict[str, Any]]) -> None:
    path = sealed(keyring, tmp_path, inside(replace(CONTENTS, corrects=corrects)))
    report = package.open_package(path, keyring.receiver(), tmp_path / "out", [keyring.signer])
    assert report["manifest"]["corrects"] == corrects


def test_nothing_is_opened_over_what_lies_there(keyring: Keyring, tmp_path: Path) -> None:
    path = sealed(keyring, tmp_path, inside())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "certificates.csv").write_text("of another batch")
    with pytest.raises(NotYet, match=r"package\.target_exists"):
        package.open_package(path, keyring.receiver(), tmp_path / "out", [keyring.signer])
    assert (tmp_path / "out" / "certificates.csv").read_text() == "of another batch"


def test_by_default_only_the_configured_signer_is_trusted(keyring: Keyring, tmp_path: Path) -> None:
    path = sealed(keyring, tmp_path, inside())
    with pytest.raises(IntegrityFailure, match=r"package\.signer_untrusted"):
        package.open_package(path, keyring.receiver(), tmp_path / "out")


Member = tuple[str, bytes, bytes]


def archive(*members: Member) -> bytes:
    """A gzip-compressed tar of these members (name, content, type)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


REG = tarfile.REGTYPE


def members(manifest: bytes | None = None, table: bytes = TABLE, scan: bytes = SCAN) -> list[Member]:
    return [
        ("manifest.json", package.manifest(CONTENTS) if manifest is None else manifest, REG),
        ("certificates.csv", table, REG),
        ("confirmation.pdf", scan, REG),
    ]


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(package.manifest(CONTENTS))
    change(document)
    return archive(*members(json.dumps(document).encode()))


def with_corrects(*corrects: Any) -> bytes:
    return with_manifest(lambda it: it.update(corrects=list(corrects)))


def correcting(batch: Any = "jx-20251201-1", records: Any = (1, 2)) -> dict[str, Any]:
    return {"batch": batch, "records": list(records) if isinstance(records, tuple) else records}


GOOD = members()
WRONG: dict[str, tuple[str, bytes]] = {
    "a member too many": ("members", archive(*GOOD, ("evil.sh", b"x", REG))),
    "a member missing": ("members", archive(*GOOD[:2])),
    "another order": ("members", archive(GOOD[1], GOOD[0], GOOD[2])),
    "a member twice": ("members", archive(GOOD[0], GOOD[1], GOOD[1], GOOD[2])),
    "a way out of the folder": ("members", archive(("../manifest.json", b"x", REG), *GOOD[1:])),
    "a symbolic link": ("members", archive(GOOD[0], ("certificates.csv", b"", tarfile.SYMTYPE), GOOD[2])),
    "a hard link": ("members", archive(GOOD[0], ("certificates.csv", b"", tarfile.LNKTYPE), GOOD[2])),
    "a device": ("members", archive(GOOD[0], ("certificates.csv", b"", tarfile.CHRTYPE), GOOD[2])),
    "something after the archive": ("members", inside() + gzip.compress(b"more")),
    "rubbish after the archive": ("members", inside() + b"more"),
    "a cut-off archive": ("archive", inside()[:-2000]),
    "no archive": ("archive", os.urandom(4000)),
    "an empty file": ("archive", b""),
    "no tar": ("archive", gzip.compress(b"x" * 5000)),
    "another table": ("files", archive(*members(table=TABLE[:-3] + b"1\r\n"))),
    "another scan": ("files", archive(*members(scan=SCAN[:-1]))),
    "no JSON": ("manifest", archive(*members(b"{"))),
    "JSON that is no object": ("manifest", archive(*members(b"[1]"))),
    "another format": ("manifest", with_manifest(lambda it: it.update(format="exchanged-package/2"))),
    "a key too many": ("manifest", with_manifest(lambda it: it.update(more=1))),
    "a key missing": ("manifest", with_manifest(lambda it: it.pop("rows"))),
    "another digest": ("digest", with_manifest(lambda it: it.update(digest="sha256:" + "0" * 64))),
    "another number of rows": ("digest", with_manifest(lambda it: it.update(rows=999))),
    "a correction of itself": ("corrects", with_corrects(correcting("jx-20260101-1"))),
    "a correction by no record": ("corrects", with_corrects(correcting(records=()))),
    "a correction by record 0": ("corrects", with_corrects(correcting(records=(0, 1)))),
    "a correction by a record that is not there": ("corrects", with_corrects(correcting(records=(1000, 1001)))),
    "a correction by records out of order": ("corrects", with_corrects(correcting(records=(2, 1)))),
    "a record that corrects a batch twice": ("corrects", with_corrects(correcting(records=(1, 1)))),
    "a record that corrects two batches": ("corrects", with_corrects(correcting(), correcting("jx-2", (2,)))),
    "a batch corrected twice": ("corrects", with_corrects(correcting(), correcting(records=(3,)))),
    "records that are no numbers": ("corrects", with_corrects(correcting(records=("1",)))),
    "records that are true": ("corrects", with_corrects(correcting(records=(True,)))),
    "records that are no list": ("corrects", with_corrects(correcting(records="12"))),
    "a batch that is no name": ("corrects", with_corrects(correcting(batch=7))),
    "a correction with more to say": ("corrects", with_corrects({**correcting(), "more": 1})),
    "a correction that is no mapping": ("corrects", with_corrects("jx-20251201-1")),
    "a correction without a batch": ("corrects", with_corrects({"records": [1]})),
    "corrections that are no list": ("corrects", with_manifest(lambda it: it.update(corrects={}))),
    "corrections in another place": (
        "manifest",
        archive(*members(json.dumps({"corrects": []} | json.loads(package.manifest(CONTENTS))).encode())),
    ),
    "files that are no list": ("manifest", with_manifest(lambda it: it.update(files=7))),
    "no files": ("files", with_manifest(lambda it: it.update(files=[]))),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_signed_package_with_a_wrong_inside_gives_nothing(keyring: Keyring, tmp_path: Path, case: str) -> None:
    part, content = WRONG[case]
    path = sealed(keyring, tmp_path, content)
    with pytest.raises(IntegrityFailure) as problem:
        package.open_package(path, keyring.receiver(), tmp_path / "out", [keyring.signer])
    assert (problem.value.code, problem.value.facts["part"]) == ("package.content_wrong", part)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_gnu_tar_and_gzip_made_is_good_too(keyring: Keyring, tmp_path: Path) -> None:
    for name, content, _ in GOOD:
        (tmp_path / name).write_bytes(content)
    made = subprocess.run(
        ["tar", "-cz", "--format=ustar", *(name for name, *_ in GOOD)], cwd=tmp_path, capture_output=True, check=True
    )
    path = sealed(keyring, tmp_path, made.stdout)
    report = package.open_package(path, keyring.receiver(), tmp_path / "out", [keyring.signer])
    assert report["rows"] == 1000


def test_an_empty_scan_and_a_table_without_rows_round_trip(keyring: Keyring, tmp_path: Path) -> None:
    table = b"a\r\n"
    contents = replace(
        CONTENTS, rows=0, digest="sha256:" + sha256(table), table_bytes=3, scan_bytes=0, scan_sha256=sha256(b"")
    )
    path = sealed(keyring, tmp_path, inside(contents, table, b""))
    assert package.open_package(path, keyring.receiver(), tmp_path / "out", [keyring.signer])["rows"] == 0
