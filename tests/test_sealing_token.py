"""Signing with a key on a real token (in software): its PIN, and what happens while it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.sealing.gnupg import Gnupg
from tests.support.gpghome import Home
from tests.support.parcels import CONTENT, feed, refused
from tests.support.token import PIN, Token, token

__all__ = ["token"]


@pytest.fixture
def recipient(gpghome: Home, token: Token) -> str:
    """A national key that the token's key folder knows."""
    made = gpghome.make("National")
    gpghome.give(made, token.home)
    return made


@pytest.fixture
def gnupg(token: Token, recipient: str) -> Iterator[Gnupg]:
    """Sealing with the token."""
    yield with_pin(token, recipient, PIN)


def with_pin(token: Token, recipient: str, pin: str | None) -> Gnupg:
    return Gnupg(token.home.path, token.fingerprint, (recipient,), lambda: pin, timeout=3)


def test_a_key_on_a_token_seals(gnupg: Gnupg, gpghome: Home, tmp_path: Path) -> None:
    assert gnupg.keys()[0]["state"] == "token"
    assert gpghome.plain(gnupg.seal(feed(), tmp_path / "jx-1.pgp").path) == CONTENT


def test_a_wrong_pin_is_never_tried_again_by_itself(
    token: Token,
    recipient: str,
    tmp_path: Path,
) -> None:
    problem = refused(with_pin(token, recipient, "111111"), tmp_path, feed())
    assert (problem.code, problem.again) == ("sealing.passphrase_wrong", False)


def test_a_token_without_a_pin_waits_for_one(token: Token, recipient: str, tmp_path: Path) -> None:
    assert refused(with_pin(token, recipient, None), tmp_path, feed()).code == "sealing.passphrase_missing"


def test_a_token_that_is_not_there_is_waited_for(
    token: Token,
    gnupg: Gnupg,
    gpghome: Home,
    tmp_path: Path,
) -> None:
    token.remove()
    problem = refused(gnupg, tmp_path, feed())
    assert (problem.code, problem.again) == ("sealing.token_absent", True)
    token.insert()
    assert gpghome.plain(gnupg.seal(feed(), tmp_path / "jx-1.pgp").path) == CONTENT


@pytest.mark.slow
def test_a_token_pulled_out_while_in_use_stops_nothing_for_ever(
    token: Token,
    gnupg: Gnupg,
    gpghome: Home,
    tmp_path: Path,
) -> None:
    gnupg.seal(feed(), tmp_path / "jx-1.pgp")
    (tmp_path / "jx-1.pgp").unlink()
    token.remove()
    assert refused(gnupg, tmp_path, feed()).code == "sealing.token_absent"
    token.insert()
    assert gpghome.plain(gnupg.seal(feed(), tmp_path / "jx-1.pgp").path) == CONTENT
