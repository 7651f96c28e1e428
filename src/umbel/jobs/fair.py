"""``Fair``: the jobs of a queue are shared among keys, so that one tenant's million does not delay another's one (C34).

Each key has a line of its own at the store, and whoever fetches takes from the lines in turn, and from the jobs without
a key as from one more line. Higher priorities go first; within one it is turn by turn. Costs nothing but a header, and
at the store a few steps a job; no round trip more. A queue without lines is as it was.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

from umbel.engine.fairness import SHARE
from umbel.errors import ConfigurationError, InvalidArguments
from umbel.jobs.keys import Key, key_name, unknown_names

__all__ = ("Fair", "in_line")

_EMPTY: Final = inspect.Parameter.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Fair:
    """Share a queue among the values of a key.

        @jobs.task(queue="reports", fair=Fair(key="tenant"))
        def report(tenant: str, month: str) -> None: ...

    ``key``: names of parameters, or a function of the arguments. Tasks whose keys have the same value share one line of
    a queue. Raises :exc:`ConfigurationError`.
    """

    key: Key

    def __post_init__(self) -> None:
        if not self.key:
            raise ConfigurationError("Fair(key=) says whose jobs take turns: write the name of a parameter.")

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``fair=`` of a task declares: a :class:`Fair`, or the name of a parameter."""
        if isinstance(value, str) and value:
            return cls(key=value)
        if not isinstance(value, cls):
            raise ConfigurationError(f'{place}: fair={value!r} is no declaration; write Fair(key="tenant").')
        return value

    def problem(self, task: Any) -> str | None:
        """Return what is wrong with it on ``task``, as a sentence; None when nothing is."""
        missing, known = unknown_names(task, self.key)
        if not missing:
            return None
        return f"Task {task.name}: Fair(key={missing[0]!r}) is none of its parameters ({', '.join(known) or 'none'})."

    def share(self, task: Any, args: Any, kwargs: Any) -> str:
        """Return in whose line a call waits. Raises :exc:`InvalidArguments`."""
        if callable(self.key):
            return key_name(task, self.key, args, kwargs)[-32:]
        values = tuple([_value(place, args or (), kwargs or {}) for place in _places(task, self.key)])
        if all(type(value) in (str, int) for value in values):
            return _digest(values)
        return key_name(task, self.key, args, kwargs)[-32:]


def in_line(task: Any, args: Any, kwargs: Any, options: dict[str, Any], *, bulk: bool = False) -> dict[str, Any]:
    """Return the options of a dispatch so that its message waits in the line of its key, if the task has declared one.

    ``bulk``: as the dispatcher takes it, and nobody else does.
    """
    fair = task.declared.fair if task.declared is not None else None
    if fair is None:
        return options
    share = {SHARE: fair.share(task, args, kwargs)}
    return {**options, **share} if bulk else {**options, "headers": {**(options.get("headers") or {}), **share}}


def _value(place: tuple[str, int, Any, Any], args: Sequence[Any], kwargs: Any) -> Any:
    name, at, default, task = place
    if name in kwargs:
        return kwargs[name]
    if 0 <= at < len(args):
        return args[at]
    if default is _EMPTY:
        raise InvalidArguments(str(task), f"missing a required argument: {name!r}")
    return default


@lru_cache(maxsize=1024)
def _places(task: Any, key: Any) -> tuple[tuple[str, int, Any, Any], ...]:
    """Return where a call of ``task`` has the arguments ``key``: (name, position or -1, default, task's name)."""
    parameters = inspect.signature(task.run).parameters
    positional = [
        name for name, one in parameters.items() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    names = (key,) if isinstance(key, str) else key
    return tuple(
        (name, positional.index(name) if name in positional else -1, parameters[name].default, task.name)
        for name in names
    )


@lru_cache(maxsize=65_536)
def _digest(values: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(values).encode(errors="surrogatepass")).hexdigest()[:32]
