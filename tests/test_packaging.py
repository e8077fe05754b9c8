"""What is shipped: a wheel with all its data, locked dependencies with hashes, commands that set themselves up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def wanted(*extras: str) -> set[str]:
    """Names of direct dependencies, as lock files spell them."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-") for line in lines}


def locked(name: str) -> dict[str, str]:
    """Each locked requirement with its hashes."""
    text = (ROOT / name).read_text("utf-8")
    entries = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(?:[^\n]*\\\n(?:    --hash=[^\n]*\n)+)", text, re.M)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert len(entries) == len(blocks), "an entry without a hash"
    return {re.split("==", block)[0]: block for block in blocks}


@pytest.mark.parametrize(("name", "extras"), [(LOCKS[0], ("build",)), (LOCKS[1], ("build", "dev"))])
def test_every_dependency_is_locked_with_hashes(name: str, extras: tuple[str, ...]) -> None:
    entries = locked(name)
    assert wanted(*extras) <= entries.keys()
    assert all("--hash=sha256:" in block for block in entries.values())


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_registry(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    assert "index" not in text


def test_both_locks_agree() -> None:
    small, large = ({re.search("==[^ ;\n]+", block)[0] for block in locked(name).values()} for name in LOCKS)  # type: ignore[index]
    assert small <= large


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "exchanged").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert ours <= names
    assert not [name for name in names if name.startswith(("tests/", "config/"))]
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert {"share/exchanged/exchanged.yaml", "share/exchanged/systemd/exchanged.service"} <= shared


@pytest.mark.slow
def test_the_installed_wheel_works_away_from_its_source(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(target), "LANG": "C.UTF-8"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from exchanged.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    version, standard = run("--version"), run("standard", "--json")
    assert PROJECT["version"] in version.stdout
    assert standard.returncode == 0, standard.stderr
    assert '"id-checksum"' in standard.stdout


def test_the_version_is_the_same_everywhere() -> None:
    from exchanged import __version__

    assert __version__ == PROJECT["version"]


def test_nothing_names_this_workplace() -> None:
    words = re.compile("/work/" + "(main|shared)|" + r"\.\./" + "shared")
    files = [path for folder in ("exchanged", "config", "systemd", ".ci") for path in (ROOT / folder).rglob("*")]
    files += [ROOT / "Makefile", ROOT / "README.md", ROOT / "操作手册.md", ROOT / "pyproject.toml"]
    text_files = [path for path in files if path.is_file() and path.suffix not in (".pyc", ".ttf", ".otf")]
    assert [str(path) for path in text_files if words.search(path.read_text("utf-8", "replace"))] == []


@pytest.mark.parametrize("script", ["run", "setup", "lock"])
def test_scripts_are_sound_shell(script: str) -> None:
    path = ROOT / ".ci" / script
    shell = "bash" if script == "run" else "sh"
    assert subprocess.run([shell, "-n", str(path)], check=False, timeout=10).returncode == 0
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("target", ["test", "torture", "demo", "bench", "lint", "docs"])
def test_every_target_sets_up_what_it_needs_first(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}: \$\(READY\)( lint)?$", makefile, re.M)
