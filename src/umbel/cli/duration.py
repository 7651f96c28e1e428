"""Durations on the command line: ``90``, ``90s``, ``10m``, ``1h30m``, ``1d``."""

from __future__ import annotations

from typing import Any, Final

import click

from umbel import durations

__all__ = ("DURATION",)


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        try:
            return durations.duration(value).total_seconds()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a duration: write seconds, or 90s, 10m, 1h30m, 1d.", param, ctx)


DURATION: Final = _Duration()
