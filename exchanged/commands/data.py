"""Commands about data that need no ledger: check, scan, open, explain, standard."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchanged.commands import status
from exchanged.commands.output import answer, complain, tell
from exchanged.commands.trouble import Usage
from exchanged.errors import ConfigError, NotYet
from exchanged.messages import explain as explained
from exchanged.messages import text

if TYPE_CHECKING:
    from exchanged.config import Settings

Arguments = argparse.Namespace
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a disk: the call was right


def check(arguments: Arguments) -> int:
    """Validates spreadsheets; writes nothing but the report and the marked workbook that were asked for."""
    from exchanged import api
    from exchanged.views.check import check_page
    from exchanged.views.progress import Progress

    for file in arguments.files:
        _readable(file)
    _outputs(arguments)
    settings = _settings_if_any(arguments)
    language, out = arguments.language, arguments.annotate
    label = text("check.working", language)
    with Progress(label, lambda n: text("check.rows", language, n=f"{n:,}"), on=not arguments.json) as progress:
        try:
            result = api.check(
                arguments.files, settings, limit=arguments.limit, language=language, progress=progress, annotate=out
            )
        except OSError as error:
            if out is None:
                raise
            raise _unwritten(out, error) from None
    annotated = result.pop("annotated", None)
    if arguments.report:
        _write_report(arguments.report, result, language)
    answer(arguments, result, check_page)
    if annotated is False:
        complain(text("cli.not_annotated", language, file=str(out)))
    elif annotated and not arguments.json:
        tell("", text("cli.annotated", language, file=str(out)))
    return status.OK if result["verdict"] == "valid" else status.WRONG


def form(arguments: Arguments) -> int:
    """Writes the filled-in form for valid spreadsheets; refuses invalid ones as check does."""
    from exchanged import api
    from exchanged.views.check import check_page
    from exchanged.views.progress import Progress

    for file in arguments.files:
        _readable(file)
    if any(_same(arguments.out, file) for file in arguments.files):
        raise Usage("cli.same_file", file=str(arguments.out))
    settings, language = _settings_if_any(arguments), arguments.language
    label = text("check.working", language)
    with Progress(label, lambda n: text("check.rows", language, n=f"{n:,}"), on=True) as progress:
        try:
            result = api.form(arguments.files, arguments.out, settings, language=language, progress=progress)
        except OSError as error:
            raise _unwritten(arguments.out, error) from None
    answer(arguments, result, check_page)
    if result["verdict"] != "valid":
        return status.WRONG
    tell("", text("cli.form_written", language, file=str(arguments.out)))
    return status.OK


def scan(arguments: Arguments) -> int:
    """Checks a confirmation scan alone."""
    from exchanged import api
    from exchanged.views.check import scan_page

    _readable(arguments.file)
    result = api.scan(arguments.file, _settings_if_any(arguments), language=arguments.language)
    answer(arguments, result, scan_page)
    return status.OK if result["verdict"] == "valid" else status.WRONG


def open_package(arguments: Arguments) -> int:
    """The receiving side: verifies, decrypts, compares the manifest with the content."""
    from exchanged import api
    from exchanged.views.system import open_page

    _readable(arguments.package)
    signers = [_fingerprint(word) for word in arguments.signer]
    writable_folder(arguments.out)
    try:
        result = api.open_package(arguments.package, arguments.out, arguments.config, signers)
    except OSError as error:
        raise NotYet("output.unwritable", errno=error.errno or 0) from None
    answer(arguments, result, open_page)
    return status.OK


def _fingerprint(word: str) -> str:
    """A full fingerprint, as gpg prints it or without spaces. Raises Usage."""
    bare = "".join(word.split()).upper()
    if not re.fullmatch(r"[0-9A-F]{40}", bare):
        raise Usage("cli.bad_value", word="--signer", value=_shown(word))
    return bare


def explain(arguments: Arguments) -> int:
    """What a rule, a reason, an event or a state means."""
    from exchanged.standard import rules
    from exchanged.views.system import explain_page

    page = rules.explain(arguments.code, arguments.language) or explained(arguments.code, arguments.language)
    if page is None:
        raise Usage("cli.unknown_code", code=_shown(arguments.code), nearest=_nearest(arguments.code))
    rule = rules.RULES.get(arguments.code)
    settings = None
    with contextlib.suppress(ConfigError):  # what a rule means can be told all the same
        settings = _settings_if_any(arguments) if rule else None
    severity = rules.severity(rule.name, settings.standard.severity if settings else None) if rule else None
    answer(arguments, {"code": arguments.code, "page": page, "rule": rule, "severity": severity}, explain_page)
    return status.OK


def standard(arguments: Arguments) -> int:
    """The field standard, code lists, rules and catalogue editions, as the configuration changes them."""
    from exchanged import api
    from exchanged.views.system import standard_page

    answer(arguments, api.standard(_settings_if_any(arguments)), standard_page)
    return status.OK


def _settings_if_any(arguments: Arguments) -> Settings | None:
    """The configuration that was named, or the machine's own where this user can read it; else none is needed."""
    from exchanged import config

    named = arguments.config or os.environ.get("EXCHANGED_CONFIG")
    path = config.find(arguments.config)
    if named or os.access(path, os.R_OK):
        return config.load(path)
    return None


