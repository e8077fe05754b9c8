"""A disk that has a memory of what was made durable: what may be left of it when the power goes.

Two worlds are kept: the one the program sees, and the one that has been synced. A file's bytes are durable as of its
last fsync, a folder's entries as of that folder's last fsync. What has not been synced may have reached the disk all
the same, in part: of each folder's changes some first ones, of each file's writes any, the last one torn at 512 bytes.

A rename from one folder to another of the same file system is one record that is there or is not, never half: every
journalling file system writes it as one transaction, together with the folders it needs to be found.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512

Tree = dict[str, bytes | None]  # path below the root to content; None for a folder


@dataclass(slots=True)
class Node:
    """A file or a folder: as the program sees it, and as it is durable."""

    folder: bool
    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    writes: list[tuple[int, bytes] | int] = field(default_factory=list)  # not synced: (offset, data), or a length
    entries: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of names that stands or falls as a whole: (folder, name, what it names from now on)."""

    parts: tuple[tuple[int, str, int | None], ...]


class Disk:
    """Everything below one root. Paths are relative to it."""

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        self._nodes: list[Node] = [Node(True)]
        self._pending: list[Change] = []
        for name in folders:
            self._load(root / name, name)
        for node in self._nodes:
            node.durable, node.kept = bytes(node.content), dict(node.entries)
            node.writes.clear()
        self._pending.clear()

    def _load(self, path: Path, name: str) -> None:
        if path.is_dir():
            self.mkdir(name)
            for below in sorted(path.iterdir()):
                self._load(below, f"{name}/{below.name}")
        else:
            self.create(name)
            self.write(name, 0, path.read_bytes())

    # --- what a program does --------------------------------------------------------------------------------------

    def create(self, path: str) -> None:
        self._add(path, Node(False))

    def mkdir(self, path: str) -> None:
        self._add(path, Node(True))

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write at an offset; -1 for the end of the file."""
        node = self._node(path)
        at = len(node.content) if offset < 0 else offset
        _put(node.content, at, data)
        node.writes.append((at, data))

    def cut(self, path: str, size: int) -> None:
        node = self._node(path)
        _cut(node.content, size)
        node.writes.append(size)

    def rename(self, old: str, new: str) -> None:
        (before, name), (after, other) = self._place(old), self._place(new)
        self._change((before, name, None), (after, other, self._nodes[before].entries[name]))

    def link(self, old: str, new: str) -> None:
        (before, name), (after, other) = self._place(old), self._place(new)
        self._change((after, other, self._nodes[before].entries[name]))

    def remove(self, path: str) -> None:
        folder, name = self._place(path)
        self._change((folder, name, None))

    def sync(self, path: str) -> None:
        """fsync of a file or a folder."""
        node, number = self._node(path), self._number(path)
        if not node.folder:
            node.durable = bytes(node.content)
            node.writes.clear()
            return
        for change in [one for one in self._pending if any(folder == number for folder, _, _ in one.parts)]:
            self._settle(change)

    def _settle(self, change: Change) -> None:
        """Make a change durable, and with it the folders that it needs to be found, and what its names were before."""
        if change not in self._pending:
            return
        places = {(folder, name) for folder, name, _ in change.parts}
        before = self._pending[: self._pending.index(change)]
        self._pending.remove(change)
        for earlier in before:
            if any((folder, name) in places for folder, name, _ in earlier.parts):
                self._settle(earlier)
        for folder, _, _ in change.parts:
            for earlier in list(self._pending):
                if any(what == folder for _, _, what in earlier.parts):
                    self._settle(earlier)
        for folder, name, what in change.parts:
            _enter(self._nodes[folder].kept, name, what)

    # --- what may be left -----------------------------------------------------------------------------------------

    def now(self) -> Tree:
        """Everything as the program sees it."""
        return self._tree({n: node.entries for n, node in enumerate(self._nodes)}, lambda node: bytes(node.content))

    def states(self, seeds: range) -> Iterator[Tree]:
        """What may be left if the power goes now."""
        seen = {n: node.entries for n, node in enumerate(self._nodes)}
        kept = {n: node.kept for n, node in enumerate(self._nodes)}
        yield self._tree(kept, lambda node: node.durable)  # nothing but what was synced
        yield self._tree(seen, lambda node: node.durable)  # the names, without what was written
        yield self._tree(kept, lambda node: bytes(node.content))  # what was written, under the names of before
        for seed in seeds:
            chance = random.Random(seed)
            yield self._tree(self._some_names(chance), lambda node, chance=chance: _some_writes(node, chance))

    def _some_names(self, chance: random.Random) -> dict[int, dict[str, int]]:
        names = {n: dict(node.kept) for n, node in enumerate(self._nodes)}
        ended: set[int] = set()
        likely = chance.choice((0.3, 0.7, 0.9))
        for change in self._pending:
            folders = {folder for folder, _, _ in change.parts}
            if ended & folders or chance.random() > likely:
                ended |= folders
                continue
            self._bring(names, change)
        return names

    def _bring(self, names: dict[int, dict[str, int]], change: Change) -> None:
        """A change of names brings the folders along in which it is found."""
        for folder, _, _ in change.parts:
            for earlier in self._pending[: self._pending.index(change)]:
                if any(what == folder for _, _, what in earlier.parts):
                    self._bring(names, earlier)
        _apply(names, change)

    def _tree(self, names: Mapping[int, Mapping[str, int]], content: object) -> Tree:
        tree: Tree = {}

        def walk(number: int, path: str) -> None:
            for name, below in sorted(names[number].items()):
                node = self._nodes[below]
                inside = f"{path}{name}"
                if node.folder:
                    tree[inside] = None
                    walk(below, f"{inside}/")
                elif not name.endswith("-shm"):  # SQLite makes it anew
                    tree[inside] = content(node)  # type: ignore[operator]

        walk(0, "")
        return tree

    # --- names ----------------------------------------------------------------------------------------------------

    def has(self, path: str) -> bool:
        try:
            self._number(path)
        except KeyError:
            return False
        return True

    def _number(self, path: str) -> int:
        number = 0
        for name in path.split("/"):
            number = self._nodes[number].entries[name]
        return number

    def _node(self, path: str) -> Node:
        return self._nodes[self._number(path)]

    def _place(self, path: str) -> tuple[int, str]:
        above, _, name = path.rpartition("/")
        return (self._number(above) if above else 0), name

    def _add(self, path: str, node: Node) -> None:
        folder, name = self._place(path)
        self._nodes.append(node)
        self._change((folder, name, len(self._nodes) - 1))

    def _change(self, *parts: tuple[int, str, int | None]) -> None:
        for folder, name, what in parts:
            _enter(self._nodes[folder].entries, name, what)
        self._pending.append(Change(parts))


def _apply(names: dict[int, dict[str, int]], change: Change) -> None:
    for folder, name, what in change.parts:
        _enter(names[folder], name, what)


def _enter(entries: dict[str, int], name: str, what: int | None) -> None:
    if what is None:
        entries.pop(name, None)
    else:
        entries[name] = what


def _put(content: bytearray, at: int, data: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _cut(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _some_writes(node: Node, chance: random.Random) -> bytes:
    """A file of which some of the writes since its last fsync have come to the disk, one in part."""
    content = bytearray(node.durable)
    likely = chance.choice((0.2, 0.5, 0.9))
    for one in node.writes:
        if isinstance(one, int):
            if chance.random() < likely:
                _cut(content, one)
        elif chance.random() < likely:
            at, data = one
            whole = chance.random() < 0.7
            _put(content, at, data if whole else data[: SECTOR * chance.randrange(1 + len(data) // SECTOR)])
    return bytes(content)


def fingerprint(tree: Tree) -> str:
    """The same for the same state."""
    hashed = hashlib.sha256()
    for path, content in sorted(tree.items()):
        hashed.update(repr((path, None if content is None else hashlib.sha256(content).hexdigest())).encode())
    return hashed.hexdigest()
