"""What is known about the configured keys: which are there, what they may do, and until when.

Read from gpg's colon listing, which names keys and subkeys; judged against the time given, so a listing may be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

_HERE = "+"
_BAD_VALIDITY = frozenset("idn")


class State(StrEnum):
    """What can be said of one configured key. TOKEN is as good as OK; its secret lies on a token."""

    OK = "ok"
    TOKEN = "token"  # noqa: S105
    MISSING = "missing"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FUTURE = "future"
    CANNOT_SIGN = "cannot-sign"
    CANNOT_ENCRYPT = "cannot-encrypt"


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key or a subkey. Times in Unix seconds; `secret`: "+", a token's number, or "" for none."""

    fingerprint: str
    validity: str
    created: int
    expires: int | None
    can: str
    secret: str

    def state(self, now: float) -> State:
        """Whether the key may be used now, whatever for."""
        if self.validity == "r":
            return State.REVOKED
        if self.created > now:
            return State.FUTURE
        if self.validity == "e" or (self.expires is not None and self.expires <= now):
            return State.EXPIRED
        return State.MISSING if self.validity in _BAD_VALIDITY else State.OK


@dataclass(frozen=True, slots=True)
class Block:
    """A primary key with its subkeys."""

    primary: Key
    subkeys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """One configured key, judged: `key` is the exact (sub)key that would be used, when there is one."""

    role: str
    fingerprint: str
    state: State
    key: Key | None = None
    expires: int | None = None

    @property
    def usable(self) -> bool:
        """Whether something may be sealed with it."""
        return self.state in (State.OK, State.TOKEN)


def parse(listing: str) -> tuple[Block, ...]:
    """The blocks of a `--with-colons` listing."""
    blocks: list[tuple[Key, list[Key]]] = []
    fields: list[str] = []
    for line in listing.splitlines():
        words = line.split(":")
        if words[0] in ("pub", "sub"):
            fields = words
        elif words[0] == "fpr" and fields:
            key = _key(fields, words[9])
            if fields[0] == "pub":
                blocks.append((key, []))
            elif blocks:
                blocks[-1][1].append(key)
            fields = []
    return tuple(Block(primary, tuple(subkeys)) for primary, subkeys in blocks)


def _key(words: list[str], fingerprint: str) -> Key:
    """Capitals among the capabilities speak of the whole block ("D": disabled), small letters of the key itself."""
    disabled = "D" in words[11]
    return Key(
        fingerprint=fingerprint,
        validity="d" if disabled else words[1][:1],
        created=_seconds(words[5]) or 0,
        expires=_seconds(words[6]),
        can=words[11],
        secret="" if words[14] == "#" else words[14],
    )


def _seconds(word: str) -> int | None:
    return int(word) if word.isdigit() else None


def signer(blocks: Iterable[Block], fingerprint: str, now: float) -> Standing:
    """How the signing key stands; without its secret part it counts as missing."""

    def fits(key: Key) -> bool:
        return "s" in key.can and bool(key.secret)

    standing = _standing("signer", blocks, fingerprint, now, fits, State.CANNOT_SIGN)
    if standing.key is None or standing.state is not State.OK or standing.key.secret == _HERE:
        return standing
    return Standing("signer", fingerprint, State.TOKEN, standing.key, standing.expires)


def recipient(blocks: Iterable[Block], fingerprint: str, now: float) -> Standing:
    """How a recipient's key stands."""
    return _standing("recipient", blocks, fingerprint, now, lambda key: "e" in key.can, State.CANNOT_ENCRYPT)


def _standing(
    role: str,
    blocks: Iterable[Block],
    fingerprint: str,
    now: float,
    fits: Callable[[Key], bool],
    unfit: State,
) -> Standing:
    block = next(
        (one for one in blocks if fingerprint in {key.fingerprint for key in (one.primary, *one.subkeys)}), None
    )
    if block is None:
        return Standing(role, fingerprint, State.MISSING)
    whole = block.primary.state(now)
    if whole is not State.OK:
        return Standing(role, fingerprint, whole, expires=block.primary.expires)
    fitting = [key for key in _named(block, fingerprint) if fits(key)]
    if not fitting:
        absent = role == "signer" and not any(key.secret for key in _named(block, fingerprint))
        return Standing(role, fingerprint, State.MISSING if absent else unfit)
    good = [key for key in fitting if key.state(now) is State.OK]
    if not good:
        newest = fitting[0]
        return Standing(role, fingerprint, newest.state(now), newest, newest.expires)
    ends = [end for end in (good[0].expires, block.primary.expires) if end is not None]
    return Standing(role, fingerprint, State.OK, good[0], min(ends, default=None))


def _named(block: Block, fingerprint: str) -> list[Key]:
    """The keys that a fingerprint stands for: a subkey itself; a primary its subkeys, newest first, then itself."""
    if fingerprint != block.primary.fingerprint:
        return [key for key in block.subkeys if key.fingerprint == fingerprint]
    return [*sorted(block.subkeys, key=lambda key: -key.created), block.primary]
