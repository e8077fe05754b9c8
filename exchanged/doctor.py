"""`exchanged doctor`: everything that the work depends on, looked at once, each line ok, warn or fail.

Takes   the path of a configuration
Gives   lines with a code, from which the text and what to do are made
Redo    reads only, but for the server probe, which writes, renames and deletes one small file
Ends    never by itself: what cannot be looked at is a failed line
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from exchanged import config, confinement, disk, seen
from exchanged.batch import Fact
from exchanged.drop import ignored
from exchanged.errors import ConfigError, Held, IntegrityFailure, NotYet
from exchanged.keymaker import LONGEST_HOME
from exchanged.settings import Settings

OK, WARN, FAIL = "ok", "warn", "fail"
PLACEHOLDERS = {  # what config/exchanged.yaml shows where a unit has to write its own
    "head": "单位负责人姓名",
    "information_manager": "信息管理员姓名",
    "sign_with": "0123456789ABCDEF0123456789ABCDEF01234567",
    "encrypt_to": "89ABCDEF0123456789ABCDEF0123456789ABCDEF",
}
LITTLE, TOO_LITTLE = 2_000_000_000, 200_000_000  # bytes free
SOON = 30  # days
_ALL = os.R_OK | os.W_OK | os.X_OK
OLDEST_GPG = (2, 2, 20)
_BUILT = 1_780_000_000  # Unix seconds; no clock can truly be before this
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing looked at: its name, how it is, and the code of what to say about it."""

    name: str
    level: str
    code: str
    facts: dict[str, Fact] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "level": self.level, "code": self.code, "facts": self.facts}


def examine(given: Path | None = None, *, probe: bool = True) -> list[dict[str, Any]]:
    """Every line, in the order in which things should be mended. `probe`: also try the server."""
    try:
        settings = config.load(config.find(given))
    except ConfigError as error:
        return [
            Line(problem.path or "config", FAIL, problem.code, {**problem.facts, "path": problem.path}).to_dict()
            for problem in error.problems
        ]
    looks: list[Callable[[Settings], Iterable[Line]]] = [_config, _user, _folders, _space, _erasure, _clock, _confined]
    looks += [_ledger, _font, _gpg, _passphrase, _identity]
    if _ours(settings.sealing.gnupg_home):  # else gpg would leave an agent that shuts the daemon out
        looks += [_keys, _token, _signature]
    looks += [_server] if probe else []
    lines = [line for look in looks for line in _safely(look, settings)]
    return [line.to_dict() for line in lines]


def _safely(look: Callable[[Settings], Iterable[Line]], settings: Settings) -> list[Line]:
    name = look.__name__.strip("_")
    lines: list[Line] = []
    try:
        lines.extend(look(settings))
    except (NotYet, Held, IntegrityFailure) as error:
        lines.append(Line(name, FAIL, error.code, dict(error.facts)))
    except Exception as error:
        lines.append(Line(name, FAIL, "doctor.cannot_look", {"error": type(error).__name__}))
    return lines


def _config(settings: Settings) -> Iterator[Line]:
    path = settings.source or config.DEFAULT_PATH
    if path.stat().st_mode & stat.S_IWOTH:
        yield Line("config", FAIL, "doctor.config_open", {"file": str(path), "mode": _mode(path)})
    else:
        yield Line("config", OK, "doctor.config_ok", {"file": str(path)})
    unit, sealing = settings.unit, settings.sealing
    left = {
        "unit.head": unit.head == PLACEHOLDERS["head"],
        "unit.information_manager": unit.information_manager == PLACEHOLDERS["information_manager"],
        "sealing.sign_with": sealing.sign_with.upper() == PLACEHOLDERS["sign_with"],
        "sealing.encrypt_to": PLACEHOLDERS["encrypt_to"] in {one.upper() for one in sealing.encrypt_to},
    }
    for name, found in left.items():
        if found:
            yield Line(name, WARN, "doctor.placeholder", {"setting": name})


def _user(settings: Settings) -> Iterator[Line]:
    """Run as another user, this would leave files behind that the daemon cannot read."""
    state = settings.folders.state
    if not seen.anything(state):
        return
    owner = state.stat().st_uid
    name = _user_name(owner)
    if owner == os.geteuid():
        yield Line("user", OK, "doctor.user_ok", {"user": name})
    else:
        yield Line("user", WARN, "doctor.other_user", {"user": name, "me": _user_name(os.geteuid())})


def _folders(settings: Settings) -> Iterator[Line]:
    folders = settings.folders
    for name in ("drop", "forms", "rejected", "receipts", "state"):
        yield _folder(f"folders.{name}", getattr(folders, name), private=name == "state")
        yield from _below(name, getattr(folders, name), settings)
    yield _folder("sealing.gnupg_home", settings.sealing.gnupg_home, private=True)
    if len(os.fsencode(settings.sealing.gnupg_home)) > LONGEST_HOME:
        yield Line("sealing.gnupg_home", FAIL, "setup.path_long", {"limit": LONGEST_HOME})
    kind, caveats = disk.filesystem(folders.drop)
    if "remote" in caveats:
        yield Line("folders.drop", WARN, "doctor.drop_remote", {"filesystem": kind})


