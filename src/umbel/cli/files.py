"""Files that the command line is told to write."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ("check_writable",)


def check_writable(path: Path | None, option: str) -> None:
    """Raise click's usage error if ``path`` cannot be written, before anything is started that would find out later."""
    if path is None:
        return
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be written ({error.strerror}).", param_hint=f"'{option}'") from error
