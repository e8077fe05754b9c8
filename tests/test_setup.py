"""`init` lays out what works after filling in the names, and never overwrites."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exchanged import config, keymaker, setup
from exchanged.errors import NotYet


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path: gpg's agent has little room for it."""
    with TemporaryDirectory(prefix="ex", dir="/tmp") as folder:
        yield Path(folder) / "x"
        keymaker.end_agent(Path(folder) / "x" / "state" / "gnupg")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_have_the_right_modes(place: Path) -> None:
    setup.lay(place)
    assert {name: mode(place / name) for name in ("drop", "forms", "rejected", "receipts")} == dict.fromkeys(
        ("drop", "forms", "rejected", "receipts"), 0o2770
    )
    assert [mode(place / name) for name in ("state", "credentials", "state/gnupg")] == [0o700] * 3


def test_the_configuration_points_into_the_directory_and_keeps_its_comments(place: Path) -> None:
    laid = setup.lay(place)
    settings = config.load(laid.config)
    assert settings.folders.drop == place / "drop"
    assert settings.folders.state == place / "state"
    assert settings.sealing.gnupg_home == place / "state" / "gnupg"
    assert settings.credentials.directory == place / "credentials"
    comments = [line for line in setup.template().splitlines() if line.lstrip().startswith("#")]
    written = laid.config.read_text("utf-8").splitlines()
    assert [line for line in written if line.lstrip().startswith("#")] == comments


def test_keys_that_come_too_late_for_the_configuration_are_not_made_and_that_is_said(place: Path) -> None:
    setup.init(place)
    lines = "\n".join(setup.init(place, keys=True, language="en"))
    assert "--keys made nothing" in lines and not (place / "public").exists()
    assert "4. " in lines  # to make them by hand is still one of the steps


def test_keys_are_made_on_request_and_are_the_configured_ones(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    laid = setup.lay(place, keys=True)
    settings = config.load(laid.config)
    home = settings.sealing.gnupg_home
    listed = subprocess.run(
        ["gpg", "--homedir", str(home), "--batch", "--with-colons", "--list-secret-keys", settings.sealing.sign_with],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert f"fpr:::::::::{laid.signer}:" in listed
    assert len(config.credential(settings, str(settings.sealing.passphrase))) >= 24
    assert "OPENSSH PRIVATE KEY" in config.credential(settings, settings.delivery.identity)
    assert mode(place / "credentials" / "sftp-key") == 0o600
    assert (place / "public" / "sftp-key.pub").read_text().startswith("ssh-ed25519 ")
    assert "PUBLIC KEY" in (place / "public" / f"{laid.signer}.asc").read_text()


def test_a_second_call_changes_nothing(place: Path) -> None:
    laid = setup.lay(place, keys=True)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    again = setup.lay(place, keys=True)
    assert laid.config in again.kept
    assert again.signer is None
    assert {path: path.read_bytes() for path in before} == before


def test_the_next_steps_are_said_in_both_languages(place: Path) -> None:
    for language in ("zh", "en"):
        lines = setup.init(place, language=language)
        assert any(str(place / "exchanged.yaml") in line for line in lines)
        assert not [line for line in lines if line.startswith("init.")]


def test_a_path_too_long_for_gpg_is_refused(place: Path) -> None:
    with pytest.raises(NotYet, match=r"setup\.path_long"):
        setup.lay(place / ("y" * 90))


def test_a_directory_that_cannot_be_made_is_said_so(place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    place.write_text("a file")
    with pytest.raises(NotYet, match=r"setup\.folder"):
        setup.lay(place)


def test_values_are_quoted_so_that_yaml_takes_them_as_they_are(tmp_path: Path) -> None:
    text = setup.configuration(tmp_path, {"name": "a: 'b' # c", "code": "ab"})
    assert config.parse(text).unit.name == "a: 'b' # c"
