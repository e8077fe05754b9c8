"""Keys, agents and clocks that fail under the whole program: the rows of the fault matrix are named in each test.

Of these rows the parts that concern gpg alone are in test_sealing_keys.py (49 to 51), test_sealing_token.py (52, 53),
test_sealing_gnupg.py (54, 55); that a wrong passphrase is tried once, counted, is in test_operator.py (51).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import clock, meddler
from tests.support.faults import log_of, mute, said, shown, states, waiting
from tests.support.judge import judge
from tests.support.token import PIN, Token, token
from tests.support.world import World

__all__ = ["token"]

OLD = "20200101T000000"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quick(world: World) -> None:
    world.configure(intake={"settle": "0s"})


def complete(world: World, stem: str = "一月", seed: int = 0) -> bytes:
    """Drop a whole batch; gives what was in its sheet."""
    made = world.drop_sheet(stem, 3, seed=seed)
    world.scan(stem)
    return made


def later(world: World, hours: int) -> None:
    """From now on commands run so much later: what waits for its next try has waited long enough."""
    world.under = clock.shifted(f"+{hours}h")


# --- keys -------------------------------------------------------------------------------------------------------------


def bad_recipients(world: World) -> dict[str, str]:
    """A fingerprint for everything that can be wrong with a receiver's key."""
    unit, good = world.unit, world.config["sealing"]["encrypt_to"][0]
    found = {
        "recipient_expired": unit.make("Old", expire="1y", at=OLD),
        "recipient_revoked": unit.make("Gone"),
        "recipient_cannot_encrypt": unit.make("Signs only", encrypt=None),
        "recipient_missing": "A" * 40,
    }
    unit.revoke(found["recipient_revoked"])
    assert good in unit.fingerprints()
    return found


def bad_signers(world: World) -> dict[str, str]:
    """The same for the unit's own key."""
    unit = world.unit
    found = {
        "signer_expired": unit.make("Old", expire="1y", at=OLD),
        "signer_revoked": unit.make("Gone"),
        "signer_cannot_sign": unit.make("Certifies", sign=False),
        "signer_missing": world.config["sealing"]["encrypt_to"][0],  # its public part alone
    }
    unit.revoke(found["signer_revoked"])
    return found


@pytest.mark.parametrize("bad", [bad_recipients, bad_signers])
def test_a_key_that_may_not_be_used_makes_the_batch_wait_until_it_may(
    world: World, bad: Callable[[World], dict[str, str]]
) -> None:
    """Rows 49 and 50: nothing is written or sent, each trouble has its code, a good key ends the wait by itself."""
    good, setting = dict(world.config["sealing"]), "encrypt_to" if bad is bad_recipients else "sign_with"
    made = complete(world)
    for hours, (code, fingerprint) in enumerate(bad(world).items()):
        later(world, 16 * hours)
        world.configure(sealing={setting: [*good[setting], fingerprint] if setting == "encrypt_to" else fingerprint})
        world.once()
        assert waiting(world) == {"一月": f"sealing.{code}"}
        assert said(world.log, f"sealing.{code}")[0]["fingerprint"] == fingerprint
        assert world.left("inbox", "state/outbox") == []
        mute(world.log, made)
    later(world, 16 * hours + 16)
    world.configure(sealing=good)
    world.once()
    world.under = []
    judge(world, {"一月": made})


def test_a_key_replaced_under_the_same_name_is_not_used(world: World) -> None:
    """Row 49: somebody puts a key of his own with the receiver's name into the keyring."""
    national = world.config["sealing"]["encrypt_to"][0]
    kept = world.unit.gpg("--export", national)
    world.unit.gpg("--yes", "--delete-keys", national)
    world.unit.make("National")
    made = complete(world)
    world.once()
    assert waiting(world) == {"一月": "sealing.recipient_missing"}
    world.unit.gpg("--import", data=kept)
    later(world, 1)
    world.once()
    world.under = []
    judge(world, {"一月": made})


def test_a_key_that_soon_ends_is_told_in_status_and_once_in_the_log(world: World) -> None:
    """Row 49: in time for a new one to be made."""
    ending = world.unit.make("Ending", expire="20d")
    world.configure(sealing={"encrypt_to": [*world.config["sealing"]["encrypt_to"], ending]})
    complete(world)
    complete(world, "二月", seed=2)
    world.once()
    assert [(one["fingerprint"], one["days"]) for one in said(world.log, "sealing.key_expiring")] == [(ending, 19)]
    assert [one["fingerprint"] for one in world.ask("status")["keys"]] == [ending]