def _below(name: str, path: Path, settings: Settings) -> Iterator[Line]:
    """Folders inside that may not be read or written: those of a restored backup, and what clerks make."""
    places = {"state": [path], "drop": [path, *(path / lane for lane in settings.intake.data_types)]}.get(name, [])
    for place in filter(seen.folder, places):
        with contextlib.suppress(OSError):
            inside = [one for one in sorted(place.iterdir()) if disk.plain_folder(one) and not ignored(one.name, True)]
            yield from (
                _forbidden(f"folders.{name}", one) for one in inside if not os.access(one, os.R_OK | os.W_OK | os.X_OK)
            )


def _forbidden(name: str, path: Path) -> Line:
    return Line(name, FAIL, "doctor.folder_forbidden", {"folder": str(path), "user": _user_name(os.geteuid())})


def _folder(name: str, path: Path, *, private: bool) -> Line:
    facts: dict[str, Fact] = {"folder": str(path)}
    if not seen.folder(path):
        return Line(name, FAIL, "doctor.folder_missing", facts)
    if not os.access(path, _ALL):
        return _forbidden(name, path)
    mode = path.stat().st_mode
    if private and mode & 0o077:
        return Line(name, FAIL, "doctor.folder_not_private", facts | {"mode": _mode(path)})
    if mode & 0o007:
        return Line(name, WARN, "doctor.folder_open", facts | {"mode": _mode(path)})
    return Line(name, OK, "doctor.folder_ok", facts | {"mode": _mode(path)})


def _space(settings: Settings) -> Iterator[Line]:
    """Free space, once for each file system."""
    told: dict[int, str] = {}
    for name in ("state", "drop", "rejected", "receipts", "forms"):
        path = getattr(settings.folders, name)
        if not seen.folder(path) or told.setdefault(path.stat().st_dev, name) != name:
            continue
        free = disk.free(path)
        level = FAIL if free < TOO_LITTLE else WARN if free < LITTLE else OK
        code = "doctor.space_ok" if level == OK else "doctor.space_low"
        yield Line("space", level, code, {"folder": str(path), "free": free})


def _erasure(settings: Settings) -> Iterator[Line]:
    """What overwriting cannot promise where plaintext lies for a while."""
    for name in ("state", "drop"):
        path = getattr(settings.folders, name)
        if seen.folder(path):
            kind, caveats = disk.filesystem(path)
            serious = [one for one in caveats if one not in ("names", "swap")]
            level = WARN if serious else OK
            code = "doctor.erasure_limited" if serious else "doctor.erasure_ok"
            facts: dict[str, Fact] = {"folder": str(path), "filesystem": kind, "caveats": ", ".join(caveats)}
            yield Line("erasure", level, code, facts)


def _clock(settings: Settings) -> Iterator[Line]:
    del settings
    if time.time() < _BUILT:
        yield Line("clock", FAIL, "doctor.clock_wrong", {"year": time.localtime().tm_year})
    elif _synchronised():
        yield Line("clock", OK, "doctor.clock_ok")
    else:
        yield Line("clock", WARN, "doctor.clock_unsynchronised")


def _synchronised() -> bool:
    """Whether the kernel says that the clock is kept by a time service."""
    asked = ctypes.create_string_buffer(512)  # struct timex, modes = 0: only ask
    with contextlib.suppress(AttributeError, OSError):
        state = int(ctypes.CDLL(None).adjtimex(asked))
        return 0 <= state < _UNSYNCHRONISED
    return False


def _confined(settings: Settings) -> Iterator[Line]:
    """Walls around the processes that open spreadsheets and scans."""
    del settings
    missing = [name for name, there in confinement.available().items() if not there]
    if missing:
        yield Line("confinement", WARN, "doctor.confinement_partly", {"missing": ", ".join(missing)})
    else:
        yield Line("confinement", OK, "doctor.confinement_ok")


def _ledger(settings: Settings) -> Iterator[Line]:
    """The ledger opens, its key fits, its chain is whole, and it is the one that the evidence was written from."""
    from exchanged import evidence
    from exchanged.statefolder import look_at_ledger

    state = settings.folders.state
    if not seen.anything(state / "ledger.db"):
        yield Line("ledger", OK, "doctor.ledger_new_ok")
        return
    with look_at_ledger(settings) as (ledger, _):
        events = ledger.verify(whole=False)
        evidence.check(ledger, state)
    yield Line("ledger", OK, "doctor.ledger_ok", {"events": events})


