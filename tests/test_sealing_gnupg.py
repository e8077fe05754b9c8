"""Sealing with real gpg: what comes out, what stops it before anything is written, and what a failed run leaves."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchanged import disk
from exchanged.sealing.gnupg import Gnupg
from tests.support.gpghome import Home, Keyring
from tests.support.parcels import CONTENT, OLD, feed, never, refused, script


def says(*lines: str, then: str = "exit 0") -> str:
    """The body of such a program: it takes its input, writes something, and says these status lines."""
    spoken = "".join(f'echo "[GNUPG:] {line}" >&$fd\n' for line in lines)
    return f'while [ "$1" != --status-fd ]; do shift; done; fd=$2\ncat >/dev/null; echo sealed\n{spoken}{then}'


@pytest.fixture
def spare(tmp_path: Path) -> Path:
    """Room for what the parcel's folder must not hold."""
    return Path(tempfile.mkdtemp(prefix="sp", dir=tmp_path.parent))


def test_the_other_side_reads_what_was_sealed(keyring: Keyring, tmp_path: Path) -> None:
    parcel = keyring.sender().seal(feed(), tmp_path / "jx-1.pgp")
    assert keyring.national.plain(parcel.path) == CONTENT
    assert Path(parcel.path).stat().st_size == parcel.bytes
    assert disk.sha256(Path(parcel.path)) == parcel.sha256
    assert stat.S_IMODE(Path(parcel.path).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["jx-1.pgp"]


@pytest.mark.parametrize("size", [0, 1, 5000, 8192, 70_000, 3_000_000])
def test_content_of_any_size_comes_back(keyring: Keyring, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    keyring.sender().seal(feed(content), tmp_path / "jx-1.pgp")
    keyring.receiver().unseal(tmp_path / "jx-1.pgp", tmp_path / "out", [keyring.signer])
    assert (tmp_path / "out").read_bytes() == content


def test_every_recipient_can_read_and_nobody_else(keyring: Keyring, tmp_path: Path, gpghome: Home) -> None:
    second = gpghome.make("Second")
    gpghome.give(second, keyring.unit)
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient, second))
    package = gnupg.seal(feed(), tmp_path / "jx-1.pgp").path
    assert keyring.national.plain(package) == gpghome.plain(package) == CONTENT
    with pytest.raises(RuntimeError):
        keyring.unit.plain(package)


def test_the_package_is_binary_uncompressed_and_names_only_the_batch(keyring: Keyring, tmp_path: Path) -> None:
    package = keyring.sender().seal(feed(), tmp_path / "jx-20260101-1.pgp").path
    packets = keyring.national.gpg("--list-packets", package).decode()
    assert 'name="jx-20260101-1.tar.gz"' in packets
    assert "compressed packet" not in packets
    assert "mdc_method: 2" in packets
    assert not Path(package).read_bytes().startswith(b"-----")


def test_an_rsa_key_seals_too(gpghome: Home, tmp_path: Path) -> None:
    key = gpghome.make("Rsa", algo="rsa2048", encrypt="rsa2048")
    package = Gnupg(gpghome.path, key, (key,)).seal(feed(), tmp_path / "jx-1.pgp").path
    assert gpghome.plain(package) == CONTENT


def test_a_signing_subkey_signs_in_place_of_its_primary(keyring: Keyring, tmp_path: Path) -> None:
    keyring.unit.add(keyring.signer, "ed25519", "sign")
    keyring.unit.give(keyring.signer, keyring.national)
    gnupg = keyring.sender()
    subkey = gnupg.check().key
    assert subkey is not None and subkey.fingerprint != keyring.signer
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    signature = keyring.receiver().unseal(tmp_path / "jx-1.pgp", tmp_path / "out", [keyring.signer])
    assert (signature.key, signature.primary) == (subkey.fingerprint, keyring.signer)


def test_an_expired_subkey_beside_a_good_one_stops_nothing(keyring: Keyring, tmp_path: Path, gpghome: Home) -> None:
    key = gpghome.make("Older", encrypt=None, at=OLD)
    gpghome.add(key, "cv25519", "encr", "1y", at=OLD)
    gpghome.add(key, "cv25519", "encr")
    gpghome.give(key, keyring.unit)
    package = Gnupg(keyring.unit.path, keyring.signer, (key,)).seal(feed(), tmp_path / "jx-1.pgp").path
    assert gpghome.plain(package) == CONTENT


