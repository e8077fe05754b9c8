"""The house stands: imports point down only, stages do not know each other, files and functions stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "exchanged"

# from the top of the house to the bottom; what stands in one line may know each other, except the stages
LAYERS = [
    {"__main__", "cli", "commands", "views", "daemon", "inspector", "demo"},
    {"api"},
    {"doctor", "setup", "overview"},
    {"engine"},
    {"flow", "statefolder"},
    {"steps"},
    {"endings", "board", "confirmation", "comparison", "sending", "checking", "indexing", "marking", "jobs", "warm"},
    {"stages"},
    {
        "sandbox",
        "conversation",
        "zygote",
        "standard",
        "form",
        "reading",
        "sealing",
        "transports",
        "report",
        "drop",
        "ledger",
        "evidence",
        "keymaker",
    },
    {
        "confinement",
        "disk",
        "config",
        "editions",
        "filenames",
        "settings",
        "sections",
        "shapes",
        "log",
        "messages",
        "mounts",
        "reserve",
        "secrets",
        "seen",
    },
    {"batch", "states", "errors"},
]
LEVEL = {name: depth for depth, names in enumerate(LAYERS) for name in names}
STDLIB_ONLY = {"batch", "states", "errors"}
HEAVY = {"pandas", "pyarrow", "numpy", "paramiko", "rich", "jinja2", "pikepdf", "pypdfium2", "polars", "openpyxl"}
LIGHT = ["cli", "api", "config", "log", "flow", "daemon"]


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part(name: str) -> str:
    """The part of the house a dotted module name belongs to."""
    return name.split(".")[1] if "." in name else "__init__"


def module_name(path: Path) -> str:
    parts = ("exchanged", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of ours that a file imports, also inside functions, with the line; type checking alone is free."""
    tree = ast.parse(path.read_text("utf-8"))
    free = {
        id(below)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for below in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in free:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "exchanged")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} relative import"
            if node.module == "exchanged":
                yield from ((node.lineno, f"exchanged.{alias.name}") for alias in node.names)
            elif node.module and node.module.startswith("exchanged."):
                for alias in node.names:
                    deeper = f"{node.module}.{alias.name}"
                    exists = (ROOT.parent / deeper.replace(".", "/")).with_suffix(".py").exists()
                    yield node.lineno, deeper if exists else node.module


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_point_down(path: Path) -> None:
    own = module_name(path)
    if own == "exchanged":
        return
    assert part(own) in LEVEL, f"{part(own)} has no place in the house: add it to LAYERS"
    for line, imported in imports(path):
        if imported == "exchanged" or part(imported) in ("__version__", part(own)):
            continue
        assert LEVEL[part(own)] <= LEVEL[part(imported)], f"{path}:{line} {own} looks up to {imported}"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=module_name)
def test_stages_do_not_import_one_another(path: Path) -> None:
    own = module_name(path)
    for line, imported in imports(path):
        assert part(imported) != "stages" or imported in (own, "exchanged.stages"), f"{path}:{line} imports {imported}"


def test_there_are_no_import_cycles() -> None:
    graph = {module_name(path): {imported for _, imported in top_level(path)} for path in modules()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, "import cycle: " + " -> ".join((*above, name))
        if name not in done and name in graph:
            for below in graph[name] - {name}:
                visit(below, (*above, name))
            done.add(name)

    for name in graph.keys() - {"exchanged"}:
        visit(name, ())


def top_level(path: Path) -> Iterator[tuple[int, str]]:
    """Imports that run when the module is imported."""
    tree = ast.parse(path.read_text("utf-8"))
    lines = {node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    return ((line, name) for line, name in imports(path) if line in lines and name != "exchanged")


@pytest.mark.parametrize("path", [*modules(), *sorted(Path(__file__).parent.rglob("*.py"))], ids=str)
def test_files_and_functions_stay_short(path: Path) -> None:
    source = path.read_text("utf-8")
    assert source.count("\n") <= 400, f"{path} has {source.count(chr(10))} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", [path for path in modules() if path.stat().st_size], ids=module_name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path} has no header"


@pytest.mark.parametrize("name", LIGHT)
def test_what_starts_often_starts_light(name: str) -> None:
    if not (ROOT / f"{name}.py").exists() and not (ROOT / name).is_dir():
        pytest.skip(f"no exchanged.{name}")
    code = f"import sys, exchanged.{name}; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == ""
