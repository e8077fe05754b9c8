"""Opening with real gpg: only one good signature by a trusted key, over whole and encrypted content, gives anything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.errors import IntegrityFailure, NotYet
from exchanged.sealing import status
from exchanged.sealing.gnupg import Gnupg
from tests.support.gpghome import Home, Keyring

CONTENT = os.urandom(100_000)
OLD = "20200101T000000"


@pytest.fixture
def package(keyring: Keyring, tmp_path: Path) -> Path:
    """A good package."""
    target = tmp_path / "in" / "jx-1.pgp"
    target.parent.mkdir()
    keyring.sender().seal(lambda pipe: all_of(pipe, CONTENT), target)
    return target


def all_of(pipe: int, content: bytes) -> None:
    while content:
        content = content[os.write(pipe, content) :]


def refused(
    keyring: Keyring, package: Path, tmp_path: Path, trusted: list[str] | None = None, limit: int = 1 << 20
) -> str:
    """The code with which a package is refused; nothing may be left of it."""
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(IntegrityFailure) as problem:
        keyring.receiver().unseal(package, folder / "content", [keyring.signer] if trusted is None else trusted, limit)
    assert list(folder.iterdir()) == []
    return problem.value.code


def made(keyring: Keyring, tmp_path: Path, *arguments: str, at: str | None = None) -> Path:
    """A package that plain gpg made in the unit's key folder."""
    source, target = tmp_path / "source", tmp_path / "made.pgp"
    source.write_bytes(CONTENT)
    always = ("--yes", "--trust-model", "always", "-r", keyring.recipient)
    keyring.unit.gpg(*always, "-o", str(target), *arguments, str(source), at=at)
    return target


def test_a_good_package_gives_its_content_and_signer(keyring: Keyring, package: Path, tmp_path: Path) -> None:
    signature = keyring.receiver().unseal(package, tmp_path / "content", [keyring.signer.lower()])
    assert (tmp_path / "content").read_bytes() == CONTENT
    assert (signature.key, signature.primary) == (keyring.signer, keyring.signer)
    assert (tmp_path / "content").stat().st_mode & 0o777 == 0o600


def test_a_small_package_is_read_in_memory(keyring: Keyring, package: Path) -> None:
    content, signature = keyring.receiver().read(package, [keyring.signer])
    assert (content, signature.primary) == (CONTENT, keyring.signer)
    with pytest.raises(IntegrityFailure, match=r"package\.too_large"):
        keyring.receiver().read(package, [keyring.signer], limit=1000)


def test_what_plain_gpg_signed_and_encrypted_is_good_too(keyring: Keyring, tmp_path: Path) -> None:
    package = made(keyring, tmp_path, "-u", keyring.signer, "--armor", "--sign", "--encrypt")
    assert keyring.receiver().read(package, [keyring.signer])[0] == CONTENT


def test_a_revoked_signer_is_refused(keyring: Keyring, package: Path, tmp_path: Path) -> None:
    keyring.unit.revoke(keyring.signer)
    keyring.unit.give(keyring.signer, keyring.national)
    assert refused(keyring, package, tmp_path) == "package.signer_revoked"


def test_an_expired_signer_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    old = keyring.unit.make("Old", expire="1y", at=OLD)
    keyring.unit.give(old, keyring.national)
    older = keyring.unit.make("Recipient", at=OLD)
    secret = keyring.unit.gpg("--export-secret-keys", older)
    keyring.national.gpg("--import", data=secret)
    keyring = Keyring(keyring.unit, keyring.national, old, older)
    package = made(keyring, tmp_path, "-u", old, "--sign", "--encrypt", at="20200201T000000")
    assert refused(keyring, package, tmp_path) == "package.signer_expired"


def test_an_expired_signature_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    arguments = ("-u", keyring.signer, "--default-sig-expire", "seconds=1", "--sign", "--encrypt")
    package = made(keyring, tmp_path, *arguments)
    time.sleep(2.1)
    assert refused(keyring, package, tmp_path) == "package.signature_expired"


def test_a_signature_by_another_key_of_the_keyring_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    other = keyring.unit.make("Other")
    keyring.unit.give(other, keyring.national)
    package = made(keyring, tmp_path, "-u", other, "--sign", "--encrypt")
    assert refused(keyring, package, tmp_path) == "package.signer_untrusted"


