"""`exchanged init`: a commented configuration and folders below one directory, on request keys.

Takes   a directory, and whether to make keys
Gives   what was made and what is still to be filled in, as lines to show
Redo    makes what is missing; never replaces a configuration or a key
Ends    NotYet when gpg is missing or the path is too long for it; OSError never: NotYet("setup.folder")
"""

from __future__ import annotations

import errno
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from exchanged import disk, keymaker, seen
from exchanged.batch import Fact
from exchanged.errors import NotYet
from exchanged.messages import text

CONFIG = "exchanged.yaml"
CLERK = ("drop", "forms", "rejected", "receipts")
PASSPHRASE, IDENTITY = "signing-passphrase", "sftp-key"
_TEMPLATES = (
    Path(__file__).parent.parent / "config" / CONFIG,
    Path(sys.prefix) / "share" / "exchanged" / CONFIG,
)


@dataclass(slots=True)
class Laid:
    """What `lay` made. `made` and `kept` are paths; `signer` and `login` are there when keys were made."""

    config: Path
    made: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    signer: str | None = None
    login: str | None = None


def init(directory: Path, keys: bool = False, language: str = "zh") -> list[str]:
    """Lay out a directory; gives lines for people: what was made, what is to be filled in, what to run next."""
    laid = lay(directory.absolute(), keys)

    def say(code: str, **facts: Fact) -> str:
        return text(f"init.{code}", language, **facts)

    lines = [say("made", path=str(path)) for path in laid.made] + [say("kept", path=str(path)) for path in laid.kept]
    if laid.signer:
        lines.append(say("signer", fingerprint=laid.signer))
    if laid.login:
        lines.append(say("login", key=laid.login))
    home = laid.config.parent / "state" / "gnupg"
    steps = [("unit", {}), ("recipients", {"home": str(home)}), ("server", {})]
    if keys and not laid.signer:
        lines.append(say("no_keys"))
    if not laid.signer:
        steps.insert(1, ("keys", {"home": str(home), "folder": str(laid.config.parent / "credentials")}))
    lines.append(say("fill_in", path=str(laid.config)))
    lines += [f"  {number}. {say(code, **facts)}" for number, (code, facts) in enumerate(steps, 1)]
    return [*lines, say("then", path=str(laid.config))]


def lay(directory: Path, keys: bool = False) -> Laid:
    """Make folders, configuration and keys below a directory, as far as they are missing."""
    laid = Laid(directory / CONFIG)
    try:
        _folders(directory, laid)
        values = _keys(directory, laid) if keys else {}
        if seen.anything(laid.config):
            laid.kept.append(laid.config)
        else:
            disk.write(laid.config, configuration(directory, values).encode(), 0o644)
            laid.made.append(laid.config)
    except OSError as error:
        raise NotYet("setup.folder", path=str(directory), errno=error.errno or 0) from None
    except UnicodeEncodeError:  # a path that no configuration could name
        raise NotYet("setup.folder", path=str(directory), errno=errno.EILSEQ) from None
    return laid


def configuration(directory: Path, values: dict[str, str]) -> str:
    """The commented configuration with its folders below a directory, and further values by key."""
    paths = {name: str(directory / name) for name in (*CLERK, "state")}
    given = {
        **paths,
        "gnupg_home": str(directory / "state" / "gnupg"),
        "directory": str(directory / "credentials"),
        **values,
    }
    lines = template().splitlines(keepends=True)
    return "".join(_with_value(line, given) for line in lines)


def template() -> str:
    """The commented configuration that comes with the program."""
    for path in _TEMPLATES:
        if seen.file(path):
            return path.read_text("utf-8")
    raise NotYet("setup.template_missing")


def _with_value(line: str, given: dict[str, str]) -> str:
    match = re.fullmatch(r"(  ([a-z_]+):)(?: .*)?\n", line)
    if match is None or match[2] not in given:
        return line
    return f"{match[1]} {_quoted(given[match[2]])}\n"


def _quoted(value: str) -> str:
    """As YAML takes it whatever it holds; a list is given as it is."""
    plain = value.startswith("[") or re.fullmatch(r"[\w/.@-]+", value)
    return value if plain else "'" + value.replace("'", "''") + "'"


def _folders(directory: Path, laid: Laid) -> None:
    for name in CLERK:
        _folder(directory / name, 0o2770, laid)
    _folder(directory / "state", 0o700, laid)
    _folder(directory / "credentials", 0o700, laid)
    keymaker.home(directory / "state" / "gnupg")


def _folder(path: Path, mode: int, laid: Laid) -> None:
    (laid.kept if path.is_dir() else laid.made).append(path)
    disk.folder(path, mode)


def _keys(directory: Path, laid: Laid) -> dict[str, str]:
    """An OpenPGP key under a random passphrase, and an SSH key; their public halves beside the configuration."""
    if seen.anything(laid.config):
        return {}
    home, hidden = directory / "state" / "gnupg", directory / "credentials"
    word = secrets.token_urlsafe(24)
    signer = keymaker.openpgp(home, "exchanged", word)
    disk.write(hidden / PASSPHRASE, word.encode())
    login = keymaker.ssh(hidden / IDENTITY, "exchanged")
    keymaker.end_agent(home)
    public = directory / "public"
    _folder(public, 0o755, laid)
    disk.write(public / f"{signer}.asc", keymaker.exported(home, signer), 0o644)
    disk.write(public / f"{IDENTITY}.pub", f"{login}\n".encode(), 0o644)
    laid.signer, laid.login = signer, login
    return {"sign_with": signer}
