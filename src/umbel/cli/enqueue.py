"""``umbel enqueue``: hand a job to the workers, and wait for its end if asked."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from umbel.cli.arguments import JobCommand, find_task, keywords, values
from umbel.cli.console import is_terminal, print_json, remark
from umbel.cli.duration import DURATION
from umbel.cli.group import EX_UNAVAILABLE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.states import JobState

if TYPE_CHECKING:
    from celery import Celery

    from umbel.app import Umbel
    from umbel.jobs.status import JobStatus

__all__ = ("enqueue",)

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


@click.command(cls=JobCommand)
@click.argument("task")
@click.argument("args", nargs=-1)
@click.option("-k", "--kwarg", multiple=True, metavar="NAME=VALUE", help="A keyword argument; may be repeated.")
@click.option("--countdown", type=DURATION, metavar="DURATION", help="Start it no sooner than this: 90, 10m, 2h.")
@click.option("--queue", metavar="NAME", help="Put it into this queue instead of the task's own.")
@click.option("--priority", type=click.IntRange(0, 9), metavar="0-9", help="9 runs first.")
@click.option("--id", "task_id", metavar="ID", help="The job's id, instead of a new one.")
@click.option("--wait", is_flag=True, help="Wait for its end and print the result as JSON; exit 1 if it failed.")
@click.option(
    "--timeout", type=DURATION, default="60", show_default=True, metavar="DURATION", help="How long --wait waits."
)
@app_options
@pass_invocation
def enqueue(
    invocation: Invocation,
    /,
    task: str,
    args: tuple[str, ...],
    kwarg: tuple[str, ...],
    wait: bool,
    timeout: float,
    **options: Any,
) -> None:
    """Enqueue a job and print its id.

    Each of ARGS is read as JSON; what is not JSON is the string it is: add 2 3, greet Ann, total '[1, 2]'.
    """
    app = invocation.umbel() if wait else invocation.app()
    if wait:
        # What cannot be waited for is not sent either.
        invocation.umbel().engine.check()
    named = keywords(kwarg)
    chosen = {name: value for name, value in options.items() if value is not None}
    if chosen.get("task_id"):
        # An id is given so that the same command may be repeated.
        chosen["headers"] = {"umbel_once": True}
    job_id = find_task(app, task).apply_async(values(args), named, **chosen).id
    _warn_of(chosen.get("queue"), app)
    if not wait:
        click.echo(job_id)
        if is_terminal():
            remark(f"Follow it with: umbel why {job_id}")
        return
    remark(f"Job {job_id}")
    _finish(_wait(invocation.umbel(), str(job_id), timeout))


def _warn_of(queue: str | None, app: Celery) -> None:
    from umbel.app import Umbel
    from umbel.engine.registry import is_served

    if queue is None or not isinstance(app, Umbel) or not is_served(app.conf.broker_url):
        return
    if not any(queue in worker.queues for worker in app.engine.workers()):
        remark(f"Nothing consumes the queue {queue!r} now: 'umbel worker -Q {queue}' would.")


def _wait(app: Umbel, job_id: str, timeout: float) -> JobStatus:
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    shown = None
    while True:
        status = app.status(job_id)
        if status.state.finished:
            return status
        if time.monotonic() >= deadline:
            raise Failure(
                f"Job {job_id} is still {status.state} after {timeout:g} s and goes on: see 'umbel why {job_id}'.",
                EX_UNAVAILABLE,
            )
        if status.progress is not None and status.progress != shown:
            shown = status.progress
            _show_progress(status)
            pause = _FIRST_PAUSE
        time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _show_progress(status: JobStatus) -> None:
    progress = status.progress
    if progress is not None and sys.stderr.isatty():
        remark(f"{progress.done:g} of {progress.total:g} {progress.message}".rstrip())


def _finish(status: JobStatus) -> None:
    if status.state is not JobState.SUCCEEDED:
        raise Failure(f"Job {status.id} {status.state}" + (f": {status.error}" if status.error else "."))
    print_json(status.as_dict()["result"])
