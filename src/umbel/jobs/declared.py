"""What a task declares, and how it is put around its body.

``@jobs.task(retry=3, …)`` hands Umbel's own options to :func:`take`, so that none of them reaches Celery, whose
``Task.retry`` is a method. What is declared goes around ``task.run``, as ``autoretry_for`` does: in every pool, on the
short path and on Celery's, in eager mode, for ``def`` and ``async def``. A task that declares nothing has
``declared = None``, keeps its ``run`` and pays nothing (P9).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from umbel.engine.outcome import Outcome, is_running
from umbel.errors import ConfigurationError
from umbel.jobs.breaker import Breaker
from umbel.jobs.claims import CLAIMED, admitted
from umbel.jobs.fair import Fair
from umbel.jobs.hooks import Hooks, hooked
from umbel.jobs.idempotency import Idempotent
from umbel.jobs.limited import Limited
from umbel.jobs.overlap import WithoutOverlap
from umbel.jobs.retry import Retry
from umbel.jobs.sensitive import Sensitive
from umbel.jobs.tags import Tags
from umbel.jobs.unique import Unique
from umbel.jobs.webhooks import Webhook

__all__ = ("Declared", "on_class", "take")

#: How each option is read: the value and the place that has declared it, to what stands in :class:`Declared`.
_READERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "retry": Retry.of,
    "unique": Unique.of,
    "overlap": WithoutOverlap.of,
    "limits": Limited.of,
    "breaker": Breaker.of,
    "idempotent": Idempotent.of,
    "fair": Fair.of,
    "sensitive": Sensitive.of,
    "hooks": Hooks.of,
    "webhook": Webhook.of,
    "tags": Tags.of,
}
#: What goes around a body, the outermost first. Each has ``around(task, run) -> run``.
_AROUND: Final = ("sensitive", "retry", "breaker", "overlap", "limits", "idempotent")
#: The outermost of those for which a worker may have asked already.
_ADMITTED: Final = "breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one task declares: a field for each promise, None for what it does not."""

    retry: Retry | None = None
    unique: Unique | None = None
    overlap: WithoutOverlap | None = None
    limits: Limited | None = None
    breaker: Breaker | None = None
    idempotent: Idempotent | None = None
    fair: Fair | None = None
    sensitive: Sensitive | None = None
    hooks: Hooks | None = None
    webhook: Webhook | None = None
    tags: Tags | None = None

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run``, the body of ``task``, with everything around it that is declared."""
        if self.idempotent is not None:
            # The body itself, with its sessions.
            run = self.idempotent.within(task, run)
        if self.hooks is not None:
            # Innermost otherwise: they hear of a body that really begins, and not of a job that is put off.
            run = hooked(task, run)
        for name in reversed(_AROUND):
            promise = getattr(self, name)
            if promise is not None:
                run = promise.around(task, run)
            if name == _ADMITTED and any(getattr(self, one) is not None for one in CLAIMED):
                run = admitted(task, run)
        return _concluding(task, run)

    def put_around(self, task: Any) -> None:
        """Put what is declared around the body of a task that its application has bound."""
        # Whoever follows jobs across processes sees all that is around a body.
        tracing = task.app.tracing
        known, followed, body = task.__dict__.get("_put_around", (None, None, task.run))
        if known is self and followed is tracing:
            return
        run = self.around(task, body)
        task.run = run if tracing is None else tracing.around(task, run)
        task._put_around = (self, tracing, body)
        # Asking the store is not for the event loop, nor is what an application's own hooks may do.
        at_store = self.idempotent is not None and not self.idempotent.transaction
        task.blocks = at_store or any(
            promise is not None for promise in (self.overlap, self.breaker, self.limits, self.hooks)
        )
        with contextlib.suppress(TypeError, ValueError):
            # What wraps a method copies the signature of its function, with ``self``.
            task.run.__signature__ = inspect.signature(body)

    def with_hooks(self) -> Declared:
        """Return it as that of a task that hears of the application's hooks."""
        return replace(self, hooks=Hooks())

    def for_celery(self) -> dict[str, Any]:
        """Return what Celery is to know of it: ``self.retry()`` counts up to the same number."""
        return {} if self.retry is None else {"max_retries": self.retry.times}


def take(options: dict[str, Any], place: str, base: type[Any] | None = None) -> Declared | None:
    """Take Umbel's own options out of a task's ``options``, and return what they declare; None for nothing.

    ``base``: a class that may declare some for all of its tasks. Raises :exc:`ConfigurationError` that begins with
    ``place``.
    """
    given = {**on_class(base), **{name: options.pop(name) for name in _READERS if name in options}}
    read = {name: _READERS[name](value, place) for name, value in given.items() if value is not None}
    if not read:
        return None
    declared = Declared(**read)
    for name, value in declared.for_celery().items():
        if options.get(name, value) != value:
            raise ConfigurationError(
                f"{place}: {name}={options[name]!r} says something else than retry=, which gives {value!r}; "
                "leave it out."
            )
    return declared


def on_class(cls: type[Any] | None) -> dict[str, Any]:
    """Return what a class, or one that it derives from, declares by attributes of the options' names.

    Only declarations count: whatever else is called so is the class's own.
    """
    if cls is None:
        return {}
    found = {name: inspect.getattr_static(cls, name, None) for name in _READERS}
    return {name: value for name, value in found.items() if _is_declaration(name, value)}


def _is_declaration(name: str, value: Any) -> bool:
    if type(value).__module__.startswith("umbel.jobs."):
        return True
    return (name == "retry" and isinstance(value, int)) or (name == "sensitive" and isinstance(value, (tuple, list)))


def _concluding(task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``run`` so that an outcome that the body, or anything around it, has given ends the job as it says."""

    @functools.wraps(run)
    def concluding(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except Outcome as raised:
            outcome = raised
        try:
            raise outcome.conclude(task) if is_running(task) else outcome
        finally:
            # Its traceback holds this frame.
            del outcome

    return concluding
