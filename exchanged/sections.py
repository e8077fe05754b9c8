"""Reading YAML so that every problem has its place: a tree of `Entry` values, and sections that collect what is wrong.

YAML's own guessing of types is left out (a fingerprint of digits is no number, a code `no` is no "false"), and so are
aliases and tags; a key that stands twice is a problem, not a silent choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from exchanged.batch import Fact
from exchanged.errors import ConfigProblem
from exchanged.shapes import Entry, Misshapen

if TYPE_CHECKING:
    from yaml.nodes import Node

P = ParamSpec("P")
T = TypeVar("T")
Shape = Callable[[Entry], T]
Problems = list[ConfigProblem]

_NOTHING = ("", "~", "null", "Null", "NULL")
_DEPTH = 20


@dataclass(slots=True)
class Section:
    """One mapping of the file while it is read: hands out its keys, collects what is wrong, knows what is left over."""

    path: str
    entries: dict[str, Entry]
    problems: list[ConfigProblem]
    known: list[str] = field(default_factory=list)

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def report(self, path: str, code: str, entry: Entry | None = None, **facts: Fact) -> None:
        place = {"line": entry.line} if entry else {}
        self.problems.append(ConfigProblem(path, code, {**place, **facts}))

    def has(self, key: str) -> Entry | None:
        self.known.append(key)
        entry = self.entries.get(key)
        return None if entry is None or entry.data is None else entry

    def take(self, key: str, shape: Shape[T], *default: T) -> T:
        """The value of a key; without a default the key must be there. After a problem the result is not to be used."""
        entry = self.has(key)
        if entry is None:
            if not default:
                self.report(self.at(key), "config.missing", self.entries.get(key))
            return default[0] if default else cast(T, None)
        return self._shaped(self.at(key), entry, shape)

    def many(self, key: str, shape: Shape[T], default: tuple[T, ...] | None = (), least: int = 0) -> tuple[T, ...]:
        """A list whose items all have one shape, none twice; without a default the key must be there."""
        entry = self.has(key)
        if entry is None:
            if default is None:
                self.report(self.at(key), "config.missing", self.entries.get(key))
            return default or ()
        if not isinstance(entry.data, list):
            self.report(self.at(key), "config.list", entry, found=entry.found)
            return ()
        if len(entry.data) < least:
            self.report(self.at(key), "config.list_short", entry, least=least)
        items = [self._shaped(f"{self.at(key)}[{n}]", item, shape) for n, item in enumerate(entry.data)]
        for n, item in enumerate(items):
            if item is not None and item in items[:n]:
                self.report(f"{self.at(key)}[{n}]", "config.twice", entry.data[n])
        return tuple(items)

    def section(self, key: str) -> Section:
        """A mapping below; an empty one where the key is left out."""
        entry = self.has(key)
        if entry is not None and not isinstance(entry.data, dict):
            self.report(self.at(key), "config.mapping", entry, found=entry.found)
        entries = entry.data if entry and isinstance(entry.data, dict) else {}
        return Section(self.at(key), entries, self.problems)

    def sections(self, key: str, example: str) -> list[Section]:
        """A list of mappings below; `example` is one."""
        entry = self.has(key)
        if entry is None:
            return []
        if not isinstance(entry.data, list) or not all(isinstance(item.data, dict) for item in entry.data):
            self.report(self.at(key), "config.list_of_mappings", entry, example=example)
            return []
        below = [(f"{self.at(key)}[{n}]", item.data) for n, item in enumerate(entry.data)]
        return [Section(path, data, self.problems) for path, data in below if isinstance(data, dict)]

    def close(self) -> None:
        """Reports every key that nobody asked for."""
        for key in self.entries.keys() - set(self.known):
            self.report(self.at(key), "config.unknown_key", self.entries[key], **_nearest(key, self.known))

    def _shaped(self, path: str, entry: Entry, shape: Shape[T]) -> T:
        try:
            return shape(entry)
        except Misshapen as error:
            self.report(path, error.code, entry, **error.facts)
            return cast(T, None)


def _nearest(word: str, known: list[str]) -> dict[str, Fact]:
    from difflib import get_close_matches

    return {"nearest": match[0]} if (match := get_close_matches(word, known, 1)) else {}


def closing(build: Callable[Concatenate[Section, P], T]) -> Callable[Concatenate[Section, P], T]:
    """For a function that reads one section: afterwards the keys it did not ask for are reported."""

    def closed(section: Section, /, *args: P.args, **kwargs: P.kwargs) -> T:
        built = build(section, *args, **kwargs)
        section.close()
        return built

    return closed


def tree(source: str, problems: Problems) -> dict[str, Entry] | None:
    """The top mapping of a YAML text; None, and a problem, where it cannot be had."""
    import yaml

    try:
        node = yaml.compose(source, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place: dict[str, Fact] = {"line": mark.line + 1, "column": mark.column + 1} if mark else {}
        problems.append(ConfigProblem("", "config.syntax", place))
        return None
    except (yaml.YAMLError, RecursionError):
        problems.append(ConfigProblem("", "config.syntax", {}))
        return None
    if node is None:  # nothing is written yet
        return {}
    top = _entry(node, "", problems, set())
    if not isinstance(top.data, dict):
        problems.append(ConfigProblem("", "config.mapping", {"line": top.line, "found": top.found}))
        return None
    return top.data


def _entry(node: Node, path: str, problems: Problems, seen: set[int], depth: int = 0) -> Entry:
    import yaml

    line = node.start_mark.line + 1
    if id(node) in seen or depth > _DEPTH:
        problems.append(ConfigProblem(path, "config.alias", {"line": line}))
        return Entry(None, line)
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return Entry(None if node.style is None and node.value in _NOTHING else node.value, line)
    if isinstance(node, yaml.SequenceNode):
        items = [_entry(item, f"{path}[{n}]", problems, seen, depth + 1) for n, item in enumerate(node.value)]
        return Entry(items, line)
    entries: dict[str, Entry] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        below = f"{path}.{name}" if path else name
        if name in entries:
            problems.append(ConfigProblem(below, "config.duplicate_key", {"line": key.start_mark.line + 1}))
        entries[name] = _entry(value, below, problems, seen, depth + 1)
    return Entry(entries, line)
