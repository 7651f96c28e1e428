"""Task classes, made to fit the engine: those that derive from Celery's own class, and those written with a ``run``.

Code written for Celery says ``class Base(celery.Task)`` and knows nothing of Umbel. Its class keeps everything that it
overrides; what it takes from Celery's ``Task`` it gets from Umbel's, and its body can be awaited and interrupted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from celery.exceptions import SoftTimeLimitExceeded

from umbel.engine.bridge import bridged
from umbel.engine.ends import Ending
from umbel.engine.job import interruptible
from umbel.engine.outcome import Outcome
from umbel.errors import EffectUncertain
from umbel.jobs.declared import Declared, on_class, take
from umbel.jobs.sensitive import Concealing
from umbel.task import AsyncCall, Task

__all__ = ("concealing", "fit", "fitting_base", "fitting_body", "never_retried", "places_of", "unshadowed")

#: A soft time limit that has passed, an outcome, and an effect that a person is to look at.
_NEVER: Final = (SoftTimeLimitExceeded, Outcome, EffectUncertain)


def fitting_body(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` as Celery's tracer can call it: a coroutine function runs to its end."""
    return (bridged if inspect.iscoroutinefunction(function) else interruptible)(function)


def fitting_base(base: type[Any], *, is_async: bool) -> type[Any]:
    """Return ``base`` as a class of Umbel's; what it overrides comes before ours."""
    if not issubclass(base, Task):
        base = _derived(base.__name__, (base, Task), base)
    if is_async and not _has_own_call(base):
        base = _derived(base.__name__, (AsyncCall, base), base)
    if not issubclass(base, Ending):
        base = _derived(base.__name__, (Ending, base), base)
    return base


def concealing(base: type[Any], declared: Declared | None) -> type[Any]:
    """Return ``base`` as the class of a task that may have sensitive arguments."""
    if declared is None or declared.sensitive is None or issubclass(base, Concealing):
        return base
    return _derived(base.__name__, (Concealing, base), base)


def places_of(declared: Declared | None, function: Callable[..., Any], name: str, *, bound: bool) -> dict[str, Any]:
    """Return where the sensitive arguments of a task are. Raises :exc:`ConfigurationError` for one that is none."""
    if declared is None or declared.sensitive is None:
        return {}
    return {"sensitive_arguments": declared.sensitive.among(function, f"Task {name}", bound=bound)}


def never_retried(options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``autoretry_for`` must leave alone (C28)."""
    if not options.get("autoretry_for"):
        return {}
    return {"dont_autoretry_for": (*(options.get("dont_autoretry_for") or ()), *_NEVER)}


def unshadowed(cls: type[Any]) -> dict[str, Any]:
    """Return Celery's methods whose names a class uses for what it declares: ``retry = Retry(3)``."""
    return {name: getattr(Task, name) for name in on_class(cls) if hasattr(Task, name)}


def fit(task: Any, options: dict[str, Any]) -> Any:
    """Return a task written as a class with ``run``, or an instance of one, as an instance that fits.

    What is Umbel's is taken out of ``options``.
    """
    cls: Any = task if inspect.isclass(task) else type(task)
    if not cls.__dict__.get("_fitted") and not cls.__dict__.get("_decorated"):
        cls = _fitted(cls, take(options, f"Task {cls.name or cls.__name__}", cls))
    if inspect.isclass(task):
        return cls()
    task.__class__ = cls
    return task


def _fitted(cls: type[Any], declared: Declared | None) -> type[Any]:
    is_async = inspect.iscoroutinefunction(cls.run)
    options = {name: getattr(cls, name, None) for name in ("autoretry_for", "dont_autoretry_for")}
    members = {
        "_fitted": True,
        "__doc__": cls.__doc__,
        "__qualname__": cls.__qualname__,
        "is_async": is_async,
        "bind_self": True,
        "run": fitting_body(cls.run),
        "declared": declared,
        **places_of(declared, cls.run, cls.name or cls.__name__, bound=True),
        **never_retried(options),
        **unshadowed(cls),
        **(declared.for_celery() if declared is not None else {}),
    }
    base = concealing(fitting_base(cls, is_async=is_async), declared)
    return _derived(cls.__name__, (base,), cls, members)


def _derived(name: str, bases: tuple[type, ...], origin: type, members: dict[str, Any] | None = None) -> type[Any]:
    return type(name, bases, {"abstract": members is None, "__module__": origin.__module__, **(members or {})})


def _has_own_call(base: type) -> bool:
    for cls in base.__mro__:
        if cls in (Task, AsyncCall) or cls.__module__.startswith("celery."):
            return False
        if "__call__" in cls.__dict__:
            return True
    return False
