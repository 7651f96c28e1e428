"""The command line: ``umbel`` and, through Celery's plug-ins, ``celery umbel``.

Importing this imports nothing: a worker process finds its application through a part of it. The command imports click
and its own module; what is heavier, Celery, rich or FastAPI, each command imports when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umbel.cli.root import umbel_command

__all__ = ("main", "umbel_command")


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    from umbel.cli.root import umbel_command

    umbel_command(prog_name="umbel")


def __getattr__(name: str) -> object:
    if name == "umbel_command":
        from umbel.cli.root import umbel_command

        return umbel_command
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
