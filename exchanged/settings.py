"""The configuration as values: what each part of the program may ask for. Made by `exchanged.config`, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exchanged.batch import Limits


@dataclass(frozen=True, slots=True)
class Unit:
    """The centre that runs this instance."""

    code: str
    name: str
    head: str
    information_manager: str
    issuer_codes: tuple[str, ...]
    centres: tuple[str, ...]
    authorities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files lie; `state` is the daemon's own, the others are the clerk's."""

    drop: Path
    forms: Path
    rejected: Path
    receipts: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Intake:
    """How files are taken from the drop folder. Seconds."""

    settle: float
    rescan: float
    confirmation_wait: float
    data_types: tuple[str, ...]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Standard:
    """What differs here from the national field standard. `thresholds` are those of `exchanged.batch`."""

    severity: Mapping[str, str]
    thresholds: Mapping[str, int]
    direction_placeholders: tuple[str, ...]
    catalogues: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a confirmation scan may be; `font`: the form's, None for one that is found."""

    max_pages: int
    font: Path | None


@dataclass(frozen=True, slots=True)
class Sealing:
    """Keys, named by full fingerprints; `passphrase` is a credential's name or None."""

    gnupg_home: Path
    sign_with: str
    encrypt_to: tuple[str, ...]
    passphrase: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The server. `host_keys` are pinned public keys; `known_hosts` is a file of them instead (one of the two is set).

    temp: folder for unfinished uploads (None = the inbox). moved_away: the server takes files out of the inbox at once.
    timeout: seconds without any progress before a connection is given up.
    """

    host: str
    port: int
    user: str
    identity: str
    host_keys: tuple[str, ...]
    known_hosts: Path | None
    inbox: str
    verify: str
    temp: str | None
    moved_away: bool
    timeout: float


@dataclass(frozen=True, slots=True)
class Receipts:
    """The server's signed answers. `trusted` are fingerprints; `poll` is in seconds."""

    enabled: bool
    folder: str
    trusted: tuple[str, ...]
    poll: float


@dataclass(frozen=True, slots=True)
class Deletion:
    """When and how plaintext is destroyed. `rejected_after` is in seconds."""

    after: str
    overwrite: int
    rejected_after: float


@dataclass(frozen=True, slots=True)
class Window:
    """A reporting day of the month; the last day where a month is shorter."""

    day: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """Reporting days, to warn in time."""

    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where secrets lie when systemd does not hand them over."""

    directory: Path | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, checked."""

    language: str
    unit: Unit
    folders: Folders
    intake: Intake
    standard: Standard
    confirmation: Confirmation
    sealing: Sealing
    delivery: Delivery
    receipts: Receipts
    deletion: Deletion
    calendar: Calendar
    credentials: Credentials
    source: Path | None = field(default=None, compare=False)
