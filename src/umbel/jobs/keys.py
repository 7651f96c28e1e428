"""By what jobs of a task are told apart: some of their arguments, or all, however they are spelt."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from kombu.utils.json import dumps

from umbel.durations import duration
from umbel.errors import ConfigurationError, InvalidArguments

__all__ = ("Key", "Keyed", "key_name", "key_of", "unknown_names")

#: A parameter, several, a function of the arguments, or None for all arguments.
Key = str | Sequence[str] | Callable[..., Any] | None


def key_name(task: Any, key: Key, args: Any, kwargs: Any) -> str:
    """Return ``key`` of a call of ``task`` as a name. Raises :exc:`InvalidArguments`."""
    return f"{task.name}:{key_of(task, key, args, kwargs)}"


def key_of(task: Any, key: Key, args: Any, kwargs: Any) -> str:
    """Return ``key`` of a call as a word. Raises :exc:`InvalidArguments` when nothing can be said of it as JSON."""
    try:
        bound = inspect.signature(task.run).bind(*(args or ()), **(kwargs or {}))
    except TypeError as error:
        raise InvalidArguments(str(task.name), str(error)) from None
    bound.apply_defaults()
    value: Any = bound.arguments
    if callable(key):
        value = key(*bound.args, **bound.kwargs)
    elif key is not None:
        value = [bound.arguments[name] for name in _names(key)]
    try:
        text = dumps(_said(value), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InvalidArguments(str(task.name), f"its key is nothing that JSON can say ({error})") from None
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def unknown_names(task: Any, key: Key) -> tuple[list[str], list[str]]:
    """Return which names of ``key`` are no parameters of ``task``, and its parameters."""
    known = list(inspect.signature(task.run).parameters)
    return [name for name in _names(key) if name not in known], known


class Keyed:
    """A declaration whose jobs are told apart by their ``key``."""

    __slots__ = ()
    key: Key

    def problem(self, task: Any) -> str | None:
        """Return what is wrong with it on ``task``, as a sentence; None when nothing is."""
        missing, known = unknown_names(task, self.key)
        if not missing:
            return None
        declared, names = type(self).__name__, ", ".join(known) or "none"
        return f"Task {task.name}: {declared}(key={missing[0]!r}) is none of its parameters ({names})."

    def _span(self, name: str, least: timedelta = timedelta(microseconds=1)) -> None:
        """Let the field ``name`` be a duration. Raises :exc:`ConfigurationError`."""
        place, value = f"{type(self).__name__}({name}", getattr(self, name)
        try:
            found = duration(value)
        except ValueError as error:
            raise ConfigurationError(f"{place}=): {error}") from None
        if found < least:
            said = f"too short: write '{least.total_seconds():g}s' or more" if found else "no time at all; write '1h'"
            raise ConfigurationError(f"{place}={value!r}) is {said}.")
        object.__setattr__(self, name, found)


def _names(key: Key) -> Sequence[str]:
    if key is None or callable(key):
        return ()
    return (key,) if isinstance(key, str) else key


def _said(value: Any) -> Any:
    """Return ``value`` with models as what they hold."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _said(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_said(one) for one in value]
    return value
