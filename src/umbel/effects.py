"""What an application offers for effects that happen once per key, in any code."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, overload

from umbel.database import extra
from umbel.durations import duration
from umbel.errors import ConfigurationError
from umbel.jobs.doubt import EffectPolicy
from umbel.jobs.effects import Desk, Effect
from umbel.jobs.locks import Keeper
from umbel.jobs.uncertain_effects import UncertainEffects

if TYPE_CHECKING:
    from umbel.jobs.database_effects import InSession
    from umbel.jobs.outbox import AnySession

__all__ = ("WithEffects",)

_KEY_MOST: Final = 500


class WithEffects:
    """A part of :class:`umbel.Umbel`."""

    @overload
    def idempotent(self, key: str, *, session: AnySession, for_: Any = ...) -> InSession: ...
    @overload
    def idempotent(self, key: str, *, wait: Any = 0, begun: bool = True, **options: Any) -> Effect: ...
    def idempotent(
        self, key: str, *, session: Any = None, wait: Any = 0, begun: bool = True, **options: Any
    ) -> InSession | Effect:
        """Return an effect that happens once per ``key``, to ``call`` or as a block, ``with`` or ``async with``.

            charge_id = jobs.idempotent(f"charge:{order}", ask=find_charge).call(gateway.charge, order)

        ``options`` are those of :class:`umbel.Idempotent`; ``ask`` is called with the key. ``wait``: for how long to
        wait for another one that causes it; then a job is put off, and other code gets :exc:`EffectRunning`.
        ``begun=False``: the block says itself, by ``begin()``, from when on the effect may be there.
        ``session``: key and effect are written in this session's transaction. Raises :exc:`ConfigurationError`, and
        :exc:`ValueError` for what is no duration.
        """
        app: Any = self
        if not isinstance(key, str) or not 0 < len(key) <= _KEY_MOST:
            raise ConfigurationError(f"idempotent(key=…) is a text of 1 to {_KEY_MOST} characters.")
        name = f"named:{key}"
        policy = EffectPolicy(**options)
        if session is None:
            wanted = duration(wait).total_seconds()
            return Effect(self.effect_desk, name, policy, ask=policy.ask, wait=wanted, begun=begun)
        with extra("jobs.idempotent(session=)"):
            from umbel.jobs.database_effects import InSession
        return InSession(session, app.main or "", name, policy.for_.total_seconds(), app.protection)

    @cached_property
    def effects(self) -> UncertainEffects:
        """The effects of which nobody knows whether they are there, and what a person says of them."""
        app: Any = self
        return UncertainEffects(lambda: app.engine.effects, app.protection)

    @cached_property
    def effect_desk(self) -> Desk:
        """Renews the claims on effects that this process has."""
        app: Any = self
        return Desk(Keeper(lambda: app.engine.effects, "effect"), app.protection)