def locked(world: World, content: str | None, mode: int = 0o600) -> Path:
    """A signing key with the passphrase "right", and the credential that should hold it."""
    signer = world.unit.make("Locked", passphrase="right")
    world.unit.give(signer, world.national)
    world.configure(sealing={"sign_with": signer, "passphrase": "pin"})
    secret = world.root / "credentials" / "pin"
    if content is not None:
        secret.write_text(content)
        secret.chmod(mode)
    world.unit.kill()  # what an agent has kept hides a wrong passphrase
    return secret


def test_a_passphrase_that_cannot_be_had_is_waited_for(world: World) -> None:
    """Row 51: absent, open to others, empty; once it is there the batch goes on by itself."""
    secret = locked(world, None)
    made = complete(world)
    troubles: list[tuple[Callable[[], object], str]] = [
        (lambda: None, "credentials.missing"),
        (lambda: (secret.write_text("right"), secret.chmod(0o644)), "credentials.open"),
        (lambda: (secret.chmod(0o600), secret.write_text("")), "sealing.passphrase_missing"),
    ]
    for hours, (cause, code) in enumerate(troubles):
        later(world, 16 * hours)
        cause()
        world.once()
        assert waiting(world) == {"一月": code}
    secret.write_text("right\n")
    later(world, 64)
    world.once()
    world.under = []
    judge(world, {"一月": made})


def test_a_wrong_passphrase_stays_wrong_for_a_daemon_that_was_killed(world: World) -> None:
    """Row 51: tried once, not by the next process, not days later; words say what to do, and never what it was."""
    secret = locked(world, "w0rng-one")
    made = complete(world)
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "sealing.passphrase_wrong"))
    daemon.kill()
    daemon.wait()
    complete(world, "二月", seed=2)
    later(world, 200)
    world.once()
    assert set(waiting(world).values()) == {"sealing.passphrase_wrong"}
    secret.write_text("right")
    batches = [one["batch"] for one in world.ask("list")["batches"]]
    assert shown(world, "show", batches[0]).count("exchanged retry") == 2
    world.run("retry", *batches)
    world.once()
    assert [state for _, state in states(world)] == ["closed", "closed"]
    assert "w0rng" not in log_of(world) + world.log + shown(world, "status")
    mute(log_of(world) + world.log, made)


def agent_pid(world: World) -> int:
    """The process of the unit's gpg-agent."""
    done = subprocess.run(
        ["gpg-connect-agent", "--homedir", str(world.unit.path), "GETINFO pid", "/bye"], capture_output=True, check=True
    )
    return int(done.stdout.split()[1])


