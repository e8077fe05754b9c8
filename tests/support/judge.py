"""What must be true of an installation whatever has happened to it: eleven invariants, in the contract's words.

I1  every batch that was dropped is in exactly one place, and none has vanished
I2  the server saw at most one final rename for a batch, and one content
I3  what lies on the server opens with the national key, is signed once and by the unit, and is what was dropped
I4  the ledger is never ahead of the world: delivered means it lies there, closed means it is destroyed and proven
I5  the chain is whole, the database sound, and every head that left the house in a manifest is in it
I6  no certificate number, ID number or name stands anywhere but in the batch's own files
I7  nothing temporary, nothing without an owner; folders and files have their modes
I8  what stands still says why, by a documented code
I9  another recovery changes nothing
I10 no secret stands in a file or in the log
I11 no process is left
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from exchanged import api, messages
from exchanged.drop import BOARD
from tests.support import canaries as birds
from tests.support import contents, remains
from tests.support.world import World

Content = bytes | Mapping[str, bytes]
Dropped = Mapping[str, Content | Sequence[Content]]

SOME = 200  # rows of a spreadsheet whose words are searched for: each costs a look at every file
ENDS: Mapping[str, Callable[[bytes], bool]] = {  # how a whole file is known, by its ending
    ".json": lambda content: isinstance(json.loads(content or b"0"), dict),
    ".txt": lambda content: len(content.splitlines()) > 5,
    ".html": lambda content: content.endswith(b"</html>"),
    ".pdf": lambda content: content.endswith(b"%%EOF"),
    ".xlsx": lambda content: zipfile.is_zipfile(io.BytesIO(content)),
}
OPEN = ("claimed", "validated", "confirmed", "sealed")


def judge(
    world: World,
    delivered: Dropped | None = None,
    *,
    rejected: Dropped | None = None,
    withdrawn: Dropped | None = None,
    waiting: Dropped | None = None,
    held: Dropped | None = None,
    superseded: Dropped | None = None,
    canaries: Iterable[str] = (),
    secrets: Iterable[str] = (),
    log: str = "",
) -> None:
    """Assert all eleven invariants, and that what was dropped has come to exactly this; says all that is broken.

    Call it when the program has ended or is at rest. What was dropped is named by its stem (the folder's name, where a
    folder was dropped): the bytes of `<stem>.csv`, or every file by name; a list where the same stem was dropped more
    than once. Sheets that are not CSV need their table beside them, as "certificates.csv".

    delivered: lies on the server, everything else of it destroyed (for one that still waits to be destroyed: `held`
    and `waiting` allow a package on the server too). rejected, withdrawn: given back, whole. waiting: on its way or
    waiting for its scan, in the drop folder or the spool. held: the same, and a person must decide. superseded:
    replaced, so nowhere. canaries: more words that must not be found; secrets: likewise passphrases and keys.
    log: output to search, beside `world.root / "log"`.
    """
    expected = {
        "closed": delivered or {},
        "rejected": rejected or {},
        "withdrawn": withdrawn or {},
        "open": waiting or {},
        "held": held or {},
        "superseded": superseded or {},
    }
    found = faults(world, expected, canaries, secrets, log)
    assert not found, "\n".join(found)


def faults(
    world: World,
    expected: Mapping[str, Dropped],
    canaries: Iterable[str] = (),
    secrets: Iterable[str] = (),
    log: str = "",
) -> list[str]:
    """Every invariant that is broken, a line each. `expected`: what was dropped, by the state it must have come to."""
    case = _Case(world, {state: list(_pairs(dropped)) for state, dropped in expected.items()})
    found = [
        *case.places(),
        *case.forms(),
        *case.server(),
        *case.ledger(),
        *case.papers(),
        *case.order(),
        *case.reasons(),
    ]
    words = [*canaries, *(word for _, files in case.all() for word in _personal(files))]
    found += [f"I6 {place}" for place in case.search(words, log)]
    found += [f"I10 {place}" for place in case.search([*secrets, *_keys(world)], log)]
    if not case.running:
        found += remains.second_recovery(world)
        found += remains.processes(world)
    return found


def _pairs(dropped: Dropped) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """Stem and files of everything that was dropped."""
    for stem, content in dropped.items():
        for one in [content] if isinstance(content, bytes | Mapping) else content:
            yield stem, {f"{stem}.csv": one} if isinstance(one, bytes) else one


def _personal(files: Mapping[str, bytes]) -> Iterator[str]:
    """What must not be found: numbers, and names that are long enough not to be found by chance. Of many rows, some."""
    for name, content in files.items():
        if not name.endswith(".csv"):
            continue
        try:
            rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
        except UnicodeDecodeError:
            continue
        for row in rows[:: len(rows) // SOME + 1]:
            yield from (row[field] for field in ("证件号码", "证书编号") if len(row.get(field) or "") > 10)
            yield from (row[field] for field in ("姓名",) if len(row.get(field) or "") > 2)


def _opened(world: World, package: Path) -> dict[str, bytes]:
    """The files in a package; none where it cannot be opened."""
    try:
        return world.opened(package)
    except (RuntimeError, tarfile.TarError, EOFError, zlib.error):
        return {}


def _keys(world: World) -> Iterator[str]:
    """Lines of the unit's private key for the server: long enough, and nowhere but in its own file."""
    lines = (world.root / "credentials" / "sftp-key").read_text().splitlines()
    yield from (line for line in lines[1:-1] if len(line) == 70 and len(set(line)) > 20)


