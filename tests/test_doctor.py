"""`doctor` looks at everything, names what is wrong with its remedy, and never ends in an error of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from exchanged import doctor, keymaker, messages, setup
from exchanged.sealing.process import agent_runs

LANGUAGES = messages.LANGUAGES


@pytest.fixture(scope="module")
def laid() -> Iterator[setup.Laid]:
    """A configuration with keys of its own, the signing key also being the recipient."""
    with TemporaryDirectory(prefix="ex", dir="/tmp") as folder:
        directory = Path(folder)
        made = setup.lay(directory, keys=True)
        values = {"sign_with": str(made.signer), "encrypt_to": f"[{made.signer}]", "port": "1"}
        made.config.write_text(setup.configuration(directory, values), "utf-8")
        yield made
        keymaker.end_agent(directory / "state" / "gnupg")


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def found(path: Path, *, probe: bool = False) -> dict[str, dict[str, Any]]:
    """Lines by code."""
    return {line["code"]: line for line in doctor.examine(path, probe=probe)}


def test_a_sound_installation_has_no_failed_line(laid: setup.Laid) -> None:
    lines = found(laid.config)
    assert [line for line in lines.values() if line["level"] == "fail"] == []
    assert {"doctor.config_ok", "doctor.folder_ok", "doctor.gpg_ok", "doctor.key_ok", "doctor.credential_ok"} <= set(
        lines
    )


def test_a_wrong_configuration_is_told_problem_by_problem(tmp_path: Path) -> None:
    path = tmp_path / "exchanged.yaml"
    path.write_text("language: xx\nunits: 1\n", "utf-8")
    lines = doctor.examine(path)
    assert {"config.choice", "config.unknown_key", "config.missing"} <= {line["code"] for line in lines}
    assert {line["level"] for line in lines} == {"fail"}


def test_a_server_that_is_not_there_is_a_failed_line(laid: setup.Laid) -> None:
    lines = found(laid.config, probe=True)
    assert lines["delivery.unreachable"]["level"] == "fail"


def test_missing_and_open_folders_are_told_apart(laid: setup.Laid) -> None:
    directory = laid.config.parent
    (directory / "forms").rmdir()
    (directory / "drop").chmod(0o777)
    (directory / "state").chmod(0o750)
    try:
        lines = found(laid.config)
        assert lines["doctor.folder_missing"]["name"] == "folders.forms"
        assert (lines["doctor.folder_open"]["name"], lines["doctor.folder_open"]["level"]) == ("folders.drop", "warn")
        assert lines["doctor.folder_not_private"]["name"] == "folders.state"
    finally:
        (directory / "forms").mkdir(0o770)
        (directory / "drop").chmod(0o770)
        (directory / "state").chmod(0o700)


def test_folders_inside_that_the_service_cannot_use_are_named(
    laid: setup.Laid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that clerks make by a file server's habits; those that root has restored."""
    directory = laid.config.parent
    inside = [directory / "drop" / "更正", directory / "drop" / "更正" / "二月", directory / "state" / "spool"]
    fine = [directory / "drop" / "三月", directory / "drop" / "@eaDir"]
    for folder in (*inside, *fine):
        folder.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in [*inside, fine[1]] and access(path, mode))
    try:
        lines = [line for line in doctor.examine(laid.config, probe=False) if line["code"] == "doctor.folder_forbidden"]
        assert [line["facts"]["folder"] for line in lines] == [str(folder) for folder in inside]
    finally:
        for folder in reversed((*inside, *fine)):
            folder.rmdir()


def test_a_key_that_is_not_there_is_named(laid: setup.Laid) -> None:
    text = laid.config.read_text("utf-8")
    path = laid.config.with_name("other.yaml")
    path.write_text(text.replace(f"encrypt_to: [{laid.signer}]", "encrypt_to: [" + "A" * 40 + "]"), "utf-8")
    line = found(path)["doctor.key_missing"]
    assert (line["level"], line["facts"]["fingerprint"], line["facts"]["role"]) == ("fail", "A" * 40, "recipient")


def test_a_credential_that_others_can_read_is_refused(laid: setup.Laid) -> None:
    secret = laid.config.parent / "credentials" / setup.PASSPHRASE
    secret.chmod(0o644)
    try:
        assert found(laid.config)["credentials.open"]["level"] == "fail"
    finally:
        secret.chmod(0o600)


def test_a_configuration_that_anybody_may_write_is_refused(laid: setup.Laid) -> None:
    laid.config.chmod(0o666)
    try:
        assert found(laid.config)["doctor.config_open"]["level"] == "fail"
    finally:
        laid.config.chmod(0o644)


def test_no_secret_stands_in_what_is_told(laid: setup.Laid) -> None:
    word = (laid.config.parent / "credentials" / setup.PASSPHRASE).read_text()
    assert word not in str(doctor.examine(laid.config))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_has_words_and_every_trouble_a_remedy(language: str) -> None:
    codes = sorted(code for code in messages.codes("setup", "zh") if code.startswith(("doctor.", "setup.")))
    assert codes == sorted(code for code in messages.codes("setup", "en") if code.startswith(("doctor.", "setup.")))
    for code in codes:
        assert messages.text(code, language) != code
        healthy = code.endswith("_ok") or code.startswith("doctor.server_")
        assert healthy or messages.advice(code, language), f"{code} does not say what to do"


def test_every_code_of_the_source_has_a_text() -> None:
    source = Path(doctor.__file__).read_text("utf-8") + Path(setup.__file__).read_text("utf-8")
    for code in re.findall(r'"((?:doctor|setup)\.[a-z_]+)"', source):
        assert messages.text(code, "en") != code, code


def test_a_passphrase_that_does_not_fit_is_noticed_before_the_first_batch(laid: setup.Laid, tmp_path: Path) -> None:
    """The key is on disk, so a wrong one does no harm; a key without the passphrase that it needs is told too."""
    secret = laid.config.parent / "credentials" / setup.PASSPHRASE
    assert found(laid.config)["doctor.signature_ok"]["level"] == "ok"
    right, kept = secret.read_bytes(), laid.config.read_text("utf-8")
    try:
        secret.write_bytes(b"wrong")
        assert found(laid.config)["sealing.passphrase_wrong"]["level"] == "fail"
        laid.config.write_text(re.sub(r"\n  passphrase: .*", "", kept), "utf-8")
        assert found(laid.config)["sealing.passphrase_missing"]["level"] == "fail"
        assert not agent_runs(laid.config.parent / "state" / "gnupg")  # it would keep the passphrase
    finally:
        secret.write_bytes(right)
        laid.config.write_text(kept, "utf-8")
