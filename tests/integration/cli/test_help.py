"""Every command and every option has a help text, and stands in docs/reference/cli.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.integration.cli.conftest import Cli
from umbel.cli import umbel_command


def commands_of(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its name; those of a group by both names."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found[prefix + name] = command
        if isinstance(command, click.Group):
            found.update(commands_of(command, f"{prefix}{name} "))
    return found


ALL = commands_of(umbel_command)
COMMANDS = sorted(ALL)
TOP = sorted(umbel_command.commands)
SHARED = {"-A", "--app", "--debug", "-h", "--help"}
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def section(name: str) -> str:
    found = re.search(rf"^## umbel {name}\b.*?(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/cli.md has no section for umbel {name}"
    return found[0]


def options(name: str) -> set[str]:
    return {text for param in ALL[name].params if isinstance(param, click.Option) for text in param.opts} - SHARED


def test_all_commands_of_the_design_are_there() -> None:
    wanted = (
        "init up worker beat web status top enqueue call cancel why jobs alerts autoscale batch dead config key "
        "pause resume purge limits effects migrate release outbox doctor bench"
    )
    assert list(umbel_command.list_commands(click.Context(umbel_command))) == wanted.split()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option(name: str, cli: Cli) -> None:
    """--help needs no application, exits 0, and says something of each option."""
    shown = cli.ok(*name.split(), "--help")
    assert shown.startswith(f"Usage: umbel {name}") or "Usage: python -m umbel" in shown
    for text in options(name):
        assert re.search(rf"(^|\s){re.escape(text)}\b", shown), f"{text} is not in the help of {name}"
    for param in ALL[name].params:
        if isinstance(param, click.Option):
            assert param.help, f"{param.name} of {name} has no help"
            assert param.help.endswith("."), f"the help of {param.name} of {name} is no sentence"


@pytest.mark.parametrize("name", TOP)
def test_the_reference_documents_every_option_and_no_other(name: str) -> None:
    documented = set(re.findall(r"`(--?[a-zA-Z][a-z-]*)[ `]", section(name)))
    in_tables = {
        text for line in section(name).splitlines() if line.startswith("| `-") for text in documented if text in line
    }
    known = options(name).union(*(options(one) for one in COMMANDS if one.startswith(f"{name} ")))
    assert known <= documented
    assert in_tables <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_fits_the_list_of_commands(name: str) -> None:
    command = ALL[name]
    assert not command.get_short_help_str(limit=60).endswith("..."), f"{name}: shorten its first sentence"


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_usage(cli: Cli) -> None:
    done = cli.run()
    assert done.returncode == 2
    assert "umbel init" in done.stdout + done.stderr


def test_version(cli: Cli) -> None:
    assert re.fullmatch(r"umbel \d+\.\d+\.\d+\S*", cli.ok("--version"))


def imported(code: str) -> set[str]:
    """Return the modules that a new Python has imported when it has run ``code``."""
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


HEAVY = {"celery.app.base", "kombu.transport", "rich.console", "fastapi", "uvicorn", "pydantic", "sqlalchemy"}


def test_the_command_line_imports_nothing_heavy() -> None:
    """Looking at help, or supervising, must not cost what Celery, rich and FastAPI cost."""
    found = imported("from umbel.cli import umbel_command; list(umbel_command.commands.values())")
    assert found & HEAVY == set()
    assert "umbel.cli.worker" in found


def test_a_command_imports_no_other() -> None:
    found = imported("from umbel.cli import umbel_command; umbel_command.commands['status']")
    modules = {f"umbel.cli.{name}" for name in TOP}
    assert found & modules == {"umbel.cli.status"}
    assert len([name for name in found if name.startswith("umbel")]) < 25


def test_a_worker_process_imports_no_command() -> None:
    found = imported("import umbel.cli.child, umbel.cli.find_app, umbel.cli.importing")
    assert "click" not in found
    assert {name for name in found if name.startswith("umbel.cli")} <= {
        "umbel.cli", "umbel.cli.child", "umbel.cli.find_app", "umbel.cli.importing", "umbel.cli.source"
    }  # fmt: skip


def test_a_worker_process_looks_for_garbage_once_its_application_is_there(shop: Cli) -> None:
    code = "import gc; gc.disable(); from umbel.cli.child import load_for_console as load; load('jobs:jobs')"
    code += "; assert gc.isenabled() and gc.get_freeze_count() > 10_000"
    subprocess.run([sys.executable, "-c", code], cwd=shop.folder, timeout=60, check=True)
