"""Hooks: functions that hear of a job, declared for one task or for the whole application (C23).

``before`` and ``around`` are part of the job: what they raise is the job's end, and is retried as its own.
``success``, ``retry``, ``failure`` and ``cancel`` hear of an end that is decided: what they raise is logged and changes
nothing. They are called before the end is written, so each end that is written was heard of at least once, and after a
crash in between twice. Hooks are ``def`` or ``async def``, whichever kind the task is.

What belongs to the application is outside of what belongs to a task: it begins before it, and hears of the end after
it. A job whose task and application have none pays nothing; with one of them an ``async def`` job is led by a thread
while its body runs on the event loop, because a hook may block.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self

from umbel.engine.conversation import converse
from umbel.engine.ends import End
from umbel.engine.job import contained
from umbel.engine.outcome import Outcome, is_running
from umbel.errors import ConfigurationError

__all__ = ("AFTER", "KINDS", "Around", "Hook", "Hooks", "JobContext", "call_after", "hooked")

logger = logging.getLogger(__name__)

KINDS: Final = ("before", "around", "success", "retry", "failure", "cancel")
#: Those that hear of an end.
AFTER: Final = KINDS[2:]
_BEGAN: Final = "_umbel_began"
_OURS: Final = "umbel_"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """What a hook knows of a job.

    Sensitive arguments are concealed. ``attempt`` counts from 1. ``headers`` are those that its sender has added.
    ``lasted`` is how long its body, with all that is around it, has run; None if it never began.
    ``result`` is there for a success, ``error`` for any other end; ``expired`` says why a job is cancelled that nobody
    has cancelled. A message that was refused may have no ``id`` and no ``task``.
    """

    id: str | None
    task: str | None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    queue: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    lasted: timedelta | None = None
    result: Any = None
    error: BaseException | None = None
    expired: bool = False

    @classmethod
    def of(cls, task: Any, request: Any, **more: Any) -> Self:
        """Return what is known of the job of ``request``; ``task`` is None for one that is not known."""
        args, kwargs = request.args, request.kwargs
        retries, name = request.retries, getattr(task, "name", None) or getattr(request, "task", None)
        return cls(
            id=None if request.id is None else str(request.id),
            task=None if name is None else str(name),
            args=tuple(args) if isinstance(args, (list, tuple)) else (),
            kwargs=dict(kwargs) if isinstance(kwargs, Mapping) else {},
            attempt=(retries if isinstance(retries, int) else 0) + 1,
            queue=(request.delivery_info or {}).get("routing_key"),
            headers={key: one for key, one in (request.headers or {}).items() if not str(key).startswith(_OURS)},
            **more,
        )


#: Hears of a job.
Hook = Callable[[JobContext], Awaitable[None] | None]
#: Runs a job by ``call()``, which returns its result; awaited in an ``async def``.
Around = Callable[[JobContext, Callable[[], Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Functions that hear of the jobs of one task, or of all.

        @jobs.task(hooks=Hooks(failure=page_somebody))
        def settle(day: str) -> None: ...

    Each option takes a function or several. All are given a :class:`umbel.JobContext`; ``around`` is given ``call``
    too, and returns what the job is to return. Raises :exc:`ConfigurationError`.
    """

    before: Hook | tuple[Hook, ...] = ()
    around: Around | tuple[Around, ...] = ()
    success: Hook | tuple[Hook, ...] = ()
    retry: Hook | tuple[Hook, ...] = ()
    failure: Hook | tuple[Hook, ...] = ()
    cancel: Hook | tuple[Hook, ...] = ()
    _functions: Mapping[str, tuple[tuple[Callable[..., Any], bool], ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for kind in KINDS:
            object.__setattr__(self, kind, _functions(getattr(self, kind), kind))
        found = {kind: tuple((each, _is_coroutine_function(each)) for each in getattr(self, kind)) for kind in KINDS}
        object.__setattr__(self, "_functions", {kind: each for kind, each in found.items() if each})

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``hooks=`` declares: :class:`Hooks`, or an object with methods of their names."""
        if isinstance(value, cls):
            return value
        methods = {kind: getattr(value, kind, None) for kind in KINDS}
        found = {kind: method for kind, method in methods.items() if method is not None}
        if not found or inspect.isclass(value):
            raise ConfigurationError(
                f"{place}: {value!r} has none of the hooks {', '.join(KINDS)}; write Hooks(failure=function), or an "
                "object with a method of such a name."
            )
        return cls(**found)

    def functions(self, kind: str) -> tuple[tuple[Callable[..., Any], bool], ...]:
        """Return the hooks of one kind, in the order in which they were declared, and whether each is a coroutine's."""
        return self._functions.get(kind, ())

    @property
    def hears_ends(self) -> bool:
        """Whether it has a hook that hears of ends."""
        return any(self.functions(kind) for kind in AFTER)

    def within(self, job: JobContext, call: Callable[[], Any]) -> Callable[[], Any]:
        """Return ``call`` within these hooks: first those before it, then each around it, the first outermost."""
        for each in reversed(self.functions("around")):
            call = partial(_run_around, each, job, call)
        before = self.functions("before")
        return partial(_run_before, before, job, call) if before else call


def hooked(task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``run``, the body of ``task``, within its hooks and those of its application."""

    @functools.wraps(run)
    def within_hooks(*args: Any, **kwargs: Any) -> Any:
        if not is_running(task):
            return run(*args, **kwargs)
        task.request.__dict__[_BEGAN] = time.monotonic()
        call: Callable[[], Any] = partial(run, *args, **kwargs)
        job: JobContext | None = None
        for hooks in reversed(task.app.endings.levels(task)):
            if hooks.before or hooks.around:
                job = job or JobContext.of(task, task.request)
                call = hooks.within(job, call)
        result = call()
        if isinstance(result, Outcome):
            raise result
        return result

    return within_hooks


def call_after(end: End, levels: tuple[Hooks, ...]) -> Callable[[], None] | None:
    """Return what lets the hooks of ``levels`` hear of ``end``, the innermost first; None if there are none."""
    functions = [each for hooks in reversed(levels) for each in hooks.functions(end.kind)]
    if not functions:
        return None
    began = end.request.__dict__.get(_BEGAN)
    lasted = None if began is None else timedelta(seconds=time.monotonic() - began)
    job = JobContext.of(end.task, end.request, lasted=lasted, result=end.result, error=end.error, expired=end.expired)
    return partial(_hear, end.kind, functions, job)


def _hear(kind: str, functions: list[tuple[Callable[..., Any], bool]], job: JobContext) -> None:
    for each in functions:
        try:
            _called(each, job, part_of_job=False)
        except BaseException as error:
            if not isinstance(error, Exception) and contained(error) is error:
                # A prefork child is being ended.
                raise
            logger.exception("A %s hook of %s[%s] raised, which changes nothing.", kind, job.task, job.id)


def _run_before(
    functions: tuple[tuple[Callable[..., Any], bool], ...], job: JobContext, call: Callable[[], Any]
) -> Any:
    for each in functions:
        _called(each, job, part_of_job=True)
    return call()


def _run_around(each: tuple[Callable[..., Any], bool], job: JobContext, call: Callable[[], Any]) -> Any:
    function, is_coroutine = each
    if is_coroutine:
        return converse(partial(function, job), call)
    return _contained(function, job, call)


def _called(each: tuple[Callable[..., Any], bool], job: JobContext, *, part_of_job: bool) -> None:
    function, is_coroutine = each
    if is_coroutine:
        converse(lambda _: function(job), part_of_job=part_of_job)
    else:
        _contained(function, job)


def _contained(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except Exception:
        raise
    except BaseException as error:
        raise contained(error) from error


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _functions(value: Any, kind: str) -> tuple[Callable[..., Any], ...]:
    functions = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    wanted = 2 if kind == "around" else 1
    for function in functions:
        if not callable(function):
            raise ConfigurationError(f"Hooks({kind}=): {function!r} is no function.")
        try:
            inspect.signature(function).bind(*range(wanted))
        except TypeError:
            takes = "a job and what calls it" if wanted == 2 else "a job"
            name = getattr(function, "__qualname__", repr(function))
            raise ConfigurationError(f"Hooks({kind}=): {name} must take {takes}, and nothing else.") from None
        except ValueError:
            # Python knows nothing of its parameters.
            continue
    return functions