def _readable(path: Path) -> None:
    """Raises Usage unless this is a plain file that can be read (a pipe would make the command wait for ever)."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise Usage("cli.no_file", file=str(path)) from None
    except (OSError, ValueError):
        raise Usage("cli.unreadable", file=str(path)) from None
    if not stat.S_ISREG(mode):
        raise Usage("cli.not_a_file", file=str(path))
    if not os.access(path, os.R_OK):
        raise Usage("cli.unreadable", file=str(path))


def writable_folder(path: Path, mode: int = 0o700) -> None:
    """Makes a folder if it is not there. Raises Usage where nothing can be put into it."""
    from exchanged import disk

    try:
        disk.folder(path, mode)
    except OSError:
        raise Usage("cli.unwritable", file=str(path)) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise Usage("cli.unwritable", file=str(path))


def _outputs(arguments: Arguments) -> None:
    """Raises Usage for a marked workbook of several files (one data sheet belongs in one workbook), and for an output
    that would take the place of what is to be checked."""
    if arguments.annotate and len(arguments.files) > 1:
        raise Usage("cli.annotate_one")
    if arguments.annotate:
        arguments.annotate = _resolved(arguments.annotate)  # it is put in place whole, not through a link
        if arguments.annotate.exists() and not arguments.annotate.is_file():
            raise Usage("cli.unwritable", file=str(arguments.annotate))
    if arguments.annotate and arguments.report and _resolved(arguments.report) == arguments.annotate:
        raise Usage("cli.one_output", file=str(arguments.report))
    for out in (arguments.annotate, arguments.report):
        if out and any(_same(out, file) for file in arguments.files):
            raise Usage("cli.same_file", file=str(out))


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _same(out: Path, file: Path) -> bool:
    try:
        return out.samefile(file)
    except (OSError, ValueError):  # not there yet, or not to be written at all
        return False


def _write_report(path: Path, result: dict[str, Any], language: str) -> None:
    from exchanged.report.html import page

    try:
        path.write_text(page(result, language), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        if error.errno in _PASSING and path.is_file():
            with contextlib.suppress(OSError):
                path.unlink()  # half a report
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> Exception:
    """What to raise where an output could not be written: a disk's trouble passes, a wrong place does not."""
    if error.errno in _PASSING:
        return NotYet("output.unwritable", errno=error.errno)
    return Usage("cli.unwritable", file=str(path))


def _shown(code: str) -> str:
    return code if len(code) <= 60 else f"{code[:60]}…"


def _nearest(code: str) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(code, known_codes(), 1)), "")


def known_codes() -> list[str]:
    """Every code that `explain` knows: rules, events and reasons, states."""
    from exchanged import log, states
    from exchanged.standard.rules import RULES

    return [*RULES, *log.EVENTS, *(str(state) for state in states.State)]
