"""Whom we trust and who we are: pinned host keys, and the private key we log in with.

Pins are full public keys or known_hosts files; nothing is ever learned from the server.
Ends in NotYet("delivery.identity_missing") when the private key cannot be had or read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import paramiko

from exchanged.errors import NotYet
from exchanged.shapes import HOST_KEY_TYPES

NOBODY = "none"


def fingerprint(blob: bytes) -> str:
    """As OpenSSH shows it: "SHA256:" and base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _blob(kind: str, encoded: str) -> bytes | None:
    """The public key's bytes, None unless they say of themselves that they are of that kind."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return blob if kind in HOST_KEY_TYPES and blob[4 : 4 + int.from_bytes(blob[:4])] == kind.encode() else None


def _names(pattern: str, host: str) -> bool:
    """Whether a known_hosts line speaks of this host; hashed names too."""
    if pattern.startswith("|1|"):
        try:
            return paramiko.HostKeys.hash_host(host, pattern) == pattern
        except (ValueError, binascii.Error):
            return False
    return host in pattern.split(",")


def _known(lines: Iterable[str], host: str, port: int) -> Iterator[bytes]:
    """The keys known_hosts lines give for a host, less those marked as revoked. Certificates are not supported."""
    wanted = host if port == 22 else f"[{host}]:{port}"
    keys, revoked = [], set()
    for line in lines:
        parts = line.split()
        marker = parts.pop(0) if parts and parts[0].startswith("@") else ""
        if len(parts) < 3 or parts[0].startswith("#") or (blob := _blob(parts[1], parts[2])) is None:
            continue
        if marker == "@revoked":  # whatever host it names, most often every one
            revoked.add(blob)
        elif not marker and _names(parts[0], wanted):
            keys.append(blob)
    return (key for key in keys if key not in revoked)


def pinned(entries: Iterable[str], host: str, port: int) -> tuple[bytes, ...]:
    """The public keys that this host may show; empty when nothing usable is pinned."""
    found: list[bytes] = []
    for entry in entries:
        kind, _, rest = entry.strip().partition(" ")
        if kind in HOST_KEY_TYPES:
            blob = _blob(kind, rest.split()[0] if rest.split() else "")
            found += [blob] if blob else []
            continue
        try:
            lines = Path(entry).read_text(errors="replace").splitlines()
        except OSError:
            continue
        found += _known(lines, host, port)
    return tuple(dict.fromkeys(found))


def kinds(pins: Iterable[bytes]) -> list[str]:
    """The host key algorithms that would show one of these keys."""
    found = []
    for blob in pins:
        kind = blob[4 : 4 + int.from_bytes(blob[:4])].decode("ascii")
        found += ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]
    return list(dict.fromkeys(found))


def identity(give: Callable[[], bytes]) -> paramiko.PKey:
    """The private key to log in with. What is wrong with it is told by a word, never by the library's text."""
    try:
        raw = give().decode("ascii")
    except (OSError, KeyError, ValueError):
        raise NotYet("delivery.identity_missing", problem="unreadable") from None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(raw))
        except paramiko.PasswordRequiredException:
            raise NotYet("delivery.identity_missing", problem="encrypted") from None
        except Exception:  # noqa: S112 - whatever the parser stumbles over, it is no key of this kind
            continue
    raise NotYet("delivery.identity_missing", problem="not-a-key")
