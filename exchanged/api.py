"""The one door: what the command line and the daemon can ask for. Plain values in, JSON-able values out.

Everything heavy is imported when it is asked for. Raises the errors of `exchanged.errors`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchanged import filenames
from exchanged.batch import Checks, Limits
from exchanged.errors import NotYet

Names = list[str]  # `list` is a method below
MOST = 1 << 31  # batches that any ledger can have
LOOKS = 3  # at a batch that moves while it is decided upon

if TYPE_CHECKING:
    import pandas

    from exchanged.engine import Engine
    from exchanged.ledger import Ledger, Record
    from exchanged.sandbox import Sandbox
    from exchanged.settings import Settings


def check(
    paths: Sequence[Path | str],
    settings: Settings | None = None,
    *,
    limit: int = 1000,
    language: str = "zh",
    progress: Callable[[int], None] | None = None,
    annotate: Path | None = None,
) -> dict[str, Any]:
    """Validate spreadsheets as the daemon would. Gives the document `exchanged-check/1`; writes nothing but `annotate`.

    annotate: where to write the first spreadsheet with everything marked; the document then says in `annotated`
    whether it is there. Raises OSError when it cannot be written.
    """
    import dataclasses

    from exchanged import config
    from exchanged.report import document
    from exchanged.sandbox import Sandbox
    from exchanged.stages import check as checking
    from exchanged.steps import today

    checks = config.checks(settings, today()) if settings else Checks(today=today())
    checks = dataclasses.replace(checks, limit=limit)
    files = sorted(((path.name, path) for path in map(Path, paths)), key=lambda pair: filenames.order(pair[0]))
    with Sandbox() as sandbox:
        result, _ = checking.check(files, checks, sandbox, progress=progress)
        said = document.check(result, language)
        if annotate:
            has_data = result["files"][0]["header_row"] is not None
            said["annotated"] = has_data and _annotated(files, annotate, checks, sandbox, language)
    return said


def _annotated(files: Sequence[tuple[str, Path]], out: Path, checks: Checks, sandbox: Sandbox, language: str) -> bool:
    """Write the first file once more, marked; whole under its name or not at all."""
    from exchanged import disk
    from exchanged.stages import annotate

    part = disk.temp_name(out)
    mode = files[0][1].stat().st_mode & 0o666  # who may read the clerk's file may read this one
    try:
        why = annotate.annotate(files, 0, part, checks, sandbox, language=language, given_back=False, mode=mode)
        if why is None:
            disk.commit(part, out)
    finally:
        part.unlink(missing_ok=True)
    return why is None


def frame(paths: Sequence[Path | str], settings: Settings | None = None) -> pandas.DataFrame:
    """The normalised records of valid spreadsheets, for analysis: one text column a field, in Annex 2's order.

    The same bytes that would be sent (`certificates.csv`). Raises Refused with the findings of an invalid file.
    Opens the files in this process, so only for files of your own; `check` opens them in a confined child.
    """
    import dataclasses
    import io

    import pandas

    from exchanged import checking, config
    from exchanged.errors import Refused
    from exchanged.steps import today

    checks = config.checks(settings, today()) if settings else Checks(today=today())
    with contextlib.ExitStack() as opened:
        files = [(path.name, opened.enter_context(path.open("rb"))) for path in map(Path, paths)]
        checked = checking.check(files, dataclasses.replace(checks, limit=0))
        result = checked.to_dict()
        if result["summary"]["error"]:
            raise Refused(*checked.findings, result=result)
        table = b"".join(checking.table(files, checks))
    return pandas.read_csv(io.BytesIO(table), dtype="string", keep_default_na=False, na_filter=False)


def scan(path: Path, settings: Settings | None = None, *, language: str = "zh") -> dict[str, Any]:
    """Check a confirmation scan alone. Gives the document `exchanged-scan/1`."""
    from exchanged.report import document
    from exchanged.sandbox import Sandbox
    from exchanged.stages import confirm

    max_pages = settings.confirmation.max_pages if settings else 10
    most = (settings.intake.limits if settings else Limits()).file
    with Sandbox() as sandbox, path.open("rb", buffering=0) as file:
        found = confirm.look(file.fileno(), max_pages, sandbox, most=most)
    overrides = settings.standard.severity if settings else {}
    findings = [confirm.finding(one, overrides, path.name) for one in confirm.judge(found, None)]
    return document.scan(path.name, found, [one for one in findings if one.severity != "off"], language)


def form(
    paths: Sequence[Path],
    out: Path,
    settings: Settings | None = None,
    *,
    language: str = "zh",
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Check spreadsheets and, when they are valid, write their filled-in form. Gives `exchanged-check/1`.

    The form names the batch that the daemon would make of these files today; without settings the unit and its people
    are left to be written by hand. Raises NotYet without a font or when the form cannot be drawn, OSError when it
    cannot be written.
    """
    from exchanged import disk
    from exchanged.confirmation import unclaimed
    from exchanged.sandbox import Sandbox
    from exchanged.stages import form as forms
    from exchanged.steps import today

    said = check(paths, settings, language=language, progress=progress)
    if said["verdict"] == "valid":
        with Sandbox() as sandbox:
            font = settings.confirmation.font if settings else None
            content = forms.drawn(unclaimed(settings, paths, said, today()), font, sandbox)
        disk.write(out, content, 0o644)
    return said


