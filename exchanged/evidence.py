"""The proof of one batch, as a file that stands by itself, and its verification.

`evidence/<batch>.json` in `folders.state`: digests of source, table, scan, manifest and package, signer and recipients,
rule set and catalogue, times of each state, server and read-back hash, deletion record, and the batch's ledger events
with their hashes. It holds no personal data and no name a clerk gave.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exchanged import disk
from exchanged.errors import IntegrityFailure
from exchanged.ledger import Ledger, Record, Source, event_hash, to_json
from exchanged.states import TERMINAL

FORMAT = "exchanged-evidence/1"
_FACTS = (
    "rules", "catalogue", "by_rule", "warnings", "table_bytes", "form_code", "manifest", "package", "signer",
    "recipients", "previous", "delivery", "originals", "deletion", "replaced_by", "released",
    "corrects",
)  # fmt: skip


def build(ledger: Ledger, batch: Record, sources: Sequence[Source], software: str) -> dict[str, Any]:
    """Everything that is provable of a batch, from the ledger."""
    events = ledger.events(batch.id)
    return {
        "format": FORMAT,
        "software": software,
        "batch": batch.id,
        "data_type": batch.data_type,
        "state": str(batch.state),
        "rows": batch.rows,
        "digest": batch.digest,
        "source": [{"sha256": one.sha256, "bytes": one.bytes} for one in sources if one.position],
        "scan": next(({"sha256": one.sha256, "bytes": one.bytes} for one in sources if not one.position), None),
        "times": {event.event.partition(".")[2]: event.time for event in events if event.event.startswith("batch.")},
        **{name: batch.facts[name] for name in _FACTS if name in batch.facts},
        "ledger": ledger.id,
        "events": [event.to_dict() for event in events],
    }


def write(folder: Path, evidence: Mapping[str, Any]) -> str:
    """Write the file durably; gives its SHA-256, which goes on record in the ledger."""
    text = json.dumps(evidence, ensure_ascii=False, indent=1, sort_keys=False) + "\n"
    disk.write(disk.folder(folder) / f"{evidence['batch']}.json", text.encode(), 0o600)
    return hashlib.sha256(text.encode()).hexdigest()


def check(ledger: Ledger, state: Path) -> None:
    """Raises IntegrityFailure when the state folder holds what the ledger does not know, or not as far as that.

    Evidence of a batch that is not finished, files or a package of a batch that was never entered: that is what an
    older copy of the ledger, or an emptied one, looks like. With it everything might be sent again, or be destroyed.
    """
    proven = _lying(state / "evidence")
    entered = {path.name for path in (state / "spool").glob("[!.]*")}
    entered |= {path.stem for path in (state / "outbox").glob("[!.]*.pgp")}
    batches = ledger.batches()  # after the folders: what came meanwhile is known
    strays = proven - {batch.id for batch in batches if batch.state in TERMINAL}
    strays |= entered - {batch.id for batch in batches}
    if strays:
        raise IntegrityFailure("ledger.older", count=len(strays))


def _lying(folder: Path) -> set[str]:
    """Batches of which evidence lies there."""
    return {path.stem for path in folder.glob("[!.]*.json")}


def audit(ledger: Ledger, state: Path, head: str | None = None) -> dict[str, Any]:
    """Verify the ledger and every evidence file. Gives counts and what was found wrong, by batch and code.

    head: the hash of an event that is known from elsewhere to have happened; without it the ledger is not the last one.
    May run beside the daemon.
    """
    wrong: list[dict[str, Any]] = []
    counts = {"events": 0, "evidence": 0}
    with _told(wrong):
        counts["events"] = ledger.verify()
    with _told(wrong):
        check(ledger, state)
    with _told(wrong):
        if head is not None and not ledger.happened(head):
            wrong.append({"batch": None, "code": "ledger.head_missing"})
    with _told(wrong):
        counts["evidence"] = _evidence(ledger, state / "evidence", wrong)
    last = None
    with _told(wrong):
        last = ledger.head()
    return {"format": "exchanged-audit/1", "ok": not wrong, **counts, "head": last, "problems": wrong}


@contextlib.contextmanager
def _told(wrong: list[dict[str, Any]]) -> Iterator[None]:
    """Put what is found wrong on the list, once."""
    try:
        yield
    except IntegrityFailure as failure:
        told = {"batch": None, "code": failure.code, **failure.facts}
        if told not in wrong:
            wrong.append(told)


def _evidence(ledger: Ledger, folder: Path, wrong: list[dict[str, Any]]) -> int:
    """Compare every evidence file with what the ledger has of it. Gives how many there must be."""
    lying, told = _lying(folder), ledger.proven()
    for batch, sha256 in told.items():
        wrong += [{"batch": batch, "code": code} for code in _faults(ledger, folder / f"{batch}.json", batch, sha256)]
    batches = ledger.batches()
    ending = {batch.id for batch in batches if batch.state in TERMINAL and not batch.cleared}
    wrong += [{"batch": batch, "code": "evidence.unknown"} for batch in sorted(lying - set(ledger.proven()) - ending)]
    unproven = {batch.id for batch in batches if batch.cleared} - set(ledger.proven())
    wrong += [{"batch": batch, "code": "evidence.missing"} for batch in sorted(unproven)]
    return len(told)


def _faults(ledger: Ledger, path: Path, batch: str, sha256: str) -> Iterator[str]:
    try:
        content = path.read_bytes()
    except OSError:
        yield "evidence.missing"
        return
    if hashlib.sha256(content).hexdigest() != sha256:
        yield "evidence.altered"
        return
    kept = {one.seq: one.hash for one in ledger.events(batch)}
    for one in json.loads(content)["events"]:
        facts = to_json(one["facts"])
        own = event_hash(ledger.id, one["seq"], one["time"], one["batch"], one["event"], facts, one["previous"])
        if own != one["hash"] or kept.get(one["seq"]) != own:
            yield "evidence.altered"
            return
