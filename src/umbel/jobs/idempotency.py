"""``Idempotent``: what a job does to the world outside happens once per key, however often the job runs (C32).

Once, when it is written in the key's own database transaction (``transaction=True``), or when the other side knows
repetitions by the key, or can be asked by it. Otherwise an effect that was interrupted is uncertain, and is held for a
person. What comes later with the same key gets the first one's result. Costs one round trip to the state store before
each body (before a batch of them with ``uncertain="repeat"``), and one for all that have ended since the last
settlement; with ``transaction=True`` none, and two statements in the transaction.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from umbel.engine.bridge import bridged
from umbel.engine.outcome import is_running
from umbel.errors import ConfigurationError
from umbel.jobs.claims import granted
from umbel.jobs.doubt import EffectPolicy
from umbel.jobs.effects import Desk, entered
from umbel.jobs.job_effects import JobEffect
from umbel.jobs.keys import Key, key_name, unknown_names

__all__ = ("Idempotent",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotent(EffectPolicy):
    """Let a job's effect happen once per key.

        @jobs.task(idempotent=Idempotent(key="order", for_="7d", ask=find_charge))
        def charge(order: int, amount: int) -> str:
            return gateway.charge(order, amount, idempotency_key=current_effect().key)

    ``key``: names of parameters, or a function of the arguments; all arguments when left out. ``for_``: for how long
    the result is kept and given to those that come later. ``ask``: called with the key and the job's arguments for an
    effect that was interrupted; it returns :class:`Done`, :class:`NotDone`, or None when it cannot tell.
    ``uncertain``: what becomes of one of which nobody can tell: it is held for a person (``"hold"``: the job fails with
    :exc:`EffectUncertain`, and no retry repeats it), or caused again (``"repeat"``: for another side that knows
    repetitions by the key). ``unsure``: exceptions after which it may be there, beside those that are known.
    ``lease``: how long the claim of a process outlives it. ``transaction``: the key and the effect are written in one
    transaction of ``UMBEL_DATABASE_URL``, the job's ``jobs.session()``. Raises :exc:`ConfigurationError`.
    """

    key: Key = None
    transaction: bool = False

    def __post_init__(self) -> None:
        EffectPolicy.__post_init__(self)
        if self.transaction and (self.ask is not None or self.uncertain != "hold" or self.unsure):
            raise ConfigurationError(
                "Idempotent(transaction=True): what is in one transaction with its key is never uncertain; leave out "
                "ask=, uncertain= and unsure=."
            )

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``idempotent=`` of a task declares: an :class:`Idempotent`, or True for its defaults."""
        if value is True:
            return cls()
        if not isinstance(value, cls):
            raise ConfigurationError(f"{place}: idempotent={value!r} is no declaration; write Idempotent(...) or True.")
        return value

    def problem(self, task: Any) -> str | None:
        """Return what is wrong with it on ``task``, as a sentence; None when nothing is."""
        if self.transaction and task.app.settings.database_url is None:
            return f"Task {task.name}: Idempotent(transaction=True) needs UMBEL_DATABASE_URL, your own database."
        missing, known = unknown_names(task, self.key)
        if not missing:
            return None
        names = ", ".join(known) or "none"
        return f"Task {task.name}: Idempotent(key={missing[0]!r}) is none of its parameters ({names})."

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run`` so that it runs once per key, as the store knows it."""
        if self.transaction:
            return run
        ask = None if self.ask is None else bridged(self.ask) if inspect.iscoroutinefunction(self.ask) else self.ask

        @functools.wraps(run)
        def once(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task) or task.request.is_eager:
                return run(*args, **kwargs)
            asks = None if ask is None else lambda key: ask(key, *args, **kwargs)
            effect = next(iter(granted("idempotent")), None) or self.effect(task, args, kwargs, ask=asks)
            with entered(effect):
                return effect.call(run, *args, **kwargs)

        return once

    @property
    def claims(self) -> bool:
        """Whether jobs may claim before they begin: not where one that died then would leave a doubt."""
        return self.uncertain == "repeat" and self.ask is None and not self.transaction

    def effect(self, task: Any, args: Any, kwargs: Any, *, ask: Callable[[str], Any] | None = None) -> JobEffect:
        """Return the effect of a job. Raises :exc:`InvalidArguments`."""
        desk: Desk = task.app.effect_desk
        return JobEffect(desk, f"task:{key_name(task, self.key, args, kwargs)}", self, ask=ask)

    def within(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run``, which is the body itself, so that it runs once per key, in the key's own transaction."""
        if not self.transaction:
            return run
        from umbel.jobs.database_effects import InSession

        def effect(session: Any, args: Any, kwargs: Any) -> InSession:
            name = f"task:{key_name(task, self.key, args, kwargs)}"
            return InSession(session, task.app.main or "", name, self.for_.total_seconds(), task.app.protection)

        @functools.wraps(run)
        def once(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task):
                return run(*args, **kwargs)
            with task.app.session.begin() as session, effect(session, args, kwargs) as found, entered(found):
                if not found.done:
                    found.result = run(*args, **kwargs)
            return found.result

        coroutine = getattr(run, "umbel_coroutine", None)
        if coroutine is None:
            return once
        body = functools.partial(coroutine, run.__self__) if inspect.ismethod(run) else coroutine

        @functools.wraps(coroutine)
        async def aonce(*args: Any, **kwargs: Any) -> Any:
            if not is_running(task):
                return await body(*args, **kwargs)
            async with (
                task.app.async_session.begin() as session,
                effect(session, args, kwargs) as found,
            ):
                with entered(found):
                    if not found.done:
                        found.result = await body(*args, **kwargs)
            return found.result

        aonce.__signature__ = inspect.signature(run)  # type: ignore[attr-defined]
        bridge: Any = bridged(aonce)
        # A direct call is one of the body.
        bridge.umbel_coroutine = coroutine
        return bridge  # type: ignore[no-any-return]
