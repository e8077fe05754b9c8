"""A line that cuts, resets, stalls, slices and delays between us and a real sshd: rows 57 to 59 of the fault matrix.

After each fault: at most one final rename, an unknown outcome looked up before anything is sent again, and under the
final name the bytes of the package.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from exchanged.batch import Parcel
from exchanged.errors import NotYet
from exchanged.stages.deliver import deliver
from exchanged.transports.sftp import Sftp
from tests.support import clock
from tests.support.proxy import Cut, Proxy
from tests.support.renames import Births
from tests.support.sshd import Sshd, keygen
from tests.support.world import World

BATCH = "jx-20261123-0123456789ab"
FINAL = f"{BATCH}.pgp"
LOST = {"delivery.connection_lost", "delivery.unreachable", "delivery.timeout", "delivery.outcome_unknown"}
SPREAD = 28  # places up to the rename at which a direction is cut; every one of them in both ways
LAST = (-120, -40, -10, 1, 20, 40, 60, 80, 120, 160, 1000)  # and about it: its request, its answer, the last look


class Town:
    """An inbox on a real server, a package, and a count of final names given."""

    def __init__(self, sshd: Sshd, folder: Path, size: int) -> None:
        self.sshd, self.inbox = sshd, folder / "inbox"
        self.inbox.mkdir(parents=True)
        self.data = os.urandom(size)
        (folder / "package").write_bytes(self.data)
        self.parcel = Parcel(str(folder / "package"), size, hashlib.sha256(self.data).hexdigest())
        self.offers = 0
        self.at_offer: Callable[[], None] | None = None
        self.births = Births(self.inbox)

    def send(self, courier: Sftp) -> Any:
        return deliver(self.parcel, BATCH, courier, offered=self.offers > 0, on_offer=self._offer)

    def _offer(self) -> None:
        self.offers += 1
        if self.at_offer and self.offers == 1:
            self.at_offer()

    def courier(self, port: int, **over: Any) -> Sftp:
        return Sftp(self.sshd.endpoint(self.inbox, port=port, **over))

    def right(self) -> None:
        """One file, ours, under the final name, which was given once."""
        assert [path.name for path in self.inbox.iterdir()] == [FINAL]
        assert (self.inbox / FINAL).read_bytes() == self.data
        assert self.births.of(FINAL) == 1


@pytest.fixture
def town(sshd: Sshd, tmp_path: Path) -> Iterator[Town]:
    made = Town(sshd, tmp_path, 50_000)
    with made.births:
        yield made


def through(town: Town, proxy: Proxy, **over: Any) -> str | None:
    """One try on a bad line, then one on a good line; how the first ended."""
    courier, code = town.courier(proxy.port, **over), None
    try:
        town.send(courier)
    except NotYet as trouble:
        code = trouble.code
        assert code in LOST
        assert (code == "delivery.outcome_unknown") == (town.offers > 0)
        assert not courier.kept()
        assert town.births.of(FINAL) <= town.offers <= 1
    else:  # a run differs from the next by some bytes: the cut may come too late
        courier.close()
    taken, before = town.births.of(FINAL), town.offers
    done = town.send(courier)
    courier.close()
    if taken:  # else the server may still be about to obey the lost connection, before or after this one
        assert done.already
        assert town.offers == before
    town.right()
    return code


@pytest.fixture(scope="module")
def traffic(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many bytes a delivery takes in each direction up to the rename."""
    town = Town(sshd, tmp_path_factory.mktemp("traffic"), 50_000)
    with town.births, Proxy(sshd.port) as proxy:
        courier, seen = town.courier(proxy.port), {}
        town.at_offer = lambda: seen.update(up=proxy.seen_up, down=proxy.seen_down)
        town.send(courier)
        courier.close()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_row_57_and_58_a_cut_anywhere_leaves_one_rename_and_the_right_bytes(
    sshd: Sshd, tmp_path: Path, traffic: dict[str, int], direction: str, how: Cut
) -> None:
    whole, codes = traffic[direction], {}
    shift = SPREAD // 2 if how == "reset" else 0  # the two ways of cutting at different places
    for at in (*range(shift, whole, whole // SPREAD), *(whole + back for back in LAST)):
        town = Town(sshd, tmp_path / f"{at}", 50_000)
        cut: dict[str, Any] = {direction: at}
        with town.births, Proxy(sshd.port, how=how, **cut) as proxy:
            codes[at] = through(town, proxy)
    assert None not in list(codes.values())[:SPREAD]
    assert "delivery.outcome_unknown" in codes.values()
    assert len(set(codes.values())) >= 3  # before the handshake, in the transfer, at the rename


@pytest.mark.parametrize("how", ["close", "reset", "stall"])
@pytest.mark.parametrize(("direction", "more"), [("down", 0), ("down", 20), ("up", 0), ("up", 20)])
def test_row_58_the_rename_or_its_answer_lost_is_an_unknown_outcome_and_looked_up(
    town: Town, direction: Literal["up", "down"], more: int, how: Cut
) -> None:
    with Proxy(town.sshd.port, how=how) as proxy:
        town.at_offer = lambda: proxy.arm(direction, more)
        assert through(town, proxy, timeout=1.0) == "delivery.outcome_unknown"


def test_row_58_what_arrived_is_not_sent_again(town: Town) -> None:
    with Proxy(town.sshd.port) as proxy:
        courier = town.courier(proxy.port)
        # answers to earlier requests may still be on their way
        town.at_offer = lambda: proxy.arm("down", 0, (town.inbox / FINAL).exists)
        with pytest.raises(NotYet, match=r"delivery\.outcome_unknown"):
            town.send(courier)
        _wait(lambda: town.births.of(FINAL) == 1)
        sent = proxy.seen_up
        assert town.send(courier).already
        assert proxy.seen_up - sent < town.parcel.bytes // 4
        courier.close()
    town.right()


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.97])
def test_row_59_a_line_that_stalls_for_ever_is_given_up_after_the_configured_time(
    town: Town, traffic: dict[str, int], direction: str, part: float
) -> None:
    stall: dict[str, Any] = {direction: int(traffic[direction] * part)}
    with Proxy(town.sshd.port, how="stall", **stall) as proxy:
        started = time.monotonic()
        assert through(town, proxy, timeout=1.0) in {"delivery.timeout", "delivery.unreachable"}
        assert time.monotonic() - started < 10


