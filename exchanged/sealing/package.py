"""What lies inside a sealed package: a manifest, the table and the scan in a gzip-compressed pax tar.

Takes   the manifest, the table in pieces, the scan; or an opened package
Gives   the same bytes for the same input and time; or the three files, compared with the manifest
Redo    packing keeps nothing; opening puts files under their names only when all of them are right
Ends    Changed when what is packed is not what the manifest says; IntegrityFailure when a package's content is not
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from exchanged import disk
from exchanged.errors import IntegrityFailure, NotYet

if TYPE_CHECKING:
    from exchanged.sealing.gnupg import Gnupg

FORMAT = "exchanged-package/1"
MANIFEST, TABLE, SCAN = "manifest.json", "certificates.csv", "confirmation.pdf"
MEMBERS = (MANIFEST, TABLE, SCAN)

_BLOCK = 1 << 20
_TAR_BLOCK = 512
_MANIFEST_LIMIT = 1 << 26
_KEYS = (
    *("format", "batch", "unit", "title", "data_type", "created", "files", "rows", "digest", "counts", "warnings"),
    *("catalogue", "form_code", "source", "previous", "ledger_head", "software"),
)
_CORRECTS = "corrects"  # stands last in the manifest of a correction, and in no other


class Changed(Exception):
    """The table or the scan is not, byte for byte, what the manifest names."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the manifest says of a batch.

    `digest` and `previous` as "sha256:<hex>", `scan_sha256` as bare hex, `created` RFC 3339; `source` holds name,
    sha256 and rows of each spreadsheet, `counts` qualification, direction, level and count; `corrects`, of a correction
    only, each earlier batch and the numbers (1 = first) of the records that correct it.
    """

    batch: str
    unit_code: str
    unit_name: str
    title: str
    data_type: str
    created: str
    rows: int
    digest: str
    table_bytes: int
    scan_sha256: str
    scan_bytes: int
    counts: Sequence[Mapping[str, Any]]
    warnings: Mapping[str, int]
    catalogue: str | None
    form_code: bool
    source: Sequence[Mapping[str, Any]]
    previous: str | None
    ledger_head: str
    software: str
    corrects: Sequence[Mapping[str, Any]] | None = None


def manifest(contents: Contents) -> bytes:
    """The manifest as UTF-8 JSON, its keys in the documented order."""
    files = [
        {"name": TABLE, "bytes": contents.table_bytes, "sha256": contents.digest.removeprefix("sha256:")},
        {"name": SCAN, "bytes": contents.scan_bytes, "sha256": contents.scan_sha256},
    ]
    unit = {"code": contents.unit_code, "name": contents.unit_name}
    named = {"format": FORMAT, "unit": unit, "files": files}
    keys = _KEYS if contents.corrects is None else (*_KEYS, _CORRECTS)
    document = {key: named[key] if key in named else getattr(contents, key) for key in keys}
    return (
        json.dumps(document, ensure_ascii=False, indent=1, default=_plain).encode("utf-8", "backslashreplace") + b"\n"
    )


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def pack(
    out: BinaryIO,
    manifest: bytes,
    table: Iterable[bytes],
    table_bytes: int,
    scan: BinaryIO,
    scan_bytes: int,
    sealed_at: float,
) -> str:
    """Write the package's inside to `out`; gives the SHA-256 (hex) of the table written.

    The scan is read from its start, `sealed_at` is in Unix seconds. Raises Changed when size or hash of table or scan
    differ from the manifest: then what was written to `out` must not be used.
    """
    from isal import igzip

    named = {file["name"]: file["sha256"] for file in json.loads(manifest)["files"]}
    moment = int(sealed_at)
    scan.seek(0)
    with cast(BinaryIO, igzip.IGzipFile("", "wb", 1, out, moment)) as zipped:  # type: ignore[no-untyped-call]
        _member(zipped, MANIFEST, moment, [manifest], len(manifest))
        digest = _member(zipped, TABLE, moment, table, table_bytes)
        pieces: Iterator[bytes] = iter(lambda: scan.read(_BLOCK), b"")
        if digest != named[TABLE] or _member(zipped, SCAN, moment, pieces, scan_bytes) != named[SCAN]:
            raise Changed
        zipped.write(b"\0" * 2 * _TAR_BLOCK)
    out.flush()
    return digest


def _member(zipped: BinaryIO, name: str, moment: int, pieces: Iterable[bytes], size: int) -> str:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, moment, 0o600
    zipped.write(info.tobuf(tarfile.PAX_FORMAT))
    hashed, left = hashlib.sha256(), size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise Changed
        hashed.update(piece)
        zipped.write(piece)
    if left:
        raise Changed
    zipped.write(b"\0" * (-size % _TAR_BLOCK))
    return hashed.hexdigest()


def open_package(path: Path, gnupg: Gnupg, out_dir: Path, trusted: Collection[str] | None = None) -> dict[str, Any]:
    """Verify and decrypt a package, compare content and manifest, and put the three files into `out_dir`.

    `trusted`: fingerprints of which one must have signed; by default that of `gnupg`'s own signing key. Raises
    IntegrityFailure ("package.…") when anything is not as it should be, NotYet when it cannot be opened here and now.
    """
    disk.folder(out_dir)
    if any((out_dir / name).exists() for name in MEMBERS):
        raise NotYet("package.target_exists", again=False)
    inside = disk.folder(disk.temp_name(out_dir / MANIFEST))
    try:
        archive = inside / "inside"
        signature = gnupg.unseal(path, archive, (gnupg.sign_with,) if trusted is None else trusted)
        found = _extract(archive, inside)
        document = _compare(inside, found)
        disk.destroy(archive)
        for name in MEMBERS:
            disk.commit(inside / name, out_dir / name)
    finally:
        if inside.exists():
            disk.destroy_tree(inside)
    return {
        "format": "exchanged-open/1",
        "batch": document["batch"],
        "package_sha256": disk.sha256(path),
        "signer": signature.primary,
        "signing_key": signature.key,
        "signed": datetime.fromtimestamp(signature.time, UTC).isoformat(),
        "rows": document["rows"],
        "digest": document["digest"],
        "files": [{"name": name, "bytes": size, "sha256": digest} for name, (size, digest, _) in found.items()],
        "manifest": document,
    }


def _extract(archive: Path, folder: Path) -> dict[str, tuple[int, str, int]]:
    """Unpack exactly the three members; gives size, SHA-256 and number of line ends of each."""
    found: dict[str, tuple[int, str, int]] = {}
    with archive.open("rb") as packed:
        stream = _Inflated(packed)
        for name in MEMBERS:
            found[name] = _unpack(stream, name, folder)
        if stream.take(2 * _TAR_BLOCK) != b"\0" * 2 * _TAR_BLOCK or any(
            stream.take(_TAR_BLOCK).strip(b"\0") for _ in range(20)
        ):
            _wrong("members")
        stream.end()
    return found


def _unpack(stream: _Inflated, name: str, folder: Path) -> tuple[int, str, int]:
    header = stream.take(_TAR_BLOCK)
    if header == b"\0" * _TAR_BLOCK:
        _wrong("members")
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        _wrong("archive")
    if info.name != name or info.type != tarfile.REGTYPE or (name == MANIFEST and info.size > _MANIFEST_LIMIT):
        _wrong("members")
    hashed, lines, left = hashlib.sha256(), 0, info.size
    with (folder / name).open("xb") as file:
        Path(file.name).chmod(0o600)
        while left:
            piece = stream.take(min(left, _BLOCK))
            if not piece:
                _wrong("archive")
            left -= len(piece)
            hashed.update(piece)
            lines += piece.count(b"\n")
            file.write(piece)
    stream.take(-info.size % _TAR_BLOCK)
    return info.size, hashed.hexdigest(), lines


class _Inflated:
    """Reads a single gzip member in pieces of exactly the size asked for, or shorter at its end."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed, self._inflate, self._ready = packed, zlib.decompressobj(31), bytearray()

    def take(self, size: int) -> bytes:
        while len(self._ready) < size and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._packed.read(_BLOCK)
            if not packed:
                _wrong("archive")
            try:
                self._ready += self._inflate.decompress(packed, _BLOCK)
            except zlib.error:
                _wrong("archive")
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken

    def end(self) -> None:
        """Nothing may follow."""
        if self.take(1) or self._inflate.unused_data or self._packed.read(1):
            _wrong("members")


