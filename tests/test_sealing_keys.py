"""The keys that sealing depends on, with real gpg: each trouble has its code and stops before anything is written."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from exchanged.sealing.gnupg import Gnupg
from tests.support.gpghome import Keyring
from tests.support.parcels import CONTENT, OLD, feed, refused, script


@pytest.fixture
def spare(tmp_path: Path) -> Path:
    """Room for what the parcel's folder must not hold."""
    return Path(tempfile.mkdtemp(prefix="sp", dir=tmp_path.parent))


def test_a_recipient_without_encryption_key_stops_before_anything_is_written(keyring: Keyring, tmp_path: Path) -> None:
    other = keyring.unit.make("Signs only", encrypt=None)
    problem = refused(Gnupg(keyring.unit.path, keyring.signer, (other,)), tmp_path)
    assert (problem.code, problem.facts["fingerprint"]) == ("sealing.recipient_cannot_encrypt", other)


def test_an_expired_recipient_stops_before_anything_is_written(keyring: Keyring, tmp_path: Path) -> None:
    other = keyring.unit.make("Old", expire="1y", at=OLD)
    problem = refused(Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient, other)), tmp_path)
    assert problem.code == "sealing.recipient_expired"
    assert str(problem.facts["expires"]).startswith("2020-12-31T")


def test_a_revoked_recipient_stops_before_anything_is_written(keyring: Keyring, tmp_path: Path) -> None:
    other = keyring.unit.make("Gone")
    keyring.unit.revoke(other)
    assert refused(Gnupg(keyring.unit.path, keyring.signer, (other,)), tmp_path).code == "sealing.recipient_revoked"


def test_an_unknown_recipient_stops_before_anything_is_written(keyring: Keyring, tmp_path: Path) -> None:
    problem = refused(Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient, "A" * 40)), tmp_path)
    assert (problem.code, problem.facts["fingerprint"], problem.again) == ("sealing.recipient_missing", "A" * 40, True)


def test_a_recipient_replaced_under_the_same_name_is_not_taken(keyring: Keyring, tmp_path: Path) -> None:
    keyring.unit.gpg("--yes", "--delete-keys", keyring.recipient)
    keyring.unit.make("National")
    assert refused(keyring.sender(), tmp_path).code == "sealing.recipient_missing"


def test_a_signer_without_its_secret_part_is_missing(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = Gnupg(keyring.unit.path, keyring.recipient, (keyring.recipient,))
    assert refused(gnupg, tmp_path).code == "sealing.signer_missing"


def test_an_expired_signer_stops_before_anything_is_written(keyring: Keyring, tmp_path: Path) -> None:
    old = keyring.unit.make("Old", expire="1y", at=OLD)
    assert refused(Gnupg(keyring.unit.path, old, (keyring.recipient,)), tmp_path).code == "sealing.signer_expired"


def test_a_revoked_signer_stops_before_anything_is_written(keyring: Keyring, tmp_path: Path) -> None:
    keyring.unit.revoke(keyring.signer)
    assert refused(keyring.sender(), tmp_path).code == "sealing.signer_revoked"


def test_a_key_that_may_only_certify_cannot_sign(keyring: Keyring, tmp_path: Path) -> None:
    key = keyring.unit.make("Certifier", sign=False)
    assert refused(Gnupg(keyring.unit.path, key, (keyring.recipient,)), tmp_path).code == "sealing.signer_cannot_sign"


def test_a_key_revoked_while_running_stops_the_next_batch(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = keyring.sender()
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    (tmp_path / "jx-1.pgp").unlink()
    keyring.unit.revoke(keyring.signer)
    assert refused(gnupg, tmp_path).code == "sealing.signer_revoked"


def test_gpg_itself_refuses_a_key_that_our_clock_takes_for_good(keyring: Keyring, tmp_path: Path) -> None:
    old = keyring.unit.make("Old", expire="1y", at=OLD)
    new = Gnupg(keyring.unit.path, keyring.signer, (old,), clock=lambda: 1_590_000_000.0)
    assert new.keys()[0]["state"] == "future"
    unit = Gnupg(keyring.unit.path, old, (old,), clock=lambda: 1_590_000_000.0)
    told = unit.keys()
    assert {one["state"] for one in told} == {"expired"}  # gpg's own judgement counts too


def test_a_clock_before_the_keys_were_made_is_told_as_such(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), clock=lambda: time.time() - 5 * 86400)
    assert refused(gnupg, tmp_path).code == "sealing.clock_wrong"


def test_the_keys_are_told_with_their_end(keyring: Keyring) -> None:
    ending = keyring.unit.make("Ending", expire="30d")
    told = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient, ending, "B" * 40)).keys()
    assert [(one["role"], one["state"]) for one in told] == [
        *(("signer", "ok"), ("recipient", "ok")),
        *(("recipient", "ok"), ("recipient", "missing")),
    ]
    assert [one["expires"] is None for one in told] == [True, True, False, True]


def test_the_right_passphrase_opens_the_key(keyring: Keyring, tmp_path: Path) -> None:
    key = keyring.unit.make("Locked", passphrase="open sesame 芝麻")
    keyring.unit.kill()
    gnupg = Gnupg(keyring.unit.path, key, (keyring.recipient,), lambda: "open sesame 芝麻")
    assert keyring.national.plain(gnupg.seal(feed(), tmp_path / "jx-1.pgp").path) == CONTENT


def test_a_wrong_passphrase_is_never_tried_again_by_itself(keyring: Keyring, tmp_path: Path) -> None:
    key = keyring.unit.make("Locked", passphrase="right")
    keyring.unit.kill()
    problem = refused(Gnupg(keyring.unit.path, key, (keyring.recipient,), lambda: "wrong"), tmp_path, feed())
    assert (problem.code, problem.again) == ("sealing.passphrase_wrong", False)


def test_a_missing_passphrase_is_told_at_once(keyring: Keyring, tmp_path: Path) -> None:
    key = keyring.unit.make("Locked", passphrase="right")
    keyring.unit.kill()
    assert (
        refused(Gnupg(keyring.unit.path, key, (keyring.recipient,)), tmp_path, feed()).code
        == "sealing.passphrase_missing"
    )

    def unreadable() -> str:
        raise FileNotFoundError

    gnupg = Gnupg(keyring.unit.path, key, (keyring.recipient,), unreadable)
    assert refused(gnupg, tmp_path).code == "sealing.passphrase_missing"


def test_the_passphrase_stands_in_no_argument_and_no_environment(
    keyring: Keyring, tmp_path: Path, spare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keyring.unit.make("Locked", passphrase="s3same0pen")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    program = script(spare, f'echo "$@" >>{spare}/seen; env >>{spare}/seen; exec gpg "$@"')
    gnupg = Gnupg(keyring.unit.path, key, (keyring.recipient,), lambda: "s3same0pen", program=program)
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    seen = (spare / "seen").read_text()
    assert "--sign" in seen
    assert "s3same0pen" not in seen
    assert "/run/credentials" not in seen
