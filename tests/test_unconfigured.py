"""Commands on a machine without a configuration, or with a wrong one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from exchanged import config
from tests.support.world import World


@pytest.mark.skipif(config.DEFAULT_PATH.exists(), reason="this machine has a configuration of its own")
def test_a_receiver_without_a_configuration_opens_a_package_by_its_signer(world: World) -> None:
    world.sheet("一月", 3), world.scan("一月")
    world.once()
    (package,) = world.inbox.iterdir()
    env = {**os.environ, "GNUPGHOME": str(world.national.path)}
    command = [sys.executable, "-m", "exchanged", "open", str(package), "-o", str(world.root / "out")]
    signer = world.config["sealing"]["sign_with"]
    assert subprocess.run([*command, "--signer", "A" * 40], env=env, capture_output=True, check=False).returncode == 4
    done = subprocess.run([*command, "--signer", signer], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, (world.root / "out" / "certificates.csv").exists()) == (0, True), done.stderr
    assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 78


def test_what_needs_no_configuration_does_without_a_wrong_one(world: World) -> None:
    world.file.write_text("unit: [")
    assert world.run("explain", "id-checksum").returncode == 0
    assert world.run("status").returncode == 78