class _Case:
    """One installation and what is expected of it."""

    def __init__(self, world: World, expected: Mapping[str, list[tuple[str, Mapping[str, bytes]]]]) -> None:
        self._world = world
        self._expected = expected
        self._exchange = api.open_exchange(world.file)
        self.running = bool(self._exchange.status()["daemon"])
        self._batches = [self._exchange.show(one["batch"]) for one in self._exchange.list()]
        self._packages = {path.stem: _opened(world, path) for path in sorted(world.inbox.glob("*.pgp"))}

    def all(self) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        for dropped in self._expected.values():
            yield from dropped

    def _in(self, *states: str) -> list[dict[str, Any]]:
        return [batch for batch in self._batches if batch["state"] in states]

    # --- I1 -------------------------------------------------------------------------------------------------------

    def places(self) -> Iterator[str]:
        """Each thing that was dropped is where it must be, as it was, and nowhere else."""
        yield from self._match("delivered", self._expected["closed"], self._arrived())
        for state in ("rejected", "withdrawn"):
            yield from self._match(state, self._expected[state], self._given_back(state))
        for state, states in (("open", OPEN), ("held", ("held",))):
            lying = self._dropped() if state == "open" else []
            yield from self._match(state, self._expected[state], [*self._spooled(states), *lying])
        names = {"closed": "closed", "superseded": "superseded"}
        for state, name in names.items():
            count, wanted = len(self._in(state)), len(self._expected[state])
            if count != wanted:
                yield f"I1 {count} batches are {name}, not {wanted}"
        if unfinished := self._in("delivered", "acknowledged"):
            yield f"I1 {len(unfinished)} batches lie on the server and have not been closed"

    def _match(
        self, what: str, wanted: list[tuple[str, Mapping[str, bytes]]], there: list[tuple[str, Any, Any]]
    ) -> Iterator[str]:
        """Compare contents: `there` holds stem, where it is, and a comparison with the files that were dropped."""
        left = list(there)
        for stem, files in wanted:
            same = [one for one in left if one[0] == stem and one[2](files)]
            if not same:
                others = [where for name, where, _ in left if name == stem]
                yield f"I1 {stem} is not {what}" + (f" as it was dropped: {others}" if others else "")
            else:
                left.remove(same[0])
        yield from (f"I1 {stem} is {what} and should not be: {where}" for stem, where, _ in left)

    def _arrived(self) -> list[tuple[str, Any, Any]]:
        unfinished = {batch["batch"] for batch in self._in(*OPEN, "held")}
        return [
            (json.loads(files["manifest.json"])["title"], batch, contents.arrived_as(files))
            for batch, files in self._packages.items()
            if files and batch not in unfinished
        ]

    def _given_back(self, state: str) -> list[tuple[str, Any, Any]]:
        stems = {batch["batch"]: batch["stem"] for batch in self._in(state)}
        found = []
        for folder in sorted(self._world.rejected.iterdir()):
            if folder.name in stems or (state == "rejected" and not self._known(folder.name)):
                files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
                same = contents.returned_as(files, marked=state == "rejected")
                found.append((stems.get(folder.name, "?"), folder.name, same))
        missing = set(stems) - {where for _, where, _ in found}
        return found + [(stems[batch], f"{batch}, no folder", lambda _: False) for batch in sorted(missing)]

    def _known(self, batch: str) -> bool:
        return any(one["batch"] == batch for one in self._batches)

    def _spooled(self, states: Sequence[str]) -> list[tuple[str, Any, Any]]:
        found = []
        for batch in self._in(*states):
            folder = self._world.state / "spool" / batch["batch"]
            there = sorted(path.read_bytes() for path in folder.iterdir()) if folder.is_dir() else []
            found.append((batch["stem"], batch["batch"], lambda files, there=there: contents.lies(files) == there))
        return found

    def _dropped(self) -> list[tuple[str, Any, Any]]:
        """What still lies in the drop folder, by stem or by folder, as the clerk left it."""
        groups: dict[str, dict[str, bytes]] = {}
        drop = self._world.drop
        for path in sorted(path for path in drop.rglob("*") if path.is_file()):
            if path == drop / BOARD:
                continue
            inside = path.parent.name if path.parent != drop and path.parent.name not in ("新增", "更正") else None
            groups.setdefault(inside or path.stem, {})[path.name] = path.read_bytes()
        return [
            (stem, f"drop: {sorted(there)}", lambda files, there=there: contents.without_table(files) == there)
            for stem, there in groups.items()
        ]

    def forms(self) -> Iterator[str]:
        """A form lies there for every batch that waits for its scan, and for no other."""
        waiting = {one["stem"] for one in self._batches if one["reason"] == "confirmation.waiting"}
        lying = {path.stem.removesuffix(".pdf") for path in self._world.forms.iterdir()}
        yield from (f"I1 there is no form for {stem}" for stem in sorted(waiting - lying))
        may = waiting | {one["stem"] for one in self._in("held")}  # whoever decides may let it go on waiting
        yield from (f"I7 a form of {stem} was left behind" for stem in sorted(lying - may))

    # --- I2, I3, I4 -----------------------------------------------------------------------------------------------

    def server(self) -> Iterator[str]:
        """What the server has is right, and it was asked once."""
        world = self._world
        for path in world.inbox.iterdir():
            if path.suffix != ".pgp" and not self._on_its_way(path.name):
                yield f"I7 on the server lies {path.name}"
        renames: dict[str, int] = {}
        lines = world.server.operations() or []
        for line, after in zip(lines, [*lines[1:], ""], strict=False):
            if line.startswith("rename ") and not after.startswith("sent status"):
                final = line.rpartition(' new "')[2].rstrip('"')
                renames[final] = renames.get(final, 0) + 1
        yield from (f"I2 {count} renames to {final}" for final, count in renames.items() if count > 1)
        sealed = {batch["batch"]: batch["facts"].get("package", {}) for batch in self._batches}
        for name, files in self._packages.items():
            package = world.inbox / f"{name}.pgp"
            if remains.sha256(package) != sealed.get(name, {}).get("sha256"):
                yield f"I3 {name} on the server is not the package that was sealed"
            if not files:
                yield f"I3 {name} on the server cannot be opened"
                continue
            if (signers := world.signers(package)) != [world.config["sealing"]["sign_with"]]:
                yield f"I3 {name} is signed by {signers}"
            if json.loads(files["manifest.json"])["batch"] != name:
                yield f"I3 the manifest of {name} names another batch"
        for batch in self._in("delivered", "acknowledged", "closed"):
            if batch["batch"] not in self._packages and not batch["facts"]["delivery"]["gone"]:
                yield f"I4 {batch['batch']} is {batch['state']} and does not lie on the server"

    def _on_its_way(self, name: str) -> bool:
        return any(name == f".{batch['batch']}.pgp.part" for batch in self._in("sealed", "held"))

    # --- I4, I5 ---------------------------------------------------------------------------------------------------

    def ledger(self) -> Iterator[str]:
        """The books are whole, and prove what they say."""
        heads = [json.loads(files["manifest.json"])["ledger_head"] for files in self._packages.values() if files]
        for head in [None, *heads]:
            audit = self._exchange.audit(head)
            yield from (f"I5 {problem}" for problem in audit["problems"])
        with closing(sqlite3.connect(self._world.state / "ledger.db")) as db:
            sound = [row[0] for row in db.execute("PRAGMA integrity_check")]
            sound += [row[0] for row in db.execute("PRAGMA foreign_key_check")]
        if sound != ["ok"]:
            yield f"I5 {sound}"
        for batch in self._in("closed"):
            roles = {"scan" if one["role"] == "scan" else f"source-{n}" for n, one in enumerate(batch["sources"])}
            proven = {one["file"] for one in batch["facts"].get("deletion", [])}
            if missing := (roles | {"package"}) - proven:
                yield f"I4 how {sorted(missing)} of {batch['batch']} ended is not on record"
        replaced = {batch["stem"] for batch in self._in("superseded")}
        for batch in self._batches:
            originals = len(batch["facts"].get("originals", []))
            if batch["stem"] not in replaced and originals != len(batch["sources"]):
                yield f"I4 how {originals} originals of {batch['batch']} ended is on record, of {len(batch['sources'])}"
        for batch in self._in("closed", "rejected", "superseded", "withdrawn"):
            if not (self._world.state / "evidence" / f"{batch['batch']}.json").is_file():
                yield f"I4 there is no evidence of {batch['batch']}"
            if batch["state"] == "closed" and len(self._slips(batch["batch"])) != 2:
                yield f"I4 {batch['batch']} has the slips {self._slips(batch['batch'])}"

    def papers(self) -> Iterator[str]:
        """What people are given is whole: slips, reports, marked workbooks, forms."""
        world = self._world
        given = [*world.receipts.glob("*.*"), *world.rejected.glob("*/report.*"), *world.forms.glob("*.pdf")]
        for path in [*given, *world.rejected.glob("*/*.annotated.xlsx")]:
            if not path.name.startswith(".") and not ENDS[path.suffix](path.read_bytes().rstrip()):
                yield f"I4 {path} is not whole"

    def _slips(self, batch: str) -> list[str]:
        return sorted(path.name for path in self._world.receipts.glob(f"*.{batch}.*"))

    # --- I7, I8 ---------------------------------------------------------------------------------------------------

    def order(self) -> Iterator[str]:
        """Nothing lies about: no temporary file, no file of a batch that is finished, no wrong mode."""
        world = self._world
        for path in [*world.root.rglob(".*"), *world.unit.path.glob("*.#lk*"), *world.unit.path.glob(".#lk*")]:
            if path.parent != world.inbox:
                yield f"I7 {path.relative_to(path.anchor)} was left behind"
        if temp := list((world.root / "tmp").rglob("*")):
            yield f"I7 in the temporary folder lies {temp}"
        spooled = {batch["batch"] for batch in self._in(*OPEN, "held", "delivered", "acknowledged")}
        sealed = {f"{one}.pgp" for one in spooled}
        yield from (
            f"I7 {path} was left behind" for path in (world.state / "spool").iterdir() if path.name not in spooled
        )
        yield from (
            f"I7 {path} was left behind" for path in (world.state / "outbox").iterdir() if path.name not in sealed
        )
        if not self._expected["open"]:
            left = [path for path in world.drop.rglob("*") if path.is_file() and path.name != BOARD]
            yield from (f"I7 {path} was left in the drop folder" for path in left)
        for path in [world.state, *world.state.rglob("*")]:
            wrong = stat.S_IMODE(path.stat().st_mode) & 0o077
            if wrong:
                yield f"I7 {path} has mode {path.stat().st_mode:o}"

    def reasons(self) -> Iterator[str]:
        """What waits says for what."""
        known = messages.codes("reasons", "en") | messages.codes("system", "en")
        status = self._exchange.status()
        waiting = {one["batch"]: one for one in status["waiting"]}
        calm = ("claimed", "sealed") if status["paused"] else ("claimed",)  # a paused delivery is no reason of a batch
        path = self._world.drop / BOARD
        board = path.read_text("utf-8") if path.exists() else None
        if board is not None and not waiting and not self._expected["open"]:
            yield "I8 the board in the drop folder says that something waits"
        for batch in self._in(*OPEN, "held"):
            if batch["batch"] not in waiting:
                yield f"I8 {batch['batch']} waits and status does not say so"
            if batch["reason"] and not self.running and batch["batch"] not in (board or ""):
                yield f"I8 {batch['batch']} waits and the board in the drop folder does not say so"
            if batch["reason"] is None and batch["state"] not in calm:
                yield f"I8 {batch['batch']} stands still without a reason"
            elif batch["reason"] not in known and batch["reason"] is not None:
                yield f"I8 {batch['reason']} is not a documented reason"

    # --- I6, I10 --------------------------------------------------------------------------------------------------

    def search(self, words: Iterable[str], log: str) -> list[str]:
        """Where any of these words stands that must not: in all files but the batches' own, in names, in the log."""
        world, words = self._world, sorted(set(words))
        if not words:
            return []
        own = (world.drop, world.inbox, world.root / "credentials", world.state / "spool")
        files = [path for path in world.root.rglob("*") if not any(path.is_relative_to(folder) for folder in own)]
        given = [path for path in world.rejected.rglob("*") if not path.name.startswith("report.")]
        found = birds.found((path for path in files if path not in given and path != world.file), words)
        needles = [(word, needle) for word in words for needle in birds.disguises(word)]
        found += [f"log: {word}" for word, needle in needles if needle in log.encode()]
        return found
