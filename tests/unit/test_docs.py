"""The documentation is tested: its programs run, and what it names exists.

How a page marks its blocks (the info string after the fence):

    python                      compiles, and what it imports of umbel exists
    python title="jobs.py"      also written to the page's own folder
    python run                  also run there, in the order of the page; it must end with exit code 0
    python run worker           the same, beside a worker of the page's jobs.py
    console                     what a person types stands after "$ ", the rest is output
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
VARIABLE = re.compile(r"\bUMBEL_[A-Z][A-Z0-9_]*\b")
RUN_SECONDS = 60
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    info: str
    body: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.info)

    @property
    def title(self) -> str | None:
        return next((word.removeprefix("title=") for word in self.words if word.startswith("title=")), None)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    text = text_of(page)
    return [
        Block(page, text[: match.start()].count("\n") + 1, match["info"].strip(), match["body"])
        for match in FENCE.finditer(text)
    ]


def prose_of(page: Path) -> str:
    return FENCE.sub("", text_of(page))


PYTHON_BLOCKS = [block for page in PAGES for block in blocks_of(page) if block.words[:1] == ["python"]]
RUNNABLE_PAGES = sorted({block.page for block in PYTHON_BLOCKS if "run" in block.words})


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: block.where)
def test_python_compiles_and_imports_what_exists(block: Block) -> None:
    tree = ast.parse(block.body, block.where)
    compile(tree, block.where, "exec", dont_inherit=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "umbel":
            module = importlib.import_module(node.module or "")
            missing = [alias.name for alias in node.names if alias.name not in getattr(module, "__all__", ())]
            assert not missing, f"{block.where}: {node.module} offers no {missing}"


@pytest.mark.parametrize("page", RUNNABLE_PAGES, ids=page_name)
def test_programs_run(page: Path, project: Path) -> None:
    """Each program of the page runs to its end in a folder that holds the page's files."""
    blocks = [block for block in blocks_of(page) if block.words[:1] == ["python"]]
    for block in blocks:
        if block.title is not None:
            (project / block.title).write_text(block.body)
    for block in blocks:
        if "run" in block.words:
            with worker_in(project) if "worker" in block.words else no_worker():
                run_program(block, project)


def run_program(block: Block, folder: Path) -> None:
    program = folder / (block.title or "program.py")
    program.write_text(block.body)
    done = subprocess.run(
        [sys.executable, program.name],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, f"{block.where} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"


def environment() -> dict[str, str]:
    paths = [".", str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


@contextmanager
def no_worker() -> Iterator[None]:
    yield


@contextmanager
def worker_in(folder: Path) -> Iterator[None]:
    """A worker of the folder's jobs.py; it stops on SIGTERM, and says why if it does not end well."""
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "umbel", "worker", "-A", "jobs", "--processes", "1"],
            cwd=folder, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            yield
            worker.terminate()
            code = worker.wait(STOP_SECONDS)
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)  # a group of our own: start_new_session
                worker.wait()
    assert code == 0, f"the worker ended with {code}:\n{(folder / 'worker.log').read_text(errors='replace')[-4000:]}"


@cache
def command_line() -> click.Group:
    command = importlib.import_module("umbel.cli").umbel_command
    assert isinstance(command, click.Group)
    return command


def typed_commands(page: Path, program: str) -> Iterator[list[str]]:
    """What the page lets a person type: in console blocks after "$ ", and in code spans."""
    lines = [span for span in SPAN.findall(prose_of(page)) if span.startswith(f"{program} ")]
    for block in blocks_of(page):
        if block.words[:1] == ["console"]:
            lines += [line[2:] for line in block.body.splitlines() if line.startswith(f"$ {program} ")]
    for line in lines:
        yield shlex.split(line.partition(" #")[0])[1:]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_and_options_exist(page: Path) -> None:
    group = command_line()
    common = options_of(group)
    for words in typed_commands(page, "umbel"):
        name = next((word for word in words if not word.startswith("-")), None)
        if name is None or name == "…" or name.isupper():
            continue
        assert name in group.commands, f"{page_name(page)}: there is no command 'umbel {name}'"
        command = inner_of(group.commands[name], words[words.index(name) + 1 :])
        for word in words:
            if re.match(r"--?[a-zA-Z]", word):
                option = word.partition("=")[0]
                assert option in options_of(command) | common, f"{page_name(page)}: umbel {name} has no {word}"


def inner_of(command: click.Command, words: list[str]) -> click.Command:
    """The command of a group of commands that ``words`` name; the command itself when it is no group."""
    if not isinstance(command, click.Group) or not words:
        return command
    assert words[0] in command.commands, f"umbel {command.name} has no {words[0]}"
    return command.commands[words[0]]


def options_of(command: click.Command) -> set[str]:
    """A command's options; of a group of commands, those of its commands too."""
    context = click.Context(command)
    own = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    within = command.commands.values() if isinstance(command, click.Group) and command is not command_line() else ()
    return own.union(*map(options_of, within))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in typed_commands(page, "make"):
        named = [word for word in words if "=" not in word and not word.startswith("-")]
        assert set(named) <= targets, f"{page_name(page)}: no such target: make {' '.join(words)}"


