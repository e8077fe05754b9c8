"""A real PKCS#11 token in software, with a signing key that gpg knows only through it.

Needs softhsm2, opensc and gnupg-pkcs11-scd; tests that use it are skipped where they are not installed.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.gpghome import Home

TOOLS = ("softhsm2-util", "pkcs11-tool", "gnupg-pkcs11-scd")
MODULES = (
    os.environ.get("TOKEN_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
PIN = "482915"


class Token:
    """A token with one RSA key; `fingerprint` is that of its OpenPGP key."""

    def __init__(self, module: str) -> None:
        self.home = Home()
        self.module = module
        self._store = self.home.path / "tok"
        self._away = self.home.path / "away"
        self._store.mkdir(mode=0o700)
        self.conf = self.home.path / "softhsm2.conf"
        self.conf.write_text(f"directories.tokendir = {self._store}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = {**os.environ, "SOFTHSM2_CONF": str(self.conf), "LC_ALL": "C"}
        self._make_key()
        self.fingerprint = self._make_openpgp()
        self.home.kill()

    def remove(self) -> None:
        """Pull the token out."""
        self._store.rename(self._away)

    def insert(self) -> None:
        """Put it back."""
        self._away.rename(self._store)

    def _run(self, *argv: str, data: bytes = b"") -> bytes:
        return subprocess.run(argv, input=data, env=self.env, capture_output=True, check=True).stdout

    def _tool(self, *arguments: str) -> None:
        login = ("--module", self.module, "--token-label", "exch", "--login", "--pin", PIN)
        self._run("pkcs11-tool", *login, *arguments)

    def _make_key(self) -> None:
        pins = ("--so-pin", "12345678", "--pin", PIN)
        self._run("softhsm2-util", "--module", self.module, "--init-token", "--free", "--label", "exch", *pins)
        self._tool("--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--label", "sign")
        public, certificate = self.home.path / "public.der", self.home.path / "certificate.der"
        self._tool("--read-object", "--type", "pubkey", "--id", "01", "--output-file", str(public))
        certificate.write_bytes(_certificate(public.read_bytes()))
        self._tool("--write-object", str(certificate), "--type", "cert", "--id", "01", "--label", "sign")

    def _make_openpgp(self) -> str:
        program = shutil.which("gnupg-pkcs11-scd")
        (self.home.path / "gpg-agent.conf").write_text(f"scdaemon-program {program}\nallow-loopback-pinentry\n")
        (self.home.path / "gnupg-pkcs11-scd.conf").write_text(
            f"providers softhsm\nprovider-softhsm-library {self.module}\n"
        )
        gpg = ("gpg", "--homedir", str(self.home.path), "--batch", "--no-tty")
        self._run(*gpg, "--card-status")
        learnt = self._run("gpg-connect-agent", "--homedir", str(self.home.path), "SCD LEARN --force", "/bye")
        grip = re.search(rb"KEY-FRIEDNLY ([0-9A-F]{40})", learnt)  # the daemon spells it so
        assert grip is not None
        recipe = (
            f"Key-Type: RSA\nKey-Grip: {grip[1].decode()}\nKey-Usage: sign,cert\n"
            "Name-Real: Token\nExpire-Date: 2y\n%commit\n"
        )
        (self.home.path / "recipe").write_text(recipe)
        secret = ("--pinentry-mode", "loopback", "--passphrase-fd", "0")
        self._run(*gpg, *secret, "--full-generate-key", str(self.home.path / "recipe"), data=PIN.encode() + b"\n")
        return self.home.fingerprints()[0]


def _certificate(public: bytes) -> bytes:
    """The token daemon shows only keys that have a certificate; who signed it does not matter."""
    issuer = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exch sign")])
    now = dt.datetime.now(dt.UTC)
    key = serialization.load_der_public_key(public)
    builder = x509.CertificateBuilder(name, name, key, 1, now, now + dt.timedelta(days=900))  # type: ignore[arg-type]
    return builder.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Iterator[Token]:
    """A token that is there."""
    module = next((path for path in MODULES if path and Path(path).exists()), None)
    if module is None or not all(shutil.which(tool) for tool in TOOLS):
        pytest.skip("softhsm2, opensc and gnupg-pkcs11-scd are not installed")
    made = Token(module)
    monkeypatch.setenv("SOFTHSM2_CONF", str(made.conf))
    yield made
    made.home.close()
