"""Words in, one call of the api, words out, an exit status.

Every command is a row of `COMMANDS`: its arguments and the function that runs it. The api is imported only when a
command runs, so that `--help` stays quick. No traceback and no text of a library's error reaches the user.
"""

from __future__ import annotations

import argparse
import atexit
import codecs
import gc
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from exchanged.commands import COMMANDS
from exchanged.commands.status import INTERRUPTED, OK, PENDING, TERMINATED, USAGE
from exchanged.messages import text

CONFIG_FILE = "/etc/exchanged/exchanged.yaml"


COMPLAINTS = {
    "cli.no_command": r"argument \S+: invalid choice: (?P<word>.*) \(choose from .*\)",
    "cli.lacking": r"the following arguments are required: (?P<words>.*)",
    "cli.unrecognised": r"unrecognized arguments: (?P<words>.*)",
    "cli.no_value": r"argument (?P<word>.*): expected .*argument",
    "cli.bad_value": r"argument (?P<word>.*): invalid .* value: (?P<value>.*)",
}


class Terminated(BaseException):
    """SIGTERM came while a command other than `run` was at work."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit status (`exchanged.commands.status`)."""
    if argv is None:
        _in_utf8()
    language = _language(sys.argv[1:] if argv is None else argv)
    _prepare()
    try:
        arguments = _parser(language).parse_args(argv)
        arguments.language = language
        signal.signal(signal.SIGTERM, _terminate)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a caller may have it ignored: then no child's end is told
        return _said("", _run(arguments))  # a log line that could not be written may still wait to be
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except SystemExit as end:
        return _said("", end.code if isinstance(end.code, int) else USAGE)


def _in_utf8() -> None:
    """File names are UTF-8, whatever the locale says: else start again so. What is printed stays in the locale's."""
    if codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        return
    os.environ.setdefault("PYTHONIOENCODING", getattr(sys.stdout, "encoding", None) or "utf-8")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  ourselves


def _said(words: str, status: int = OK) -> int:
    """Say something on standard output, and all that waits to be written; the status, unless it cannot be."""
    from exchanged.errors import NotYet
    from exchanged.views.page import reaching

    try:
        with reaching(sys.stdout):
            sys.stdout.write(words)
            return status
    except NotYet:
        return PENDING if status == OK else status


def _run(arguments: argparse.Namespace) -> int:
    from importlib import import_module

    module, _, function = COMMANDS[arguments.command].run.partition(":")
    try:
        return int(getattr(import_module(f"exchanged.commands.{module}"), function)(arguments))
    except (KeyboardInterrupt, Terminated, SystemExit):
        raise
    except BaseException as error:  # also what ends a process on purpose must not show a traceback
        from exchanged.commands.trouble import report

        return report(error, arguments)


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Terminated


def _prepare() -> None:
    """No output that cannot be encoded or has nowhere to go, no warning of a library, no traceback of a thread."""
    warnings.simplefilter("ignore")
    for number in range(3):  # closed by the caller: what is opened next must not be taken for it
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    threading.excepthook = _thread_failed
    atexit.register(gc.freeze)  # on its way out the interpreter would go through all modules for what is not needed
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    from exchanged import log

    error = failed.exc_value
    if error is not None:
        log.emit("daemon.step_failed", place=log.place(error), **{"class": type(error).__name__})


def _language(argv: Sequence[str]) -> str:
    """The language of the configuration, told without parsing it as a whole; without one that of the locale."""
    given = next((argv[n + 1] for n, word in enumerate(argv[:-1]) if word == "--config"), None)
    given = given or next((word[9:] for word in argv if word.startswith("--config=")), None)
    try:
        with Path(given or os.environ.get("EXCHANGED_CONFIG") or CONFIG_FILE).open("rb") as file:
            lines = file.read(65536).splitlines()
    except (OSError, ValueError):
        return _locale_language()
    for line in lines:
        key, _, value = line.partition(b":")
        if key == b"language":
            return "en" if value.split(b"#")[0].strip(b" \"'") == b"en" else "zh"
    return "zh"


def _locale_language() -> str:
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((name for name in names if name), "C")
    return "zh" if locale.startswith(("zh", "C", "POSIX")) else "en"


def _parser(language: str) -> argparse.ArgumentParser:
    Parser.language = language
    parser = Parser(prog="exchanged", description=text("cli.description", language))
    parser.add_argument("--config", metavar="FILE", type=Path, help=text("cli.config", language))
    parser.add_argument("--version", action=Version, nargs=0, help=text("cli.version", language))
    below = parser.add_subparsers(
        dest="command",
        metavar=text("cli.command", language),
        required=True,
        title=text("cli.commands", language),
        parser_class=Parser,
    )
    for name, command in COMMANDS.items():
        summary = text(f"cli.{name}", language)
        sub = below.add_parser(name, help=summary, description=summary)
        for argument in command.arguments:
            argument.add_to(sub, language)
        if command.json:
            sub.add_argument("--json", action="store_true", help=text("cli.json", language))
    return parser


class Version(argparse.Action):
    """Prints the version and ends; the package's metadata is read only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        parser.exit(_said(f"exchanged {version('exchanged')}\n"))


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help in our words, with room for the longest command."""

    def __init__(self, prog: str, **more: Any) -> None:
        super().__init__(prog, max_help_position=28, width=min(100, _columns()), **more)


class Parser(argparse.ArgumentParser):
    """A parser whose headings and errors speak the user's language."""

    language = "zh"

    def __init__(self, **more: Any) -> None:
        super().__init__(formatter_class=Formatter, add_help=False, allow_abbrev=False, **more)
        language = self.language
        self._positionals.title = text("cli.arguments", language)
        self._optionals.title = text("cli.options", language)
        self.add_argument("-h", "--help", action="help", help=text("cli.help", language))

    def format_help(self) -> str:
        return super().format_help().replace("usage: ", text("cli.usage", self.language), 1)

    def error(self, message: str) -> NoReturn:
        usage = self.format_usage().replace("usage: ", text("cli.usage", self.language), 1)
        said = _in_our_words(message, self.language)
        self.exit(USAGE, f"{usage}{text('cli.wrong_usage', self.language, message=said, prog=self.prog)}\n")


def _in_our_words(message: str, language: str) -> str:
    """What argparse says, in the user's language where it is one of its usual complaints."""
    for code, pattern in COMPLAINTS.items():
        match = re.fullmatch(pattern, message, re.S)
        if match:
            return text(code, language, **match.groupdict())
    return message


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size((80, 24)).columns - 2
