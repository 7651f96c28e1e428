"""``umbel dead export``: dead letters as JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from umbel.cli.console import json_safe
from umbel.cli.dead_filter import filter_options
from umbel.cli.dead_show import document
from umbel.cli.invocation import Invocation, app_options, pass_invocation

if TYPE_CHECKING:
    from umbel.engine.letters import LetterFilter

__all__ = ("export",)


@click.command()
@filter_options
@app_options
@pass_invocation
def export(invocation: Invocation, where: LetterFilter) -> None:
    """Print dead letters as JSON lines, the newest first.

    Each line is all of one letter, with its message and the arguments of the job.
    """
    for letter in invocation.umbel().dead_letters.walk(where):
        click.echo(json.dumps(json_safe(document(letter)), ensure_ascii=False, allow_nan=False))