def standard(settings: Settings | None = None) -> dict[str, Any]:
    """The field standard, code lists, rules with their severity, and catalogue editions in force.

    Gives `exchanged-standard/1`; with settings, as they change it.
    """
    from exchanged import config
    from exchanged.standard import document
    from exchanged.steps import today

    day = today()
    checks = config.checks(settings, day) if settings else Checks(today=day)
    return document.standard(
        day,
        severity=checks.severity,
        catalogues=[Path(path) for path in checks.catalogues],
        placeholders=checks.direction_placeholders,
    )


def open_package(path: Path, out: Path, config_path: Path | None = None, signers: Sequence[str] = ()) -> dict[str, Any]:
    """The receiving side: verify and decrypt, and compare the manifest with the content. Gives `exchanged-open/1`.

    signers: full fingerprints of which one must have signed; by default every key that the configuration names. With
    them a machine that has no configuration does without: it takes the keyring that gpg takes.
    """
    from exchanged import config, seen
    from exchanged.sealing import package
    from exchanged.sealing.gnupg import Gnupg
    from exchanged.sealing.process import visiting
    from exchanged.statefolder import locked

    where = config.find(config_path)
    if signers and where == config.DEFAULT_PATH and not seen.anything(where):
        home = Path(os.environ.get("GNUPGHOME") or Path.home() / ".gnupg")
        with visiting(home):
            return {
                "format": "exchanged-open/1",
                **package.open_package(path, Gnupg(home, signers[0], ()), out, signers),
            }
    settings = config.load(where)
    sealing = settings.sealing
    name = sealing.passphrase
    gnupg = Gnupg(
        sealing.gnupg_home,
        sealing.sign_with,
        sealing.encrypt_to,
        lambda: config.credential(settings, name) if name else None,
    )
    trusted = tuple(signers) or (sealing.sign_with, *sealing.encrypt_to, *settings.receipts.trusted)
    with visiting(sealing.gnupg_home, lambda: locked(settings.folders.state)):
        return {"format": "exchanged-open/1", **package.open_package(path, gnupg, out, trusted)}


def init(directory: Path, keys: bool = False, language: str = "zh") -> list[str]:
    """Write a commented configuration, the folders with right modes, and on request keys. Gives lines to show."""
    from exchanged import setup

    return setup.init(directory, keys, language)


def doctor(config_path: Path | None = None) -> list[dict[str, Any]]:
    """Everything the work depends on, each ok, warn or fail with what to do."""
    from exchanged.doctor import examine

    return examine(config_path)


def open_exchange(config_path: Path | None = None) -> Exchange:
    """The exchange that a configuration describes. Raises ConfigError."""
    from exchanged import config

    return Exchange(config.load(config.find(config_path)))


