"""The arrows between the packages, and the house rules that a machine can hold (DESIGN: the house, house style)."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "umbel"
SERVICES = ROOT / "services"

# A part may import what stands on a lower level, or itself. Parts that share a level must not form a circle.
LEVELS = {
    "durations": 0,
    "ids": 0,
    "plain_text": 0,
    "errors": 0,
    "states": 0,
    "setting_types": 0,
    "settings": 0,
    "watching": 0,
    "request_stack": 1,
    "per_execution": 1,
    "state": 1,
    "engine": 2,
    "jobs": 2,
    "schedule": 3,
    "monitor": 3,
    "checks": 3,
    "batching": 3,
    "database": 3,
    "endings": 3,
    "effects": 3,
    "ineffective": 3,
    "limiting": 3,
    "oversight": 3,
    "result": 3,
    "serving": 3,
    "task": 3,
    "task_class": 3,
    "tracing": 3,
    "app": 4,
    "web": 5,
    "deploy": 6,
    "testing": 6,
    "cli": 7,
}
# `Umbel` is where the parts are plugged in: inside its methods, never while it is imported, it may reach up.
PLUGS = {("serving", "web"), ("endings", "web"), ("app", "schedule"), ("app", "monitor"), ("oversight", "monitor")}
# What services, which show users what to import, leave alone: the inside.
INTERNAL = {
    "app",
    "batching",
    "checks",
    "cli",
    "database",
    "endings",
    "effects",
    "engine",
    "ineffective",
    "limiting",
    "oversight",
    "per_execution",
    "plain_text",
    "request_stack",
    "result",
    "serving",
    "state",
    "task",
    "task_class",
}
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
SKIPPED_FOLDERS = {"__pycache__", "templates", "static"}


@dataclass(frozen=True, slots=True)
class Import:
    """One import of something of umbel's: who, of which module and name, and when it is executed."""

    path: Path
    line: int
    module: str
    name: str | None
    deferred: bool
    typing_only: bool

    @property
    def part(self) -> str:
        """The part of umbel that is imported; the package's own names count as `app`, which gathers them all."""
        words = self.module.split(".")
        if len(words) > 1:
            return words[1]
        return self.name if self.name in LEVELS else "app"

    def __str__(self) -> str:
        what = self.module if self.name is None else f"{self.module}.{self.name}"
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {what}"


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not SKIPPED_FOLDERS & set(path.parts))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> Iterator[Import]:
    """All imports of umbel in a file, relative ones resolved."""
    yield from _walk(tree_of(path), path, deferred=False, typing_only=False)


def _walk(node: ast.AST, path: Path, *, deferred: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for module, name in _imported(child, path):
                if module.split(".")[0] == "umbel":
                    yield Import(path, child.lineno, module, name, deferred, typing_only)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield from _walk_statement(statement, path, deferred=deferred, typing_only=True)
            for statement in child.orelse:
                yield from _walk_statement(statement, path, deferred=deferred, typing_only=typing_only)
        else:
            inside = deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, path, deferred=inside, typing_only=typing_only)


def _walk_statement(statement: ast.stmt, path: Path, *, deferred: bool, typing_only: bool) -> Iterator[Import]:
    yield from _walk(ast.Module([statement], []), path, deferred=deferred, typing_only=typing_only)


