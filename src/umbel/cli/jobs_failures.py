"""``umbel jobs failures``: failures that are alike, as one."""

from __future__ import annotations

import dataclasses

import click

from umbel.cli.console import ago, print_json, print_table
from umbel.cli.history_of import history_of
from umbel.cli.invocation import Invocation, app_options, pass_invocation

__all__ = ("failures",)

_WIDTH = 60


@click.command()
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def failures(invocation: Invocation, limit: int, as_json: bool) -> None:
    """List failures that are alike, most frequent first."""
    found = history_of(invocation.umbel()).failures.find(limit=limit)
    if as_json:
        print_json([dataclasses.asdict(group) for group in found])
        return
    columns = ("jobs", "newest", "task", "release", "error of the newest", "fingerprint")
    rows = [
        (one.jobs, ago(one.ended_at), one.task, one.release, _said(one.error_type, one.error_message), one.fingerprint)
        for one in found
    ]
    print_table("Failures that are alike", columns, rows)


def _said(kind: str | None, message: str | None) -> str:
    line = " ".join(f"{kind}: {message}".split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