def _compare(folder: Path, found: Mapping[str, tuple[int, str, int]]) -> dict[str, Any]:
    """The manifest, when it is one and names exactly what was found."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        document: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if tuple(document) not in (_KEYS, (*_KEYS, _CORRECTS)) or document["format"] != FORMAT:
            _wrong("manifest")
        named = [(file["name"], file["bytes"], file["sha256"]) for file in document["files"]]
        if named != [(name, *found[name][:2]) for name in (TABLE, SCAN)]:
            _wrong("files")
        if document["digest"] != f"sha256:{found[TABLE][1]}" or document["rows"] != found[TABLE][2] - 1:
            _wrong("digest")
        if not _corrects_right(document.get(_CORRECTS, []), document["batch"], document["rows"]):
            _wrong("corrects")
        if isinstance(document["batch"], str):
            return document
    return _wrong("manifest")


def _corrects_right(corrects: Any, batch: Any, rows: int) -> bool:
    """Whether a list names other batches, each once, and records of the table, in order and none twice."""
    if not isinstance(corrects, list):
        return False
    batches, numbers = {batch}, set[int]()
    for one in corrects:
        if not isinstance(one, dict) or set(one) != {"batch", "records"}:
            return False
        earlier, records = one["batch"], one["records"]
        if not isinstance(earlier, str) or earlier in batches or not isinstance(records, list) or not records:
            return False
        if any(type(number) is not int for number in records) or records != sorted(set(records)):
            return False
        if records[0] < 1 or records[-1] > rows or not numbers.isdisjoint(records):
            return False
        batches.add(earlier)
        numbers.update(records)
    return True


def _wrong(part: str) -> NoReturn:
    raise IntegrityFailure("package.content_wrong", part=part)