def _imported(node: ast.Import | ast.ImportFrom, path: Path) -> list[tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        return [(alias.name, None) for alias in node.names]
    module = node.module or ""
    if node.level:
        package = module_name(path).split(".")
        if path.name != "__init__.py":
            package = package[:-1]
        base = package[: len(package) - node.level + 1]
        module = ".".join([*base, module] if module else base)
    return [(module, alias.name) for alias in node.names]


def module_name(path: Path) -> str:
    base = SOURCE.parent if path.is_relative_to(SOURCE) else ROOT
    words = path.relative_to(base).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def part_of(path: Path) -> str | None:
    """The part of umbel that a source file belongs to; None for the package's __init__ and __main__."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return None if first.startswith("__") else first


def test_every_part_has_a_level() -> None:
    unknown = {part_of(path) for path in python_files(SOURCE)} - set(LEVELS) - {None}
    assert not unknown, f"new parts of umbel: give {sorted(map(str, unknown))} a level in this test and in DESIGN"


def test_arrows_run_one_way() -> None:
    wrong = []
    for path in python_files(SOURCE):
        importer = part_of(path)
        if importer is None:
            continue
        for found in imports_of(path):
            if found.typing_only or found.part == importer:
                continue
            if found.deferred and (importer, found.part) in PLUGS:
                continue
            if LEVELS.get(found.part, 99) > LEVELS.get(importer, -1):
                wrong.append(str(found))
    assert not wrong, "these imports run against the arrows:\n" + "\n".join(wrong)


def test_parts_of_one_level_form_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in python_files(SOURCE):
        importer = part_of(path)
        for found in imports_of(path):
            if importer is None or found.part == importer or found.typing_only:
                continue
            if (importer, found.part) not in PLUGS:
                arrows.setdefault(importer, set()).add(found.part)
    circles = [
        f"{one} <-> {other}" for one in sorted(arrows) for other in sorted(arrows[one]) if one in reach(other, arrows)
    ]
    assert not circles, f"parts that import each other: {circles}"


def reach(start: str, arrows: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for following in arrows.get(todo.pop(), set()) - seen:
            seen.add(following)
            todo.append(following)
    return seen


def test_engine_and_jobs_know_nothing_of_monitor() -> None:
    """Facts cross as events: not even an import for types."""
    wrong = [
        str(found)
        for path in python_files(SOURCE)
        if part_of(path) in {"engine", "jobs", "state"}
        for found in imports_of(path)
        if found.part in {"monitor", "web", "cli"}
    ]
    assert not wrong, "\n".join(wrong)


def test_services_use_only_public_names() -> None:
    """What a service imports of umbel is in the __all__ of a module that is not the inside of umbel."""
    wrong = []
    for path in python_files(SERVICES):
        for found in imports_of(path):
            module = importlib.import_module(found.module)
            words = found.module.split(".")
            private = any(word.startswith("_") for word in words) or bool(INTERNAL & set(words[1:2]))
            if private or (found.name is not None and found.name not in getattr(module, "__all__", ())):
                wrong.append(str(found))
    assert not wrong, "services show users what to import:\n" + "\n".join(wrong)


def public_modules() -> list[str]:
    names = [module_name(path) for path in python_files(SOURCE)]
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


@pytest.mark.parametrize("name", public_modules())
def test_all_is_explicit_and_true(name: str) -> None:
    """Every module says what it offers, in order, and has it."""
    path = SOURCE.parent / Path(*name.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not tree_of(source).body[1:]:
        return  # an empty package offers nothing
    module = importlib.import_module(name)
    offered = getattr(module, "__all__", None)
    assert offered is not None, f"{name} has no __all__"
    assert len(set(offered)) == len(offered), f"{name}.__all__ names something twice"
    missing = [word for word in offered if not hasattr(module, word)]
    assert not missing, f"{name}.__all__ names {missing}, which it does not have"
    private = [word for word in offered if word.startswith("_") and not word.startswith("__")]
    assert not private, f"{name}.__all__ offers private names: {private}"


def test_the_package_offers_its_public_names_and_nothing_else() -> None:
    umbel = importlib.import_module("umbel")
    modules = {path.stem for path in SOURCE.iterdir()}
    borrowed = {
        alias.asname or alias.name
        for node in tree_of(SOURCE / "__init__.py").body
        if isinstance(node, ast.ImportFrom) and node.module in {"__future__", "typing"}
        for alias in node.names
    }
    public = {name for name in vars(umbel) if not name.startswith("_")} - modules - borrowed
    assert public <= set(umbel.__all__), f"not in umbel.__all__: {sorted(public - set(umbel.__all__))}"
    assert {"Umbel", "JobState", "JobStatus", "Progress", "progress", "errors"} <= set(umbel.__all__)


@cache
def declared(*extras: str) -> frozenset[str]:
    """The distributions that pyproject.toml names, without and with extras, and what these promise to bring along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in lines}
    companions = {"celery": {"billiard", "vine"}, "fastapi": {"starlette"}, "jinja2": {"markupsafe"}}
    # One namespace of several distributions, of which only the first is imported.
    companions["opentelemetry-api"] = {"opentelemetry-sdk", "opentelemetry-semantic-conventions"}
    return frozenset(names.union(*(more for name, more in companions.items() if name in names)))


@cache
def installed() -> Mapping[str, list[str]]:
    """Which distributions the modules that can be imported are of."""
    return packages_distributions()


def distributions_of(path: Path) -> set[str]:
    """The distributions whose modules a file imports."""
    tops = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            tops.add((node.module or "").split(".")[0])
    known = installed()
    foreign = tops - set(sys.stdlib_module_names) - {"umbel", "services"}
    return {name.lower().replace("_", "-") for top in foreign for name in known.get(top, [top])}


def test_what_is_imported_is_declared() -> None:
    """The core imports what the core installs, the web parts what ``umbel[web]`` does, services their extra."""
    wrong = []
    for path in house_files():
        if path.is_relative_to(SERVICES):
            allowed = declared("web", "services")
        else:
            allowed = declared("web") if part_of(path) in {"web", "cli", "serving"} else declared()
            # What speaks to a server is only imported for a URL of its own.
            for extra in ("redis", "postgres", "crypto"):
                allowed |= declared(extra) if path.name.startswith(extra) else set()
            allowed |= declared("webhooks") if path.name in ("webhook_http.py", "webhook_channel.py") else set()
            allowed |= declared("oidc") if path.name == "openid.py" else set()
            # What stands on the application's own database is only imported for what asks for it.
            own = part_of(path) == "jobs" and path.name.startswith(("database", "outbox", "sessions"))
            allowed |= declared("sqlalchemy") if own or part_of(path) == "monitor" else set()
            # What is asked over HTTP comes with that.
            allowed |= declared("web") if path.name == "prometheus.py" else set()
            allowed |= declared("otel") if path.name == "traces.py" else set()
        missing = distributions_of(path) - allowed
        if missing:
            wrong.append(f"{path.relative_to(ROOT)}: {sorted(missing)}")
    assert not wrong, "pyproject.toml does not declare these:\n" + "\n".join(wrong)


def house_files() -> list[Path]:
    return python_files(SOURCE) + python_files(SERVICES)


def test_names_say_what_a_file_holds() -> None:
    vague = [
        str(path.relative_to(ROOT)) for path in house_files() if BANNED_NAMES & set(path.with_suffix("").parts[-3:])
    ]
    assert not vague, f"name these after the noun they hold: {vague}"


def test_files_and_functions_are_short() -> None:
    long = []
    for path in house_files():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_FILE_LINES:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {size} lines")
    assert not long, f"above {MAX_FILE_LINES} lines a file or {MAX_FUNCTION_LINES} a function:\n" + "\n".join(long)


def test_no_pickle_and_no_shell() -> None:
    wrong = []
    for path in house_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                if names & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports a serializer that runs code")
            if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
                wrong.append(f"{path.relative_to(ROOT)}:{node.value.lineno} starts a shell")
    assert not wrong, "\n".join(wrong)
