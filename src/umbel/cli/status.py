"""``umbel status``: queues, workers and dead letters, as they are now."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import click

from umbel.cli.console import ago, print_json, print_table, say
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.repeating import repeat

if TYPE_CHECKING:
    from umbel.engine.store import DeadLetter, QueueStatus, WorkerStatus

__all__ = ("status",)

_DEAD: Final = 10


@click.command()
@app_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--watch",
    type=click.FloatRange(0.2, 3600),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Show it again every SECONDS (2), until Ctrl-C.",
)
@pass_invocation
def status(invocation: Invocation, as_json: bool, watch: float | None) -> None:
    """Show queues, workers and dead letters."""
    engine = invocation.umbel().engine
    if watch is None:
        _show(engine, as_json)
    else:
        repeat(lambda: _show(engine, as_json), watch)


def _show(engine: Any, as_json: bool) -> None:
    queues, workers, dead = engine.queues(), engine.workers(), engine.dead(_DEAD)
    if as_json:
        print_json(
            {
                "queues": [_counts(queue) for queue in queues],
                "workers": [dataclasses.asdict(worker) for worker in workers],
                "dead": [_letter(letter) for letter in dead],
            }
        )
        return
    _print_queues(queues)
    _print_workers(workers)
    _print_dead(dead)


def _counts(queue: QueueStatus) -> dict[str, Any]:
    # Its mark is for who purges it in the same breath.
    return {name: value for name, value in dataclasses.asdict(queue).items() if name != "mark"}


def _letter(letter: DeadLetter) -> dict[str, object]:
    # The payload holds the job's arguments, which are not for a status listing, and attempts are long.
    return {name: value for name, value in dataclasses.asdict(letter).items() if name not in ("payload", "failures")}


def _print_queues(queues: list[QueueStatus]) -> None:
    columns = ("queue", "waiting", "delayed", "running", "suspects", "consumers")
    rows = [(q.name, q.ready, q.delayed, q.leased, q.suspect, q.consumers) for q in queues]
    print_table("Queues", columns, rows, empty="none yet, nothing was enqueued")
    for queue in queues:
        if queue.paused:
            say(f"{queue.name!r} is paused: 'umbel resume {queue.name}' lets its jobs start again.", colour="yellow")
        if not queue.consumers and queue.ready + queue.delayed + queue.suspect:
            say(f"No worker consumes {queue.name!r}: start one with 'umbel worker -Q {queue.name}'.", colour="yellow")


def _print_workers(workers: list[WorkerStatus]) -> None:
    columns = ("worker", "pid", "queues", "concurrency", "in flight", "started")
    rows = [(w.hostname, w.pid, ", ".join(w.queues), w.concurrency, w.in_flight, ago(w.started)) for w in workers]
    print_table("Workers", columns, rows, empty="none is running, start one with 'umbel worker'")


def _print_dead(dead: list[DeadLetter]) -> None:
    columns = ("died", "task", "queue", "reason", "job")
    rows = [(ago(d.died), d.task, d.queue, _short(d.reason), d.task_id) for d in dead]
    print_table(f"Dead letters (newest {_DEAD})" if len(dead) == _DEAD else "Dead letters", columns, rows)


def _short(reason: str, width: int = 80) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= width else line[: width - 1] + "…"
