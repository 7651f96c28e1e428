"""``Unique``: of the dispatches that say the same, one runs, and all get its id (C30).

The key is taken in the same step that queues the job, and is the job's for as long as the store knows its message.
Nobody has to give it back: a worker that dies returns the message and the key with it. Costs nothing but a longer
script: a dispatch stays one round trip, and ``enqueue_many`` one a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from msgspec import structs

from umbel.engine.broker_errors import as_celery_says
from umbel.engine.collecting import publishing_into, sink
from umbel.engine.uniques import UniqueKey
from umbel.errors import ConfigurationError, InvalidArguments
from umbel.jobs.keys import Key, Keyed, key_name

if TYPE_CHECKING:
    from umbel.engine.store import Outgoing

__all__ = ("Unique",)

Mode = Literal["skip", "replace", "debounce"]

_MODES: Final = ("skip", "replace", "debounce")
_UNTIL: Final = ("start", "done")
#: A part of a canvas is never left out: what waits for it would wait for ever.
_CANVAS: Final = frozenset({"chain", "chord", "group_id", "group_index", "link", "link_error", "retries"})
#: How often a message is put in another's place before its job is queued as one of its own.
_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique(Keyed):
    """Let dispatches of one key cause one execution.

        @jobs.task(unique=Unique(for_="1h", key="user_id"))
        async def rebuild_report(user_id: int, reason: str = "") -> None: ...

    ``key``: names of parameters, or a function of the arguments; all arguments when left out, however they are spelt.
    ``until``: another dispatch queues a job again once this one is ``"done"``, or as soon as a worker takes it
    (``"start"``).
    ``for_``: how long the key is kept at the most, as a duration; a job that waits longer no longer keeps others out.
    ``mode``: a dispatch that finds the key taken is left out (``"skip"``); or what waits takes its arguments instead
    (``"replace"``), or takes them and waits for another ``wait``, ``longest`` after the first dispatch at the most
    (``"debounce"``). The last two are until the start. A member of a chain, group or chord, and a dispatch with
    ``link``, is never left out. Raises :exc:`ConfigurationError`.
    """

    for_: Any = timedelta(hours=1)
    until: Literal["start", "done"] | None = None
    key: Key = None
    mode: Mode = "skip"
    wait: Any = None
    longest: Any = None

    def __post_init__(self) -> None:
        _one_of(self.mode, _MODES, "mode")
        object.__setattr__(self, "until", self.until or ("done" if self.mode == "skip" else "start"))
        _one_of(str(self.until), _UNTIL, "until")
        if self.mode != "skip" and self.until == "done":
            raise ConfigurationError(
                f'Unique(mode="{self.mode}", until="done"): what a running job was given cannot be changed; '
                'write until="start", or leave it out.'
            )
        if (self.wait is not None) != (self.mode == "debounce") or (self.longest is not None and self.wait is None):
            raise ConfigurationError('Unique: wait= (and longest=) belong to mode="debounce", which needs a wait=.')
        for name in ("for_", "wait", "longest"):
            if getattr(self, name) is not None:
                self._span(name)

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``unique=`` of a task declares: a :class:`Unique`, or True for its defaults."""
        if value is True:
            return cls()
        if not isinstance(value, cls):
            raise ConfigurationError(f"{place}: unique={value!r} is no declaration; write Unique(...) or True.")
        return value

    def problem(self, task: Any) -> str | None:
        """Return what is wrong with it on ``task``, as a sentence; None when nothing is."""
        if self.until == "done" and not task.acks_late:
            return f'Task {task.name}: with acks_late=False only Unique(until="start") can be kept.'
        return Keyed.problem(self, task)

    def applies(self, task: Any, options: Mapping[str, Any]) -> bool:
        """Whether a dispatch with ``options`` may be left out."""
        return not task.app.conf.task_always_eager and not any(options.get(name) for name in _CANVAS)

    def queue(self, task: Any, args: Any, kwargs: Any, task_id: str, options: dict[str, Any]) -> str:
        """Queue the job unless another one has its key; return the id of the one that has it."""
        name = key_name(task, self.key, args, kwargs)
        if self.wait is not None:
            if options.get("countdown") is not None or options.get("eta") is not None:
                raise InvalidArguments(str(task.name), "it is debounced, and waits for as long as that says")
            options = {**options, "countdown": self.wait.total_seconds()}
        key = UniqueKey(name, self.for_.total_seconds(), self.until == "start")
        message = structs.replace(_message(task, args, kwargs, task_id, options), unique=key)
        waiting = sink()
        if waiting is not None:
            # Who collects messages cannot change what waits: what is new is queued beside it.
            waiting.append(message if self.mode == "skip" else structs.replace(message, unique=None))
            return task_id
        return self._queue(task, message, lambda known: _message(task, args, kwargs, known, options))

    def _queue(self, task: Any, message: Outgoing, build: Callable[[str], Outgoing]) -> str:
        uniques, own = task.app.engine.uniques, str(message.task_id)
        longest = None if self.longest is None else self.longest.total_seconds()
        with as_celery_says():
            for _ in range(_TRIES):
                (holder,) = uniques.enqueue([message])
                if holder == own or self.mode == "skip" or uniques.supersede(build(holder), longest):
                    return str(holder)
            # Another version of the task has taken the key until the end. What is new is not to be lost.
            task.app.engine.enqueue([structs.replace(message, unique=None)])
        return own


def _message(task: Any, args: Any, kwargs: Any, task_id: str, options: dict[str, Any]) -> Outgoing:
    found: list[Outgoing] = []
    with publishing_into(found):
        task.publish(args, kwargs, task_id, options)
    if len(found) != 1:
        raise ConfigurationError(
            f"Task {task.name} is unique, which needs an engine of Umbel's to keep its keys: "
            "a sqlite:, redis: or amqp: URL."
        )
    return found[0]


def _one_of(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise ConfigurationError(f"Unique({name}={value!r}): write one of {', '.join(map(repr, known))}.")
