"""``umbel jobs list``: jobs of the history, the newest first."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.console import ago, duration, print_json, print_table, remark
from umbel.cli.duration import DURATION
from umbel.cli.history_of import history_of
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.monitor.job_filter import JobFilter
    from umbel.monitor.jobs_view import JobRow

__all__ = ("list_jobs",)

_STATES = tuple(state.value for state in JobState)


@click.command(name="list")
@click.option(
    "--state", "states", type=click.Choice(_STATES), multiple=True, help="Only those in this state, or these."
)
@click.option("--task", metavar="NAME", help="Only those of this task.")
@click.option("--queue", metavar="NAME", help="Only those of this queue.")
@click.option("--tag", metavar="NAME", help="Only those with this tag.")
@click.option("--owner", metavar="NAME", help="Only those of this owner.")
@click.option("--worker", metavar="NAME", help="Only those that this worker ran last.")
@click.option("--release", metavar="NAME", help="Only those that this release ran last.")
@click.option("--fingerprint", metavar="MARK", help="Only those that failed at this place; 'jobs failures' shows it.")
@click.option("--since", type=DURATION, metavar="DURATION", help="Only those dispatched within this time: 1h, 2d.")
@click.option("--until", type=DURATION, metavar="DURATION", help="Only those dispatched longer ago than this.")
@click.option("--text", metavar="WORDS", help="Only those with this in their id, arguments or error.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many to show.")
@click.option("--before", type=int, metavar="NUMBER", help="Go on below this number, the last one of a page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def list_jobs(
    invocation: Invocation, /, states: tuple[str, ...], limit: int, before: int | None, as_json: bool, **given: Any
) -> None:
    """List jobs, the newest first."""
    wanted = _filter(states, given)
    page = history_of(invocation.umbel()).jobs.find(wanted, before=before, limit=limit)
    if as_json:
        print_json([dataclasses.asdict(job) for job in page.jobs])
        return
    columns = ("number", "queued", "task", "queue", "state", "tries", "waited", "ran", "job")
    print_table("Jobs", columns, [_row(job) for job in page.jobs])
    if page.next is not None:
        remark(f"There may be more: --before {page.next}")


def _filter(states: tuple[str, ...], given: dict[str, Any]) -> JobFilter:
    from umbel.monitor.job_filter import JobFilter

    now = time.time()
    for name in ("since", "until"):
        if given[name] is not None:
            given[name] = now - given[name]
    return JobFilter(states=frozenset(map(JobState, states)), **given)


def _row(job: JobRow) -> tuple[object, ...]:
    waited, ran = ("" if one is None else duration(one) for one in (job.waited, job.ran))
    return (job.number, ago(job.queued_at), job.task, job.queue, job.state.value, job.attempts, waited, ran, job.id)
