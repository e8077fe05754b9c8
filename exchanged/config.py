"""The configuration: one YAML file to one frozen `Settings`, or every problem in it at once.

Takes   a file, or its text
Gives   `Settings`, durations in seconds, sizes in bytes, folders as absolute paths
Redo    reads only; a reload parses the file anew and swaps the whole value
Ends    ConfigError with all problems, each with the path of its key, a message code and facts
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from exchanged import editions, sections, seen, shapes
from exchanged.batch import NEVER_OFF, THRESHOLDS, Checks, Limits
from exchanged.errors import ConfigError, ConfigProblem, NotYet
from exchanged.sections import Section, closing
from exchanged.settings import (
    Calendar,
    Confirmation,
    Credentials,
    Deletion,
    Delivery,
    Folders,
    Intake,
    Receipts,
    Sealing,
    Settings,
    Standard,
    Unit,
    Window,
)

__all__ = ["DEFAULT_PATH", "Settings", "checks", "credential", "credential_path", "find", "load", "parse"]

DEFAULT_PATH = Path("/etc/exchanged/exchanged.yaml")
STANDARD_DATA = Path(__file__).parent / "standard" / "data"
MOST = {"many-awards": 10_000, "level-jump-days": 36_500, "daily-burst": 100_000_000, "serial-gap": 99_999}
_DAY = 86400.0


def parse(source: str, *, origin: Path | None = None, named: bool = False) -> Settings:
    """The settings that a YAML text describes. Raises ConfigError with every problem in it.

    named: also what is wrong with the files that it names.
    """
    problems: list[ConfigProblem] = []
    read = sections.tree(source, problems)
    if read is None:  # what stands in it cannot be told: nothing else is
        raise ConfigError(tuple(problems))
    root = Section("", read, problems)
    settings = _settings(root, origin)
    root.close()
    wrong = {problem.path for problem in problems}
    problems += [problem for problem in _contradictions(settings) if problem.path not in wrong]
    if named:
        problems += [problem for problem in _named(settings) if problem.path not in wrong]
    if problems:
        raise ConfigError(tuple(sorted(problems, key=lambda problem: (problem.facts.get("line", 0), problem.path))))
    return settings


def load(path: Path) -> Settings:
    """The settings in a file. Raises ConfigError, also when the file or one that it names cannot be read."""
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError((ConfigProblem("", "config.encoding", {"byte": error.start}),)) from None
    except OSError as error:
        raise ConfigError((_unreadable("", path, error),)) from None
    return parse(source, origin=path, named=True)


def find(given: str | Path | None = None) -> Path:
    """Which file is the configuration: the one given, else EXCHANGED_CONFIG, else the one in /etc."""
    return Path(given or os.environ.get("EXCHANGED_CONFIG") or DEFAULT_PATH)


def checks(settings: Settings, today: str, limit: int = 1000) -> Checks:
    """What a check depends on, from the settings and a date (ISO)."""
    return Checks(
        today=today,
        severity=dict(settings.standard.severity),
        thresholds=dict(settings.standard.thresholds),
        direction_placeholders=settings.standard.direction_placeholders,
        issuer_codes=settings.unit.issuer_codes,
        centres=settings.unit.centres,
        authorities=settings.unit.authorities,
        catalogues=tuple(str(path) for path in settings.standard.catalogues),
        limits=settings.intake.limits,
        limit=limit,
    )


def credential_path(settings: Settings, name: str) -> Path:
    """Where a credential lies: a path as given, else what systemd handed over, else `credentials.directory`."""
    if name.startswith("/"):
        return Path(name)
    handed = os.environ.get("CREDENTIALS_DIRECTORY")
    if handed and seen.anything(Path(handed) / name):
        return Path(handed) / name
    if settings.credentials.directory:
        return settings.credentials.directory / name
    raise NotYet("credentials.missing", name=name)


def credential(settings: Settings, name: str) -> str:
    """The text of a credential, without its line end.

    Raises NotYet: credentials.missing, credentials.open (others may read the file) or credentials.unreadable.
    """
    path = credential_path(settings, name)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # systemd guards its own folder with an ACL and modes of its choice
            if mode & 0o077 and str(path.parent) != os.environ.get("CREDENTIALS_DIRECTORY"):
                raise NotYet("credentials.open", name=path.name, mode=f"{mode & 0o7777:04o}")
            return file.read(1_000_000).decode().rstrip("\r\n")
    except FileNotFoundError:
        raise NotYet("credentials.missing", name=path.name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise NotYet("credentials.unreadable", name=path.name, error=type(error).__name__) from None


def _settings(root: Section, origin: Path | None) -> Settings:
    """Reads every section. Where problems were reported the value is incomplete and must not be used."""
    folders = _folders(root.section("folders"))
    return Settings(
        language=root.take("language", shapes.choice("zh", "en"), "zh"),
        unit=_unit(root.section("unit")),
        folders=folders,
        intake=_intake(root.section("intake")),
        standard=_standard(root.section("standard")),
        confirmation=_confirmation(root.section("confirmation")),
        sealing=_sealing(root.section("sealing"), folders.state),
        delivery=_delivery(root.section("delivery")),
        receipts=_receipts(root.section("receipts")),
        deletion=_deletion(root.section("deletion")),
        calendar=_calendar(root.section("calendar")),
        credentials=_credentials(root.section("credentials")),
        source=origin,
    )


@closing
def _unit(section: Section) -> Unit:
    return Unit(
        code=section.take("code", shapes.unit_code),
        name=section.take("name", shapes.text),
        head=section.take("head", shapes.words, ""),
        information_manager=section.take("information_manager", shapes.words, ""),
        issuer_codes=section.many("issuer_codes", shapes.issuer_code),
        centres=section.many("centres", shapes.text),
        authorities=section.many("authorities", shapes.text),
    )


@closing
def _folders(section: Section) -> Folders:
    return Folders(
        drop=section.take("drop", shapes.path, Path("/srv/exchanged/drop")),
        forms=section.take("forms", shapes.path, Path("/srv/exchanged/forms")),
        rejected=section.take("rejected", shapes.path, Path("/srv/exchanged/rejected")),
        receipts=section.take("receipts", shapes.path, Path("/srv/exchanged/receipts")),
        state=section.take("state", shapes.path, Path("/var/lib/exchanged")),
    )


@closing
def _intake(section: Section) -> Intake:
    return Intake(
        settle=section.take("settle", shapes.duration(), 5.0),
        rescan=section.take("rescan", shapes.duration(least=0.1), 30.0),
        confirmation_wait=section.take("confirmation_wait", shapes.duration(), 30 * _DAY),
        data_types=section.many("data_types", shapes.folder_name, ("新增", "更正"), least=1),
        limits=_limits(section.section("limits")),
    )


@closing
def _limits(section: Section) -> Limits:
    return Limits(
        file=section.take("file", shapes.size, Limits().file),
        rows=section.take("rows", shapes.whole(1, 100_000_000), Limits().rows),
        columns=section.take("columns", shapes.whole(12, 16_384), Limits().columns),
        unpacked=section.take("unpacked", shapes.size, Limits().unpacked),
    )


@closing
def _standard(section: Section) -> Standard:
    return Standard(
        severity=_severity(section.section("severity")),
        thresholds=_thresholds(section.section("thresholds")),
        direction_placeholders=section.many("direction_placeholders", shapes.text, Checks("").direction_placeholders),
        catalogues=section.many("catalogues", shapes.path),
    )


@closing
def _severity(section: Section) -> dict[str, str]:
    rules = _rules()
    chosen = {}
    for rule in section.entries.keys() & rules.keys():
        chosen[rule] = section.take(rule, shapes.choice("error", "hold", "warn", "off"), "error")
        if chosen[rule] == "off" and (rules[rule] == "file" or rule in NEVER_OFF):
            section.report(section.at(rule), "config.rule_fixed", section.entries[rule], rule=rule)
    section.known.extend(rules)
    return chosen


@closing
def _thresholds(section: Section) -> dict[str, int]:
    return {name: section.take(name, shapes.whole(1, MOST[name]), value) for name, value in THRESHOLDS.items()}


@closing
def _confirmation(section: Section) -> Confirmation:
    return Confirmation(
        max_pages=section.take("max_pages", shapes.whole(1, 1000), 10),
        font=section.take("font", shapes.optional(shapes.path), None),
    )


@closing
def _sealing(section: Section, state: Path | None) -> Sealing:
    return Sealing(
        gnupg_home=section.take("gnupg_home", shapes.path, (state or Path("/var/lib/exchanged")) / "gnupg"),
        sign_with=section.take("sign_with", shapes.fingerprint),
        encrypt_to=section.many("encrypt_to", shapes.fingerprint, None, least=1),
        passphrase=section.take("passphrase", shapes.optional(shapes.credential_name), None),
    )


@closing
def _delivery(section: Section) -> Delivery:
    # a path in place of the list is a known_hosts file
    entry = section.entries.get("host_keys")
    if entry and isinstance(entry.data, str) and not entry.data.startswith("/"):  # one key, without the list around it
        section.entries["host_keys"] = entry = shapes.Entry(_lines(entry), entry.line)
    known_hosts = section.take("host_keys", shapes.path) if entry and isinstance(entry.data, str) else None
    return Delivery(
        host=section.take("host", shapes.host),
        port=section.take("port", shapes.whole(1, 65535), 22),
        user=section.take("user", shapes.text),
        identity=section.take("identity", shapes.identity),
        host_keys=() if known_hosts else section.many("host_keys", shapes.host_key, None, least=1),
        known_hosts=known_hosts,
        inbox=section.take("inbox", shapes.remote, "/inbox"),
        verify=section.take("verify", shapes.choice("readback", "hash", "size"), "readback"),
        temp=section.take("temp", shapes.optional(shapes.remote), None),
        moved_away=section.take("moved_away", shapes.truth, False),
        timeout=section.take("timeout", shapes.duration(least=1), 60.0),
    )


def _lines(entry: shapes.Entry) -> list[shapes.Entry]:
    return [shapes.Entry(line, entry.line) for line in str(entry.data).splitlines() if line.strip()]


@closing
def _receipts(section: Section) -> Receipts:
    return Receipts(
        enabled=section.take("enabled", shapes.truth, False),
        folder=section.take("folder", shapes.remote, "/receipts"),
        trusted=section.many("trusted", shapes.fingerprint),
        poll=section.take("poll", shapes.duration(least=1), 300.0),
    )


@closing
def _deletion(section: Section) -> Deletion:
    return Deletion(
        after=section.take("after", shapes.choice("delivered", "acknowledged"), "delivered"),
        overwrite=section.take("overwrite", shapes.whole(0, 35), 1),
        rejected_after=section.take("rejected_after", shapes.duration(), 30 * _DAY),
    )


@closing
def _calendar(section: Section) -> Calendar:
    return Calendar(windows=tuple(_window(window) for window in section.sections("windows", "[{day: 10}]")))


@closing
def _window(section: Section) -> Window:
    return Window(day=section.take("day", shapes.whole(1, 31)))


@closing
def _credentials(section: Section) -> Credentials:
    return Credentials(directory=section.take("directory", shapes.optional(shapes.path), None))


def _rules() -> dict[str, str]:
    """The rules of the standard with the scope of each."""
    with (STANDARD_DATA / "rules.csv").open(encoding="utf-8", newline="") as file:
        return {row["rule"]: row["scope"] for row in csv.DictReader(file)}


def _contradictions(settings: Settings) -> list[ConfigProblem]:
    """What is wrong with keys that are each well formed; those that are not are None."""
    problems = []
    if settings.deletion.after == "acknowledged" and not settings.receipts.enabled:
        problems.append(ConfigProblem("deletion.after", "config.needs_receipts", {}))
    if settings.receipts.enabled:
        problems.append(ConfigProblem("receipts.enabled", "config.receipts_unsupported", {}))
    return problems + _overlaps(settings)


def _overlaps(settings: Settings) -> list[ConfigProblem]:
    """Folders that are the same as or lie inside one that clerks see: what lies there is taken or destroyed."""
    clerks = {f"folders.{name}": getattr(settings.folders, name) for name in ("drop", "forms", "receipts", "rejected")}
    private = {
        "folders.state": settings.folders.state,
        "sealing.gnupg_home": settings.sealing.gnupg_home,
        "credentials.directory": settings.credentials.directory,
    }
    problems = []
    for name, path in {**clerks, **private}.items():
        for other, place in clerks.items():
            if path is None or place is None or name == other or (path == place and name in clerks and name < other):
                continue
            if path.is_relative_to(place):
                problems.append(ConfigProblem(name, "config.folder_overlap", {"other": other}))
                break
    return problems


def _named(settings: Settings) -> list[ConfigProblem]:
    """What is wrong with the files that the configuration names."""
    problems = []
    for number, path in enumerate(settings.standard.catalogues):
        if path is not None:
            problem = _unopened(f"standard.catalogues[{number}]", path)
            if problem is None:
                problem = editions.problem(number, path)
            problems.append(problem)
    if settings.delivery.known_hosts:
        problems.append(_unopened("delivery.host_keys", settings.delivery.known_hosts))
    return [problem for problem in problems if problem is not None]


def _unopened(key: str, path: Path) -> ConfigProblem | None:
    try:
        path.open("rb").close()
    except OSError as error:
        return _unreadable(key, path, error)
    return None


def _unreadable(key: str, path: Path, error: OSError) -> ConfigProblem:
    missing = isinstance(error, FileNotFoundError)
    code = "config.file_missing" if missing else "config.file_unreadable"
    return ConfigProblem(key, code, {"file": str(path), "errno": error.errno or 0})
