"""The judge is only worth something if it complains: every way of breaking an invariant, and the invariant it names."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.judge import Dropped, faults, judge
from tests.support.lives import bad, put, scan, sheet
from tests.support.sweep import Stage
from tests.support.world import World

SOUND: Mapping[str, Dropped] = {
    "closed": {"甲": {"甲.csv": sheet(31), "甲.pdf": scan()}},
    "rejected": {"乙": {"乙.csv": bad(32), "乙.pdf": scan()}},
    "open": {"丙": sheet(33)},
    "withdrawn": {},
    "held": {},
    "superseded": {},
}
NUMBER = sheet(31).decode().splitlines()[1].split(",")[6]  # an ID number of the delivered batch
SECRET = "correct horse battery staple"


@pytest.fixture(scope="module")
def sound(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Path]]:
    """One batch delivered, one given back, one waiting for its scan; and where all that is kept."""
    world = stage.world
    world.restore(stage.world.root.parent / "kept" / "fresh")
    put(甲_csv=sheet(31), 甲_pdf=scan(), 乙_csv=bad(32), 乙_pdf=scan(), 丙_csv=sheet(33))(world)
    assert world.once()["rejected"] == 1
    asked = world.server.folder / "operations"
    kept = tmp_path_factory.mktemp("sound")
    shutil.copy(asked, kept / "operations")
    world.keep(kept / "world")
    yield world, kept
    world.restore(stage.world.root.parent / "kept" / "fresh")


@pytest.fixture
def world(sound: tuple[World, Path]) -> World:
    made, kept = sound
    made.restore(kept / "world")
    shutil.copy(kept / "operations", made.server.folder / "operations")
    return made


def one(folder: Path, pattern: str) -> Path:
    """The one path of a pattern."""
    (found,) = folder.glob(pattern)
    return found


def edit(statement: str) -> Callable[[World], None]:
    def act(world: World) -> None:
        with closing(sqlite3.connect(world.state / "ledger.db", isolation_level=None)) as db:
            for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            db.execute(statement)

    return act


def write(folder: str, name: str, content: bytes = b"x", mode: int = 0o600) -> Callable[[World], None]:
    def act(world: World) -> None:
        path = Path(world.root, folder, name)
        path.write_bytes(content)
        path.chmod(mode)

    return act


def remove(folder: str, pattern: str) -> Callable[[World], None]:
    return lambda world: one(Path(world.root, folder), pattern).unlink()


def change(folder: str, pattern: str) -> Callable[[World], None]:
    """One bit of a file is another."""

    def act(world: World) -> None:
        path = one(Path(world.root, folder), pattern)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return act


def asked_twice(world: World) -> None:
    asked = world.server.folder / "operations"
    (line,) = [line for line in asked.read_text().splitlines() if line.startswith("rename ")]
    with asked.open("a") as file:
        file.write(f"{line}\n")


def unsigned(world: World) -> None:
    """The same content, sealed for the same recipient, by nobody."""
    package = one(world.inbox, "*.pgp")
    to = ("--recipient", world.config["sealing"]["encrypt_to"][0], "--trust-model", "always")
    package.write_bytes(world.national.gpg("--encrypt", *to, data=world.national.plain(package)))


def cut(folder: str, name: str) -> Callable[[World], object]:
    """Half of a file is left."""

    def act(world: World) -> None:
        path = one(world.root / folder, name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return act


def locked(world: World) -> None:
    (world.unit.path / ".#lk0x1.host.99999999").write_text("99999999\n")


BROKEN: dict[str, tuple[str, Callable[[World], object]]] = {
    "a waiting spreadsheet is gone": ("I1", remove("state/spool", "*/1")),
    "a waiting spreadsheet is another": ("I1", change("state/spool", "*/1")),
    "what was given back is gone": ("I1", remove("rejected", "*/乙.csv")),
    "what was given back is another": ("I1", change("rejected", "*/乙.pdf")),
    "the marked workbook is missing": ("I1", remove("rejected", "*/乙.annotated.xlsx")),
    "the form is missing": ("I1", remove("forms", "丙.pdf")),
    "something lies in the drop folder too": ("I1", write("drop", "丁.csv")),
    "the server was asked twice": ("I2", asked_twice),
    "the package is another": ("I3", change("inbox", "*.pgp")),
    "the package is unsigned": ("I3", unsigned),
    "the package is gone": ("I4", remove("inbox", "*.pgp")),
    "the evidence is missing": ("I4", lambda world: [path.unlink() for path in world.state.glob("evidence/*")]),
    "the clerk's slip is missing": ("I4", remove("receipts", "*.txt")),
    "the clerk's slip is empty": ("I4", write("receipts", "x.txt")),
    "half a report": ("I4", cut("rejected", "*/report.html")),
    "half a form": ("I4", cut("forms", "*.pdf")),
    "half a marked workbook": ("I4", cut("rejected", "*/*.annotated.xlsx")),
    "deletion is not on record": ("I4", edit("UPDATE batch SET facts = json_remove(facts, '$.deletion')")),
    "originals are not on record": ("I4", edit("UPDATE batch SET facts = json_remove(facts, '$.originals')")),
    "an event was edited": ("I5", edit("UPDATE event SET facts = '{}' WHERE seq = 3")),
    "the chain's end was cut off": ("I5", edit("DELETE FROM event WHERE seq > 4")),
    "the database is damaged": ("I5", edit("DROP INDEX event_batch")),
    "an ID number in a slip": ("I6", write("receipts", "x", NUMBER.encode())),
    "an ID number in base64": ("I6", write("state", "x", base64.b64encode(NUMBER.encode()))),
    "an ID number in UTF-16": ("I6", write("state", "x", NUMBER.encode("utf-16-le"))),
    "an ID number in a name": ("I6", write("receipts", NUMBER)),
    "an ID number in a temporary file": ("I6", write("tmp", "openpyxl.x", NUMBER.encode())),
    "a temporary file": ("I7", write("receipts", ".0123456789abcdef.part")),
    "an empty claim folder": ("I7", lambda world: (world.drop / ".exchanged").mkdir()),
    "files of nobody": ("I7", lambda world: (world.state / "spool" / "jx-x").mkdir()),
    "a package of nobody": ("I7", write("state/outbox", "jx-x.pgp")),
    "a form of nobody": ("I7", write("forms", "甲.pdf")),
    "something half sent": ("I7", write("inbox", ".jx-x.pgp.part")),
    "a lock of gpg": ("I7", locked),
    "others may read": ("I7", lambda world: [path.chmod(0o644) for path in world.state.glob("evidence/*")]),
    "no reason": ("I8", edit("UPDATE batch SET reason = NULL WHERE state = 'validated'")),
    "an undocumented reason": ("I8", edit("UPDATE batch SET reason = 'x.y' WHERE state = 'validated'")),
    "the board does not say it": ("I8", remove("drop", "状态.txt")),
    "recovery has something left to do": ("I9", write("drop", ".0123456789abcdef.gone")),
    "a file that every start writes anew": ("I9", remove("drop", "状态.txt")),
    "a passphrase in a file": ("I10", write("state", "x", SECRET.encode())),
    "the private key in a file": (
        "I10",
        lambda world: shutil.copy(world.root / "credentials" / "sftp-key", world.state / "x"),
    ),
}


def said(world: World, expected: Mapping[str, Dropped] = SOUND, log: str = "") -> list[str]:
    (world.root / "tmp").mkdir(exist_ok=True)
    try:
        return faults(world, expected, secrets=[SECRET], log=log)
    finally:
        shutil.rmtree(world.root / "tmp")
        for path in world.unit.path.glob(".#lk*"):
            path.unlink()


@pytest.mark.slow
def test_nothing_is_said_of_a_sound_installation(world: World) -> None:
    assert said(world) == []
    judge(world, SOUND["closed"], rejected=SOUND["rejected"], waiting=SOUND["open"])


@pytest.mark.slow
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_said(world: World, what: str) -> None:
    invariant, act = BROKEN[what]
    (world.root / "tmp").mkdir(exist_ok=True)
    act(world)
    assert [line for line in said(world) if line.startswith(f"{invariant} ")]


@pytest.mark.slow
def test_a_batch_that_vanished_or_came_to_something_else_is_said(world: World) -> None:
    lost = {**SOUND, "closed": {**SOUND["closed"], "丁": sheet(34)}}
    assert any(line.startswith("I1 丁 is not delivered") for line in said(world, lost))
    other = {**SOUND, "closed": {"甲": {"甲.csv": sheet(34), "甲.pdf": scan()}}}
    assert any(line.startswith("I1 甲 is not delivered as it was dropped") for line in said(world, other))
    swapped = {**SOUND, "open": {}, "superseded": SOUND["open"]}
    assert any(line.startswith("I1") for line in said(world, swapped))


@pytest.mark.slow
def test_what_stands_in_the_log_is_said(world: World) -> None:
    line = json.dumps({"event": "x", "text": NUMBER})
    assert any(line.startswith("I6 log") for line in said(world, log=line))
    assert any(line.startswith("I10 log") for line in said(world, log=f"{SECRET}\n"))


@pytest.mark.slow
def test_a_process_that_is_left_is_said(world: World) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(60)", "--config", str(world.file)]
    with subprocess.Popen(words, env={**os.environ}) as left:
        try:
            assert any(line.startswith("I11") for line in said(world))
        finally:
            left.kill()


def test_every_invariant_is_broken_in_some_way() -> None:
    named = {invariant for invariant, _ in BROKEN.values()} | {"I11"}
    assert named == {f"I{number}" for number in range(1, 12)}
