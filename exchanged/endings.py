"""How a batch ends: given back to the clerk, or closed with a slip; and in every case destroyed here and proven.

Takes   a batch in a final state, or one that is about to be rejected
Gives   the clerk's folder or slip, the deletion record, the evidence file
Redo    each file is written whole under its own name again; what is destroyed already is recorded as absent
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exchanged import __version__, comparison, config, disk, evidence, filenames, log, report
from exchanged.batch import Finding
from exchanged.errors import Refused
from exchanged.ledger import Ledger, Record, Source, now
from exchanged.sandbox import Sandbox
from exchanged.settings import Settings
from exchanged.stages import annotate, form, giveback, shred
from exchanged.states import State

SOFTWARE = f"exchanged {__version__}"


class Endings:
    """Ends batches of one unit."""

    def __init__(self, settings: Settings, ledger: Ledger, sandbox: Sandbox, spool: Path, outbox: Path) -> None:
        self._settings = settings
        self._ledger = ledger
        self._sandbox = sandbox
        self._spool = spool
        self._outbox = outbox
        self._evidence = settings.folders.state / "evidence"

    def give_back(self, batch: Record, refusal: Refused, note: str | None = None) -> dict[str, Any]:
        """Give the clerk the originals and what is wrong with them; facts of the rejection without places.

        note: why, where the clerk has done nothing wrong; then no workbook is annotated.
        """
        from exchanged.standard import rules

        sources = self._ledger.sources(batch)
        scans = {one.file for one in refusal.findings if one.rule == comparison.ORPHAN}
        sheets = [one for one in sorted_sheets(sources) if one.name not in scans]
        result = refusal.result or self._result(batch, sheets)
        by_rule: dict[str, int] = dict(result["summary"]["by_rule"]) if refusal.result else {}
        if refusal.result is None:
            for one in refusal.findings:
                by_rule[one.rule] = by_rule.get(one.rule, 0) + 1
            result = {**result, "summary": _summary(refusal.findings, by_rule)}

        def add(folder: Path, altered: Sequence[str]) -> Mapping[str, bytes]:
            marked = [] if note else self._annotate(batch, refusal, sheets, folder)
            language, findings = self._settings.language, refusal.findings
            more = {"marked": marked, "altered": altered}
            return report.reports(batch.id, batch.stem, result, findings, language, note, **more)

        form.take_away(self._settings.folders.forms, self._ledger.shown(batch.facts.get("form")))
        altered = giveback.give_back(self._settings.folders.rejected, batch.id, self._spool / batch.id, sources, add)
        if altered:
            log.emit("batch.source_altered", batch=batch.id, files=altered)
        return {
            "errors": result["summary"]["error"],
            "by_rule": by_rule,
            "reason": _first(refusal),
            "rules": rules.digest(self._settings.standard.severity, self._settings.standard.thresholds),
            "catalogue": result.get("catalogue") or batch.facts.get("catalogue"),
        }

    def _annotate(self, batch: Record, refusal: Refused, sheets: Sequence[Source], folder: Path) -> list[str]:
        """Put an annotated workbook into the folder for each spreadsheet that holds data; gives their names."""
        files = [(sheet.name, self._spool / batch.id / str(sheet.position)) for sheet in sheets]
        if not all(path.is_file() for _, path in files):  # one is gone: what is left goes back unmarked
            return []
        checks = config.checks(self._settings, batch.facts.get("checked") or now()[:10])
        checked = refusal.result["files"] if refusal.result else [None] * len(sheets)
        compared = [one for one in refusal.findings if not refusal.result or comparison.compared(one)]
        more = grouped(compared, [sheet.name for sheet in sheets])
        marked = []
        for at, (sheet, known) in enumerate(zip(sheets, checked, strict=True)):
            if known is not None and known["header_row"] is None:
                continue  # nobody could tell where its data is
            name = giveback.marked_name(folder, sheet.name)
            language, mode = self._settings.language, giveback.FILE_MODE
            why = annotate.annotate(
                files, at, folder / name, checks, self._sandbox, language=language, more=more, mode=mode
            )
            if why is None:
                marked.append(name)
            else:
                log.emit("batch.not_annotated", batch=batch.id, problem=why)
        return marked

    def _result(self, batch: Record, sheets: Sequence[Source]) -> dict[str, Any]:
        """The check's shape where no check speaks: a scan or the history was found wrong."""
        rows = batch.facts.get("file_rows", [])
        files = [
            {"name": sheet.name, "sheet": None, "header_row": None, "rows": rows[at] if at < len(rows) else 0}
            for at, sheet in enumerate(sheets)
        ]
        return {
            "rows": batch.rows or 0,
            "digest": batch.digest,
            "files": files,
            "counts": self._ledger.shown(batch.facts.get("counts")) or [],
        }

    def clear(self, batch: Record) -> dict[str, Any]:
        """A finished batch: nothing of it stays but the evidence, and for a reported one the clerk's slip."""
        known = batch
        if batch.state not in (State.REJECTED, State.WITHDRAWN):  # it may have been on its way back
            self.take_back(batch)
        form.take_away(self._settings.folders.forms, self._ledger.shown(batch.facts.get("form")))
        if batch.state is State.CLOSED:
            self._slip(batch)
        elif "deletion" not in batch.facts:
            known = self._undo(batch)
        sources = self._ledger.sources(batch)
        return {"sha256": evidence.write(self._evidence, evidence.build(self._ledger, known, sources, SOFTWARE))}

    def take_back(self, batch: Record) -> None:
        """Destroy what was written for a batch which is not given back after all."""
        folder, passes = self._settings.folders.rejected / batch.id, self._settings.deletion.overwrite
        giveback.take_back(folder, self._ledger.sources(batch), passes)

    def _undo(self, batch: Record) -> Record:
        """Give back what was withdrawn, then destroy what is here. Each is recorded, so that neither is done over."""
        if batch.state is State.WITHDRAWN and "returned" not in batch.facts:
            self.give_back(batch, Refused(), "withdrawn")
            self._ledger.note(batch, "batch.returned", returned=now())
            log.emit("batch.returned", batch=batch.id, files=len(self._ledger.sources(batch)))
        self._ledger.note(batch, "deletion.done", deletion=self.shred(batch))
        return self._ledger.batch(batch.id) or batch

    def shred(self, batch: Record) -> list[dict[str, Any]]:
        """Destroy a batch's files and its package; gives the deletion record."""
        names = [str(source.position) for source in self._ledger.sources(batch)]
        package = self._outbox / f"{batch.id}.pgp"
        return shred.shred(self._spool / batch.id, names, package, self._settings.deletion.overwrite)

    def _slip(self, batch: Record) -> None:
        slips = report.slips(slip_facts(batch, self._ledger, self._settings), self._settings.language)
        named = {slip_name(batch, ending): content for ending, content in slips.items()}
        disk.write_all(self._settings.folders.receipts, named, giveback.FILE_MODE)