@pytest.mark.slow
def test_row_59_slices_of_one_byte_are_only_slow(sshd: Sshd, tmp_path: Path) -> None:
    town = Town(sshd, tmp_path, 3_000)
    with town.births, Proxy(sshd.port, slices=1) as proxy:
        courier = town.courier(proxy.port)
        assert not town.send(courier).already
        courier.close()
        town.right()


@pytest.mark.slow
def test_row_59_a_slow_line_that_never_rests_is_not_given_up_though_it_takes_many_deadlines(
    sshd: Sshd, tmp_path: Path
) -> None:
    town = Town(sshd, tmp_path, 400_000)
    with town.births, Proxy(sshd.port, slices=4096, delay=0.05) as proxy:  # some 80 KB a second
        courier = town.courier(proxy.port, timeout=1.0)
        started = time.monotonic()
        assert not town.send(courier).already
        assert time.monotonic() - started > 5.0
        courier.close()
        town.right()


def test_row_59_latency_alone_is_no_trouble(town: Town) -> None:
    with Proxy(town.sshd.port, delay=0.1) as proxy:
        courier = town.courier(proxy.port, timeout=2.0)
        assert not town.send(courier).already
        courier.close()
    town.right()


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "back"), [("down", -400), ("up", -400), ("up", -20_000)])
def test_rows_57_and_58_through_the_whole_program_a_cut_ends_in_one_delivery(
    world: World, direction: str, back: int
) -> None:
    """The try after the cut is asked for by the operator; left alone it would come by itself a minute later."""
    with Proxy(world.server.port) as proxy:
        world.configure(delivery={"port": proxy.port})
        world.sheet("first"), world.scan("first")
        assert [batch["state"] for batch in world.once()["batches"]] == ["delivered"] or world.left("inbox")
        (package,) = world.inbox.iterdir()  # what is read once more at the very end
        whole = {"up": proxy.seen_up, "down": proxy.seen_down - package.stat().st_size}[direction]
    cut: dict[str, Any] = {direction: whole + back}
    with Proxy(world.server.port, **cut) as proxy, Births(world.inbox) as births:
        world.configure(delivery={"port": proxy.port})
        world.sheet("second", seed=3), world.scan("second")
        (batch,) = world.once()["batches"]
        assert batch["state"] == "sealed"
        assert batch["reason"] in LOST
        assert proxy.count == 1
        assert world.run("retry", batch["batch"]).returncode == 0
        world.once()
        assert births.of(f"{batch['batch']}.pgp") == 1
    assert len(world.delivered()) == 2
    assert [name for name in world.left("inbox") if name.endswith(".part")] == []


