"""The form that a valid batch waits for, and the scan of it that comes back.

Takes   a batch in state `validated`, its scan when it has come
Gives   the form in the clerk's folder while it waits; the facts of a scan that ties the paper to the data
Redo    the form is the same each time; a scan is only looked at
Ends    NotYet confirmation.waiting while there is no scan; Refused when it never came or is not this batch's
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exchanged import disk, filenames, log
from exchanged.batch import Finding, Severity
from exchanged.drop import content_name, stem_of
from exchanged.endings import by_level
from exchanged.errors import NotYet, Refused
from exchanged.form.code import Code
from exchanged.form.write import FontMissing, Form, find_font, most_pages
from exchanged.ledger import Ledger, Record, Source
from exchanged.sandbox import Bounds, JobError, Sandbox
from exchanged.settings import Settings
from exchanged.stages import confirm
from exchanged.stages import form as forms

NOBODY, DATA_TYPE = "form", "新增"  # unit and data type in a form's code and lines where no configuration says them
LOOK = 86400.0  # seconds after which a batch that waits on is looked at again
GLANCE = Bounds(memory=confirm.MEMORY, cpu=25, wall=75.0)  # for a scan that may belong to nobody
TRIES = 2  # of reading it, where the child was killed from outside


class Confirmation:
    """Forms and scans of one unit."""

    def __init__(self, settings: Settings, ledger: Ledger, sandbox: Sandbox) -> None:
        self._settings = settings
        self._ledger = ledger
        self._sandbox = sandbox
        self._told = False
        self._naming = threading.Lock()  # of two batches with one stem the second is to see the first one's form

    def reads(self) -> list[str]:
        """What a child that draws a form has to read."""
        with contextlib.suppress(FontMissing):
            return [find_font(str(self._settings.confirmation.font or ""))]
        return []

    def wait(self, batch: Record) -> NotYet | Refused:
        """What a batch without a scan waits for, its form written; or that the wait is over."""
        until, missing = float(batch.facts["wait_until"]), self._missing()
        if time.time() >= until:
            if missing.severity is Severity.ERROR:
                return Refused(missing)
            until = time.time() + LOOK
        self._offer(batch)
        return NotYet("confirmation.waiting", until=int(until))

    def _missing(self) -> Finding:
        """That the wait is over: where that is no error, a batch waits on, and it is said once the scan has come."""
        return confirm.finding({"rule": "confirmation-missing"}, self._settings.standard.severity, None)

    def _offer(self, batch: Record) -> None:
        """Write the form, and record its name, by which it is found when the batch moves on."""
        said = printed(self._settings, batch, by_level(self._ledger.shown(batch.facts["counts"]) or []))
        try:
            content = forms.drawn(said, self._settings.confirmation.font, self._sandbox)
        except NotYet as problem:  # the batch can wait for a scan without a code
            if not self._told:
                log.emit(problem.code, batch=batch.id, **problem.facts)
            self._told = True
            return
        known = self._ledger.shown(batch.facts.get("form"))
        with self._naming:
            name = known["name"] if known else forms.name(batch.stem, self._taken(batch), batch.id)
            form = forms.named(name, content)
            if known and known["sha256"] == form["sha256"]:
                form = known
            elif known:  # until the new one is written, the old one lies there
                form["replaces"] = [*known.get("replaces", ()), known["sha256"]]
            if form != known:  # before it lies there: a scan may come while nobody works, and then it is to be found
                self._ledger.note(batch, "form.written", form=self._ledger.hide(form))
                log.emit("form.written", batch=batch.id, bytes=len(content), sha256=form["sha256"])
        forms.put(self._settings.folders.forms, form, content, again=known is not None)

    def _taken(self, batch: Record) -> set[str]:
        """Names of the forms that other batches wait with."""
        others = (one for one in self._ledger.batches(open_only=True) if one.id != batch.id)
        return {self._ledger.shown(one.facts["form"])["name"] for one in others if "form" in one.facts}

    def follow(self) -> None:
        """Where the forms' folder is another than before: have the forms written anew, and take the old ones away.

        A folder from which that cannot be done just now, as one that is not mounted, is remembered.
        """
        folder = str(self._settings.folders.forms)
        said = self._ledger.remembered("forms") or "[]"
        known: list[str] = json.loads(said) if said.startswith("[") else [said]  # the last one is that in use
        if known == [folder]:
            return
        former = [Path(one) for one in known if one != folder]
        left = [str(one) for one in former if not self._same(one) and not self._cleared(one)]
        if known:
            self._ledger.wake_all("confirmation.waiting")
        self._ledger.remember("forms", json.dumps([*left, folder]))

    def _same(self, former: Path) -> bool:
        """Whether a former folder is the one in use under another name."""
        with contextlib.suppress(OSError):
            return former.samefile(self._settings.folders.forms)
        return False

    def _cleared(self, folder: Path) -> bool:
        """Take the forms away that lie in a former folder. Whether those of all waiting batches did."""
        written = [self._ledger.shown(batch.facts.get("form")) for batch in self._ledger.unconfirmed()]
        try:
            gone = [forms.take_away(folder, form) for form in written if form]
        except OSError:
            return False
        return all(gone)

    def judged(self, batch: Record, scan: Source, path: Path) -> dict[str, Any]:
        """The facts of a scan that may pass; the form is taken away with it. Raises Refused."""
        with path.open("rb", buffering=0) as file:
            most = self._settings.intake.limits.file
            found = confirm.look(file.fileno(), self._most(batch), self._sandbox, most=most)
        overrides = self._settings.standard.severity
        table = confirm.Table(batch.digest or "", batch.rows or 0)
        findings = [confirm.finding(one, overrides, scan.name) for one in confirm.judge(found, table)]
        if self._late(batch):
            findings.append(self._missing())
        findings = [one for one in findings if one.severity is not Severity.OFF]
        if any(one.severity is Severity.ERROR for one in findings):
            raise Refused(*findings)
        warnings = dict(batch.facts["warnings"])
        for one in findings:
            warnings[one.rule] = warnings.get(one.rule, 0) + 1
        holds = batch.facts["holds"] + sum(one.severity is Severity.HOLD for one in findings)
        tied = bool(found["forms"]) and not any(one.rule == "confirmation-code-mismatch" for one in findings)
        take_away(self._settings, self._ledger, batch)
        return {"pages": found["pages"], "warnings": warnings, "holds": holds, "form_code": tied}

    def _late(self, batch: Record) -> bool:
        """Whether the scan came after the wait was over; it may be judged later than it came."""
        until = float(batch.facts["wait_until"])
        if time.time() < until or self._missing().severity is Severity.ERROR:
            return False
        came = [one.time for one in self._ledger.events(batch.id) if one.event == "batch.scan_attached"]
        return bool(came) and dt.datetime.fromisoformat(came[-1]).timestamp() >= until

    def _most(self, batch: Record) -> int:
        """Pages that a scan may have: those of the form itself, were they more than are allowed."""
        lines = by_level(self._ledger.shown(batch.facts["counts"]) or [])
        return max(self._settings.confirmation.max_pages, most_pages(len(lines)))

    def codes(self, path: Path) -> Sequence[Code]:
        """The codes that stand on a scan in the drop folder; none where it cannot be read."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ()
        try:
            for _ in range(TRIES):
                with contextlib.suppress(NotYet):
                    return self._codes(fd)
        except JobError as error:  # a fault of ours, which must not stop everybody's intake
            log.emit("daemon.step_failed", step="scan", place=error.place, **{"class": error.kind})
        finally:
            os.close(fd)
        return ()

    def _codes(self, scan: int) -> Sequence[Code]:
        pages, most = self._settings.confirmation.max_pages, self._settings.intake.limits.file
        found = confirm.look(scan, pages, self._sandbox, GLANCE, most)
        if (found["pages"] or 0) > pages:  # as many as a form has that somebody waits with
            pages = max([pages, *(self._most(one) for one in self._ledger.unconfirmed() if "counts" in one.facts)])
            found = confirm.look(scan, pages, self._sandbox, GLANCE, most)
        return confirm.codes(found)


