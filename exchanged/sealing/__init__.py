"""How a parcel is closed and opened: the contract of a format, and the formats by name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from exchanged.batch import Fact, Parcel
from exchanged.sealing.gnupg import Gnupg
from exchanged.sealing.keys import Standing
from exchanged.sealing.status import Signature


class Sealing(Protocol):
    """What every format can do; `gnupg` says more about each."""

    def keys(self) -> list[dict[str, Fact | None]]:
        """Every configured key and how it stands."""

    def check(self) -> Standing:
        """Raise NotYet with a precise code when sealing is impossible now."""

    def seal(self, write: Callable[[int], None], target: Path) -> Parcel:
        """Seal what `write` puts into the descriptor it is given."""

    def unseal(self, package: Path, target: Path, trusted: Collection[str]) -> Signature:
        """Open a package that one of `trusted` signed, or raise IntegrityFailure."""

    def close(self) -> None:
        """Let go of helpers and secrets."""


FORMATS: dict[str, type[Sealing]] = {"gnupg": Gnupg}