class Exchange:
    """One unit's exchange: its batches and the operator's decisions about them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # --- at work --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        """The one instance at work. Raises NotYet("daemon.running") where another is."""
        from exchanged.engine import Engine
        from exchanged.statefolder import lock

        with lock(self._state()):
            engine = Engine(self.settings)
            try:
                yield engine
            finally:
                engine.close()

    def once(self) -> dict[str, Any]:
        """Do all that can be done now, then stop. Gives `exchanged-once/1`."""
        with self.engine() as engine:
            return engine.once()

    def _state(self) -> Path:
        from exchanged.statefolder import own_state

        return own_state(self.settings)

    # --- looking --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        from exchanged.statefolder import look_at_ledger

        with look_at_ledger(self.settings) as (ledger, _):
            yield ledger

    def status(self) -> dict[str, Any]:
        """One screen. Gives `exchanged-status/1`."""
        from exchanged import overview

        with self._ledger() as ledger:
            return overview.status(self.settings, ledger)

    def list(self, *, open_only: bool = False, last: int | None = None) -> list[dict[str, Any]]:
        """Batches, newest first: all, or those with something left to do, or the `last` so many of them."""
        from exchanged import overview

        with self._ledger() as ledger:
            found = ledger.batches(open_only=open_only, last=min(last or -1, MOST))
            return [overview.row(batch) for batch in reversed(found)]

    def show(self, name: str) -> dict[str, Any]:
        """Everything known about one batch. Gives `exchanged-show/1`; raises NotYet("batch.unknown")."""
        from exchanged import overview

        with self._ledger() as ledger:
            return overview.show(ledger, self._one(ledger, name))

    def trace(self, number: str) -> dict[str, Any]:
        """The history of one certificate number. Gives `exchanged-trace/1`."""
        from exchanged import overview
        from exchanged.statefolder import look_at_ledger

        with look_at_ledger(self.settings) as (ledger, secrets):
            return overview.trace(ledger, secrets, number)

    def audit(self, head: str | None = None) -> dict[str, Any]:
        """Verify the ledger's chain and every evidence file. Gives `exchanged-audit/1`.

        head: the `ledger_head` that a manifest kept elsewhere names; the chain must contain it.
        """
        from exchanged import evidence

        with self._ledger() as ledger:
            return evidence.audit(ledger, self.settings.folders.state, head)

    # --- deciding -------------------------------------------------------------------------------------------------

    def retry(self, names: Sequence[str]) -> Names:
        """Try batches at once. Gives those to which it applied."""
        return self._decide(names, "retry")

    def hold(self, names: Sequence[str]) -> Names | None:
        """Hold batches; without a name, delivery as a whole."""
        if not names:
            return self._pause(True)
        with self._idle():
            return self._decide(names, "hold")

    def release(self, names: Sequence[str]) -> Names | None:
        """Release held batches; without a name, delivery as a whole."""
        if names:
            return self._decide(names, "release")
        return self._pause(False)

    def withdraw(self, names: Sequence[str], reason: str) -> Names:
        """Take batches back before they are delivered; where nobody is at work, their files go back at once.

        Raises IntegrityFailure as a start does: by a ledger that cannot be trusted nothing is decided.
        """
        with self._idle() as engine:
            done = self._decide(names, "withdraw", reason)
            if engine:
                engine.clear()
        return done

    @contextlib.contextmanager
    def _idle(self) -> Iterator[Engine | None]:
        """Where nobody is at work: what a killed run left half done is put right, and nobody begins meanwhile."""
        with contextlib.ExitStack() as stack:
            engine = None
            with contextlib.suppress(NotYet):  # somebody is at work, or nothing can be done just now
                engine = stack.enter_context(self.engine())
                engine.recover()
            yield engine

    def _decide(self, names: Sequence[str], what: str, *words: str) -> Names:
        from exchanged.flow import Flow
        from exchanged.sandbox import Sandbox
        from exchanged.statefolder import open_ledger
        from exchanged.steps import Steps

        ledger, secrets = open_ledger(self.settings)
        try:
            decide = getattr(Flow(ledger, Steps(self.settings, ledger, secrets, Sandbox())), what)
            batches = [self._one(ledger, name) for name in names]
            return [batch.id for batch in batches if self._decided(ledger, batch, lambda one: decide(one, *words))]
        finally:
            ledger.close()

    def _decided(self, ledger: Ledger, batch: Record, decide: Callable[[Record], bool]) -> bool:
        """Whether a decision applied to a batch; to one that has just been moved, as it is then."""
        for _ in range(LOOKS):
            try:
                return decide(batch)
            except NotYet as problem:
                if problem.code != "batch.moved_meanwhile":
                    raise
            batch = self._one(ledger, batch.id)
        return False

    def _pause(self, paused: bool) -> Names | None:
        from exchanged.statefolder import open_ledger

        ledger, _ = open_ledger(self.settings)
        with contextlib.closing(ledger):
            ledger.pause(paused)
        return None

    def _one(self, ledger: Ledger, name: str) -> Record:
        batch = ledger.batch(name) if name.isascii() else None
        if batch is None:
            raise NotYet("batch.unknown", batch=name)
        return batch
