"""What ``umbel top`` shows: a picture of the fleet, and how it is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from umbel.cli.console import ago, clock, duration
from umbel.plain_text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from umbel.engine.store import Engine, QueueStatus, WorkerStatus
    from umbel.monitor.failure_groups import FailureGroup
    from umbel.monitor.history import History
    from umbel.monitor.pace import TaskPace

__all__ = ("SORTS", "Picture", "View", "draw", "picture")

_FAILURES: Final = 5
_MINUTES: Final = 5
#: By what queues and tasks are sorted, and how.
SORTS: Final[dict[str, tuple[Callable[[QueueStatus], Any], Callable[[TaskPace], Any]]]] = {
    "busy": (lambda queue: (-queue.ready - queue.leased, queue.name), lambda task: -task.ended),
    "failing": (lambda queue: (-queue.suspect, queue.name), lambda task: (-task.failed - task.retried, -task.ended)),
    "slow": (lambda queue: (-queue.delayed, queue.name), lambda task: -(task.ran_p95 or 0.0)),
    "name": (lambda queue: queue.name, lambda task: task.task or ""),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """The fleet at one moment."""

    at: float
    queues: Sequence[QueueStatus] = ()
    workers: Sequence[WorkerStatus] = ()
    tasks: Sequence[TaskPace] = ()
    failures: Sequence[FailureGroup] = ()
    #: What could not be seen.
    note: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """How it is looked at."""

    sort: str = "busy"
    #: Which queue is marked, counted from 0 in the order shown.
    marked: int = 0
    frozen: bool = False

    def sorted_on(self) -> View:
        """Return the view with the next order."""
        names = list(SORTS)
        return replace(self, sort=names[(names.index(self.sort) + 1) % len(names)])

    def queues(self, picture: Picture) -> list[QueueStatus]:
        """Return the queues in their order."""
        return sorted(picture.queues, key=SORTS[self.sort][0])

    def queue(self, picture: Picture) -> QueueStatus | None:
        """Return the one that is marked."""
        found = self.queues(picture)
        return found[min(self.marked, len(found) - 1)] if found else None


def picture(engine: Engine, history: History | None) -> Picture:
    """Look at everything. Raises :exc:`StoreError` while the store cannot be asked."""
    from umbel.errors import StoreError

    found = Picture(time.time(), engine.queues(), engine.workers())
    if history is None:
        return replace(found, note="There is no history: tasks and failures are not shown.")
    from umbel.monitor.pace import task_paces

    try:
        tasks = task_paces(history.database, _MINUTES * 60)
        return replace(found, tasks=tasks, failures=history.failures.find(limit=_FAILURES))
    except StoreError as error:
        return replace(found, note=f"The history cannot be asked: {error}")


def draw(seen: Picture, view: View) -> RenderableType:
    """Return it for rich."""
    from rich.console import Group
    from rich.text import Text

    busy, slots = sum(one.in_flight for one in seen.workers), sum(one.concurrency for one in seen.workers)
    state = "frozen, " if view.frozen else ""
    head = f"umbel top  {clock(seen.at)}  {state}{len(seen.workers)} processes, {busy} of {slots} slots have a job"
    keys = "q quit  s sort  ↑ ↓ mark a queue  p pause or resume it  space freeze"
    parts: list[RenderableType] = [Text(head, style="bold"), Text(f"sorted by: {view.sort}"), Text(keys, style="dim")]
    if seen.note:
        parts.append(Text(seen.note, style="yellow"))
    return Group(*parts, *(one for one in _tables(seen, view) if one.row_count))


def _tables(seen: Picture, view: View) -> list[Table]:
    marked, queues = view.queue(seen), view.queues(seen)
    tasks = sorted(seen.tasks, key=SORTS[view.sort][1])
    return [
        _table(
            "Queues",
            ("", "queue", "waiting", "delayed", "running", "suspects", "consumers", ""),
            [(*_queue(one), "paused" if one.paused else "") for one in queues],
            marked=queues.index(marked) if marked is not None else None,
        ),
        _table(
            "Workers",
            ("worker", "queues", "slots", "in flight", "started"),
            [(w.hostname, ", ".join(w.queues), w.concurrency, w.in_flight, ago(w.started)) for w in seen.workers],
        ),
        _table(
            f"Tasks, last {_MINUTES} minutes",
            ("task", "ended", "failed", "retried", "waited p95", "ran p50", "ran p95"),
            [_task(one) for one in tasks],
        ),
        _table(
            "Failures that are alike",
            ("jobs", "newest", "task", "error"),
            [(one.jobs, ago(one.ended_at), one.task, _error(one)) for one in seen.failures],
        ),
    ]


def _queue(one: QueueStatus) -> tuple[object, ...]:
    return "", one.name, one.ready, one.delayed, one.leased, one.suspect, one.consumers


def _task(one: TaskPace) -> tuple[object, ...]:
    times = (one.waited_p95, one.ran_p50, one.ran_p95)
    return one.task, one.ended, one.failed, one.retried, *("" if at is None else duration(at) for at in times)


def _error(one: FailureGroup) -> str:
    return " ".join(f"{one.error_type}: {one.error_message}".split())[:100]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], marked: int | None = None) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        numeric = any(isinstance(row[place], int) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="ellipsis", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [Text("" if value is None else one_line(str(value))) for value in row]
        if number == marked:
            cells[0] = Text(">")
        table.add_row(*cells, style="reverse" if number == marked else "")
    return table
