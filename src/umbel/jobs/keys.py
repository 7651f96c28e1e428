"""By what jobs of a task are told apart: some of their arguments, or all, however they are spelt."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kombu.utils.json import dumps

from umbel.errors import InvalidArguments

__all__ = ("Key", "key_name", "unknown_names")

#: A parameter, several, a function of the arguments, or None for all arguments.
Key = str | Sequence[str] | Callable[..., Any] | None


def key_name(task: Any, key: Key, args: Any, kwargs: Any) -> str:
    """Return ``key`` of a call as a name. Raises :exc:`InvalidArguments` when nothing can be said of it as JSON."""
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
    return f"{task.name}:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:32]}"


def unknown_names(task: Any, key: Key) -> tuple[list[str], list[str]]:
    """Return which names of ``key`` are no parameters of ``task``, and its parameters."""
    known = list(inspect.signature(task.run).parameters)
    return [name for name in _names(key) if name not in known], known


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
