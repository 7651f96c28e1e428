"""One effect by its key, in any code: caused once, by whoever comes first, and its result given to all others (C32).

    def charge(order: int) -> str:
        return jobs.idempotent(f"charge:{order}").call(gateway.charge, order)

The key is claimed at the store before, and its result is stored after. What a process had begun that is gone is
uncertain: it is asked for (``ask=``), held for a person, or repeated, as is declared; never repeated silently. Costs
two round trips.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, Self, TypeVar

from celery._state import get_current_task

from umbel.engine.outcome import is_running
from umbel.engine.protection import Protection
from umbel.errors import ConfigurationError, EffectRunning, EffectUncertain, StoreError
from umbel.ids import new_id
from umbel.jobs.again import times_put_off
from umbel.jobs.doubt import Done, EffectPolicy, NotDone
from umbel.jobs.effect_results import decoded, encoded
from umbel.jobs.locks import Keeper
from umbel.jobs.outcomes import Snooze
from umbel.state.effects import Answer, Claimant, Effects, Ending, Standing

__all__ = ("Desk", "Effect", "current_effect", "entered", "put_off")

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25
#: A job that finds its effect running looks again after so long at first, and then after twice as long each time.
_FIRST_SECONDS: Final = 0.5
#: Between the tries to tell the store something: it would not know what has happened.
_INSISTING: Final = (0.05, 0.2, 0.5, 1.0)

_current: Final[ContextVar[Any]] = ContextVar("umbel_effect", default=None)


def current_effect() -> Any:
    """Return the effect of the job that runs here; None if it has declared no :class:`Idempotent`.

    Its ``key`` is for the other side; ``complete(result)`` (in an ``async def``: ``await acomplete(result)``) says that
    it is there, whatever comes after.
    """
    return _current.get()


@contextlib.contextmanager
def entered(effect: Any) -> Iterator[None]:
    """Let ``effect`` be the current one in this block."""
    token = _current.set(effect)
    try:
        yield
    finally:
        _current.reset(token)


@dataclass(frozen=True, slots=True)
class Desk:
    """What effects of an application have in common: who renews their claims, and how their results are protected."""

    keeper: Keeper[Effects]
    protection: Protection


class Effect:
    """One effect by its key, for ``with`` and ``async with``; see :meth:`umbel.Umbel.idempotent`.

    ``key``: what to give to the other side, so that it can tell a repetition. ``result``: what the first call has left,
    or what this one is to leave.
    """

    def __init__(
        self,
        desk: Desk,
        name: str,
        policy: EffectPolicy,
        *,
        ask: Callable[[str], Any] | None = None,
        wait: float = 0.0,
        begun: bool = True,
    ) -> None:
        self.name: Final = name
        self.key: Final = name.partition(":")[2]
        self.seconds: Final = policy.lease.total_seconds()
        self.fence = ""
        self.result: Any = None
        self._desk: Final = desk
        self._policy: Final = policy
        self._ask: Final = ask
        self._wait: Final = wait
        self._begun: Final = begun
        self._who: Claimant | None = None
        self._task: Any = None
        self._until = 0.0
        self._done = self._looked = self._doubtful = False

    # -- what the block asks and says ---------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether the effect is there already, with its ``result``: then it is not to be caused again."""
        self._looked = True
        return self._done

    @property
    def lost(self) -> bool:
        """Whether the claim is not, or no longer, ours: somebody else may find out, or cause the effect, now."""
        return not self.fence or time.monotonic() >= self._until

    def begin(self) -> None:
        """Say that from now on the effect may be there, in a block with ``begun=False``.

        Raises :exc:`EffectRunning` if the claim was lost meanwhile.
        """
        if not self._insist(lambda: self._effects.begin(self.name, self._token)):
            raise EffectRunning.of(self.name, self.seconds)

    def complete(self, result: Any = None) -> None:
        """Say that the effect is there, with ``result``: what the block does after this does not change it."""
        if self._done:
            return
        self.result, self._done, self._looked = result, True, True
        text = encoded(self._desk.protection, self.name, result)
        self._tell(Ending(self.name, self._token, "complete", text, self._policy.for_.total_seconds()))

    async def abegin(self) -> None:
        """:meth:`begin`, without blocking the event loop."""
        await _aside(self.begin)

    async def acomplete(self, result: Any = None) -> None:
        """:meth:`complete`, without blocking the event loop."""
        await _aside(lambda: self.complete(result))

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what ``function`` returns, or what it has returned to whoever called first."""
        with self:
            if not self.done:
                self.result = function(*args, **kwargs)
        found: R = self.result
        return found

    async def acall(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the coroutine function returns, or what it has returned to whoever called first."""
        async with self:
            if not self.done:
                self.result = await function(*args, **kwargs)
        found: R = self.result
        return found

    # -- the block ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Raises :exc:`EffectRunning` (in a job: puts it off) and :exc:`EffectUncertain`."""
        self._prepare()
        try:
            for pause in self._pauses():
                time.sleep(pause)
            if self._doubtful:
                answer = self._asked()
                if inspect.iscoroutine(answer):
                    answer.close()
                    raise ConfigurationError("ask= is a coroutine function: use 'async with', or acall().")
                self._hear(answer)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)
        self._complain(error)

    async def __aenter__(self) -> Self:
        """Raises :exc:`EffectRunning` (in a job: puts it off) and :exc:`EffectUncertain`."""
        self._prepare()
        pauses = self._pauses()
        try:
            pause = await _aside(lambda: next(pauses, None))
            while pause is not None:
                await asyncio.sleep(pause)
                pause = await _aside(lambda: next(pauses, None))
            if self._doubtful:
                answer = self._asked()
                if inspect.isawaitable(answer):
                    answer = await answer
                await _aside(lambda: self._hear(answer))
        except BaseException:
            await _aside(self._abandon)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _aside(lambda: self._leave(error))
        self._complain(error)

    # -- behind it ------------------------------------------------------------------------------------------------

    def renewed(self, asked: float) -> None:
        """Note that the claim lasts on, as asked for at that time."""
        self._until = asked + self.seconds

    @property
    def _effects(self) -> Effects:
        return self._desk.keeper.store()

    @property
    def _token(self) -> str:
        return self._who.token if self._who is not None else ""

    def _prepare(self) -> None:
        task = get_current_task()
        self._task = task if is_running(task) else None
        self._who = _claimant(self._task)
        self._done = self._looked = self._doubtful = False

    def _pauses(self) -> Iterator[float]:
        """Ask until nobody else causes it; yield how long to wait before each next time."""
        deadline, pause = time.monotonic() + self._wait, _FIRST_PAUSE
        while True:
            asked = time.monotonic()
            found = self._insist(self._claim)
            if found.standing is not Standing.RUNNING:
                break
            patience = deadline - time.monotonic()
            if patience <= 0:
                raise self._busy(found.seconds)
            yield min(pause, patience, max(found.seconds, 0.001))
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._take(found, asked)

    def _claim(self) -> Answer:
        assert self._who is not None
        doubtful = self._policy.doubtful(asks=self._ask is not None)
        return self._effects.claim(self.name, self._who, self.seconds, begun=self._begun, doubtful=doubtful)

    def _take(self, found: Answer, asked: float) -> None:
        if found.standing is Standing.DONE:
            self.result, self._done = decoded(self._desk.protection, self.name, found.result or "null"), True
        elif found.held:
            self.fence, self._until = self._token, asked + self.seconds
            self._doubtful = found.standing is Standing.UNCERTAIN
            self._desk.keeper.keep(self)
        else:
            raise EffectUncertain.of(self.name)

    def _busy(self, left: float) -> Exception:
        if self._task is None or self._task.request.is_eager:
            return EffectRunning.of(self.name, left)
        return put_off(self._task, left)

    def _asked(self) -> Any:
        assert self._ask is not None
        return self._ask(self.key)

    def _hear(self, answer: Any) -> None:
        if isinstance(answer, Done):
            self.complete(answer.result)
        elif isinstance(answer, NotDone) or (answer is None and self._policy.uncertain == "repeat"):
            self.begin()
            self._doubtful = False
        elif answer is not None:
            raise ConfigurationError(f"ask= returned {answer!r}: write Done(result), NotDone() or None.")
        else:
            raise EffectUncertain.of(self.name)

    def _leave(self, error: BaseException | None) -> None:
        if self._done:
            return
        if error is None:
            looked = self._looked
            self.complete(self.result)
            self._looked = looked
        else:
            self._end("doubt" if self._policy.doubts(error) else "release")

    def _complain(self, error: BaseException | None) -> None:
        if error is None and not self._looked:
            raise ConfigurationError(
                f"The block of the effect {self.key!r} has not looked whether it is there already, and would cause it "
                "each time: write 'if not effect.done:' in it, or use call()."
            )

    def _abandon(self) -> None:
        """End a claim whose block is not entered."""
        if self.fence:
            self._end("doubt" if self._doubtful else "release")

    def _end(self, how: Literal["release", "doubt"]) -> None:
        if self._who is None or self._done:
            self._let_go()
        else:
            self._tell(Ending(self.name, self._token, how))

    def _tell(self, ending: Ending) -> None:
        """Tell the store what became of the effect."""
        self._let_go()
        words = {"complete": (ending.result, ending.seconds)}.get(ending.said, ())
        try:
            kept = self._insist(lambda: getattr(self._effects, ending.said)(ending.name, ending.token, *words))
        except StoreError as error:
            if ending.said == "complete":
                logger.error("The effect %r is there, and the store cannot be told: %s", self.name, error)
            else:
                logger.warning("The effect %r stays uncertain, for the store cannot be told: %s", self.name, error)
        else:
            self._told(ending, kept=kept)

    def _told(self, ending: Ending, *, kept: bool) -> None:
        if ending.said == "complete" and not kept:
            logger.warning("The effect %r is there; another one had been allowed to cause it meanwhile.", self.name)

    def _let_go(self) -> None:
        self._desk.keeper.let_go(self)
        self.fence = ""

    def _insist(self, call: Callable[[], R]) -> R:
        """Ask the store again when its answer was lost: each question may be asked twice."""
        for pause in _INSISTING:
            try:
                return call()
            except StoreError:
                time.sleep(pause)
        return call()


async def _aside(call: Callable[[], R]) -> R:
    """Run ``call`` in a thread to its end, also when it is cancelled meanwhile."""
    future = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait({future})
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            # It has ended; that it failed is not what matters now.
            future.exception()
        raise


def put_off(task: Any, left: float) -> Exception:
    """Return how a job of ``task`` ends whose effect another one has claimed for so many seconds."""
    pause = _FIRST_SECONDS * 2 ** min(times_put_off(task.request), 10)
    return Snooze(min(max(left, 0.001), pause), "its effect is being caused by another one")


def _claimant(task: Any) -> Claimant:
    token = new_id()
    if task is None:
        return Claimant(token, token, token)
    # The job itself is the owner: when it runs again after a crash, what it had begun is its own.
    run = task.request.__dict__.setdefault("_umbel_run", token)
    return Claimant(str(task.request.id), str(run), token)