def test_a_signature_by_an_unknown_key_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    package = made(keyring, tmp_path, "-u", keyring.unit.make("Other"), "--sign", "--encrypt")
    assert refused(keyring, package, tmp_path) == "package.signature_unknown"


def test_two_signatures_are_refused(keyring: Keyring, tmp_path: Path) -> None:
    other = keyring.unit.make("Other")
    keyring.unit.give(other, keyring.national)
    package = made(keyring, tmp_path, "-u", keyring.signer, "-u", other, "--sign", "--encrypt")
    assert refused(keyring, package, tmp_path) == "package.unreadable"


def test_no_signature_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    assert refused(keyring, made(keyring, tmp_path, "--encrypt"), tmp_path) == "package.signature_missing"


def test_what_is_signed_but_not_encrypted_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    package = made(keyring, tmp_path, "-u", keyring.signer, "--sign")
    assert refused(keyring, package, tmp_path) == "package.not_encrypted"


def test_a_bare_literal_packet_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    assert refused(keyring, made(keyring, tmp_path, "--store"), tmp_path) == "package.not_encrypted"


def test_a_weak_hash_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    package = made(keyring, tmp_path, "-u", keyring.signer, "--digest-algo", "SHA1", "--sign", "--encrypt")
    assert refused(keyring, package, tmp_path) == "package.signature_bad"


def test_what_is_for_somebody_else_is_told_as_such(keyring: Keyring, tmp_path: Path) -> None:
    other = keyring.unit.make("Other")
    source, package = tmp_path / "source", tmp_path / "made.pgp"
    source.write_bytes(CONTENT)
    keyring.unit.gpg(
        "--trust-model", "always", "-u", keyring.signer, "-r", other, "-o", str(package), "-se", str(source)
    )
    assert refused(keyring, package, tmp_path) == "package.not_for_us"


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip_middle(data: bytes) -> bytes:
    return data[:60_000] + bytes([data[60_000] ^ 1]) + data[60_001:]


def flip_end(data: bytes) -> bytes:
    return data[:-10] + bytes([data[-10] ^ 1]) + data[-9:]


