"""Errors are one clear line on stderr, without a traceback unless --debug, and exit codes tell the truth."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Cli

# Plain Celery's application: these errors come before any engine is asked.
PLAIN = """
from celery import Celery

app = Celery("plain", broker="memory://")


@app.task(name="shop.add")
def add(x, y):
    return x + y


@app.task(name="shop.subtract")
def subtract(x, y):
    return x - y


@app.task(name="other.subtract")
def other_subtract(x, y):
    return x - y


@app.task(name="shop.divide")
def divide(x, y):
    return x / y
"""


def last_line(cli: Cli, *arguments: str, code: int, **extra: str) -> str:
    done = cli.run(*arguments, **extra)
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Using ")]
    assert len(lines) == 1 or code == 2, f"more than one line: {done.stderr}"
    return lines[-1]


def test_no_application(cli: Cli) -> None:
    line = last_line(cli, "call", "add", code=78)
    assert line.startswith("Error: No application was found in ")
    assert "umbel init" in line


def test_a_module_that_is_not_there(cli: Cli) -> None:
    assert "There is no module 'nowhere'" in last_line(cli, "-A", "nowhere", "call", "add", code=78)
    assert "There is no module 'nowhere'" in last_line(cli, "call", "-A", "nowhere", "add", code=78)
    assert "There is no module 'nowhere'" in last_line(cli, "call", "add", code=78, UMBEL_APP="nowhere")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "import os\n\nimport missing_thing\n",
            "No module named 'missing_thing' (broken.py, line 3: import missing_thing)",
        ),
        ("a = 1\nb = 1 / 0\n", "ZeroDivisionError: division by zero (broken.py, line 2: b = 1 / 0)"),
        ("a = 1\ndef broken(:\n", "SyntaxError: "),
        ("raise SystemExit(0)\n", "SystemExit: 0 (broken.py, line 1: raise SystemExit(0))"),
        ("raise RuntimeError('first\\nsecond')\n", "RuntimeError: first second (broken.py, line 1"),
        ("a = 1\n", "broken holds no Umbel or Celery application"),
        ("from celery import Celery\none = Celery()\ntwo = Celery()\n", "broken holds several applications"),
    ],
)
def test_a_module_that_does_not_import_is_explained(cli: Cli, text: str, wanted: str) -> None:
    """Bad input of the issue: a module that does not import."""
    cli.write("broken.py", text)
    assert wanted in last_line(cli, "-A", "broken", "call", "add", code=78)


def test_the_syntax_error_names_its_line(cli: Cli) -> None:
    cli.write("jobs.py", "from umbel import Umbel\njobs = Umbel()\ndef broken(:\n")
    assert "jobs.py, line 3: def broken(:" in last_line(cli, "call", "add", code=78)


def test_the_line_is_that_of_the_users_own_code(cli: Cli) -> None:
    cli.write("broken.py", "import json\n\nlimits = json.loads('{')\n")
    assert "(broken.py, line 3: limits = json.loads('{'))" in last_line(cli, "-A", "broken", "call", "add", code=78)


def test_a_module_of_tasks_that_does_not_import_is_explained(cli: Cli) -> None:
    cli.write("jobs.py", "from celery import Celery\napp = Celery('x', include=['more'])\n")
    assert "No module named 'more'" in last_line(cli, "call", "add", code=78)
    cli.write("more.py", "\n\nboom\n")
    assert "NameError: name 'boom' is not defined (more.py, line 3: boom)" in last_line(cli, "call", "add", code=78)


def test_what_is_no_application(cli: Cli) -> None:
    cli.write("shop.py", PLAIN + "\nweb = object()\n")
    assert "shop:web is a object, not an Umbel or Celery application" in last_line(
        cli, "-A", "shop:web", "call", "add", code=78
    )
    assert "shop has no 'jobs': it has app." in last_line(cli, "-A", "shop:jobs", "call", "add", code=78)


def test_debug_adds_the_traceback_and_keeps_the_line_and_the_code(cli: Cli) -> None:
    cli.write("broken.py", "b = 1 / 0\n")
    for arguments in (("--debug", "-A", "broken", "call", "add"), ("-A", "broken", "call", "add", "--debug")):
        done = cli.run(*arguments)
        assert done.returncode == 78
        assert "Traceback" in done.stderr
        assert "ZeroDivisionError" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["status", "purge", "doctor", "config", "why X", "cancel X", "enqueue add --wait"])
def test_plain_celery_has_no_engine_to_ask(cli: Cli, command: str) -> None:
    cli.write("shop.py", PLAIN)
    line = last_line(cli, "-A", "shop", *command.split(), code=78)
    assert "is a plain Celery application" in line


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("shop.ad", "Did you mean shop.add?"),
        ("ad", "Did you mean shop.add?"),
        ("subtract", "Several tasks are called 'subtract': other.subtract, shop.subtract."),
        ("zzz", "It has other.subtract, shop.add, shop.divide, shop.subtract."),
    ],
)
def test_an_unknown_task_suggests_the_nearest(cli: Cli, name: str, wanted: str) -> None:
    """Bad input of the issue: an unknown task name."""
    cli.write("tasks.py", PLAIN)
    for command in ("call", "enqueue"):
        assert wanted in last_line(cli, command, name, "1", "2", code=2)


def test_an_application_without_tasks_says_so(cli: Cli) -> None:
    cli.write("tasks.py", "from celery import Celery\napp = Celery('x')\n")
    assert "It has no tasks" in last_line(cli, "call", "add", code=2)


def test_call_runs_here_and_now(cli: Cli) -> None:
    cli.write("tasks.py", PLAIN)
    assert cli.ok("call", "add", "2", "-3") == "-1"
    assert cli.ok("call", "shop.add", "-k", 'x="a"', "--kwarg", "y=b") == '"ab"'
    assert cli.run("call", "add", "2", "3").stderr == "Using tasks:app (tasks.py)\n"


def test_breakpoints_work_in_a_call(cli: Cli) -> None:
    cli.write("tasks.py", PLAIN.replace("return x + y", "breakpoint()\n    return x + y"))
    done = cli.run("call", "add", "20", "3", text="p x * 100\ncontinue\n")
    assert done.returncode == 0, done.stderr
    assert "2000" in done.stdout
    assert done.stdout.endswith("23\n")


def test_call_of_a_job_that_fails_names_its_line(cli: Cli) -> None:
    cli.write("tasks.py", PLAIN)
    line = last_line(cli, "call", "divide", "1", "0", code=1)
    assert line.startswith(
        "Error: shop.divide failed: ZeroDivisionError: division by zero (tasks.py, line 24: return x / y)"
    )
    assert "Traceback" in cli.run("call", "divide", "1", "0", "--debug").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "wroker",
        "status --bogus",
        "call add 1 --bogus",
        "worker --processes 0",
        "worker -Q a:0",
        "worker --soft-time-limit 5 --time-limit 5",
        "worker --pool eventlet",
        "enqueue add --priority 10",
        "enqueue add --countdown soon",
        "web --port 0",
        "why",
    ],
)
def test_a_wrong_command_line_is_usage(cli: Cli, arguments: str) -> None:
    cli.write("tasks.py", PLAIN)
    assert last_line(cli, *arguments.split(), code=2).startswith("Error: ")


def test_as_a_plugin_of_celery(cli: Cli) -> None:
    """The same group works as `celery umbel …`, with Celery's own -A."""
    cli.write("shop.py", PLAIN)
    program = "from celery.bin.celery import celery; from umbel.cli import umbel_command; "
    program += "celery.add_command(umbel_command); celery(auto_envvar_prefix='CELERY')"
    done = _python(cli, program, "-A", "shop", "umbel", "call", "add", "2", "3")
    assert (done.returncode, done.stdout) == (0, "5\n")
    done = _python(cli, program, "-A", "shop", "umbel", "status")
    assert done.returncode == 78
    assert done.stderr.startswith("Error: shop is a plain Celery application")
    done = _python(cli, program, "umbel", "call", "add", "2", "3")
    assert done.stderr == "Using shop:app (shop.py)\n5\n" or done.returncode == 78


def _python(cli: Cli, program: str, *arguments: str):  # type: ignore[no-untyped-def]
    import subprocess
    import sys

    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        command, cwd=cli.folder, env=cli.environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_a_store_that_is_away_is_said_once(cli: Cli) -> None:
    cli.write("jobs.py", 'from umbel import Umbel\n\napp = Umbel("shop")\n\n\n@app.task\ndef add(x, y): ...\n')
    line = last_line(cli, "enqueue", "add", "1", "2", code=69, UMBEL_BROKER_URL="redis://127.0.0.1:1/0")
    assert line.startswith("Error: redis://127.0.0.1:1/0 cannot be reached (")
    assert line.endswith("Is the server running, and are host and port right?")
