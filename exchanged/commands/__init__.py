"""The commands: one row each, with what runs it and its own arguments. Light: imported for `--help` too."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchanged.messages import text


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its names, the code of its help text, and what argparse is told about it."""

    names: tuple[str, ...]
    help: str
    more: dict[str, Any]

    def add_to(self, parser: argparse.ArgumentParser, language: str) -> None:
        parser.add_argument(*self.names, help=text(self.help, language), **self.more)


@dataclass(frozen=True, slots=True)
class Command:
    """`run` is "module:function" below this package; `json` says whether it has --json."""

    run: str
    arguments: tuple[Argument, ...] = ()
    json: bool = False


def _argument(*names: str, help: str, **more: Any) -> Argument:
    return Argument(names, help, more)


def _limit(word: str) -> int:
    number = int(word)
    if number < 0:
        raise ValueError
    return number


def _hash(word: str) -> str:
    digits = word.strip().removeprefix("sha256:").lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError
    return digits


_limit.__name__ = "number"  # argparse names the type in its error
_hash.__name__ = "hash"

FILES = _argument("files", help="cli.files", metavar="FILE", nargs="+", type=Path)
BATCH = _argument("batch", help="cli.batch", metavar="BATCH")
BATCHES = _argument("batches", help="cli.batches", metavar="BATCH", nargs="+")
ANY_BATCHES = _argument("batches", help="cli.any_batches", metavar="BATCH", nargs="*")

COMMANDS: dict[str, Command] = {
    "run": Command("service:run"),
    "once": Command("service:once", json=True),
    "check": Command(
        "data:check",
        (
            FILES,
            _argument("--limit", help="cli.limit", metavar="N", type=_limit, default=1000),
            _argument("--annotate", help="cli.annotate", metavar="OUT.xlsx", type=Path),
            _argument("--report", help="cli.report", metavar="OUT.html", type=Path),
        ),
        json=True,
    ),
    "form": Command(
        "data:form",
        (FILES, _argument("-o", "--out", help="cli.form_out", metavar="FORM.pdf", type=Path, required=True)),
    ),
    "scan": Command("data:scan", (_argument("file", help="cli.scan_file", metavar="FILE.pdf", type=Path),), json=True),
    "status": Command("batches:status", json=True),
    "list": Command(
        "batches:listing",
        (
            _argument("--open", help="cli.list_open", action="store_true"),
            _argument("--last", help="cli.list_last", metavar="N", type=_limit),
        ),
        json=True,
    ),
    "show": Command("batches:show", (BATCH,), json=True),
    "trace": Command("batches:trace", (_argument("number", help="cli.number", metavar="NUMBER"),), json=True),
    "retry": Command("batches:retry", (BATCHES,)),
    "hold": Command("batches:hold", (ANY_BATCHES,)),
    "release": Command("batches:release", (ANY_BATCHES,)),
    "withdraw": Command(
        "batches:withdraw",
        (BATCH, _argument("--reason", help="cli.reason", metavar="TEXT", required=True)),
    ),
    "audit": Command("service:audit", (_argument("--head", help="cli.head", metavar="HASH", type=_hash),), json=True),
    "doctor": Command("service:doctor", json=True),
    "open": Command(
        "data:open_package",
        (
            _argument("package", help="cli.package", metavar="PACKAGE", type=Path),
            _argument("-o", "--out", help="cli.out", metavar="DIR", type=Path, required=True),
            _argument("--signer", help="cli.signer", metavar="FINGERPRINT", action="append", default=[]),
        ),
        json=True,
    ),
    "explain": Command("data:explain", (_argument("code", help="cli.code", metavar="CODE"),)),
    "standard": Command("data:standard", json=True),
    "init": Command(
        "service:init",
        (
            _argument("directory", help="cli.init_dir", metavar="DIR", type=Path),
            _argument("--keys", help="cli.keys", action="store_true"),
        ),
    ),
    "demo": Command(
        "service:demo", (_argument("directory", help="cli.demo_dir", metavar="DIR", nargs="?", type=Path),)
    ),
}
