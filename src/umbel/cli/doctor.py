"""``umbel doctor``: what is wrong, or soon will be, and what to do about it."""

from __future__ import annotations

import dataclasses
from typing import Final

import click

from umbel.cli.console import print_json
from umbel.cli.group import EX_FAILED
from umbel.cli.invocation import Invocation, app_options, pass_invocation

__all__ = ("doctor",)

_MARKS: Final = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@app_options
@pass_invocation
def doctor(invocation: Invocation, as_json: bool) -> None:
    """Look for problems.

    Queues without a consumer, limits, expiry of results, the file system, versions.

    Exits 1 when there is one.
    """
    from umbel.cli import checks

    findings = list(checks.examine(invocation.umbel()))
    problems = sum(finding.level == "problem" for finding in findings)
    if as_json:
        print_json({"problems": problems, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            click.echo(f"{click.style(f'{mark:8}', fg=colour)}{finding.check}: {finding.text}")
        click.echo(f"{problems} problems." if problems != 1 else "1 problem.")
    if problems:
        raise click.exceptions.Exit(EX_FAILED)
