"""Servers that lie, refuse and forget, and the honest ones of three makers: rows 60 to 68 of the fault matrix.

Each lie ends with a code of its own, with words in both languages and a next step, and never with a wrong file under
the final name that counts as delivered.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged import messages
from exchanged.batch import Parcel
from exchanged.errors import Held, NotYet, Problem
from exchanged.stages.deliver import deliver
from exchanged.transports import Denied, Endpoint
from exchanged.transports.probe import probe
from exchanged.transports.sftp import Sftp
from tests.support import liar as lies
from tests.support.proftpd import PROFTPD, proftpd
from tests.support.sshd import Sshd, free_port, keygen
from tests.support.world import World

pytestmark = pytest.mark.skipif(lies.asyncssh is None, reason="needs asyncssh: pip install asyncssh")

BATCH = "jx-20261123-0123456789ab"
FINAL, PART = f"{BATCH}.pgp", f".{BATCH}.pgp.part"
HELD = {"delivery.conflict", "delivery.gone"}
# manner: the code it ends with, what its words have in English, what its next step has
ENDS = {
    "Truncates": ("delivery.verification_failed", "differs", "uploaded again"),  # row 61
    "Changes": ("delivery.verification_failed", "differs", "uploaded again"),  # row 61
    "Forgets": ("delivery.verification_failed", "differs", "uploaded again"),  # row 61
    "Clips": ("delivery.conflict", "other content", "administrators"),  # row 61
    "Swaps": ("delivery.conflict", "other content", "administrators"),  # row 61
    "Takes": ("delivery.gone", "no such file", "moved_away"),  # row 62
    "NoRename": ("delivery.server_refused", "(rename", "permissions"),  # row 66
    "Full": ("delivery.server_full", "8.2 KB free", "make room"),  # row 60
    "Honest": (None, "", ""),
    "NoStat": (None, "", ""),  # row 62
    "OnlyPosix": (None, "", ""),
    "Endless": (None, "", ""),  # row 68: its list is never asked for
}


class Place:
    """A server's folder with an inbox, its keys and one package of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        (self.root / "inbox").mkdir(parents=True)
        self.inbox = self.root / "inbox"
        self.host_key = keygen(folder / "host")
        (folder / "authorized").write_text(keygen(folder / "user") + "\n")
        data = os.urandom(50_000)
        (folder / "package").write_bytes(data)
        self.parcel = Parcel(str(folder / "package"), len(data), hashlib.sha256(data).hexdigest())

    def liar(self, manner: str, port: int = 0, host: str = "host") -> Any:
        return lies.liar(manner, self.root, self.folder / host, self.folder / "authorized", port)

    def endpoint(self, port: int, **over: Any) -> Endpoint:
        plain = Endpoint(
            "127.0.0.1", "jx", (self.folder / "user").read_bytes, (self.host_key,), "/inbox", port=port, timeout=10.0
        )
        return replace(plain, **over)

    def send(self, endpoint: Endpoint, offered: bool = False, taken: bool = False) -> Any:
        courier = Sftp(endpoint)
        try:
            return deliver(self.parcel, BATCH, courier, offered=offered, taken=taken)
        finally:
            courier.close()

    def right(self, folder: Path | None = None) -> bool:
        names = [path.name for path in (folder or self.inbox).iterdir()]
        return names == [FINAL] and self.same((folder or self.inbox) / FINAL)

    def same(self, path: Path) -> bool:
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.parcel.sha256


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def problem(call: Callable[[], Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("manner", [name for name, end in ENDS.items() if end[0]])
def test_rows_60_to_66_every_lie_has_its_code_its_words_and_its_next_step(place: Place, manner: str) -> None:
    code, words, step = ENDS[manner]
    with place.liar(manner) as port:
        trouble = problem(lambda: place.send(place.endpoint(port)))
    assert trouble.code == code
    assert isinstance(trouble, Held if code in HELD else NotYet)
    assert words in messages.text(trouble.code, "en", **trouble.facts)
    assert step in str(messages.advice(trouble.code, "en", **trouble.facts))
    for said in (messages.text, messages.advice):
        chinese = str(said(trouble.code, "zh", **trouble.facts))
        assert any("\u4e00" <= char <= "\u9fff" for char in chinese)
    left = [path.name for path in place.inbox.iterdir()]
    assert left == {"Clips": [FINAL], "Swaps": [FINAL], "NoRename": [PART]}.get(manner, [])


@pytest.mark.parametrize("manner", [name for name, end in ENDS.items() if not end[0]])
def test_rows_62_and_68_what_is_odd_and_harmless_is_delivered_and_found_again(place: Place, manner: str) -> None:
    with place.liar(manner) as port:
        assert not place.send(place.endpoint(port)).already
        assert place.send(place.endpoint(port), offered=True).already
    assert place.right()
    assert not (place.folder / "asked").exists()


def test_row_62_a_file_moved_away_at_once_is_sent_once_whatever_is_tried(place: Place) -> None:
    with place.liar("Takes") as port:
        assert problem(lambda: place.send(place.endpoint(port))).code == "delivery.gone"
        assert problem(lambda: place.send(place.endpoint(port), offered=True)).code == "delivery.gone"
        assert problem(lambda: place.send(place.endpoint(port, moved_away=True), offered=True)).code == "delivery.gone"
        assert place.send(place.endpoint(port, moved_away=True), offered=True, taken=True).gone
    assert [place.same(path) for path in (place.folder / "taken").iterdir()] == [True]


def test_a_rename_that_replaces_is_not_used_where_something_lies_there(place: Place) -> None:
    (place.inbox / "a").write_bytes(b"new")
    (place.inbox / "b").write_bytes(b"there")
    with place.liar("OnlyPosix") as port:
        courier = Sftp(place.endpoint(port))
        with pytest.raises(Denied):
            courier.connect().rename("/inbox/a", "/inbox/b")
        courier.close()
    assert (place.inbox / "b").read_bytes() == b"there"


def test_row_65_a_server_that_changes_its_host_key_gets_nothing(place: Place) -> None:
    keygen(place.folder / "other")
    port = free_port()
    courier = Sftp(place.endpoint(port))
    with place.liar("Honest", port):
        deliver(place.parcel, "jx-1", courier)
    with place.liar("Honest", port, host="other"):
        changed = problem(lambda: deliver(place.parcel, "jx-2", courier))
    assert changed.code == "delivery.host_key_mismatch"
    for language in ("zh", "en"):
        said = messages.text(changed.code, language, **changed.facts)
        assert str(changed.facts["expected"]) in said
        assert str(changed.facts["offered"]) in said
    assert [path.name for path in place.inbox.iterdir()] == ["jx-1.pgp"]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("manner", ["Changes", "Forgets", "Takes", "NoRename", "Full", "NoStat"])
def test_rows_60_to_66_as_the_operator_sees_them(world: World, place: Place, manner: str, language: str) -> None:
    code = ENDS[manner][0]
    shutil.copy(place.folder / "user", world.credentials / "sftp-key")
    with place.liar(manner) as port:
        world.configure(
            language=language, delivery={"port": port, "host_keys": [place.host_key], "inbox": "/inbox", "user": "jx"}
        )
        world.sheet("first"), world.scan("first")
        (batch,) = world.once()["batches"]
        shown = world.run("show", batch["batch"]).stdout
        if code is None:
            assert batch["state"] == "closed"
            return
        assert (batch["state"], batch["reason"]) == ("held" if code in HELD else "sealed", code)
        known = world.ask("show", batch["batch"])["reason_facts"]
        step = str(messages.advice(code, language, **known))
        assert "".join(step.split())[:20] in "".join(shown.split())
        if manner == "Takes":
            world.configure(delivery={"moved_away": True})
            assert world.run("withdraw", batch["batch"], "--reason", "x").returncode == 3
            assert world.run("release", batch["batch"]).returncode == 0
            assert [one["state"] for one in world.once()["batches"]] == ["closed"]
            assert len(list((place.folder / "taken").iterdir())) == 1


def test_row_58_what_may_have_arrived_is_not_withdrawn_whatever_came_after(world: World, place: Place) -> None:
    shutil.copy(place.folder / "user", world.credentials / "sftp-key")
    world.sheet("first"), world.scan("first")
    with place.liar("HangsUp") as port:
        world.configure(delivery={"port": port, "host_keys": [place.host_key], "inbox": "/inbox", "user": "jx"})
        (batch,) = world.once()["batches"]
    assert (batch["state"], batch["reason"]) == ("sealed", "delivery.outcome_unknown")
    world.run("retry", batch["batch"])  # and nobody listens there any more
    (batch,) = world.once()["batches"]
    assert (batch["state"], batch["reason"]) == ("sealed", "delivery.unreachable")
    assert world.run("withdraw", batch["batch"], "--reason", "x").returncode == 3
    assert world.run("hold", batch["batch"]).returncode == 0
    assert world.run("withdraw", batch["batch"], "--reason", "x").returncode == 3
    assert world.run("release", batch["batch"]).returncode == 0
    with place.liar("Honest", port) as port:
        assert [one["state"] for one in world.once()["batches"]] == ["closed"]
    assert len(list(place.inbox.iterdir())) == 1


def test_row_58_what_lies_there_unreadable_after_a_lost_answer_is_not_withdrawn(world: World, place: Place) -> None:
    shutil.copy(place.folder / "user", world.credentials / "sftp-key")
    world.sheet("first"), world.scan("first")
    with place.liar("HangsUp") as port:
        world.configure(delivery={"port": port, "host_keys": [place.host_key], "inbox": "/inbox", "user": "jx"})
        world.once()
    with place.liar("Shuts", port) as port:
        (batch,) = world.ask("list")["batches"]
        world.run("retry", batch["batch"])
        (batch,) = world.once()["batches"]
        assert (batch["state"], batch["reason"]) == ("sealed", "delivery.outcome_unknown")
        assert world.run("withdraw", batch["batch"], "--reason", "x").returncode == 3
    with place.liar("Honest", port) as port:
        world.run("retry", batch["batch"])
        assert [one["state"] for one in world.once()["batches"]] == ["closed"]
    assert len(list(place.inbox.iterdir())) == 1


def _makers_probe(endpoint: Endpoint) -> list[str]:
    courier = Sftp(endpoint)
    lines = probe(courier)
    courier.close()
    return [f"{line.name}: {line.code} {line.facts}" for line in lines if not line.ok]


def _serves(place: Place, endpoint: Endpoint) -> None:
    """All that delivery needs: a package, the same again, a resumed one, never over a foreign file, the probe."""
    assert _makers_probe(endpoint) == []
    assert not place.send(endpoint).already
    assert place.send(endpoint, offered=True).already
    assert place.right()
    inode = (place.inbox / FINAL).stat().st_ino
    (place.inbox / FINAL).rename(place.inbox / PART)
    os.truncate(place.inbox / PART, 20_000)
    assert not place.send(endpoint).already
    assert place.right()
    assert (place.inbox / FINAL).stat().st_ino == inode
    (place.inbox / FINAL).write_bytes(b"foreign")
    assert problem(lambda: place.send(endpoint)).code == "delivery.conflict"
    assert (place.inbox / FINAL).read_bytes() == b"foreign"
    (place.inbox / FINAL).unlink()
    (place.inbox / PART).write_bytes(b"stale")
    assert not place.send(endpoint).already
    assert place.right()


def test_rows_63_and_64_openssh_serves(sshd: Sshd, place: Place) -> None:
    _serves(place, sshd.endpoint(place.inbox))


def test_rows_63_and_64_asyncssh_serves(place: Place) -> None:
    with place.liar("Honest") as port:
        _serves(place, place.endpoint(port))


@pytest.mark.skipif(PROFTPD is None, reason="no ProFTPD with mod_sftp: apt-get install proftpd-core proftpd-mod-crypto")
def test_rows_63_and_64_proftpd_serves(place: Place) -> None:
    with proftpd(place.folder, place.folder / "host", place.folder / "user") as (port, user):
        _serves(place, place.endpoint(port, user=user, inbox=str(place.inbox)))