def printed(settings: Settings, batch: Record, counts: Sequence[Mapping[str, Any]]) -> Form:
    """What the form of a batch says."""
    return Form(
        unit=settings.unit.name,
        head=settings.unit.head,
        information_manager=settings.unit.information_manager,
        title=batch.stem.encode("utf-8", "replace").decode(),
        date=batch.facts["checked"],
        data_type=batch.data_type,
        counts=[(one["qualification"], one["level"], one["count"]) for one in counts],
        batch=batch.id,
        digest=batch.digest or "",
        rows=batch.rows or 0,
    )


def unclaimed(settings: Settings | None, paths: Sequence[Path], checked: Mapping[str, Any], today: str) -> Form:
    """What the form says of valid files that are still to be dropped: as if they were claimed today."""
    ordered = sorted(paths, key=lambda path: filenames.order(path.name))
    stem = stem_of(paths[0].name) if len(paths) == 1 else paths[0].resolve().parent.name
    data_type = settings.intake.data_types[0] if settings else DATA_TYPE
    digests = [disk.sha256(path) for path in ordered]
    return Form(
        unit=settings.unit.name if settings else "",
        head=settings.unit.head if settings else "",
        information_manager=settings.unit.information_manager if settings else "",
        title=stem.encode("utf-8", "replace").decode(),
        date=today,
        data_type=data_type,
        counts=[(one["qualification"], one["level"], one["count"]) for one in by_level(checked["counts"])],
        batch=content_name(settings.unit.code if settings else NOBODY, data_type, stem, digests),
        digest=checked["digest"],
        rows=checked["rows"],
    )


def take_away(settings: Settings, ledger: Ledger, batch: Record) -> None:
    """Remove the form of a batch that moves on."""
    forms.take_away(settings.folders.forms, ledger.shown(batch.facts.get("form")))
