"""Effects of which nobody knows whether they are there, and what a person, or a program that asks, says (C32)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from umbel.durations import duration
from umbel.engine.protection import Protection
from umbel.jobs.effect_results import encoded
from umbel.state.effects import Effects, Uncertain

__all__ = ("UncertainEffects",)


class UncertainEffects:
    """``jobs.effects``. An effect's name is what :exc:`EffectUncertain` says, in its text and in its ``name``."""

    def __init__(self, effects: Callable[[], Effects], protection: Protection) -> None:
        self._effects: Final = effects
        self._protection: Final = protection

    def uncertain(self, limit: int = 100) -> list[Uncertain]:
        """Return the effects that are uncertain, the oldest first: ``name``, ``owner`` (the job's id), ``since``."""
        return self._effects().uncertain(limit)

    def is_done(self, name: str, result: Any = None, *, for_: object = timedelta(days=1)) -> bool:
        """Say that it is there: whoever comes next gets ``result``. False if it is not, or no longer, uncertain."""
        text = encoded(self._protection, name, result)
        return self._effects().resolve(name, text, duration(for_).total_seconds())

    def is_not_done(self, name: str) -> bool:
        """Say that it is not there: whoever comes next causes it. False if it is not, or no longer, uncertain."""
        return self._effects().resolve(name, None, 0.0)
