"""``umbel dead``: what failed for good, to look at, replay, drop and export."""

from __future__ import annotations

import click

from umbel.cli.dead_drop import drop
from umbel.cli.dead_export import export
from umbel.cli.dead_list import list_letters
from umbel.cli.dead_replay import replay
from umbel.cli.dead_show import show

__all__ = ("dead",)


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(self.commands)


@click.group(cls=_Group)
def dead() -> None:
    """Look at dead letters, replay and drop them.

    A dead letter is a job that failed for good, with its message and all of its attempts.
    """


for _command in (list_letters, show, replay, drop, export):
    dead.add_command(_command)
