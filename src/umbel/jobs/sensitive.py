"""Arguments that nobody is to read but the job itself (C43).

    @jobs.task(sensitive=("token", "card.number"))
    def charge(amount: int, token: str, card: dict[str, str]) -> None: ...

Messages of such a task are encrypted wherever they rest: in its queue, while it waits for its time or for a retry, as
a dead letter, and inside the messages of other tasks that link to it. In the worker these arguments are
:class:`Concealed` until the body runs, so that what looks at a job from outside (logs, events, hooks, signals,
inspection) sees ``***``.

What a job returns or raises is its own. In the lines that are kept of what it logs and prints their values are hidden.
Costs what encrypting a message costs, about 20 microseconds, and such
jobs are dispatched Celery's longer way; other tasks pay nothing.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from umbel.engine.job_log import hide
from umbel.errors import ConfigurationError

__all__ = ("Concealed", "Concealing", "Sensitive", "SensitiveArguments")

_HIDDEN: Final = "***"


class Concealed:
    """A value that shows itself to nobody who does not ask for it."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return _HIDDEN

    def __json__(self) -> str:
        """Return what Kombu's encoder writes for it."""
        return _HIDDEN

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a prefork child have it, over the pipe of its own pool."""
        return Concealed, (self._value,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """Which arguments of a task are sensitive: names, or paths like ``card.number`` into dicts and lists of dicts."""

    paths: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, value: Any, place: str) -> Sensitive:
        """Return what a task, or its base class, declares. Raises :exc:`ConfigurationError` naming ``place``."""
        if isinstance(value, cls):
            return value
        names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (None,)
        if not names or not all(isinstance(name, str) and all(name.split(".")) for name in names):
            raise ConfigurationError(f"{place}: sensitive names arguments, like ('token', 'card.number').")
        # What is concealed as a whole comes before its parts.
        return cls(paths=tuple(sorted((tuple(name.split(".")) for name in names), key=len)))

    def among(self, function: Callable[..., Any], place: str, *, bound: bool) -> SensitiveArguments:
        """Return where they are among the arguments of ``function``. Raises :exc:`ConfigurationError`."""
        parameters = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
        known = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
        for name, *_ in self.paths:
            if name not in known and len(known) == len(parameters):
                near = difflib.get_close_matches(name, sorted(known), 1, 0.0)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                raise ConfigurationError(f"{place}: sensitive names {name!r}, which is no argument of it{meant}.")
        return SensitiveArguments(
            paths=self.paths,
            positions={one.name: at for at, one in enumerate(parameters) if one.kind in _BY_POSITION},
            rest=next((one.name for one in parameters if one.kind is one.VAR_POSITIONAL), None),
        )

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run``, the body of ``task``, so that it is given the values themselves."""
        arguments: SensitiveArguments = task.sensitive_arguments
        return arguments.around(task, run)


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitiveArguments:
    """Where the sensitive ones are among a task's arguments."""

    paths: tuple[tuple[str, ...], ...]
    #: Where those stand that may come by position.
    positions: Mapping[str, int]
    #: The parameter that takes any number of them.
    rest: str | None = None

    def conceal(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments with what is sensitive concealed."""
        return self._each(args, kwargs, _conceal)

    def reveal(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments as the body takes them."""
        return self._each(args, kwargs, _reveal)

    def _concealed(self, args: Any, kwargs: Any) -> list[Any]:
        """Return the values that are concealed among the arguments."""
        found: list[Any] = []

        def take(value: Any, path: tuple[str, ...]) -> Any:
            if isinstance(value, Concealed):
                found.append(value.reveal())
            elif path:
                _within(value, path, take)
            return value

        self._each(args, kwargs, take)
        return found

    def _each(self, args: Any, kwargs: Any, change: Callable[[Any, tuple[str, ...]], Any]) -> tuple[Any, Any]:
        # Whatever else a message may hold, the tracer says what is wrong with it.
        given = list(args) if isinstance(args, (list, tuple)) else []
        named = dict(kwargs) if isinstance(kwargs, Mapping) else {}
        for name, *path in self.paths:
            if name in named:
                named[name] = change(named[name], tuple(path))
            at = self.positions.get(name)
            if at is not None:
                for place in range(at, len(given) if name == self.rest else min(at + 1, len(given))):
                    given[place] = change(given[place], tuple(path))
        return (
            (tuple(given) if isinstance(args, tuple) else given) if isinstance(args, (list, tuple)) else args,
            named if isinstance(kwargs, Mapping) else kwargs,
        )

    def around(self, task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``run`` so that it is given the values themselves."""

        @functools.wraps(run)
        def revealed(*args: Any, **kwargs: Any) -> Any:
            hide(*self._concealed(args, kwargs))
            args, kwargs = self.reveal(args, kwargs)
            _check(task, args, kwargs)
            return run(*args, **kwargs)

        return revealed


_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


class Concealing:
    """What the class of a task with sensitive arguments has besides."""

    sensitive_arguments: SensitiveArguments

    def conceal(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments as others may see them."""
        return self.sensitive_arguments.conceal(args, kwargs)

    def reveal(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments as the body takes them."""
        return self.sensitive_arguments.reveal(args, kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Queue the job; a retry hands on the arguments that it holds."""
        args, kwargs = self.reveal(args, kwargs)
        return super().apply_async(args, kwargs, *rest, **options)  # type: ignore[misc]

    def apply(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Run the job here and now."""
        args, kwargs = self.conceal(args, kwargs)
        return super().apply(args, kwargs, *rest, **options)  # type: ignore[misc]


def _conceal(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, Concealed):
        return value
    return _within(value, path, _conceal) if path else Concealed(value)


def _reveal(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, Concealed):
        return value.reveal()
    return _within(value, path, _reveal) if path else value


def _within(value: Any, path: tuple[str, ...], change: Callable[[Any, tuple[str, ...]], Any]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_within(one, path, change) for one in value]
    if isinstance(value, Mapping) and path[0] in value:
        return {**value, path[0]: change(value[path[0]], path[1:])}
    return value


def _check(task: Any, args: Any, kwargs: Any) -> None:
    """Say what is wrong with the arguments of a model, without what they are: pydantic's own error shows them."""
    if task.validate is None:
        return
    try:
        type(task).validate(args, kwargs)
    except ValueError as error:
        details = error.errors(include_input=False) if hasattr(error, "errors") else []
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in details)
    else:
        return
    raise ValueError(f"The arguments do not fit {task.name}: {said}.")
