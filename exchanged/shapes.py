"""What one value of the configuration may look like: text in, a typed value out, or a `Misshapen` with code and facts.

Values arrive as the text that stands in the file, so a fingerprint of forty digits, a code `no` or a `08` stay what was
written. Facts name the shape that was found and an example of what to write, never the value: it may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exchanged.batch import Fact

T = TypeVar("T")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of the file as written, and the line where it stands."""

    data: str | list[Entry] | dict[str, Entry] | None
    line: int

    @property
    def found(self) -> str:
        """What kind of value this is, without saying which."""
        if self.data is None or self.data == "":
            return "empty"
        kind = {str: "text", list: "list", dict: "mapping"}[type(self.data)]
        return f"{kind}({len(self.data)})"


class Misshapen(Exception):
    """The value does not have the shape its key asks for."""

    def __init__(self, code: str, **facts: Fact) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


def text(entry: Entry) -> str:
    """Any text on one line, not empty."""
    if not isinstance(entry.data, str) or not entry.data.strip() or _CONTROL.search(entry.data):
        raise Misshapen("config.text", found=entry.found)
    return entry.data.strip()


def words(entry: Entry) -> str:
    """Text that may also be left empty."""
    return "" if entry.data in (None, "") else text(entry)


def choice(*choices: str) -> Callable[[Entry], str]:
    """One of a few words."""

    def parse(entry: Entry) -> str:
        if entry.data not in choices:
            raise Misshapen("config.choice", found=entry.found, choices=" | ".join(choices))
        return str(entry.data)

    return parse


def matching(pattern: str, code: str, example: str) -> Callable[[Entry], str]:
    """Text that a pattern describes as a whole."""

    def parse(entry: Entry) -> str:
        if not isinstance(entry.data, str) or not re.fullmatch(pattern, entry.data):
            raise Misshapen(code, found=entry.found, example=example)
        return entry.data

    return parse


unit_code = matching(r"[a-z0-9]{2,16}", "config.unit_code", "jx")
issuer_code = matching(r"[0-9]{2}", "config.issuer_code", '"14"')
host = matching(r"[A-Za-z0-9:]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?", "config.host", "sftp.example.org")
credential_name = matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", "config.credential_name", "sftp-key")


def optional(shape: Callable[[Entry], T]) -> Callable[[Entry], T | None]:
    """The same shape, for a key that may be left out."""
    return shape


def truth(entry: Entry) -> bool:
    """Yes or no."""
    found = _TRUTH.get(entry.data.lower()) if isinstance(entry.data, str) else None
    if found is None:
        raise Misshapen("config.truth", found=entry.found)
    return found


def whole(low: int, high: int) -> Callable[[Entry], int]:
    """A whole number between two bounds, both allowed."""

    def parse(entry: Entry) -> int:
        if isinstance(entry.data, str) and re.fullmatch(r"[0-9]{1,15}", entry.data) and low <= int(entry.data) <= high:
            return int(entry.data)
        raise Misshapen("config.number", found=entry.found, low=low, high=high)

    return parse


def duration(least: float = 0) -> Callable[[Entry], float]:
    """A time span such as 30s, 5m, 4h or 30d, in seconds."""

    def parse(entry: Entry) -> float:
        match = re.fullmatch(rf"({_NUMBER})\s?([smhd])", entry.data) if isinstance(entry.data, str) else None
        if match is None:
            raise Misshapen("config.duration", found=entry.found, example="30s | 5m | 4h | 30d")
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not least <= seconds <= 3650 * 86400:
            raise Misshapen("config.duration_range", low=f"{least:g}s", high="3650d")
        return seconds

    return parse


def size(entry: Entry) -> int:
    """An amount of data such as 200MB or 2GB, in bytes; MB is 10^6, MiB is 2^20."""
    match = re.fullmatch(rf"({_NUMBER})\s?([KMGT]?i?B)", entry.data, re.I) if isinstance(entry.data, str) else None
    amount = int(float(match[1]) * _BYTES.get(match[2].upper(), 0)) if match else 0
    if amount < 1:
        raise Misshapen("config.size", found=entry.found, example="200MB | 2GB")
    return amount


def path(entry: Entry) -> Path:
    """An absolute path on this machine."""
    if isinstance(entry.data, str) and entry.data.startswith("/") and not _CONTROL.search(entry.data):
        found = Path(entry.data)
        if ".." not in found.parts:
            return found
    raise Misshapen("config.path", found=entry.found, example="/srv/exchanged/drop")


def remote(entry: Entry) -> str:
    """A folder on the server, absolute or relative to the login folder."""
    name = entry.data.strip() if isinstance(entry.data, str) else ""
    if name and not _CONTROL.search(name) and ".." not in name.split("/"):
        return name.rstrip("/") or "/"
    raise Misshapen("config.remote_path", found=entry.found, example="/inbox")


def fingerprint(entry: Entry) -> str:
    """A full OpenPGP fingerprint of 40 hex digits, spaces allowed as gpg prints them."""
    digits = entry.data.replace(" ", "").upper() if isinstance(entry.data, str) else ""
    if not re.fullmatch(r"[0-9A-F]{40}", digits):
        raise Misshapen("config.fingerprint", found=entry.found, digits=40)
    return digits


def host_key(entry: Entry) -> str:
    """A full public host key, `type base64`, as `ssh-keyscan` prints it after the host name; a comment is dropped."""
    fields = entry.data.split() if isinstance(entry.data, str) else []
    if len(fields) < 2 or fields[0] not in HOST_KEY_TYPES:
        raise Misshapen("config.host_key", found=entry.found, example="ssh-ed25519 AAAA…")
    try:
        blob = base64.b64decode(fields[1], validate=True)
        (length,) = struct.unpack(">I", blob[:4])
    except (binascii.Error, ValueError, struct.error):
        raise Misshapen("config.host_key", found=entry.found, example="ssh-ed25519 AAAA…") from None
    if blob[4 : 4 + length] != fields[0].encode() or len(blob) < 4 + length + 32:
        raise Misshapen("config.host_key", found=entry.found, example="ssh-ed25519 AAAA…")
    return f"{fields[0]} {fields[1]}"


def identity(entry: Entry) -> str:
    """A credential's name or the absolute path of a private key file; never the key itself."""
    if isinstance(entry.data, str) and entry.data.startswith("/"):
        return str(path(entry))
    return credential_name(entry)


def folder_name(entry: Entry) -> str:
    """A name that can be a sub-folder of the drop folder."""
    name = text(entry)
    if "/" in name or name.startswith((".", "~", "@")) or len(name.encode()) > 100:
        raise Misshapen("config.folder_name", found=entry.found)
    return name