def test_every_command_and_option_is_documented() -> None:
    page = text_of(ROOT / "docs/reference/cli.md")
    group = command_line()
    for name, command in group.commands.items():
        heading = re.search(rf"^## `?umbel {name}\b.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert heading is not None, f"docs/reference/cli.md has no section for umbel {name}"
        inner = list(command.commands.values()) if isinstance(command, click.Group) else []
        options = set[str]().union(*map(options_of, (command, *inner)))
        for option in options - options_of(group):
            if option.startswith("--") and not command.hidden:
                assert f"`{option}" in heading[0], f"docs/reference/cli.md does not tell of umbel {name} {option}"


def settings_variables() -> set[str]:
    settings = importlib.import_module("umbel.settings").Settings
    prefix = settings.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper() for name in settings.model_fields}


def other_variables() -> set[str]:
    """Variables that the source reads by name, beside the settings."""
    found: set[str] = set()
    for folder in ("src", "services", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r"[\"'](UMBEL_[A-Z0-9_]+)[\"']", path.read_text(encoding="utf-8")))
    return found


def test_every_setting_is_documented() -> None:
    """C2: every documented variable takes effect, and every variable is documented, with its real default."""
    settings = importlib.import_module("umbel.settings").Settings
    rows = re.findall(r"^\| `(UMBEL_\w+)` \| (\S+) \|", text_of(ROOT / "docs/reference/settings.md"), re.MULTILINE)
    assert {variable for variable, _ in rows} == settings_variables()
    for variable, cell in rows:
        name = variable.removeprefix("UMBEL_").lower()
        default = settings.model_fields[name].default
        shown = default or None if cell == "–" else getattr(settings.model_validate({name: cell.strip("`")}), name)
        expected = None if cell == "–" else default
        assert shown == expected, f"docs/reference/settings.md: the default of {variable} is {default!r}"


def test_every_setting_of_a_service_is_documented() -> None:
    for page in sorted((ROOT / "docs/services").glob("*.md")):
        # Read, not imported: importing a service fixes where its jobs go for the whole test process.
        source = text_of(ROOT / "services" / page.stem / "settings.py")
        prefix = re.search(r'env_prefix="(\w+)"', source)
        classes = [
            node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Settings"
        ]
        assert prefix is not None
        assert len(classes) == 1
        fields = {ast.unparse(node.target) for node in classes[0].body if isinstance(node, ast.AnnAssign)}
        documented = set(re.findall(rf"^\| `({prefix[1]}\w+)` \|", text_of(page), re.MULTILINE))
        assert documented == {f"{prefix[1]}{name}".upper() for name in fields}, page_name(page)


def test_celerys_variables_are_documented() -> None:
    """C2: which of Celery's own variables are honoured."""
    source = text_of(ROOT / "src/umbel/settings.py")
    honoured = set(re.findall(r"\"((?:CELERY_[A-Z_]+)|DATABASE_URL)\"", source))
    page = text_of(ROOT / "docs/reference/settings.md")
    assert honoured == set(re.findall(r"`((?:CELERY_[A-Z_]+)|DATABASE_URL)`", page))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_documented_settings_exist(page: Path) -> None:
    named = set(VARIABLE.findall(text_of(page)))
    unknown = named - settings_variables() - other_variables()
    assert not unknown, f"{page_name(page)} names {sorted(unknown)}, which nothing reads"


def slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#{1,6} (.+)$", prose_of(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_resolve(page: Path) -> None:
    for match in LINK.finditer(prose_of(page)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page_name(page)} links to {match['target']}, which is not there"
        assert path.is_relative_to(ROOT), f"{page_name(page)} links out of the repository: {match['target']}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors_of(path), f"{page_name(page)}: {path.name} has no heading for #{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    start = ROOT / "docs/index.md"
    seen: set[Path] = set()
    todo = [start]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = (match["target"].partition("#")[0] for match in LINK.finditer(prose_of(page)))
        todo += [
            (page.parent / target).resolve() for target in targets if target.endswith(".md") and "://" not in target
        ]
    lost = [page_name(page) for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in seen]
    assert not lost, f"no way leads from docs/index.md to {lost}"


def test_every_error_is_documented() -> None:
    page = text_of(ROOT / "docs/reference/errors.md")
    for name in importlib.import_module("umbel.errors").__all__:
        assert f"`{name}`" in page, f"docs/reference/errors.md does not tell of {name}"


def test_every_state_is_documented() -> None:
    """C20: the states, and Celery's own, in one table."""
    page = text_of(ROOT / "docs/reference/states.md")
    states = importlib.import_module("umbel.states")
    for state, celery in states.CELERY_STATES.items():
        row = re.search(rf"^\| *`{state.value}` *\|.*$", page, re.MULTILINE)
        assert row is not None, f"docs/reference/states.md has no row for {state.value}"
        assert f"`{celery}`" in row[0], f"docs/reference/states.md: {state.value} is {celery} in Celery"


def test_every_declaration_is_documented() -> None:
    page = text_of(ROOT / "docs/reference/declarations.md")
    for field in fields(importlib.import_module("umbel.jobs.declared").Declared):
        assert f"| `{field.name}` |" in page, f"docs/reference/declarations.md does not tell of {field.name}"


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    assert re.search(r"^## \[?Unreleased\]?$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
