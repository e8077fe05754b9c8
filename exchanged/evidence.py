"""The proof of one batch, as a file that stands by itself, and its verification.

`evidence/<batch>.json` in `folders.state`: digests of source, table, scan, manifest and package, signer and recipients,
rule set and catalogue, times of each state, server and read-back hash, deletion record, and the batch's ledger events
with their hashes. It holds no personal data and no name a clerk gave.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchanged import disk
from exchanged.errors import IntegrityFailure
from exchanged.ledger import Event, Ledger, Record, Source, event_hash
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
        "events": [asdict(event) for event in events],
    }


def write(folder: Path, evidence: Mapping[str, Any]) -> str:
    """Write the file durably; gives its SHA-256, which goes on record in the ledger."""
    text = json.dumps(evidence, ensure_ascii=False, indent=1, sort_keys=False) + "\n"
    disk.write(disk.folder(folder) / f"{evidence['batch']}.json", text.encode(), 0o600)
    return hashlib.sha256(text.encode()).hexdigest()


def check(ledger: Ledger, folder: Path) -> None:
    """Raises IntegrityFailure when there is evidence of a batch that the ledger does not know to be finished.

    That is what an older copy of the ledger, or an emptied one, looks like: with it everything might be sent again.
    """
    if not folder.is_dir():
        return
    finished = {batch.id for batch in ledger.batches() if batch.state in TERMINAL}
    strays = [path.stem for path in folder.glob("*.json") if path.stem not in finished]
    if strays:
        raise IntegrityFailure("ledger.older", count=len(strays))


def audit(ledger: Ledger, folder: Path) -> dict[str, Any]:
    """Verify the chain and every evidence file. Gives counts and what was found wrong, by batch and code."""
    wrong: list[dict[str, Any]] = []
    events = 0
    try:
        events = ledger.verify()
    except IntegrityFailure as failure:
        wrong.append({"batch": None, "code": failure.code, **failure.facts})
    written = {event.batch: event for event in ledger.events() if event.event == "evidence.written"}
    for batch, event in written.items():
        wrong += [{"batch": batch, "code": code} for code in _faults(ledger, folder / f"{batch}.json", event)]
    known = {f"{batch}.json" for batch in written}
    if folder.is_dir():
        strays = sorted(path.stem for path in folder.glob("*.json") if path.name not in known)
        wrong += [{"batch": stray, "code": "evidence.unknown"} for stray in strays]
    finished = {batch.id for batch in ledger.batches() if batch.cleared}
    wrong += [{"batch": batch, "code": "evidence.missing"} for batch in sorted(finished - set(written))]
    return {
        "format": "exchanged-audit/1",
        "ok": not wrong,
        "events": events,
        "evidence": len(written),
        "head": ledger.head(),
        "problems": wrong,
    }


def _faults(ledger: Ledger, path: Path, event: Event) -> Iterator[str]:
    try:
        content = path.read_bytes()
    except OSError:
        yield "evidence.missing"
        return
    if hashlib.sha256(content).hexdigest() != event.facts.get("sha256"):
        yield "evidence.altered"
        return
    told = json.loads(content)["events"]
    kept = {one.seq: one.hash for one in ledger.events(event.batch)}
    for one in told:
        facts = json.dumps(one["facts"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        own = event_hash(ledger.id, one["seq"], one["time"], one["batch"], one["event"], facts, one["previous"])
        if own != one["hash"] or kept.get(one["seq"]) != own:
            yield "evidence.altered"
            return