def test_a_batch_costs_one_gpg_process(keyring: Keyring, tmp_path: Path, spare: Path) -> None:
    program = spare / "gpg"
    program.write_text(f'#!/bin/sh\necho x >>{spare}/calls\nexec gpg "$@"\n')
    program.chmod(0o700)
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), program=str(program))
    for number in range(3):
        gnupg.seal(feed(), tmp_path / f"jx-{number}.pgp")
    assert (spare / "calls").read_text().count("x") == 1 + 3  # one listing


def test_many_batches_are_sealed_side_by_side(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = keyring.sender()
    with ThreadPoolExecutor(8) as pool:
        parcels = list(
            pool.map(lambda number: gnupg.seal(feed(b"%d" % number), tmp_path / f"jx-{number}.pgp"), range(24))
        )
    for number, parcel in enumerate(parcels):
        assert keyring.national.plain(parcel.path) == b"%d" % number


def test_a_writer_that_fails_leaves_nothing_and_its_own_error(keyring: Keyring, tmp_path: Path) -> None:
    def fails(pipe: int) -> None:
        feed(CONTENT * 40)(pipe)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        keyring.sender().seal(fails, tmp_path / "jx-1.pgp")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_seal_leaves_nothing_and_no_process(keyring: Keyring, tmp_path: Path) -> None:
    def interrupted(pipe: int) -> None:
        raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        keyring.sender().seal(interrupted, tmp_path / "jx-1.pgp")
    assert list(tmp_path.iterdir()) == []
    assert children() <= before


def children() -> set[int]:
    """Processes that are children of this one; servers that other tests share may be among them."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if (entry / "stat").read_text().rsplit(")", 1)[1].split()[1] == str(os.getpid()):
                found.add(int(entry.name))
    return found


def test_gpg_killed_half_way_leaves_nothing(keyring: Keyring, tmp_path: Path) -> None:
    def killing(pipe: int) -> None:
        feed()(pipe)
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        feed(CONTENT * 100)(pipe)

    gnupg = keyring.sender()
    gnupg.check()
    before = children()
    assert refused(gnupg, tmp_path, killing).code == "sealing.gpg_failed"


def test_an_earlier_parcel_of_that_name_survives_a_failed_seal(keyring: Keyring, tmp_path: Path) -> None:
    parcel = keyring.sender().seal(feed(), tmp_path / "jx-1.pgp")
    with pytest.raises(AssertionError):
        keyring.sender().seal(never, tmp_path / "jx-1.pgp")
    assert disk.sha256(Path(parcel.path)) == parcel.sha256


GOOD = ("BEGIN_SIGNING H8", "BEGIN_ENCRYPTION 2 9", "SIG_CREATED S 22 8 00 1 {fpr}", "END_ENCRYPTION")
OTHER = "F" * 40


@pytest.mark.parametrize(
    "lines",
    [
        (),
        GOOD[:-1],
        (*GOOD[:2], GOOD[3]),
        (*GOOD[:2], GOOD[2].format(fpr=OTHER), GOOD[3]),
        (*GOOD[:2], GOOD[2].replace(" 8 00", " 2 00"), GOOD[3]),
        (*GOOD[:2], GOOD[2].replace("S 22", "D 22"), GOOD[3]),
        (GOOD[0], "BEGIN_ENCRYPTION 2 2", *GOOD[2:]),
        (*GOOD[:3], GOOD[2], GOOD[3]),
        ("INV_RECP 0 X", *GOOD),
        ("INV_SGNR 0 X", *GOOD),
        (*GOOD, "FAILURE sign-encrypt 1"),
        (*GOOD[:2], GOOD[3], GOOD[2]),
    ],
)
def test_exit_status_zero_is_no_verdict(keyring: Keyring, tmp_path: Path, spare: Path, lines: tuple[str, ...]) -> None:
    program = script(spare, says(*(line.format(fpr=keyring.signer) for line in lines)))
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), program=program)
    assert refused(gnupg, tmp_path, feed()).code == "sealing.gpg_failed"


def test_a_complete_sequence_with_a_failing_exit_is_no_success(keyring: Keyring, tmp_path: Path, spare: Path) -> None:
    lines = [line.format(fpr=keyring.signer) for line in GOOD]
    good = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), program=script(spare, says(*lines)))
    good.seal(feed(), tmp_path / "jx-1.pgp")
    (tmp_path / "jx-1.pgp").unlink()
    script(spare, says(*lines, then="exit 2"))
    assert refused(good, tmp_path, feed()).code == "sealing.gpg_failed"


@pytest.mark.parametrize("body", ["sleep 60", "cat >/dev/null; sleep 60", "sleep 60 & wait"])
def test_a_gpg_that_makes_no_progress_is_ended(keyring: Keyring, tmp_path: Path, spare: Path, body: str) -> None:
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), timeout=0.6, program=script(spare, body))
    began, before = time.monotonic(), children()
    assert refused(gnupg, tmp_path, feed(CONTENT * 100)).code == "sealing.timeout"
    assert time.monotonic() - began < 10
    assert children() <= before


def test_a_slow_writer_is_not_held_against_gpg(keyring: Keyring, tmp_path: Path) -> None:
    def slow(pipe: int) -> None:
        for _ in range(4):
            time.sleep(0.4)
            feed()(pipe)

    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), timeout=0.8)
    assert keyring.national.plain(gnupg.seal(slow, tmp_path / "jx-1.pgp").path) == CONTENT * 4


def test_a_gpg_that_never_stops_talking_is_ended(keyring: Keyring, tmp_path: Path, spare: Path) -> None:
    body = 'while [ "$1" != --status-fd ]; do shift; done; yes "[GNUPG:] INQUIRE_MAXLEN 100" >&$2'
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), program=script(spare, body))
    before = children()
    assert refused(gnupg, tmp_path, feed(CONTENT * 100)).code == "sealing.token_absent"
    assert children() <= before


def test_no_gpg_is_told_as_such(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), program="/nonexistent/gpg")
    assert refused(gnupg, tmp_path).code == "sealing.gpg_missing"


def test_no_key_folder_is_told_as_such(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = Gnupg(tmp_path / "nowhere", keyring.signer, (keyring.recipient,))
    assert refused(gnupg, tmp_path).code == "sealing.home_missing"


def test_an_agent_that_cannot_start_is_not_taken_for_a_missing_key(
    keyring: Keyring, tmp_path: Path, spare: Path
) -> None:
    deep = spare / ("x" * 100)
    keyring.unit.kill()
    subprocess.run(["cp", "-r", str(keyring.unit.path), str(deep)], check=True)
    problem = refused(Gnupg(deep, keyring.signer, (keyring.recipient,)), tmp_path)
    assert (problem.code, problem.facts["socket"]) == ("sealing.agent_unavailable", str(deep / "S.gpg-agent"))


def test_a_dead_agent_with_a_stale_socket_is_replaced(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = keyring.sender()
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    found = subprocess.run(
        ["gpg-connect-agent", "--homedir", str(keyring.unit.path), "GETINFO pid", "/bye"],
        capture_output=True,
        check=True,
    )
    os.kill(int(found.stdout.split()[1]), signal.SIGKILL)
    time.sleep(0.1)
    assert (keyring.unit.path / "S.gpg-agent").exists()
    assert keyring.national.plain(gnupg.seal(feed(), tmp_path / "jx-2.pgp").path) == CONTENT


def test_a_full_disk_leaves_nothing_and_is_told_as_such(keyring: Keyring, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    try:
        assert refused(keyring.sender(), small, feed(CONTENT * 100)).code == "disk.full"
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_closing_ends_the_agent(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = keyring.sender()
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    assert (keyring.unit.path / "S.gpg-agent").exists()
    gnupg.close()
    assert not (keyring.unit.path / "S.gpg-agent").exists()


def test_sealing_leaves_no_thread_and_no_descriptor(keyring: Keyring, tmp_path: Path) -> None:
    gnupg = keyring.sender()
    gnupg.seal(feed(), tmp_path / "jx-0.pgp")
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    with pytest.raises(AssertionError):
        gnupg.seal(never, tmp_path / "jx-2.pgp")
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_gpg_that_cannot_be_given_its_pipes_leaves_none_open(
    keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Row 17 of the fault matrix: each try would otherwise leave the next one with less."""
    gnupg = Gnupg(keyring.unit.path, keyring.signer, (keyring.recipient,), lambda: "x")
    gnupg.check()
    before, real, calls = list(Path("/proc/self/fd").iterdir()), os.pipe, iter(range(1, 9))

    def pipe() -> tuple[int, int]:
        if next(calls) == nth:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real()

    monkeypatch.setattr(os, "pipe", pipe)
    with pytest.raises(OSError, match="Too many open files"):
        gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
    assert list(tmp_path.iterdir()) == []
