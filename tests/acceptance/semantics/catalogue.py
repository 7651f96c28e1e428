"""The catalogue: every task is declared once and becomes ``sync.NAME`` and, where that exists, ``async.NAME``."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from celery import Celery

__all__ = ("build", "coroutine_of", "declare", "declare_class", "only_coroutine", "only_umbel", "sibling")

Body = Callable[..., Any]
CoroutineBody = Callable[..., Coroutine[Any, Any, Any]]
B = TypeVar("B", bound=Body)


@dataclass(slots=True)
class _Declared:
    body: Body | None
    coroutine: CoroutineBody
    options: dict[str, Any]
    only_umbel: bool = False


_CATALOGUE: dict[str, _Declared] = {}


_CLASSES: list[tuple[str, type[Any]]] = []


def declare_class(flavour: str) -> Callable[[type[Any]], type[Any]]:
    """Declare a class of Celery's with a ``run`` method, as the task ``classy``."""

    def wrap(cls: type[Any]) -> type[Any]:
        _CLASSES.append((flavour, cls))
        return cls

    return wrap


def declare(**options: Any) -> Callable[[B], B]:
    """Declare a task; its ``async def`` twin awaits before and after the same body."""

    def wrap(body: B) -> B:
        _CATALOGUE[body.__name__] = _Declared(body, _twin_of(body), options)
        return body

    return wrap


def only_umbel(**options: Any) -> Callable[[B], B]:
    """Declare a task, and its twin, that only Umbel's applications have."""

    def wrap(body: B) -> B:
        _CATALOGUE[body.__name__] = _Declared(body, _twin_of(body), options, only_umbel=True)
        return body

    return wrap


def coroutine_of(name: str) -> Callable[[CoroutineBody], CoroutineBody]:
    """Give the declared task ``name`` an ``async def`` body of its own, for what must really be awaited."""

    def wrap(body: CoroutineBody) -> CoroutineBody:
        _CATALOGUE[name].coroutine = body
        return body

    return wrap


def only_coroutine(**options: Any) -> Callable[[CoroutineBody], CoroutineBody]:
    """Declare a task that only makes sense as a coroutine."""

    def wrap(body: CoroutineBody) -> CoroutineBody:
        _CATALOGUE[body.__name__] = _Declared(None, body, options)
        return body

    return wrap


def build(app: Celery, *, coroutines: bool) -> None:
    """Register the whole catalogue with ``app``."""
    for name, declared in _CATALOGUE.items():
        if declared.only_umbel and not coroutines:
            continue
        if declared.body is not None:
            app.task(name=f"sync.{name}", shared=False, **declared.options)(declared.body)
        if coroutines:
            app.task(name=f"async.{name}", shared=False, **declared.options)(declared.coroutine)
    for flavour, cls in _CLASSES:
        if coroutines or flavour == "sync":
            app.register_task(type(cls.__name__, (cls,), {"name": f"{flavour}.classy"})())


def sibling(task: Any, name: str) -> Any:
    """The task ``name`` of the same kind, sync or async, as ``task``."""
    flavour = task.name.partition(".")[0]
    return task.app.tasks[f"{flavour}.{name}"]


def _twin_of(body: Body) -> CoroutineBody:
    @functools.wraps(body)
    async def twin(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.001)
        result = body(*args, **kwargs)
        await asyncio.sleep(0.001)
        return result

    return twin
