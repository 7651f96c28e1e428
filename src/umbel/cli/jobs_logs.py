"""``umbel jobs logs``: what a job has logged and printed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.console import clock, print_json, remark
from umbel.cli.history_of import history_of
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.job_live import print_line

if TYPE_CHECKING:
    from umbel.monitor.job_lines import ExecutionLines
    from umbel.state.events import Line

__all__ = ("logs",)


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def logs(invocation: Invocation, task_id: str, as_json: bool) -> None:
    """Show what a job has logged and printed.

    In each of its executions; of one that runs, its last lines until now.
    """
    app = invocation.umbel()
    history = history_of(app)
    history.jobs.job(task_id)
    found = history.lines.of(task_id)
    live = app.where.find(task_id).live
    now = live.lines if live is not None else ()
    if as_json:
        print_json({"executions": [_plain(one) for one in found], "now": [_line(one) for one in now]})
        return
    for number, one in enumerate(found, 1):
        click.secho(f"Execution {number}, ended {clock(one.ended_at)}", bold=True)
        _print(one)
    if now:
        click.secho("Running now", bold=True)
        for line in now:
            print_line(line)
    if not found and not now:
        remark("It has logged nothing, or nothing was kept.")


def _print(found: ExecutionLines) -> None:
    for place, line in enumerate(found.lines):
        if place == found.head and found.dropped:
            click.echo(f"  … {found.dropped} lines were not kept …")
        print_line(line)


def _plain(found: ExecutionLines) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "lines": [_line(one) for one in found.lines]}


def _line(one: Line) -> dict[str, Any]:
    return {"at": one.at, "level": one.level, "logger": one.logger, "text": one.text}
