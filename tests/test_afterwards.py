"""What comes after a fault: the operator's next command, a share that is back, settings changed meanwhile."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import lives, meddler
from tests.support.faults import log_of, said, states
from tests.support.judge import judge
from tests.support.liar import liar
from tests.support.mounts import mount, mounted
from tests.support.world import World

pytestmark = pytest.mark.slow

CLAIMED = {"call": "rename", "match": r"/spool/\.[0-9a-f]{16}\.part$", "act": ["die"]}  # entered, not in its place yet
DIES = """
import os, signal, sys
import exchanged.stages.deliver as deliver
from exchanged.cli import main
rename = deliver._rename
def die(*given):
    {first}
    os.kill(os.getpid(), signal.SIGKILL)
deliver._rename = die
sys.exit(main(sys.argv[1:]))
"""
BEFORE, BEHIND = DIES.format(first="pass"), DIES.format(first="rename(*given)")


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s", "rescan": "1s"})


def killed(world: World, program: str) -> None:
    """`once` of a program that is killed around the final rename."""
    argv = [sys.executable, "-c", program, "--config", str(world.file), "once", "--json"]
    assert subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == -signal.SIGKILL


def only(world: World) -> dict[str, Any]:
    (batch,) = world.ask("list")["batches"]
    return dict(batch)


@contextmanager
def server(world: World, manner: str) -> Iterator[None]:
    """In place of the real server, one of such a manner."""
    folder, port = world.server.folder, world.server.port
    with liar(manner, world.root, folder / "host_ed25519", folder / "authorized", port):
        yield


# --- withdraw, where nobody is at work ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["killed", "other"])
def test_withdraw_after_a_kill_in_the_middle_of_a_claim_loses_no_file(world: World, which: str) -> None:
    world.sheet("别的", 3, seed=2)
    world.once()
    other = only(world)["batch"]
    made = world.drop_sheet("一月", 3)
    assert meddler.meddled(world, CLAIMED, "once", "--json").returncode == -signal.SIGKILL
    (batch,) = [one["batch"] for one in world.ask("list")["batches"] if one["batch"] != other]
    assert world.run("withdraw", batch if which == "killed" else other, "--reason", "x").returncode == 0
    world.once()
    if which == "killed":
        assert (world.rejected / batch / "一月.csv").read_bytes() == made
        return
    world.scan("一月")
    world.once()
    assert dict(states(world))["一月"] == "closed"


def test_by_a_ledger_that_was_altered_nothing_is_withdrawn_and_nothing_sent(world: World) -> None:
    world.sheet("等着", 3, seed=2)
    world.once()
    waiting = only(world)["batch"]
    world.run("hold")
    world.sheet("一月", 3), world.scan("一月")
    world.once()
    world.run("release")
    with sqlite3.connect(world.state / "ledger.db") as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE event SET time = '2026-01-01T00:00:00+00:00' WHERE seq = 1")
    db.close()
    assert world.run("withdraw", waiting, "--reason", "x").returncode == 4
    assert list(world.inbox.iterdir()) == []


def test_withdraw_sends_nothing_else_on_its_way(world: World) -> None:
    world.run("hold")
    for number, stem in enumerate(("一月", "二月")):
        world.sheet(stem, 3, seed=number), world.scan(stem)
    world.once()
    world.run("release")
    batch = world.ask("list")["batches"][0]["batch"]
    assert world.run("withdraw", batch, "--reason", "x").returncode == 0
    assert sorted(state for _, state in states(world)) == ["sealed", "withdrawn"]
    assert list(world.inbox.iterdir()) == []
    assert (world.rejected / batch / "report.html").exists()


def test_what_an_earlier_try_found_on_the_server_says_nothing_after_a_kill(world: World) -> None:
    """The rename was refused; at the next try it was done, and nobody heard of it."""
    world.sheet("一月", 3), world.scan("一月")
    world.server.stop()
    with server(world, "NoRename"):
        world.configure(delivery={"inbox": "/inbox"})
        world.once()
    batch = only(world)["batch"]
    with server(world, "Honest"):
        world.run("retry", batch)
        killed(world, BEHIND)
        world.run("hold")
        assert world.run("withdraw", batch, "--reason", "x").returncode == 3
        world.run("release")
        world.once()
    assert (only(world)["state"], len(list(world.inbox.iterdir()))) == ("closed", 1)


def test_what_an_earlier_try_found_says_nothing_where_the_next_one_could_not_be_recorded(world: World) -> None:
    """The rename is done, the server takes the file, and another program holds the ledger."""
    program = """
