"""umbel why, jobs logs, jobs put-back, status --watch and top, on a worker with a history."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.integration.cli.conftest import Cli, on_terminal, until
from umbel import Umbel
from umbel.cli.top_view import SORTS, Picture, View, draw
from umbel.engine.store import QueueStatus, WorkerStatus
from umbel.monitor.history import History
from umbel.monitor.pace import TaskPace

WORKER = ("worker", "--processes", "1", "-c", "2", "--loglevel", "WARNING")


@pytest.fixture
def watched(shop: Cli) -> Cli:
    """A shop with a worker whose recorder runs."""
    shop.start(*WORKER, UMBEL_HISTORY="1")
    return shop


def history_of(shop: Cli) -> History:
    return History(folder=Path(shop.folder) / ".umbel")


@pytest.mark.slow
def test_a_job_is_followed_from_its_stack_to_its_log(watched: Cli) -> None:
    until(lambda: (watched.folder / ".umbel" / "history.db").exists(), "a history")
    task_id = watched.ok("enqueue", "shout", "hello", "there")
    slow = watched.ok("enqueue", "nap", "600")

    def standing() -> bool:
        done = watched.run("why", slow, UMBEL_HISTORY="1")
        return "Its coroutine awaits in" in done.stdout and "in nap" in done.stdout

    until(standing, "a stack")
    said = json.loads(watched.ok("why", slow, "--json"))
    assert (said["place"], said["reason"], said["live"]["kind"]) == ("running", "running", "coroutine")
    assert any(frame["function"] == "nap" for frame in said["live"]["frames"])

    def logged() -> bool:
        done = watched.run("jobs", "logs", task_id, UMBEL_HISTORY="1")
        return "PRINT" in done.stdout and "hello there" in done.stdout

    until(logged, "the lines of a job")
    document = json.loads(watched.ok("jobs", "logs", task_id, "--json", UMBEL_HISTORY="1"))
    assert document["executions"][0]["lines"][0]["text"] == "hello there"
    refused = watched.run("jobs", "put-back", task_id)
    assert refused.returncode == 1
    assert "succeeded" in refused.stderr
    shown = watched.ok("top", "--once", UMBEL_HISTORY="1")
    for text in ("Queues", "Workers", "Tasks, last 5 minutes", "jobs.shout"):
        assert text in shown
    watched.ok("cancel", slow)


def test_status_is_shown_again_and_again(shop: Cli) -> None:
    running = shop.start("status", "--watch", "0.2")
    until(lambda: running.text().count("Queues: none yet") >= 3, "three looks")
    assert running.stop(2) == 130


@pytest.mark.parametrize("recorded", [False, True])
def test_top_is_left_by_a_key(shop: Cli, recorded: bool) -> None:
    """And p has paused the queue; where there is a history, its audit log says by whom."""
    history = history_of(shop) if recorded else None
    jobs = Umbel("shop", broker=f"sqlite:///{shop.folder / '.umbel' / 'umbel.db'}", set_as_current=False)
    jobs.send_task("jobs.add", (1, 2))
    code, seen = on_terminal(
        [sys.executable, "-m", "umbel", "top", "--every", "60"], "spq", shop.folder, shop.environment()
    )
    assert code == 0, seen
    assert "sorted by: failing" in seen
    assert [queue.paused for queue in jobs.engine.queues()] == [True]
    if history is not None:
        assert [entry.action for entry in history.audit.find(limit=5).entries] == ["queue.pause"]
        history.close()
    jobs.engine.close()
    jobs.close()


def text_of(picture: Picture, view: View) -> str:
    console = Console(width=160, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(draw(picture, view))
    return captured.get()


PICTURE = Picture(
    0.0,
    [QueueStatus("mail", 5, 0, 1, 0, 1, paused=True), QueueStatus("default", 50, 2, 1, 0, 1)],
    [WorkerStatus(7, "w1@host", 42, ("default", "mail"), 10, 0.0, 3)],
    [
        TaskPace(task="shop.quick", succeeded=90, failed=0, retried=0, waited_p95=0.1, ran_p50=0.01, ran_p95=0.02),
        TaskPace(task="shop.slow", succeeded=3, failed=2, retried=1, waited_p95=1.0, ran_p50=10.0, ran_p95=70.0),
    ],
)


def order_of(text: str, *words: str) -> list[str]:
    return sorted(words, key=text.index)


def test_the_picture_has_queues_workers_and_tasks() -> None:
    text = text_of(PICTURE, View())
    assert "3 of 10 slots" in text
    assert "paused" in text
    assert "1.2 min" in text
    assert "Failures" not in text
    assert "no history" in text_of(Picture(0.0, note="There is no history."), View())


@pytest.mark.parametrize(
    ("sort", "queues", "tasks"),
    [
        ("busy", ["default ", "mail "], ["shop.quick", "shop.slow"]),
        ("failing", ["default ", "mail "], ["shop.slow", "shop.quick"]),
        ("slow", ["default ", "mail "], ["shop.slow", "shop.quick"]),
        ("name", ["default ", "mail "], ["shop.quick", "shop.slow"]),
    ],
)
def test_it_is_sorted(sort: str, queues: list[str], tasks: list[str]) -> None:
    view = View(sort=sort)
    text = text_of(PICTURE, view)
    assert order_of(text, *tasks) == tasks
    marked = view.queue(PICTURE)
    assert marked is not None
    assert marked.name == queues[0].strip()
    assert view.sorted_on().sort in SORTS
