"""What gpg said on its status channel, and whether that is the whole of what a good run says.

gpg's exit status is no verdict: it is 0 for a revoked signer, for any other key of the keyring and for a file that was
never encrypted. So a run counts as good only when every line of the expected sequence is there, once and in order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_PREFIX = "[GNUPG:] "
_AES256, _SHA256 = "9", "8"
_STRONG_HASHES = frozenset({"8", "9", "10", "11"})  # SHA-256, -384, -512, -224

_SEALING = (
    ("BEGIN_SIGNING", "BEGIN_ENCRYPTION", "SIG_CREATED", "END_ENCRYPTION"),
    ("BEGIN_SIGNING", "SIG_CREATED", "BEGIN_ENCRYPTION", "END_ENCRYPTION"),  # content that fits into gpg's buffer
)
_OPENING = (
    *("BEGIN_DECRYPTION", "PLAINTEXT", "NEWSIG", "GOODSIG", "VALIDSIG"),
    *("DECRYPTION_OKAY", "GOODMDC", "END_DECRYPTION"),
)
_SPOILS_SEALING = frozenset({"FAILURE", "ERROR", "INV_RECP", "INV_SGNR", "NO_RECP", "NO_SGNR", "NODATA"})
_SPOILS_OPENING = {
    "REVKEYSIG": "package.signer_revoked",
    "EXPKEYSIG": "package.signer_expired",
    "EXPSIG": "package.signature_expired",
    "BADSIG": "package.signature_bad",
    "ERRSIG": "package.signature_unknown",
    "BADMDC": "package.altered",
    "DECRYPTION_FAILED": "package.altered",
    "BADARMOR": "package.unreadable",
    "NODATA": "package.unreadable",
    "UNEXPECTED": "package.unreadable",
    "FAILURE": "package.unreadable",
    "ERROR": "package.unreadable",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a gpg process ended: exit status (negative: a signal), status lines as words, why we ended it if we did."""

    exit: int
    lines: tuple[tuple[str, ...], ...]
    stalled: bool = False
    flooded: bool = False

    def all(self, keyword: str) -> list[tuple[str, ...]]:
        """The arguments of every line with this keyword."""
        return [line[1:] for line in self.lines if line[0] == keyword]

    def first(self, keyword: str) -> tuple[str, ...]:
        """The arguments of the first line with this keyword, or none."""
        return next(iter(self.all(keyword)), ())

    def has(self, keyword: str) -> bool:
        """Whether a line with this keyword came."""
        return any(line[0] == keyword for line in self.lines)

    def sequence(self, of: Collection[str]) -> tuple[str, ...]:
        """The keywords of the given set, as they came."""
        return tuple(line[0] for line in self.lines if line[0] in of)

    @property
    def error(self) -> int:
        """The number of the libgpg-error code of the failure (without its source), or 0."""
        for words in (*self.all("FAILURE"), *self.all("ERROR")):
            if len(words) > 1 and words[1].isdigit() and words[0] != "gpg-exit":  # which only says that there was one
                return int(words[1]) & 0xFFFF
        return 0


def parse(raw: bytes) -> tuple[tuple[str, ...], ...]:
    """The status lines in a stream of bytes, each as its words; whatever is no status line is left out."""
    lines = raw.decode("ascii", "replace").split("\n")
    split = (line.removeprefix(_PREFIX).split(" ") for line in lines if line.startswith(_PREFIX))
    return tuple(tuple(words) for words in split if words[0])


def sealed(outcome: Outcome, signer: str) -> bool:
    """Whether gpg signed with exactly this key and encrypted with AES256 to every recipient, all the way to the end."""
    if outcome.exit != 0 or outcome.stalled or outcome.flooded or outcome.sequence(_SPOILS_SEALING):
        return False
    if outcome.sequence(_SEALING[0]) not in _SEALING:
        return False
    created = outcome.first("SIG_CREATED")
    form, cipher = (
        (created[0], created[2], created[3], created[5]) if len(created) == 6 else (),
        outcome.first("BEGIN_ENCRYPTION"),
    )
    return form == ("S", _SHA256, "00", signer) and cipher == ("2", _AES256)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a package: fingerprints of the signing key and of its primary key, and when (Unix seconds)."""

    key: str
    primary: str
    time: int


def opened(outcome: Outcome, trusted: Collection[str]) -> Signature | str:
    """The one good signature, by a trusted key, over content that was encrypted and is whole; or a code why not."""
    if outcome.flooded:
        return "package.unreadable"
    if not outcome.has("BEGIN_DECRYPTION"):
        return _unopened(outcome)
    for keyword, *words in outcome.lines:
        # one of several keys could not be used, and another could
        passed = words[:1] == ["pkdecrypt_failed"] and outcome.has("DECRYPTION_OKAY")
        if keyword in _SPOILS_OPENING and not passed:
            return _spoilt(outcome, keyword)
    if not outcome.has("NEWSIG"):
        return "package.signature_missing"
    if outcome.exit != 0 or outcome.sequence(_OPENING) != _OPENING:
        return "package.unreadable"
    return _judged(outcome.first("VALIDSIG"), trusted)


def _unopened(outcome: Outcome) -> str:
    if outcome.has("NO_SECKEY"):
        return "package.not_for_us"
    return "package.not_encrypted" if outcome.has("PLAINTEXT") else "package.unreadable"


def _spoilt(outcome: Outcome, keyword: str) -> str:
    if keyword in ("DECRYPTION_FAILED", "ERROR") and outcome.has("NO_SECKEY") and not outcome.has("DECRYPTION_INFO"):
        return "package.not_for_us"
    return _SPOILS_OPENING[keyword]


def _judged(words: tuple[str, ...], trusted: Collection[str]) -> Signature | str:
    if len(words) != 10 or words[7] not in _STRONG_HASHES or words[8] != "00":
        return "package.signature_bad"
    signature = Signature(words[0], words[9], int(words[2]))
    return signature if {signature.key, signature.primary} & set(trusted) else "package.signer_untrusted"
