"""C45: Celery's own command line against a running worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.acceptance.semantics.jobs import Jobs, outcome
from tests.acceptance.semantics.waiting import until
from tests.acceptance.semantics.worlds import MODULE, World, environment

_ROOT = Path(__file__).parents[3]


def celery(world: World, *words: str, code: int = 0) -> str:
    arguments, variables = ["-A", MODULE, *words], environment(world)
    if world.plan.kind == "umbel":
        done = world.warm.run(arguments, _ROOT, variables, module="celery", seconds=150)
    else:
        # Plain Celery's command must know nothing of Umbel.
        command = [sys.executable, "-m", "celery", *arguments]
        done = subprocess.run(command, cwd=_ROOT, env=variables, capture_output=True, text=True, timeout=150)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def test_status_names_every_node(world: World) -> None:
    """C45"""
    nodes = sorted(world.inspect().ping())
    until(lambda: all(node in celery(world, "status") for node in nodes), "status names every node")


def test_ping_of_all_and_of_one(world: World) -> None:
    """C45"""
    nodes = sorted(world.inspect().ping())
    until(lambda: sorted(json.loads(celery(world, "inspect", "ping", "--json"))) == nodes, "every node answers")
    until(lambda: list(json.loads(celery(world, "inspect", "ping", "--json", "-d", nodes[0]))) == nodes[:1], "one does")


def test_call_and_result(jobs: Jobs) -> None:
    """C45"""
    task_id = celery(jobs.world, "call", jobs.named("add"), "--args", "[2, 3]").strip()
    assert outcome(jobs.world.app.AsyncResult(task_id)) == 5
    assert celery(jobs.world, "result", task_id).strip().endswith("5")


def test_control_and_report(world: World) -> None:
    """C45"""
    command = ("control", "time_limit", "sync.limited_later", "60", "90")
    answer = "time limits set successfully"
    until(lambda: celery(world, *command).count(answer) == world.plan.nodes, "every node has taken the limits")
    assert "software -> celery" in celery(world, "report")
