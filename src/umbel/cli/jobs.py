"""``umbel jobs``: the history of all jobs, those that have ended and those that have not."""

from __future__ import annotations

import click

from umbel.cli.jobs_failures import failures
from umbel.cli.jobs_list import list_jobs
from umbel.cli.jobs_logs import logs
from umbel.cli.jobs_put_back import put_back
from umbel.cli.jobs_show import show

__all__ = ("jobs",)


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(self.commands)


@click.group(cls=_Group)
def jobs() -> None:
    """Look at the history of all jobs.

    It is written by the workers' recorder, and kept in UMBEL_HISTORY_URL; it is about a second behind, and up
    to half a minute in a burst of jobs that leaves no core to spare.
    """


for _command in (list_jobs, show, logs, failures, put_back):
    jobs.add_command(_command)
