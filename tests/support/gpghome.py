"""Throw-away key folders for real gpg: short paths, keys made in milliseconds, agents ended with the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchanged.keymaker import AGENT_CONF
from exchanged.sealing.gnupg import Gnupg


class Home:
    """One GNUPGHOME. Its path is short: the agent's socket has little room for its name."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gh", dir="/tmp"))
        (self.path / "gpg-agent.conf").write_text(AGENT_CONF + "s2k-count 65536\n")

    def gpg(self, *arguments: str, at: str | None = None, data: bytes = b"") -> bytes:
        """Run gpg here, if wanted at another time (20200101T000000); gives stdout, raises when it fails."""
        when = ("--faked-system-time", f"{at}!") if at else ()
        argv = [
            "gpg",
            "--homedir",
            str(self.path),
            "--batch",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
            *when,
            *arguments,
        ]
        done = subprocess.run(argv, input=data, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode("utf-8", "replace"))
        return done.stdout

    def make(
        self,
        name: str = "Unit",
        *,
        algo: str = "ed25519",
        encrypt: str | None = "cv25519",
        sign: bool = True,
        passphrase: str = "",
        expire: str = "0",
        at: str | None = None,
    ) -> str:
        """Make a key, with an encryption subkey unless told otherwise; gives its fingerprint."""
        usage = "sign,cert" if sign else "cert"
        secret = ("--passphrase", passphrase)
        before = set(self.fingerprints())
        self.gpg(*secret, "--quick-gen-key", f"{name} <{name.lower()}@example.org>", algo, usage, expire, at=at)
        (made,) = set(self.fingerprints()) - before
        if encrypt:
            self.gpg(*secret, "--quick-add-key", made, encrypt, "encr", expire, at=at)
        return made

    def add(self, fingerprint: str, algo: str, usage: str, expire: str = "0", at: str | None = None) -> None:
        """Give a key another subkey."""
        self.gpg("--passphrase", "", "--quick-add-key", fingerprint, algo, usage, expire, at=at)

    def fingerprints(self, subkeys: bool = False) -> list[str]:
        """Fingerprints of the primary keys here, or of all the subkeys."""
        kind, wanted, found = "", "sub" if subkeys else "pub", []
        for line in self.gpg("--with-colons", "--list-keys").decode().splitlines():
            words = line.split(":")
            if words[0] in ("pub", "sub"):
                kind = words[0]
            elif words[0] == "fpr" and kind == wanted:
                found.append(words[9])
        return found

    def revoke(self, fingerprint: str) -> None:
        """Revoke a key with the certificate that gpg made along with it."""
        certificate = (self.path / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.gpg("--import", data=certificate.replace(":-----BEGIN", "-----BEGIN").encode())

    def give(self, fingerprint: str, other: Home) -> None:
        """Hand the public key to another key folder."""
        other.gpg("--import", data=self.gpg("--export", fingerprint))

    def plain(self, package: Path | str) -> bytes:
        """What a package holds, whoever signed it."""
        return self.gpg("--skip-verify", "--decrypt", str(package))

    def kill(self) -> None:
        """End the agent."""
        subprocess.run(["gpgconf", "--homedir", str(self.path), "--kill", "all"], capture_output=True, check=False)

    def close(self) -> None:
        """End the agent and remove the folder."""
        self.kill()
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True)
class Keyring:
    """A unit that seals and a national centre that opens, each with its own key folder."""

    unit: Home
    national: Home
    signer: str
    recipient: str

    def sender(self) -> Gnupg:
        """What the unit seals with."""
        return Gnupg(self.unit.path, self.signer, (self.recipient,), timeout=20)

    def receiver(self) -> Gnupg:
        """What the national centre opens with."""
        return Gnupg(self.national.path, self.recipient, (self.signer,), timeout=20)


@pytest.fixture
def gpghome() -> Iterator[Home]:
    """An empty key folder."""
    home = Home()
    yield home
    home.close()


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    """Both sides, each knowing the other's public key."""
    unit, national = Home(), Home()
    signer, recipient = unit.make("Unit"), national.make("National")
    unit.give(signer, national)
    national.give(recipient, unit)
    yield Keyring(unit, national, signer, recipient)
    unit.close()
    national.close()
