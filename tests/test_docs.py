"""What is documented is what there is: commands, options, rules, events, reasons, exit statuses stand in the books."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from exchanged import log, messages
from exchanged.commands import COMMANDS, status
from exchanged.standard import rules

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / ".ci" / "pictures"
README = (ROOT / "README.md").read_text("utf-8")
MANUAL = (ROOT / "操作手册.md").read_text("utf-8")
BOOKS = [pytest.param(README, id="README"), pytest.param(MANUAL, id="manual")]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The tool that writes the tables."""
    loader = importlib.machinery.SourceFileLoader("reference", str(ROOT / ".ci" / "reference"))
    spec = importlib.util.spec_from_loader("reference", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("book", BOOKS)
def test_every_command_is_documented(book: str) -> None:
    missing = [name for name in COMMANDS if not re.search(rf"`(?:exchanged )?{name}\b|^exchanged {name}\b", book, re.M)]
    assert missing == []


def test_every_command_in_the_readme_exists_and_says_json_where_it_has_it() -> None:
    table = README.split("| command | does |")[1].split("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    told = {name: "--json" in line for line in lines for name in re.findall(r"`([a-z]+)[^`]*`", line.split("|")[1])}
    assert told == {name: command.json for name, command in COMMANDS.items()}


def test_every_option_of_a_command_is_in_the_readme() -> None:
    options = {
        name for one in COMMANDS.values() for argument in one.arguments for name in argument.names if name[0] == "-"
    }
    assert [option for option in sorted(options - {"--out"}) if f"{option}" not in README] == []


@pytest.mark.parametrize("book", BOOKS)
def test_every_exit_status_is_documented(book: str) -> None:
    numbers = {value for name, value in vars(status).items() if name.isupper()}
    missing = [number for number in numbers if not re.search(rf"(?<![0-9]){number}(?![0-9])", book)]
    assert missing == []


@pytest.mark.parametrize("book", BOOKS)
def test_every_rule_event_and_reason_is_documented(book: str) -> None:
    codes = {*rules.RULES, *log.EVENTS, *messages.codes("reasons", "zh")}
    assert sorted(code for code in codes if f"`{code}`" not in book) == []


@pytest.mark.parametrize("name", ["README.md", "操作手册.md"])
def test_the_tables_are_those_of_the_program(reference: ModuleType, name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text == reference.renewed(text, reference.BOOKS[name]), "run `make docs`"


def test_every_exchanged_command_line_in_the_books_can_be_parsed() -> None:
    used = set(re.findall(r"exchanged (?:--config \S+ )?([a-z]+)", README + MANUAL))
    prose = {"is", "jx", "checks", "reports", "may", "user", "group", "config", "state"}
    assert {word for word in used - prose if word not in COMMANDS} == set()


def test_the_books_link_to_what_is_there() -> None:
    for book in (README, MANUAL):
        for link in re.findall(r"\]\(([^)#]+)\)", book):
            assert (ROOT / link).exists(), link
    for path in re.findall(r"`((?:systemd|config)/[\w.]+)`", README + MANUAL):
        assert (ROOT / path).exists(), path


def test_every_picture_is_shown_and_every_one_shown_is_there_and_small() -> None:
    shown = set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README + MANUAL))
    there = {str(path.relative_to(ROOT)): path.stat().st_size for path in PICTURES.glob("*.png")}
    assert shown == there.keys()
    assert {name: size for name, size in there.items() if size >= 150_000} == {}


def test_every_picture_is_made_by_the_script() -> None:
    script = (PICTURES / "make.py").read_text("utf-8")
    assert [path.stem for path in PICTURES.glob("*.png") if f'"{path.stem}"' not in script] == []
