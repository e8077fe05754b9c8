"""What each step of the route does with a batch: the stages, given what they need of settings, ledger and keys.

Takes   a batch as the ledger knows it
Gives   the facts to record with its next state
Redo    see each stage: every one looks before it acts
Ends    Refused, NotYet or Held, for the engine
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from exchanged import comparison, config, disk, log, seen, sending
from exchanged.batch import Checks, Finding, Limits, Parcel, Severity
from exchanged.comparison import Examined
from exchanged.confirmation import Confirmation
from exchanged.endings import SOFTWARE, Endings, sorted_sheets
from exchanged.errors import Held, NotYet, Refused
from exchanged.ledger import Ledger, Record, Source, now
from exchanged.sandbox import Sandbox
from exchanged.secrets import Secrets
from exchanged.settings import Settings
from exchanged.stages import check as checking
from exchanged.stages import confirm as confirming

CORRECTION = "更正"
SMALL = 4_000_000  # bytes of a batch that may share its confined child with others
EXPIRY_WARNING = 30 * 86400.0
LOOKED = (  # said only after a look at the server that found no package of ours under its final name
    "delivery.conflict",
    "delivery.server_full",
    "delivery.server_refused",
    "delivery.verification_failed",
    "delivery.waiting",
)
_PDF = b"%PDF-"


def looked(batch: Record) -> bool:
    """Whether the last try found on the server that the package is not there under its final name."""
    # as `server_refused` an earlier version also told what is now `session_refused`, before any look
    blind = batch.reason_facts.get("operation") in ("session", "algorithms")
    return batch.reason in LOOKED and not blind


class Steps:
    """The stages of one unit's route. Sealing and courier are made when first needed."""

    def __init__(self, settings: Settings, ledger: Ledger, secrets: Secrets, sandbox: Sandbox) -> None:
        self.settings = settings
        self._ledger = ledger
        self._secrets = secrets
        self._sandbox = sandbox
        self.spool = disk.folder(settings.folders.state / "spool")
        self._outbox = disk.folder(settings.folders.state / "outbox")
        self.endings = Endings(settings, ledger, sandbox, self.spool, self._outbox)
        self.confirmation = Confirmation(settings, ledger, sandbox)
        self._sealing: Any = None
        self._courier: Any = None
        self._pin = threading.Lock()
        self._pin_works = False
        self._told: set[tuple[object, str]] = set()

    # --- claimed -> validated -------------------------------------------------------------------------------------

    def check(self, batch: Record) -> Examined:
        """Check the spreadsheets; what the ledger knows of their records is still to be asked. Raises Refused."""
        self._ledger.expect_clock()
        sources = self._ledger.sources(batch)
        sheets = sorted_sheets(sources)
        if batch.data_type == CORRECTION:
            comparison.expect_older(self._ledger, batch)
        for sheet in sheets:
            if disk.sha256(self._file(batch, sheet)) != sheet.sha256:
                raise Held("sealing.content_changed")
        extra = self._scans_among(batch, sheets)
        if len(extra) == len(sheets):
            raise Refused(*(Finding(comparison.ORPHAN, Severity.ERROR, file=name) for name in extra or [batch.stem]))
        checks = self._checks(today())
        result, index = checking.check(
            [(sheet.name, self._file(batch, sheet)) for sheet in sheets if sheet.name not in extra],
            checks,
            self._sandbox,
            index=True,
        )
        if extra or not index:
            result = comparison.with_orphans(result, extra)
            raise Refused(*map(comparison.as_finding, result["findings"]), result=result)
        return Examined(
            result,
            self._facts(result, checks, checking.oldest(index)),
            checking.entries(index, self._secrets.pseudonym),
            comparison.question(checks, batch.data_type == CORRECTION),
            checks.severity,
        )

    def _facts(self, result: Mapping[str, Any], checks: Checks, oldest: str | None) -> dict[str, Any]:
        """What is recorded of a batch that passes its check, whatever its comparison finds."""
        from exchanged.standard import deadlines, rules

        return {
            "rows": result["rows"],
            "digest": result["digest"],
            "table_bytes": result["bytes"],
            "counts": self._ledger.hide(result["counts"]),
            "file_rows": [one["rows"] for one in result["files"]],
            "catalogue": result["catalogue"],
            "checked": checks.today,
            "checked_with": {
                "direction_placeholders": checks.direction_placeholders,
                "limits": asdict(checks.limits),
            },
            "rules": rules.digest(checks.severity, checks.thresholds),
            "query_until": oldest and deadlines.until(oldest),
            "wait_until": time.time() + self.settings.intake.confirmation_wait,
        }

    def _scans_among(self, batch: Record, sheets: Sequence[Source]) -> list[str]:
        """Names of PDFs that stand where a spreadsheet should: a second scan in a folder."""
        found = []
        for sheet in sheets:
            with self._file(batch, sheet).open("rb") as file:
                if _PDF in file.read(1024):
                    found.append(sheet.name)
        return found

    # --- validated -> confirmed -----------------------------------------------------------------------------------

    def confirm(self, batch: Record) -> dict[str, Any]:
        """Look at the scan, once it has come. Raises NotYet while the batch waits for it, Refused if it never came."""
        self._ledger.expect_clock()
        scan = next((one for one in self._ledger.sources(batch) if not one.position), None)
        if scan is None:
            raise self.confirmation.wait(batch)
        return self.confirmation.judged(batch, scan, self._file(batch, scan))

    # --- confirmed -> sealed --------------------------------------------------------------------------------------

    def seal(self, batch: Record) -> dict[str, Any]:
        """Encrypt and sign. A batch with findings that a person must release waits for that first."""
        from exchanged.sealing import package
        from exchanged.stages import seal

        self._ledger.expect_clock()
        if batch.facts["holds"] and "released" not in batch.facts:
            raise Held("finding.hold", findings=batch.facts["holds"])
        corrects = comparison.corrected(self._ledger, batch) if batch.data_type == CORRECTION else None
        sources = self._ledger.sources(batch)
        sheets = sorted_sheets(sources)
        scan = next(one for one in sources if not one.position)
        contents = self._contents(batch, sheets, scan, corrects)
        target = self._outbox / f"{batch.id}.pgp"
        files = [self._file(batch, sheet) for sheet in sheets]
        self._warn_of_expiry()
        parcel = self._unlocked(
            seal.seal,
            contents, files, self._file(batch, scan), self.sealing, self._sandbox,
            self._checked_with(batch), target, bounds=checking.bounds(sum(sheet.bytes for sheet in sheets)),
        )  # fmt: skip
        return {
            "package": {"bytes": parcel.bytes, "sha256": parcel.sha256},
            "manifest": "sha256:" + hashlib.sha256(package.manifest(contents)).hexdigest(),
            "previous": contents.previous,
            "signer": self.settings.sealing.sign_with,
            "recipients": list(self.settings.sealing.encrypt_to),
            "sealed": now(),
            **({} if corrects is None else {"corrects": corrects}),
        }

    def _contents(
        self, batch: Record, sheets: Sequence[Source], scan: Source, corrects: list[dict[str, str]] | None
    ) -> Any:
        from exchanged.sealing.package import Contents

        facts = batch.facts
        return Contents(
            batch=batch.id,
            unit_code=self.settings.unit.code,
            unit_name=self.settings.unit.name,
            title=batch.stem,
            data_type=batch.data_type,
            created=now(),
            rows=batch.rows or 0,
            digest=batch.digest or "",
            table_bytes=facts["table_bytes"],
            scan_sha256=scan.sha256,
            scan_bytes=scan.bytes,
            counts=self._ledger.shown(facts["counts"]),
            warnings=facts["warnings"],
            catalogue=facts["catalogue"],
            form_code=facts["form_code"],
            source=[
                {"name": sheet.name, "sha256": sheet.sha256, "rows": rows}
                for sheet, rows in zip(sheets, facts["file_rows"], strict=True)
            ],
            previous=self._ledger.last_manifest(),
            ledger_head=self._ledger.head(),
            software=SOFTWARE,
            corrects=None if corrects is None else comparison.in_full(corrects),
        )

    def _unlocked(self, seal: Callable[..., Parcel], *args: Any, **more: Any) -> Parcel:
        """Seal, unless the passphrase at hand was refused before: tokens lock after three wrong PINs.

        Until the first seal has worked, one at a time.
        """
        pin = self._secrets.pseudonym(f"{self.settings.sealing.sign_with}\0{self._passphrase() or ''}".encode()).hex()
        with contextlib.nullcontext() if self._pin_works else self._pin:
            if self._ledger.remembered("pin") == pin:
                raise NotYet("sealing.passphrase_wrong", again=False)
            try:
                parcel = seal(*args, **more)
            except NotYet as problem:
                if problem.code in ("sealing.passphrase_wrong", "sealing.pin_blocked"):
                    self._ledger.remember("pin", pin)
                raise
            self._pin_works = True
            return parcel

    def _warn_of_expiry(self) -> None:
        keys = self.sealing.keys()
        for key in keys:
            told = (key["fingerprint"], today())
            if key["expires"] and key["state"] in ("ok", "token") and told not in self._told:
                left = dt.datetime.fromisoformat(str(key["expires"])).timestamp() - time.time()
                if left < EXPIRY_WARNING:
                    self._told.add(told)
                    log.emit(
                        "sealing.key_expiring",
                        fingerprint=key["fingerprint"],
                        expires=key["expires"],
                        days=int(left // 86400),
                    )

    # --- sealed -> delivered --------------------------------------------------------------------------------------

    def deliver(self, batch: Record) -> dict[str, Any]:
        """Bring the package to the server. That the final rename is about to be asked for is recorded before it is."""
        from exchanged.stages import deliver

        sealed = batch.facts["package"]
        parcel = Parcel(str(self._outbox / f"{batch.id}.pgp"), sealed["bytes"], sealed["sha256"])
        # what an earlier try found is still true, unless the next one could not be recorded
        known = looked(batch) and not batch.acting
        done = deliver.deliver(
            parcel,
            batch.id,
            self.courier,
            offered=bool(batch.facts.get("offered")) and not known,
            taken=bool(batch.facts.get("taken")) and self.offered_here(batch),
            on_offer=lambda: self._offer(batch),
        )
        delivery = {
            "host": self.settings.delivery.host,
            "port": self.settings.delivery.port,
            "remote": done.remote,
            "sha256": done.sha256,
            "method": done.method,
            "already": done.already,
            "gone": done.gone,
            "host_key": done.host_key,
            "time": now(),
        }
        return {"delivery": delivery, "delivered": now()}

    def _offer(self, batch: Record) -> None:
        if self._ledger.paused:  # since the upload began
            raise NotYet("delivery.waiting")
        if not batch.facts.get("offered") or batch.facts.get("taken") or not self.offered_here(batch):
            self._ledger.note(batch, "delivery.offered", offered=now(), offered_to=self._place(), taken=None)
            log.emit("delivery.offered", batch=batch.id)

    def tidy(self) -> None:
        """Take away what withdrawn batches have left on the server; what cannot be now, after the next delivery."""
        from exchanged.stages import deliver

        with contextlib.suppress(NotYet):
            for batch in self._ledger.left():
                if deliver.discard(batch, self.courier):
                    self._ledger.swept(batch)

    def offered_here(self, batch: Record) -> bool:
        """Whether a batch was offered to the very inbox that is configured now."""
        return bool(batch.facts.get("offered_to", self._place()) == self._place())

    def _place(self) -> list[Any]:
        delivery = self.settings.delivery
        return [delivery.host, delivery.port, delivery.inbox, delivery.temp]

    # --- delivered -> closed --------------------------------------------------------------------------------------

    def shred(self, batch: Record) -> dict[str, Any]:
        """Destroy what is left of the batch on this machine."""
        record = self.endings.shred(batch)
        log.emit("deletion.done", batch=batch.id, files=len(record), bytes=sum(one["bytes"] for one in record))
        return {"deletion": record}

    # --- what the stages stand on ---------------------------------------------------------------------------------

    @property
    def sealing(self) -> Any:
        """The unit's keys."""
        if self._sealing is None:
            from exchanged.sealing import FORMATS

            sealing = self.settings.sealing
            self._sealing = FORMATS["gnupg"](
                sealing.gnupg_home, sealing.sign_with, sealing.encrypt_to, self._passphrase
            )  # type: ignore[call-arg]
        return self._sealing

    def _passphrase(self) -> str | None:
        name = self.settings.sealing.passphrase
        return config.credential(self.settings, name) if name else None

    @property
    def courier(self) -> Any:
        """The kept connection to the server."""
        if self._courier is None:
            from exchanged import transports

            self._courier = transports.courier("sftp", sending.endpoint(self.settings))
        return self._courier

    def fetch_courier(self) -> None:
        """Load what delivering needs, in the courier's own thread."""
        with contextlib.suppress(NotYet):
            _ = self.courier

    def one_child(self, batch: Record) -> AbstractContextManager[None]:
        """Within this, all that a batch's own files are opened for is done by one confined child.

        It may have served other small batches in whose files nothing was wrong.
        """
        size = sum(source.bytes for source in self._ledger.sources(batch))
        memory = max(checking.bounds(max(size, SMALL)).memory, confirming.MEMORY)
        reads = [*map(str, self.settings.standard.catalogues), *self.confirmation.reads()]
        return self._sandbox.keep(memory, reads, again=size <= SMALL)

    def spend_child(self) -> None:
        """What this thread's child was given is not right: it serves no other batch."""
        self._sandbox.spend()

    def rest(self) -> None:
        """Let go of what has not been needed for a while."""
        self._sandbox.rest()
        if self._courier is not None:
            self._courier.rest()

    def break_off(self) -> None:
        """Cut the connection to the server for good, whatever is under way on it."""
        if self._courier is not None:
            self._courier.end()

    def close(self) -> None:
        """End the helpers that this process has started."""
        if self._courier is not None:
            self._courier.close()
        # also an agent that somebody has started who looked while this was at work
        if self._sealing is not None or seen.anything(self.settings.sealing.gnupg_home / "S.gpg-agent"):
            self.sealing.close()

    def _checks(self, day: str) -> Checks:
        return config.checks(self.settings, day)

    def _checked_with(self, batch: Record) -> Checks:
        """What a batch's table was made with: the settings may have changed while it waited for its scan."""
        checks, known = self._checks(batch.facts["checked"]), batch.facts.get("checked_with")
        if known is None:  # of an earlier version
            return checks
        placeholders, limits = tuple(known["direction_placeholders"]), Limits(**known["limits"])
        return replace(checks, direction_placeholders=placeholders, limits=limits)

    def _file(self, batch: Record, source: Source) -> Path:
        """Where a file of a batch lies. Raises Held when someone has taken it away."""
        path = self.spool / batch.id / str(source.position)
        if not path.is_file() or path.is_symlink():
            raise Held("sealing.content_changed")
        return path


def today() -> str:
    """The day here, ISO."""
    return dt.datetime.now().astimezone().date().isoformat()