import sys
from pathlib import Path
from exchanged.cli import main
from exchanged.errors import NotYet
from exchanged.ledger import Ledger
from exchanged.states import State
move, defer, done = Ledger.move, Ledger.defer, []
def busy(*_, **__):
    raise NotYet("ledger.unavailable", error="SQLITE_BUSY")
def first(self, batch, after, *given, **more):
    if after is not State.DELIVERED or done:
        return move(self, batch, after, *given, **more)
    done.append(1)
    Ledger.defer = busy
    [path.rename(path.parent.parent / "taken") for path in Path(sys.argv.pop()).glob("*.pgp")]
    busy()
Ledger.move = first
def later(self, *given):
    Ledger.defer = defer
    busy()
sys.exit(main(sys.argv[1:4]))
"""
    program = program.replace("Ledger.defer = busy", "Ledger.defer = later")
    world.sheet("一月", 3), world.scan("一月")
    world.server.stop()
    with server(world, "NoRename"):
        world.configure(delivery={"inbox": "/inbox"})
        world.once()
    with server(world, "Honest"):
        world.run("retry", only(world)["batch"])
        argv = [sys.executable, "-c", program, "--config", str(world.file), "run", str(world.inbox)]
        with (world.root / "log").open("ab") as log:
            world.daemons.append(subprocess.Popen(argv, stdout=log, stderr=log))
        world.wait(lambda: only(world)["state"] in ("held", "closed"), 40)
    assert (only(world)["state"], only(world)["reason"]) == ("held", "delivery.gone")
    assert list(world.inbox.iterdir()) == []


# --- a server that moves files away --------------------------------------------------------------------------------


def test_what_was_offered_elsewhere_was_not_taken_here(world: World) -> None:
    world.configure(delivery={"moved_away": True})
    world.sheet("一月", 3), world.scan("一月")
    killed(world, BEFORE)
    (world.root / "inbox2").mkdir()
    world.configure(delivery={"inbox": str(world.root / "inbox2")})
    world.once()
    batch = only(world)
    assert (batch["state"], batch["reason"]) == ("held", "delivery.gone")
    assert world.run("release", batch["batch"]).returncode == 3  # taken there, or to be sent here?
    world.configure(delivery={"moved_away": False})
    assert world.run("release", batch["batch"]).returncode == 0  # a person has looked: it is to be sent here
    world.once()
    assert (only(world)["state"], len(list((world.root / "inbox2").iterdir()))) == ("closed", 1)


def test_a_rename_that_was_refused_was_not_taken_whatever_became_of_the_part(world: World) -> None:
    world.server.stop()
    world.configure(delivery={"moved_away": True, "inbox": "/inbox"})
    world.sheet("一月", 3), world.scan("一月")
    with server(world, "NoRename"):
        world.once()
    for part in world.inbox.glob(".*.part"):
        part.unlink()
    with server(world, "Honest"):
        world.run("retry", only(world)["batch"])
        world.once()
    assert (only(world)["state"], len(list(world.inbox.iterdir()))) == ("closed", 1)


def test_where_the_answer_was_lost_and_nothing_is_there_a_person_is_asked(world: World) -> None:
    """Also of a server that takes files away: housekeeping may have removed the unfinished one."""
    world.configure(delivery={"moved_away": True})
    world.sheet("一月", 3), world.scan("一月")
    killed(world, BEFORE)
    for part in world.inbox.glob(".*.part"):
        part.unlink()
    world.once()
    batch = only(world)
    assert (batch["state"], batch["reason"]) == ("held", "delivery.gone")
    world.configure(delivery={"moved_away": False})  # it did not arrive
    assert world.run("release", batch["batch"]).returncode == 0
    world.once()
    assert (only(world)["state"], len(list(world.inbox.iterdir()))) == ("closed", 1)


def test_a_package_that_is_gone_here_and_lies_on_the_server_is_delivered(world: World) -> None:
    """The ledger was restored from a backup of the time before its delivery."""
    world.sheet("一月", 3), world.scan("一月")
    world.run("hold")
    world.once()
    kept = world.root / "backup"
    shutil.copytree(world.state, kept)
    world.run("release")
    world.once()
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (world.state / name).unlink(missing_ok=True)
    shutil.copy(kept / "ledger.db", world.state / "ledger.db")
    shutil.rmtree(world.state / "evidence")
    world.run("release")
    world.once()
    batch = world.ask("show", only(world)["batch"])
    assert (batch["state"], batch["facts"]["delivery"]["already"]) == ("closed", True)
    assert len(list(world.inbox.iterdir())) == 1


# --- folders that go, come back, and are exchanged -----------------------------------------------------------------


@pytest.mark.parametrize("entered", [False, True])
def test_a_claim_is_put_right_when_its_share_comes_back_to_a_daemon_that_started_without_it(
    world: World, entered: bool
) -> None:
    made = world.drop_sheet("一月", 3)
    moment = CLAIMED if entered else {**CLAIMED, "call": "mkdir"}
    assert meddler.meddled(world, moment, "once", "--json").returncode == -signal.SIGKILL
    world.drop.rename(world.root / "share")
    world.drop.mkdir(mode=0o700)
    world.daemon()
    world.wait(lambda: said(log_of(world), "daemon.ready"))
    shutil.rmtree(world.drop)
    (world.root / "share").rename(world.drop)
    world.wait(lambda: not (world.drop / ".exchanged").exists(), 30)
    world.scan("一月")
    world.wait(lambda: [state for _, state in states(world)] == ["closed"], 30)
    judge(world, {"一月": made})


def test_a_reload_exchanges_the_drop_folder_while_a_scan_waits_in_it(world: World) -> None:
    world.scan("孤")
    daemon = world.daemon()
    world.wait(lambda: (world.drop / "状态.txt").exists())
    (world.root / "drop2").mkdir(mode=0o700)
    world.configure(folders={"drop": str(world.root / "drop2")})
    daemon.send_signal(signal.SIGHUP)
    world.wait(lambda: said(log_of(world), "daemon.reloaded"))
    shutil.copy(world.drop / "孤.pdf", world.root / "drop2" / "x.part")
    (world.root / "drop2" / "x.part").rename(world.root / "drop2" / "孤.pdf")
    world.wait(lambda: (world.root / "drop2" / "状态.txt").exists())
    assert daemon.poll() is None


@pytest.mark.parametrize("how", ["rw", "ro"])
def test_a_reload_moves_the_forms_along(world: World, how: str) -> None:
    """What lies in the old folder is taken away where it can be."""
    with mounted(world.forms, "size=1m"):
        world.sheet("一月", 3)
        daemon = world.daemon()
        world.wait(lambda: (world.forms / "一月.pdf").exists())
        (world.root / "forms2").mkdir()
        world.configure(folders={"forms": str(world.root / "forms2")})
        mount("-o", f"remount,{how}", str(world.forms))
        daemon.send_signal(signal.SIGHUP)
        world.wait(lambda: (world.root / "forms2" / "一月.pdf").exists(), 30)
        assert len(list(world.forms.iterdir())) == (how == "ro")
    world.scan("一月")
    world.wait(lambda: [state for _, state in states(world)] == ["closed"], 30)
    assert list((world.root / "forms2").iterdir()) == []


def test_a_restart_moves_the_forms_along(world: World) -> None:
    world.sheet("一月", 3)
    world.once()
    (world.root / "forms2").mkdir()
    world.configure(folders={"forms": str(world.root / "forms2")})
    world.once()
    assert list(world.forms.iterdir()) == []
    assert [path.name for path in (world.root / "forms2").iterdir()] == ["一月.pdf"]


def test_a_forms_folder_that_is_away_is_cleared_when_it_is_back(world: World) -> None:
    """As a share that is not mounted: the mount point is an empty folder."""
    two, three = world.root / "forms2", world.root / "forms3"
    two.mkdir(), three.mkdir()
    world.sheet("一月", 3)
    world.once()
    away = world.forms.rename(world.root / "away")
    world.forms.mkdir()
    for folder in (two, three):
        world.configure(folders={"forms": str(folder)})
        world.once()
    world.forms.rmdir()
    away.rename(world.forms)
    world.once()
    assert [len(list(folder.iterdir())) for folder in (world.forms, two, three)] == [0, 0, 1]
    world.configure(folders={"forms": str(world.forms)})
    world.once()
    assert [len(list(folder.iterdir())) for folder in (world.forms, two, three)] == [1, 0, 0]


def test_a_form_that_could_not_be_written_anew_is_written_later_over_the_old_one(world: World) -> None:
    with mounted(world.forms, "size=1m"):
        world.sheet("一月", 3)
        world.once()
        (old,) = (path.read_bytes() for path in world.forms.iterdir())
        world.configure(unit={"head": "另一人"})
        for how in ("ro", "rw"):
            mount("-o", f"remount,{how}", str(world.forms))
            world.run("retry", only(world)["batch"])
            world.once()
            assert ((world.forms / "一月.pdf").read_bytes() == old) == (how == "ro")
        world.scan("一月")
        world.once()
        assert list(world.forms.iterdir()) == []


def test_a_drop_folder_that_may_not_be_looked_into_ends_no_daemon(world: World) -> None:
    program = (
        "import os, sys; from pathlib import Path; from exchanged.cli import main; real = Path.is_dir\n"
        "def is_dir(path):\n"
        "    if path.name in ('更正', '.exchanged') and os.path.exists(sys.argv[2] + '.denied'):\n"
        "        raise PermissionError(13, 'x')\n"
        "    return real(path)\n"
        "Path.is_dir = is_dir; sys.exit(main(sys.argv[1:]))"
    )
    (world.drop / "更正").mkdir()
    with (world.root / "log").open("ab") as log:
        argv = [sys.executable, "-c", program, "--config", str(world.file), "run"]
        world.daemons.append(daemon := subprocess.Popen(argv, stdout=log, stderr=log))
    world.wait(lambda: said(log_of(world), "daemon.ready"))
    denied = world.file.with_name(world.file.name + ".denied")
    denied.touch()
    world.wait(lambda: said(log_of(world), "folder.denied"))
    denied.unlink()
    made = world.drop_sheet("一月", 3)
    world.scan("一月")
    world.wait(lambda: [state for _, state in states(world)] == ["closed"], 30)
    assert daemon.poll() is None
    judge(world, {"一月": made}, log=log_of(world))


def test_a_file_that_its_folder_does_not_let_go_is_not_tried_all_the_time(world: World) -> None:
    """A sticky folder of somebody else's: each try makes a folder, which wakes the daemon for the next one."""
    world.configure(intake={"rescan": "20s"})
    world.sheet("一月", 3)
    moment = {"call": "rename", "match": r"drop/一月\.csv$", "act": ["fail", "EPERM"], "times": 10_000}
    meddler.daemon(world, moment)
    world.wait(lambda: said(log_of(world), "intake.refused_kind"))
    threading.Event().wait(4)
    assert log_of(world).count("meddled") < 4
    assert world.ask("status")["drop"]


def test_a_correction_waits_for_what_the_operator_held_before_its_check(world: World) -> None:
    world.drop_sheet("一月", 3, seed=1)
    meddler.meddled(world, CLAIMED, "once", "--json")
    batch = only(world)["batch"]
    assert world.run("hold", batch).returncode == 0
    world.put("更正/一月改.csv", lives.corrected(1))
    world.once()
    waits = next(one for one in world.ask("list")["batches"] if one["batch"] != batch)
    assert (waits["state"], waits["reason"]) == ("claimed", "correction.waiting")