def grouped(findings: Sequence[Finding], names: Sequence[str]) -> list[dict[str, Any]]:
    """Findings with their rows together; `file` is the index of the spreadsheet, None for what is about none."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in findings:
        file = names.index(one.file) if one.file in names else None
        key = (one.rule, one.severity, file, one.column, *sorted(one.facts.items()))
        empty = {"rule": one.rule, "severity": str(one.severity), "file": file, "column": one.column}
        groups.setdefault(key, {**empty, "facts": dict(one.facts), "rows": []})["rows"].append(one.row)
    return list(groups.values())


def sorted_sheets(sources: Sequence[Source]) -> list[Source]:
    """The spreadsheets of a batch in the order in which they are checked and sent: by name, NFC."""
    return sorted((one for one in sources if one.position), key=lambda one: filenames.order(one.name))


def slip_name(batch: Record, ending: str) -> str:
    """`<stem>.<batch>.txt`, the stem cut where the name would be too long for a file system."""
    return filenames.cut(batch.stem, f".{batch.id}.{ending}")


def slip_facts(batch: Record, ledger: Ledger, settings: Settings) -> dict[str, Any]:
    """What the clerk's proof says."""
    facts = batch.facts
    return {
        "batch": batch.id,
        "title": batch.stem,
        "unit": settings.unit.name,
        "data_type": batch.data_type,
        "state": str(batch.state),
        "claimed": batch.created,
        "sealed": facts.get("sealed"),
        "delivered": facts.get("delivered"),
        "rows": batch.rows,
        "counts": by_level(ledger.shown(facts.get("counts")) or []),
        "digest": batch.digest,
        "package": facts.get("package"),
        "signer": facts.get("signer"),
        "recipients": facts.get("recipients", []),
        "delivery": facts.get("delivery"),
        "warnings": facts.get("warnings", {}),
    }


def _summary(findings: Sequence[Finding], by_rule: Mapping[str, int]) -> dict[str, Any]:
    count = {name: sum(one.severity == name for one in findings) for name in ("error", "hold", "warn")}
    return {**count, "by_rule": dict(by_rule)}


def _first(refusal: Refused) -> str:
    """The rule that says best why a batch came back: its first error."""
    return next((one.rule for one in refusal.findings if one.severity == "error"), refusal.code)


def by_level(counts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Counts by qualification and level, as Annex 1 has them: the direction, which clerks word freely, left out."""
    added: dict[tuple[str, str], int] = {}
    for one in counts:
        key = (one["qualification"], one["level"])
        added[key] = added.get(key, 0) + one["count"]
    return [{"qualification": what, "level": level, "count": count} for (what, level), count in added.items()]
