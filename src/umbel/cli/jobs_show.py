"""``umbel jobs show``: one job, with its arguments, its result and every attempt."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from umbel.cli.console import ago, clock, duration, print_json, say
from umbel.cli.history_of import history_of
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from umbel.monitor.jobs_view import JobDetails, PastAttempt

__all__ = ("show",)


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def show(invocation: Invocation, task_id: str, as_json: bool) -> None:
    """Show a job, by its id.

    Where a job is that has not ended, 'umbel why' tells.
    """
    found = history_of(invocation.umbel()).jobs.job(task_id)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    for name, value in _facts(found).items():
        if value not in (None, ""):
            say(f"{name:<12} {value}")
    for number, attempt in enumerate(found.attempts, 1):
        _print_attempt(number, attempt)


def _facts(found: JobDetails) -> dict[str, object]:
    job = found.job
    error = f"{job.error_type}: {job.error_message}" if job.error_type else None
    return {
        "job": job.id,
        "task": job.task,
        "state": job.state.value,
        "arguments": found.arguments,
        "result": found.result,
        "error": error,
        "queue": job.queue,
        "owner": job.owner,
        "tags": ", ".join(found.tags),
        "queued": _moment(job.queued_at),
        "due": _moment(job.due_at),
        "started": _moment(job.started_at),
        "ended": _moment(job.ended_at),
        "waited": None if job.waited is None else duration(job.waited),
        "ran": None if job.ran is None else duration(job.ran),
        "worker": job.worker,
        "release": job.release,
        "fingerprint": job.fingerprint,
        "parent": job.parent_id,
        "children": " ".join(child.id for child in found.children),
        "group": job.group_id,
        "batch": job.batch_id,
        "replays": job.replays or None,
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else f"{clock(at)} ({ago(at)})"


def _print_attempt(number: int, attempt: PastAttempt) -> None:
    of = f", release {attempt.release}" if attempt.release else ""
    error = f": {attempt.error_type}: {attempt.error_message}" if attempt.error_type else ""
    say(f"\nAttempt {number}, {attempt.state}, {clock(attempt.ended_at)}, {attempt.worker}{of}{error}", bold=True)
    if attempt.traceback:
        say(attempt.traceback.rstrip())
