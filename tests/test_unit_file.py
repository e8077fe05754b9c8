"""The service unit: well formed, tightly confined, and in step with what the program expects of it."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from exchanged import config
from tests.support import lives, syscalls
from tests.support.world import World

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "systemd" / "exchanged.service"
EXPOSURE = 12  # tenths: at most 1.2 of 10; CAP_LEASE, which PrivateUsers= would take away again, costs 0.2

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


class Unit(RawConfigParser):
    """A unit file; a key that stands several times has its values joined by spaces."""

    def __init__(self, text: str) -> None:
        super().__init__(delimiters=("=",), comment_prefixes=("#", ";"), strict=False, interpolation=None)
        self.optionxform = str  # type: ignore[assignment, method-assign]
        seen: dict[str, int] = {}
        lines = []
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                seen[key] = seen.get(key, 0) + 1
                lines.append(f"{key}{'#' * (seen[key] - 1)}={value}")
            else:
                lines.append(line)
        self.read_string("\n".join(lines))


@pytest.fixture(scope="module")
def unit() -> Unit:
    return Unit(UNIT.read_text("utf-8"))


@needs_systemd
def test_the_unit_is_well_formed(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace("/opt/exchanged/bin/exchanged", "/bin/true"), "utf-8")
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in (run.stdout + run.stderr).splitlines() if UNIT.name in line or str(copy) in line]
    assert ours == []


@needs_systemd
def test_the_unit_exposes_next_to_nothing() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", str(UNIT)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Overall exposure level" in run.stdout, run.stderr
    assert run.returncode == 0, run.stdout.splitlines()[-1]


@needs_systemd
def test_a_bare_unit_would_not_pass(tmp_path: Path) -> None:
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", str(bare)]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0


def test_only_the_daemon_itself_may_say_that_it_is_ready(unit: Unit) -> None:
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert int(service["WatchdogSec"]) > 0
    assert "ExecStartPre" not in service  # would be the only one to see the credentials


def test_a_wrong_configuration_is_not_started_again_and_again(unit: Unit) -> None:
    assert unit["Service"]["RestartPreventExitStatus"] == "4 78"


def test_no_core_no_swap_no_execution_from_what_clerks_write(unit: Unit) -> None:
    service = unit["Service"]
    assert (service["LimitCORE"], service["MemorySwapMax"]) == ("0", "0")
    writable = {service["ReadWritePaths"], "/var/lib/exchanged", "/tmp", "/var/tmp", "/dev/shm"}
    assert writable <= set(service["NoExecPaths"].split())


def test_the_example_configuration_fits_the_unit(unit: Unit) -> None:
    settings = config.load(ROOT / "config" / "exchanged.yaml")
    service, folders = unit["Service"], settings.folders
    handed = {value.split(":")[0] for key, value in service.items() if key.startswith("LoadCredential")}
    assert {settings.delivery.identity, settings.sealing.passphrase} == handed
    assert folders.state == Path("/var/lib") / service["StateDirectory"]
    for folder in (folders.drop, folders.forms, folders.rejected, folders.receipts):
        assert folder.is_relative_to(service["ReadWritePaths"])
    assert unit["Unit"]["ConditionPathExists"] == str(config.DEFAULT_PATH)


def test_the_folders_of_the_example_are_made_with_private_modes() -> None:
    settings = config.load(ROOT / "config" / "exchanged.yaml")
    lines = (ROOT / "systemd" / "exchanged.tmpfiles").read_text("utf-8").splitlines()
    modes = {fields[1]: fields[2] for line in lines if (fields := line.split()) and not line.startswith("#")}
    folders = settings.folders
    assert modes[str(folders.state)] == "0700"
    for folder in (folders.drop, folders.forms, folders.rejected, folders.receipts):
        assert modes[str(folder)] == "2770"


@pytest.mark.skipif(syscalls.reason() is not None, reason=str(syscalls.reason()))
@pytest.mark.parametrize("bad", [True, False])
def test_nothing_that_is_done_needs_a_call_that_names_setgid(world: World, bad: bool) -> None:
    """RestrictSUIDSGID= refuses them: they would fail only where it is in force, in the service."""
    named: list[str] = []

    def refuse(call: syscalls.Call) -> int:
        at = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2}.get(call.name)
        if at is None or not call.args[at] & 0o6000:
            return 0
        named.append(f"{call.name} {call.path}")
        return errno.EPERM

    for folder in (world.drop, world.forms, world.rejected, world.receipts):
        folder.chmod(0o2770)
    world.put("一月.csv", lives.bad(2) if bad else lives.sheet(1)), world.scan("一月")
    command = [sys.executable, "-m", "exchanged", "--config", str(world.file), "once", "--json"]
    run = syscalls.watch(["sh", "-c", 'umask 0007; exec "$@"', "sh", *command], [world.root, world.unit.path], refuse)
    assert (run.status, named) == (1 if bad else 0, []), run.stderr
    for folder in world.rejected.iterdir():
        assert folder.stat().st_mode & 0o7777 == 0o2770
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o660}