def _gpg(settings: Settings) -> Iterator[Line]:
    del settings
    if not shutil.which("gpg"):
        yield Line("gpg", FAIL, "sealing.gpg_missing")
        return
    said = subprocess.run(["gpg", "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    match = re.search(r"^gpg \(GnuPG\S*\) (\d+)\.(\d+)\.(\d+)", said, re.M)
    version = tuple(int(part) for part in match.groups()) if match else ()
    facts: dict[str, Fact] = {"version": ".".join(map(str, version)) or "?"}
    old = version < OLDEST_GPG
    yield Line("gpg", FAIL if old else OK, "doctor.gpg_old" if old else "doctor.gpg_ok", facts)


def _font(settings: Settings) -> Iterator[Line]:
    """Without one no form is written; what the font lacks is printed as 〓."""
    from exchanged.form import write

    given = settings.confirmation.font
    try:
        path = write.find_font(str(given) if given else None)
        unit = settings.unit
        lacking = write.lacking(path, unit.name + unit.head + unit.information_manager)
    except write.FontMissing as missing:
        yield Line("font", WARN, "form.font_missing", {"path": missing.path or ""})
        return
    if lacking:
        yield Line("font", WARN, "doctor.font_lacks", {"path": path, "count": lacking})
    else:
        yield Line("font", OK, "doctor.font_ok", {"path": path})


def _keys(settings: Settings) -> Iterator[Line]:
    for key in _standings(settings):
        facts: dict[str, Fact] = {"fingerprint": str(key["fingerprint"]), "role": str(key["role"])}
        if key["expires"]:
            expires = datetime.fromisoformat(str(key["expires"]))
            facts |= {"expires": str(key["expires"]), "days": int((expires.timestamp() - time.time()) // 86400)}
        if key["state"] not in ("ok", "token"):
            yield Line("keys", FAIL, f"doctor.key_{key['state']}".replace("-", "_"), facts)
        elif int(facts.get("days", SOON)) < SOON:
            yield Line("keys", WARN, "doctor.key_expiring", facts)
        else:
            yield Line("keys", OK, "doctor.key_ok", facts)


def _passphrase(settings: Settings) -> Iterator[Line]:
    name = settings.sealing.passphrase
    if name is None:
        return
    given = config.credential(settings, name)
    facts: dict[str, Fact] = {"name": name}
    yield (
        Line("passphrase", OK, "doctor.credential_ok", facts)
        if given
        else Line("passphrase", FAIL, "sealing.passphrase_missing", facts)
    )


def _token(settings: Settings) -> Iterator[Line]:
    """Whether the token that holds the signing key is there; its PIN is not tried."""
    if not any(key["state"] == "token" for key in _standings(settings)):
        return
    command = ["gpg", "--homedir", str(settings.sealing.gnupg_home), "--batch", "--no-tty", "--card-status"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30)
    there = done.returncode == 0
    yield Line("token", OK if there else FAIL, "doctor.token_ok" if there else "sealing.token_absent")


def _signature(settings: Settings) -> Iterator[Line]:
    """Whether passphrase and signing key fit. The PIN of a token is not tried: it counts those that are wrong."""
    from exchanged.sealing.gnupg import Gnupg

    if any(key["state"] != "ok" for key in _standings(settings)):
        return  # said above
    sealing = settings.sealing
    name = sealing.passphrase
    given = config.credential(settings, name) if name else None
    Gnupg(sealing.gnupg_home, sealing.sign_with, sealing.encrypt_to, lambda: given).prove(_at_work(settings))
    yield Line("signature", OK, "doctor.signature_ok")


def _identity(settings: Settings) -> Iterator[Line]:
    name = settings.delivery.identity
    config.credential(settings, name)
    yield Line("identity", OK, "doctor.credential_ok", {"name": Path(name).name})


def _server(settings: Settings) -> Iterator[Line]:
    """Connect, write, rename and delete on the server, as a delivery would."""
    from exchanged import transports
    from exchanged.sending import endpoint
    from exchanged.transports.probe import probe

    courier = transports.courier("sftp", endpoint(settings))
    try:
        for one in probe(courier):
            code = one.code or f"doctor.server_{one.name}"
            yield Line(f"server.{one.name}", OK if one.ok else FAIL, code, dict(one.facts))
    finally:
        courier.close()


def _standings(settings: Settings) -> list[dict[str, Fact | None]]:
    from exchanged.sealing.gnupg import Gnupg

    sealing = settings.sealing
    return Gnupg(sealing.gnupg_home, sealing.sign_with, sealing.encrypt_to).glance(_at_work(settings))


def _at_work(settings: Settings) -> Callable[[], bool]:
    """Whether a daemon works with these keys."""
    from exchanged.statefolder import locked

    return lambda: locked(settings.folders.state)


def _ours(folder: Path) -> bool:
    return not seen.anything(folder) or folder.stat().st_uid == os.geteuid()


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
