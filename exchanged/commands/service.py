"""Commands about the installation: run, once, audit, doctor, init, demo."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from exchanged import log
from exchanged.commands import status
from exchanged.commands.output import answer, tell
from exchanged.commands.trouble import reasons

Arguments = argparse.Namespace


def run(arguments: Arguments) -> int:
    """The daemon, in the foreground; its log goes to standard output."""
    from exchanged import daemon

    log.setup(sys.stdout)
    try:
        return int(daemon.run(arguments.config))
    except Exception as error:
        for facts in reasons(error):
            log.emit("daemon.failed", **facts)
        raise


def once(arguments: Arguments) -> int:
    """Does all that can be done now."""
    from exchanged import api
    from exchanged.views.batches import once_page

    if not sys.stderr.isatty():
        log.setup(sys.stderr)
    result = api.open_exchange(arguments.config).once()
    answer(arguments, result, once_page)
    return _once_status(result)


def _once_status(result: dict[str, Any]) -> int:
    if result["rejected"]:
        return status.WRONG
    waits = result["pending"] or any(batch["state"] == "held" for batch in result["batches"])
    return status.PENDING if waits else status.OK


def audit(arguments: Arguments) -> int:
    """Verifies the ledger's chain and every evidence file."""
    from exchanged import api
    from exchanged.views.system import audit_page

    result = api.open_exchange(arguments.config).audit(arguments.head)
    answer(arguments, result, audit_page)
    return status.OK if result["ok"] else status.INTEGRITY


def doctor(arguments: Arguments) -> int:
    """Looks at everything that the work depends on."""
    from exchanged import api
    from exchanged.views.system import doctor_document, doctor_page

    lines = api.doctor(arguments.config)
    answer(arguments, doctor_document(lines, arguments.language), doctor_page)
    failed = [line for line in lines if line["level"] == "fail"]
    if any(str(line["code"]).startswith("config.") for line in failed):
        return status.CONFIG
    return status.PENDING if failed else status.OK


def init(arguments: Arguments) -> int:
    """Writes a commented configuration and the folders, on request keys."""
    from exchanged import api

    tell(*api.init(arguments.directory, arguments.keys, arguments.language))
    return status.OK


def demo(arguments: Arguments) -> int:
    """The whole way on this machine."""
    from exchanged import demo
    from exchanged.commands.data import writable_folder

    if arguments.directory is not None:
        writable_folder(arguments.directory, 0o755)
    return int(demo.run(arguments.directory, arguments.language) or 0)
