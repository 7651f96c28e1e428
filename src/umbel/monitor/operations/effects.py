"""Uncertain effects: to say whether they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from umbel.errors import UnknownName
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("EffectOperations",)


class EffectOperations:
    """``jobs.operations.effects``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def is_done(self, name: str, result: Any = None, *, by: Actor, for_: str = "1d") -> Outcome:
        """Say that an uncertain effect is there; ``result``, which is in no entry, is what the next one gets.

        Raises :exc:`UnknownName` when it is not uncertain.
        """
        with self._desk.action(by, "effect.done", name, kept=for_):
            if not self._app.effects.is_done(name, result, for_=for_):
                raise _not_uncertain(name)
        return Outcome(text=f"{name!r} is there.", target=name)

    def is_not_done(self, name: str, *, by: Actor) -> Outcome:
        """Say that an uncertain effect is not there. Raises :exc:`UnknownName` when it is not uncertain."""
        with self._desk.action(by, "effect.not_done", name):
            if not self._app.effects.is_not_done(name):
                raise _not_uncertain(name)
        return Outcome(text=f"{name!r} is not there.", target=name)


def _not_uncertain(name: str) -> UnknownName:
    return UnknownName("effect", name, " that is uncertain")