def state(pid: int) -> str:
    """What a process does: S sleeps, T is stopped, Z is but a name that nobody has asked after; "" is none at all."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_an_agent_that_died_or_hangs_is_replaced(world: World, end: signal.Signals) -> None:
    """Row 54: its socket is still there and nobody answers, or nobody for ever; the batch is at most put off once."""
    world.unit.gpg("--sign", "--output", "/dev/null", "--yes", data=b"x")  # starts it
    pid = agent_pid(world)
    for _ in range(10):  # a process that has just become a daemon may be woken once more by the kernel
        if state(pid) not in ("", "Z", "T"):
            os.kill(pid, end)
        time.sleep(0.1)
    made = complete(world)
    meddler.hasty(world, 2)
    assert (waiting(world) == {"一月": "sealing.timeout"}) == (end == signal.SIGSTOP), world.log
    assert state(pid) in ("", "Z")
    later(world, 1)
    world.once()
    world.under = []
    judge(world, {"一月": made})
    mute(world.log, made)


def test_a_key_folder_too_deep_for_a_socket_is_said_with_the_socket(world: World) -> None:
    """Row 54: gpg-agent cannot listen there; the words name the path that is too long."""
    world.unit.kill()
    deep = world.root / ("x" * 100)
    subprocess.run(["cp", "-r", str(world.unit.path), str(deep)], check=True)
    world.configure(sealing={"gnupg_home": str(deep)})
    complete(world)
    world.once()
    assert waiting(world) == {"一月": "sealing.agent_unavailable"}
    assert shown(world, "status").count("S.gpg-agent") >= 2


def test_a_token_that_is_pulled_out_is_waited_for_and_a_wrong_pin_is_tried_once(world: World, token: Token) -> None:
    """Rows 52 and 53: three batches, one try of the PIN; the token goes and comes back, and all go on by themselves."""
    world.unit.give(world.config["sealing"]["encrypt_to"][0], token.home)
    token.home.give(token.fingerprint, world.national)
    pin = world.root / "credentials" / "pin"
    pin.write_text("111111")
    pin.chmod(0o600)
    world.configure(
        sealing={"gnupg_home": str(token.home.path), "sign_with": token.fingerprint, "passphrase": "pin"},
    )
    dropped = {f"第{number}批": complete(world, f"第{number}批", seed=number) for number in range(3)}
    world.once()
    assert set(waiting(world).values()) == {"sealing.passphrase_wrong"}
    pin.write_text(PIN)  # one bad try of three: the token is not locked
    token.home.kill()
    token.remove()
    world.run("retry", *(one["batch"] for one in world.ask("list")["batches"]))
    meddler.hasty(world, 3)
    assert set(waiting(world).values()) == {"sealing.token_absent"}
    assert world.left("inbox") == []
    token.insert()
    token.home.kill()
    later(world, 1)
    world.once()
    world.under = []
    judge(world, dropped)


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["-5d", "+5y"])
def test_by_a_clock_that_is_far_off_nothing_is_judged_sent_back_or_destroyed(world: World, by: str) -> None:
    """Row 56: five days back, five years on; when it is right again everything goes on by itself."""
    world.put("坏.csv", b"broken")
    world.sheet("等", 3, seed=3)
    world.once()
    given_back = world.left("rejected")
    assert given_back
    world.under = clock.shifted(by)
    made = complete(world)
    world.scan("孤")
    world.once()
    assert waiting(world)["一月"] == "sealing.clock_wrong"
    assert (world.left("rejected"), world.left("inbox")) == (given_back, [])
    assert (world.drop / "孤.pdf").exists()
    assert said(world.log, "batch.rejected") == []
    assert said(world.log, "sealing.clock_wrong")
    assert all(word in shown(world, "status") for word in ("系统时间不可信", "The system clock cannot be trusted"))
    world.under = []
    world.once()
    assert dict(states(world)) == {"坏": "rejected", "等": "validated", "一月": "closed"}
    ((_, files),) = world.delivered().items()
    assert files["certificates.csv"] == made
    mute(world.log, made)


def test_the_operators_word_makes_a_clock_right(world: World) -> None:
    """Row 56: the service was off for two years, or it was the earlier time that was wrong."""
    world.under = clock.shifted("+300d")
    early = complete(world, "二月", seed=2)
    world.once()
    world.under = []
    made = complete(world)
    world.once()
    assert waiting(world) == {"一月": "sealing.clock_wrong"}
    world.run("retry", *(one["batch"] for one in world.ask("status")["waiting"]))
    world.once()
    judge(world, {"一月": made, "二月": early})


def test_a_clock_that_jumps_under_the_daemon_starts_no_storm_and_puts_nothing_off_for_years(
    world: World, tmp_path: Path
) -> None:
    """Row 56: forward while a batch waits for the server, and back; tries are counted, and it is delivered."""
    world.configure(delivery={"port": 1})
    shift = tmp_path / "shift"
    world.under = clock.steered(shift)
    made = complete(world)
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "delivery.unreachable"))
    shift.write_text("+5y")
    world.wait(lambda: len(said(log_of(world), "delivery.unreachable")) > 1)
    time.sleep(2)
    assert len(said(log_of(world), "batch.deferred")) == 2
    daemon.kill()
    daemon.wait()
    assert world.ask("list")["batches"][0]["next_attempt"] > "2030"
    shift.write_text("+0")
    world.configure(delivery={"port": world.server.port})
    daemon = world.daemon()
    world.wait(lambda: said(log_of(world), "batch.closed"))
    daemon.terminate()
    assert daemon.wait(20) == 0
    world.under = []
    judge(world, {"一月": made})


def test_the_order_of_events_is_their_number_whatever_the_clock_said(world: World) -> None:
    """Row 56: a clock set back a little breaks neither the chain nor the order."""
    complete(world)
    world.under = clock.shifted("+30m")
    world.once()
    world.under = []
    complete(world, "二月", seed=2)
    world.once()
    assert [state for _, state in states(world)] == ["closed", "closed"]
    second, first = (world.ask("show", one["batch"]) for one in world.ask("list")["batches"])
    assert second["events"][0]["time"] < first["events"][-1]["time"]
    assert second["events"][0]["seq"] > first["events"][-1]["seq"]
    assert world.ask("audit")["ok"]
    assert json.loads(world.delivered()[second["batch"]]["manifest.json"])["previous"] is not None