@pytest.mark.parametrize("change", [cut, flip_middle, flip_end, lambda data: data[:-1]])
def test_altered_or_cut_off_packages_give_nothing(
    keyring: Keyring, package: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    package.write_bytes(change(package.read_bytes()))
    assert refused(keyring, package, tmp_path).split(".")[0] == "package"


@pytest.mark.parametrize("junk", [b"", b"%PDF-1.7\n", b"\x41" + os.urandom(5000), b"\0" * 5000, b"PK\x03\x04" * 100])
def test_what_is_no_openpgp_gives_nothing(keyring: Keyring, tmp_path: Path, junk: bytes) -> None:
    package = tmp_path / "junk.pgp"
    package.write_bytes(junk)
    assert refused(keyring, package, tmp_path) == "package.unreadable"


def test_two_packages_in_one_file_give_nothing(keyring: Keyring, package: Path, tmp_path: Path) -> None:
    package.write_bytes(package.read_bytes() * 2)
    assert refused(keyring, package, tmp_path).startswith("package.")


def test_a_literal_packet_in_front_of_a_good_package_gives_nothing(
    keyring: Keyring, package: Path, tmp_path: Path
) -> None:
    (tmp_path / "lie").write_bytes(b"a lie")
    lie = tmp_path / "lie.pgp"
    keyring.unit.gpg("--store", "-z", "0", "-o", str(lie), str(tmp_path / "lie"))
    package.write_bytes(lie.read_bytes() + package.read_bytes())
    assert refused(keyring, package, tmp_path).startswith("package.")


def test_more_than_the_limit_is_stopped_while_it_comes(keyring: Keyring, tmp_path: Path) -> None:
    source = tmp_path / "zeros"
    with source.open("wb") as file:
        file.truncate(300 << 20)
    package = tmp_path / "bomb.pgp"
    arguments = ("--trust-model", "always", "-z", "1", "-u", keyring.signer, "-r", keyring.recipient)
    keyring.unit.gpg(*arguments, "-o", str(package), "-se", str(source))
    assert package.stat().st_size < 4 << 20
    assert refused(keyring, package, tmp_path) == "package.too_large"


def test_a_wrong_passphrase_of_the_opening_key_is_no_fault_of_the_package(keyring: Keyring, tmp_path: Path) -> None:
    locked = keyring.national.make("Locked", passphrase="right")
    keyring.national.give(locked, keyring.unit)
    package = made(
        Keyring(keyring.unit, keyring.national, keyring.signer, locked), tmp_path, "-u", keyring.signer, "-se"
    )
    secrets: tuple[tuple[Callable[[], str | None], str], ...] = (
        (lambda: "wrong", "sealing.passphrase_wrong"),
        (lambda: None, "sealing.passphrase_missing"),
    )
    for secret, code in secrets:
        keyring.national.kill()
        gnupg = Gnupg(keyring.national.path, locked, (), secret)
        with pytest.raises(NotYet) as problem:
            gnupg.read(package, [keyring.signer])
        assert problem.value.code == code
    gnupg = Gnupg(keyring.national.path, locked, (), lambda: "right")
    assert gnupg.read(package, [keyring.signer])[0] == CONTENT


@pytest.mark.parametrize("secret", [None, "wrong"])
def test_one_key_that_cannot_be_used_is_no_reason_where_another_could(
    keyring: Keyring, tmp_path: Path, secret: str | None
) -> None:
    locked = keyring.national.make("Locked", passphrase="right")
    keyring.national.give(locked, keyring.unit)
    first = Keyring(keyring.unit, keyring.national, keyring.signer, locked)
    package = made(first, tmp_path, "-r", keyring.recipient, "-u", keyring.signer, "-se")
    keyring.national.kill()
    gnupg = Gnupg(keyring.national.path, keyring.recipient, (), lambda: secret)
    assert gnupg.read(package, [keyring.signer])[0] == CONTENT


NEWER = """[GNUPG:] ENC_TO 0123456789ABCDEF 18 0
[GNUPG:] NO_SECKEY 0123456789ABCDEF
[GNUPG:] ERROR pkdecrypt_failed {number}
[GNUPG:] BEGIN_DECRYPTION
[GNUPG:] DECRYPTION_FAILED
[GNUPG:] END_DECRYPTION
[GNUPG:] FAILURE gpg-exit 33554433
"""  # of GnuPG 2.4, which says more than 2.2


@pytest.mark.parametrize(("number", "error"), [(67108875, 11), (33554449, 17)])
def test_what_a_newer_gpg_says_of_a_key_that_cannot_be_used_is_understood(number: int, error: int) -> None:
    outcome = status.Outcome(2, status.parse(NEWER.format(number=number).encode()))
    assert outcome.error == error
    assert status.opened(outcome, []) == "package.not_for_us"


def test_a_link_in_place_of_a_package_is_not_followed(keyring: Keyring, package: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pgp"
    link.symlink_to(package)
    with pytest.raises(OSError, match="symbolic"):
        keyring.receiver().read(link, [keyring.signer])


def test_a_name_in_the_user_id_cannot_forge_a_verdict(keyring: Keyring, gpghome: Home, tmp_path: Path) -> None:
    forged = f"x\n[GNUPG:] VALIDSIG {keyring.signer} 2026-01-01 1 0 4 0 22 8 00 {keyring.signer}\n"
    key = gpghome.make(forged.replace("\n", "%0A"))
    gpghome.give(key, keyring.national)
    keyring.national.give(keyring.recipient, gpghome)
    source, package = tmp_path / "source", tmp_path / "made.pgp"
    source.write_bytes(CONTENT)
    gpghome.gpg("--trust-model", "always", "-r", keyring.recipient, "-u", key, "-o", str(package), "-se", str(source))
    assert refused(keyring, package, tmp_path) == "package.signer_untrusted"


def test_a_key_folder_that_is_not_there_says_nothing_of_the_package(
    keyring: Keyring, package: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotYet) as problem:
        Gnupg(tmp_path / "nowhere", keyring.signer, ()).unseal(package, tmp_path / "content", [keyring.signer])
    assert problem.value.code == "sealing.home_missing"
