"""The ledger's key: what names and numbers are hidden under. It lies beside the ledger, mode 0600, never in it.

Losing the key loses the history (`already-reported` can no longer be told) and the clerks' names of old batches.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from exchanged import disk
from exchanged.errors import NotYet

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_BLOCK, _PADS = 64, (0x36, 0x5C)  # of HMAC-SHA-256 (RFC 2104)


class Secrets:
    """Keyed pseudonyms (HMAC-SHA-256) and short encrypted texts (AES-256-GCM), both from one master key."""

    def __init__(self, master: bytes) -> None:
        key = hmac.digest(master, b"exchanged/pseudonym/1", "sha256").ljust(_BLOCK, b"\0")
        self._inner, self._outer = (hashlib.sha256(bytes(byte ^ pad for byte in key)) for pad in _PADS)
        self._text = hmac.digest(master, b"exchanged/text/1", "sha256")

    @classmethod
    def load(cls, path: Path) -> Secrets:
        """Read the key, making it at first use. Raises NotYet when others may read it or it has the wrong length."""
        if not path.exists():
            disk.write(path, os.urandom(32), 0o600)
        if path.stat().st_mode & 0o077:
            raise NotYet("credential.wrong_mode", again=False, credential="ledger.key")
        master = path.read_bytes()
        if len(master) != 32:
            raise NotYet("ledger.key_missing", again=False)
        return cls(master)

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._text)

    def pseudonym(self, value: bytes) -> bytes:
        """32 bytes that stand for a value and cannot be turned back without the key: its HMAC-SHA-256.

        The two hashes begin with the key, which is hashed once: `hmac.digest` takes twice as long, and there are three
        values a record.
        """
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.digest()

    def pseudonym_of(self, number: str) -> bytes:
        """The pseudonym of a certificate number as the checks count it: over the SHA-256 of its text."""
        return self.pseudonym(hashlib.sha256(number.encode("utf-8", "surrogatepass")).digest())

    def conceal(self, text: str) -> bytes:
        """Encrypt a short text; `reveal` gives it back."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode("utf-8", "surrogateescape"), None)

    def reveal(self, sealed: bytes) -> str:
        """The text that `conceal` hid. Raises NotYet when the key is not the one it was hidden under."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None).decode("utf-8", "surrogateescape")
        except InvalidTag:
            raise NotYet("ledger.key_missing", again=False) from None
