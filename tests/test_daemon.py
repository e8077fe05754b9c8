"""The daemon: signals, systemd's protocol, kills, and a slow server that must not stop the checking."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.daemon import Bell
from exchanged.drop import BOARD
from tests.support import scans
from tests.support.judge import judge
from tests.support.proxy import Proxy
from tests.support.world import World

IMPATIENT = """
import sys
from exchanged import cli, daemon
daemon.DRAIN = 2.0
sys.exit(cli.main(sys.argv[1:]))
"""


def events(world: World) -> list[dict[str, object]]:
    path = world.root / "log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def said(world: World, name: str) -> list[dict[str, object]]:
    return [event for event in events(world) if event["event"] == name]


def closed(world: World, count: int) -> bool:
    return len(said(world, "batch.closed")) >= count


def finished(world: World) -> bool:
    return all(one["state"] == "closed" for one in world.ask("list")["batches"])


def children(pid: int) -> list[str]:
    """Processes that a process has started, whichever of its threads did."""
    return [one for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                message = self._socket.recv(4096)
            except OSError:
                return
            self.told += message.decode().splitlines()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def quick(world: World) -> World:
    world.configure(intake={"settle": "0s", "rescan": "30s"})
    return world


def test_it_tells_systemd_that_it_is_ready_moves_reloads_and_stops(quick: World, tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / "n")
    daemon = quick.daemon(NOTIFY_SOCKET=str(systemd.path))
    quick.wait(lambda: systemd.told.count("WATCHDOG=1") >= 2)
    assert systemd.told[0] == "READY=1"
    daemon.send_signal(signal.SIGHUP)
    quick.wait(lambda: said(quick, "daemon.reloaded"))
    assert "RELOADING=1" in systemd.told
    assert any(line.startswith("MONOTONIC_USEC=") for line in systemd.told)
    daemon.terminate()
    assert daemon.wait(20) == 0
    quick.wait(lambda: "STOPPING=1" in systemd.told)
    systemd.close()


def test_it_does_not_start_on_a_ledger_that_is_older_than_the_evidence(quick: World) -> None:
    older = None
    for number in range(2):
        quick.sheet(f"第{number}批", 5, seed=number)
        quick.scan(f"第{number}批")
        quick.once()
        older = older or (quick.state / "ledger.db").read_bytes()
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (quick.state / name).unlink(missing_ok=True)
    (quick.state / "ledger.db").write_bytes(older or b"")
    assert quick.daemon().wait(20) == 4
    assert b'"ledger.older"' in (quick.root / "log").read_bytes()


def test_a_dropped_batch_is_seen_long_before_the_next_rescan(quick: World) -> None:
    quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    quick.sheet("一月", 5)
    quick.scan("一月")
    quick.wait(lambda: closed(quick, 1), 15)
    assert len(quick.delivered()) == 1


def test_a_drop_folder_that_was_replaced_is_watched_again(quick: World) -> None:
    quick.configure(intake={"settle": "0s", "rescan": "1s"})
    quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    quick.drop.rename(quick.root / "old")
    quick.wait(lambda: said(quick, "folder.missing"))
    quick.drop.mkdir()
    quick.sheet("一月", 5)
    quick.scan("一月")
    quick.wait(lambda: closed(quick, 1), 15)


def test_a_broken_configuration_is_refused_at_reload_and_the_old_one_stays(quick: World) -> None:
    daemon = quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    good = quick.file.read_text()
    quick.file.write_text(good.replace("settle: 0s", "settle: soon"))
    daemon.send_signal(signal.SIGHUP)
    refused = quick.wait(lambda: said(quick, "daemon.reload_refused"))
    assert refused[0]["setting"] == "intake.settle"
    quick.sheet("一月", 5)
    quick.scan("一月")
    quick.wait(lambda: closed(quick, 1), 15)


def test_a_reload_that_the_state_folder_does_not_allow_is_refused_and_the_old_settings_stay(quick: World) -> None:
    daemon = quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    outbox = quick.state / "outbox"
    outbox.rmdir()
    outbox.write_bytes(b"")  # no folder can be made here
    daemon.send_signal(signal.SIGHUP)
    refused = quick.wait(lambda: said(quick, "daemon.reload_refused"))
    assert (refused[0]["setting"], refused[0]["code"]) == ("folders.state", "disk.failed")
    outbox.unlink()
    outbox.mkdir(mode=0o700)
    quick.sheet("一月", 5)
    quick.scan("一月")
    quick.wait(lambda: closed(quick, 1), 15)


def test_the_log_says_why_a_service_could_not_start(quick: World) -> None:
    """Whoever collects the log reads JSON only."""

    def told() -> list[dict[str, object]]:
        done = quick.run("run")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode in (78, 3, 4)
        return [line for line in lines if line["event"] == "daemon.failed"]

    good = quick.file.read_text()
    quick.file.write_text(good.replace("settle: 0s", "settle: soon").replace("code: jx", "code: JX!"))
    assert sorted(str(line["setting"]) for line in told()) == ["intake.settle", "unit.code"]
    quick.file.write_text(good)
    quick.once()
    (quick.state / "ledger.key").unlink()
    assert [line["code"] for line in told()] == ["ledger.key_missing"]


def test_a_reload_changes_where_it_looks(quick: World) -> None:
    quick.sheet("一月", 3)
    daemon = quick.daemon()
    quick.wait((quick.drop / BOARD).exists)
    quick.configure(folders={"drop": str(quick.root / "drop2")})
    (quick.root / "drop2").mkdir()
    daemon.send_signal(signal.SIGHUP)
    quick.wait(lambda: said(quick, "daemon.reloaded"))
    (quick.root / "drop2" / "x.docx").write_bytes(b"x")
    quick.wait(lambda: said(quick, "batch.rejected"), 15)
    assert (quick.root / "drop2" / BOARD).exists() and not (quick.drop / BOARD).exists()


def test_a_near_reporting_day_is_said_while_batches_are_open(quick: World) -> None:
    quick.configure(calendar={"windows": [{"day": day} for day in range(1, 32)]})
    quick.sheet("一月", 5)
    quick.once()
    quick.daemon()
    near = quick.wait(lambda: said(quick, "calendar.window_near"))
    assert (near[0]["days"], near[0]["pending"]) == (0, 1)


def test_an_operators_word_reaches_the_running_daemon(quick: World) -> None:
    quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    assert quick.run("hold").returncode == 0
    quick.sheet("一月", 5)
    quick.scan("一月")
    quick.wait(lambda: said(quick, "batch.sealed"))
    assert quick.ask("status")["paused"]
    assert list(quick.inbox.iterdir()) == []
    assert quick.run("release").returncode == 0
    quick.wait(lambda: closed(quick, 1), 15)


def test_a_slow_server_does_not_stop_the_checking(quick: World) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        quick.configure(delivery={"port": silent.getsockname()[1], "timeout": "30s"})
        quick.daemon()
        quick.wait(lambda: said(quick, "daemon.ready"))
        for number in range(4):
            quick.sheet(f"第{number}批", 5, seed=number)
            quick.scan(f"第{number}批")
        quick.wait(lambda: len(said(quick, "batch.sealed")) == 4, 25)
        assert said(quick, "batch.delivered") == []


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_nothing_and_sends_nothing_twice(quick: World) -> None:
    dropped = {}
    for number in range(12):
        stem = f"第{number}批"
        dropped[stem] = quick.drop_sheet(stem, 5, seed=number)
        quick.put(f"{stem}.pdf", scans.scan())
        daemon = quick.daemon()
        threading.Event().wait(0.15 + 0.11 * number)
        daemon.kill()
        daemon.wait()
    starts = len(said(quick, "daemon.ready"))
    quick.daemon()
    quick.wait(lambda: len(said(quick, "daemon.ready")) > starts)
    quick.wait(lambda: not quick.left("drop") and finished(quick), 60)
    quick.daemons[-1].terminate()
    assert quick.daemons[-1].wait(30) == 0
    judge(quick, dropped)


def test_sigterm_ends_every_child(quick: World) -> None:
    daemon = quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    quick.sheet("一月", 5)
    quick.wait(lambda: said(quick, "batch.validated"))
    started = children(daemon.pid)
    assert started, "the zygote is kept for a while"
    daemon.terminate()
    assert daemon.wait(20) == 0
    assert [pid for pid in started if Path("/proc", pid).exists()] == []


def test_a_daemon_at_rest_lets_its_children_go_and_sigint_ends_it(quick: World) -> None:
    daemon = quick.daemon()
    quick.wait(lambda: said(quick, "daemon.ready"))
    assert children(daemon.pid) == []
    os.kill(daemon.pid, signal.SIGINT)
    assert daemon.wait(20) == 0


def test_the_bell_may_be_rung_by_a_signal_at_any_moment() -> None:
    bell = Bell()
    before = signal.signal(signal.SIGALRM, lambda *_: bell.ring())
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        heard = 0
        for _ in range(20_000):
            bell.wait(0.0001)
            heard += bell.heard()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard > 100


@pytest.fixture
def sending(quick: World) -> Iterator[tuple[World, subprocess.Popen[bytes]]]:
    """A daemon that is sending its first batch over a line that takes minutes."""
    with Proxy(quick.server.port, slices=500, delay=0.3) as proxy:
        quick.configure(delivery={"port": quick.server.port})
        quick.sheet("一月", 5), quick.scan("一月")
        quick.server.stop()
        quick.once()
        quick.server.start()
        quick.configure(delivery={"port": proxy.port})
        quick.run("retry", *(one["batch"] for one in quick.ask("list")["batches"]))
        argv = [sys.executable, "-c", IMPATIENT, "--config", str(quick.file), "run"]
        with (quick.root / "log").open("ab") as out:
            daemon = subprocess.Popen(argv, stdout=out, stderr=out)
        quick.daemons.append(daemon)
        quick.wait(lambda: any(path.name.endswith(".part") for path in quick.inbox.iterdir()))
        yield quick, daemon


@pytest.mark.slow
def test_a_reload_during_an_upload_stops_no_intake(sending: tuple[World, subprocess.Popen[bytes]]) -> None:
    world, daemon = sending
    daemon.send_signal(signal.SIGHUP)
    world.sheet("二月", 5, seed=2)
    world.wait(lambda: said(world, "batch.validated"))
    assert not said(world, "daemon.reloaded")


@pytest.mark.slow
def test_a_stop_during_an_upload_cuts_the_line_and_counts_as_no_death(
    sending: tuple[World, subprocess.Popen[bytes]],
) -> None:
    world, daemon = sending
    daemon.terminate()
    assert daemon.wait(60) == 0
    (batch,) = world.ask("list")["batches"]
    assert (batch["state"], batch["reason"]) == ("sealed", "delivery.connection_lost")
    assert said(world, "daemon.stopped")