def _wait(what: Any) -> None:
    for _ in range(1500):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_row_66_a_refused_login_is_tried_once_for_all_batches_and_not_before_its_time(world: World) -> None:
    key = (world.credentials / "sftp-key").read_bytes()
    keygen(world.credentials.parent / "stranger")
    shutil.copy(world.credentials.parent / "stranger", world.credentials / "sftp-key")
    for number in range(4):
        world.sheet(f"s{number}", seed=number), world.scan(f"s{number}")
    with Proxy(world.server.port) as proxy:
        world.configure(delivery={"port": proxy.port})
        first = world.once()["batches"]
        assert {(one["state"], one["reason"]) for one in first} == {("sealed", "delivery.login_refused")}
        assert proxy.count == 1
        assert all(world.ask("show", one["batch"])["next_attempt"] for one in first)
        world.sheet("later", seed=9), world.scan("later")
        assert [one["reason"] for one in world.once()["batches"]] == ["delivery.login_refused"]
        assert proxy.count == 1
        assert world.run("retry", first[0]["batch"]).returncode == 0
        world.once()
        assert proxy.count == 2
        (world.credentials / "sftp-key").write_bytes(key)
        assert world.run("retry", first[0]["batch"]).returncode == 0
        world.once()
        assert [one["state"] for one in world.ask("list")["batches"]] == ["closed"] * 5


@pytest.mark.slow
def test_row_70_a_week_without_the_server_loses_nothing_and_keeps_the_order(world: World) -> None:
    """Nothing expires, nobody hammers; when it is back, what was dropped first is sent first, without anyone's word."""
    world.server.stop()
    for day in range(8):
        world.under = clock.shifted(f"+{day}d")
        if day < 3:
            world.sheet(f"s{day}", seed=day), world.scan(f"s{day}")
        world.once()
        assert [one["state"] for one in world.ask("list")["batches"]] == ["sealed"] * min(3, day + 1)
    ids = {one["stem"]: one["batch"] for one in world.ask("list")["batches"]}
    assert all(world.ask("show", batch)["reason"] == "delivery.unreachable" for batch in ids.values())
    world.server.start()
    world.under = clock.shifted("+8d")
    with Births(world.inbox) as births:
        assert {one["state"] for one in world.once()["batches"]} == {"closed"}
        came = births.order()
    assert [name for name in came if name.endswith(".pgp")] == [f"{ids[f's{day}']}.pgp" for day in range(3)]


def test_row_67_a_server_of_ipv6_only_is_reached_and_a_name_that_nobody_has_is_told_as_such(
    sshd: Sshd, tmp_path: Path
) -> None:
    town = Town(sshd, tmp_path, 5000)
    try:
        proxy = Proxy(sshd.port, at="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with proxy:
        town.send(Sftp(sshd.endpoint(town.inbox, host="::1", port=proxy.port)))
    assert (town.inbox / FINAL).read_bytes() == town.data
    for name in ("nowhere.invalid", "two..dots.invalid", f"{'long' * 20}.invalid"):
        with pytest.raises(NotYet) as told:
            Sftp(sshd.endpoint(town.inbox, host=name)).connect()
        assert (told.value.code, dict(told.value.facts)) == ("delivery.unreachable", {"error": "name"})
