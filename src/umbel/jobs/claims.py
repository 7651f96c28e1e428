"""What jobs need before their bodies begin, asked for a fetched batch at a time: locks, slots, a breaker's passage.

A worker asks in one step for each kind, before it hands the jobs to its pool, and what they held goes back with what is
settled (:mod:`umbel.engine.holdings`). A job takes all that it needs or none: who is refused holds nothing meanwhile.
Whoever finds its key held by a job of this very process asks for itself when it begins, and that one frees it as soon
as it ends: quick jobs of one key that were fetched together follow each other, and are not put off.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from umbel.engine.execution import current_execution
from umbel.engine.holdings import Candidate, Holding
from umbel.engine.outcome import is_running
from umbel.errors import StoreError
from umbel.jobs.locks import Keeper, Lock

__all__ = ("CLAIMED", "ClaimBook", "admitted", "finish", "granted", "passage", "try_acquire")

logger = logging.getLogger(__name__)

#: What is asked for, in the order in which it is put around a body: by the options that declare it.
CLAIMED: Final = ("breaker", "overlap", "limits")
#: A breaker that was closed so long ago is asked again, and so many that have opened are remembered.
_PASSAGE_SECONDS: Final = 1.0
_OPENED_MOST: Final = 1000

_here: Final[ContextVar[Holding | None]] = ContextVar("umbel_holding", default=None)


def admitted(task: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``run`` so that it has what its job was granted with its batch, or is put off for what it was refused."""

    @functools.wraps(run)
    def begin(*args: Any, **kwargs: Any) -> Any:
        execution = current_execution.get()
        own = execution is not None and is_running(task) and execution.delivery.task_id == task.request.id
        holding = execution.holding() if own and execution is not None else None
        if holding is None or execution is None:
            return run(*args, **kwargs)
        if holding.refusal is not None and holding.is_refused:
            raise holding.refusal(task)
        token = _here.set(holding)
        try:
            return run(*args, **kwargs)
        finally:
            _here.reset(token)
            execution.give_back(*(one for kind in holding.held.values() for one in kind))

    return begin


def granted(kind: str) -> list[Any]:
    """Return what the job that begins here was granted with its batch, if it has it still."""
    holding = _here.get()
    found = holding.held.pop(kind, []) if holding is not None else []
    if any(one.lost for one in found):
        for one in found:
            finish(one)
        return []
    return found


def passage(task: Any) -> str | None:
    """Return the breaker that the job which begins here has found closed with its batch, if nothing has opened it."""
    holding = _here.get()
    name = holding.passage if holding is not None else None
    if name is None or holding is None or time.monotonic() - holding.asked > _PASSAGE_SECONDS:
        return None
    return name if task.app.claims.is_closed(name, holding.asked) else None


def try_acquire(lock: Lock, waiter: str | None) -> float:
    """Take ``lock`` for the job that runs here, as :meth:`Lock.try_acquire` does."""
    left = lock.try_acquire(waiter)
    execution = current_execution.get()
    if left and execution is not None and execution.owes():
        # A job of this process may have done with it, and nobody has told the store.
        left = lock.try_acquire(waiter)
    return left


def finish(lock: Lock) -> None:
    """Free ``lock``: with what is settled next, or at once when another job of this process waits for it."""
    execution = current_execution.get()
    if execution is None or not lock.batched:
        lock.release()
    else:
        execution.give_back(lock)


@dataclass(frozen=True, slots=True)
class _Wish:
    """One lock that a job needs. ``refusal`` says how a job ends that finds it taken."""

    seq: int
    lock: Lock
    waiter: str | None
    refusal: Callable[[Any, float], Exception]


class ClaimBook:
    """Asks for what the jobs of one application need (:class:`umbel.engine.holdings.Claims`)."""

    def __init__(self, app: Any) -> None:
        self._app: Final = app
        #: When a failure here has opened a breaker.
        self._opened: Final[dict[str, float]] = {}

    def names(self) -> set[str]:
        """Return the tasks whose jobs need something."""
        return {str(name) for name, task in self._app.tasks.items() if any(_declared(task))}

    def claim(self, jobs: Sequence[Candidate]) -> dict[int, Holding]:
        """Ask for all of ``jobs`` in one step for each kind; return what each has, by the number of its message."""
        step = _Step(jobs)
        try:
            self._look(jobs, step)
            for kind in CLAIMED[1:]:
                wishes = [wish for job in jobs if step.goes_on(job.seq) for wish in self._wishes(kind, job, step)]
                if wishes:
                    step.ask(kind, wishes)
            if step.freed:
                self.give_back(step.freed)
        except StoreError as error:
            logger.warning("Jobs ask one by one for what they need, because nobody answers for all: %s", error)
        return step.holdings

    def opened(self, breaker: str) -> None:
        """Let nobody here pass ``breaker`` on what was found before."""
        while len(self._opened) >= _OPENED_MOST:
            self._opened.pop(next(iter(self._opened)), None)
        self._opened[breaker] = time.monotonic()

    def is_closed(self, breaker: str, asked: float) -> bool:
        """Whether no failure here has opened ``breaker`` since it was found closed."""
        return self._opened.get(breaker, 0.0) < asked

    def _look(self, jobs: Sequence[Candidate], step: _Step) -> None:
        names: dict[int, str] = {}
        for job in jobs:
            task = self._app.tasks[job.task]
            if task.declared.breaker is not None and step.goes_on(job.seq):
                try:
                    names[job.seq] = task.declared.breaker.name(task, job.args, job.kwargs)
                except Exception:
                    step.give_up(job.seq)
        if names:
            asked = sorted(set(names.values()))
            waits = dict(zip(asked, self._app.engine.breakers.look(asked), strict=True))
            for job in jobs:
                if job.seq in names:
                    refusal = self._app.tasks[job.task].declared.breaker.refusal
                    step.pass_by(job.seq, names[job.seq], waits[names[job.seq]], refusal)

    def _wishes(self, kind: str, job: Candidate, step: _Step) -> list[_Wish]:
        task = self._app.tasks[job.task]
        declared = getattr(task.declared, kind)
        if declared is None:
            return []
        try:
            waiter = declared.waiter(job.task_id)
            locks = declared.locks(task, job.task_id, job.args, job.kwargs)
            return [_Wish(job.seq, lock, waiter, declared.refusal) for lock in locks]
        except Exception:
            # What is wrong with its arguments the job says itself.
            step.give_up(job.seq)
            return []

    def give_back(self, held: Sequence[Any]) -> None:
        """Free locks and slots in one step for each kind. Raises :exc:`StoreError`: then those last for their time."""
        by_keeper: dict[Keeper[Any], list[Lock]] = defaultdict(list)
        for lock in held:
            by_keeper[lock.keeper].append(lock)
            lock.keeper.let_go(lock)
        for keeper, locks in by_keeper.items():
            pairs = [(lock.name, lock.fence) for lock in locks if lock.fence]
            if pairs:
                keeper.store().release_many(pairs)
            for lock in locks:
                lock.fence = 0


class _Step:
    """One batch that is asked for. ``freed``: what goes back at once, because its job was refused something else."""

    def __init__(self, jobs: Sequence[Candidate]) -> None:
        self._asked: Final = time.monotonic()
        # A job that is there twice is its own rival, and asks when it begins.
        once = {job.task_id: job.seq for job in reversed(jobs)}
        self.holdings: Final = {seq: Holding(self._asked) for seq in once.values()}
        self.freed: Final[list[Lock]] = []

    def goes_on(self, seq: int) -> bool:
        """Whether the job has not been refused anything so far."""
        return seq in self.holdings and self.holdings[seq].refusal is None

    def pass_by(self, seq: int, breaker: str, wait: float | None, refusal: Callable[[Any, float], Exception]) -> None:
        """Note for how long nobody passes the breaker of a job; None for one that it may have to try out."""
        if wait is None:
            self.give_up(seq)
        elif wait:
            self.holdings[seq].refusal = lambda task: refusal(task, wait)
        else:
            self.holdings[seq].passage = breaker

    def ask(self, kind: str, wishes: Sequence[_Wish]) -> None:
        """Ask for ``wishes``, all of which are of one kind. Raises :exc:`StoreError`."""
        keeper = wishes[0].lock.keeper
        grants = keeper.store().acquire_many([wish.lock.want(wish.waiter) for wish in wishes])
        refused: list[tuple[_Wish, float]] = []
        for wish, grant in zip(wishes, grants, strict=True):
            if grant.fence:
                wish.lock.granted(grant, self._asked)
                wish.lock.batched = True
                self.holdings[wish.seq].held.setdefault(kind, []).append(wish.lock)
            else:
                refused.append((wish, max(grant.seconds, 0.001)))
        keeper.keep(*(wish.lock for wish in wishes if wish.lock.fence))
        if refused:
            here = _by_name(keeper.held())
            for wish, left in refused:
                self._refuse(wish, left, here.get(wish.lock.name, []))

    def _refuse(self, wish: _Wish, left: float, rivals: list[Any]) -> None:
        for rival in rivals:
            rival.batched = False
        if rivals:
            self.give_up(wish.seq)
        elif self.goes_on(wish.seq):
            holding = self.holdings[wish.seq]
            self._free(holding)
            holding.refusal = lambda task: wish.refusal(task, left)

    def give_up(self, seq: int) -> None:
        """Let a job ask by itself, with nothing in its hands."""
        holding = self.holdings.pop(seq, None)
        if holding is not None:
            self._free(holding)

    def _free(self, holding: Holding) -> None:
        self.freed.extend(one for kind in holding.held.values() for one in kind)
        holding.held.clear()


def _declared(task: Any) -> list[Any]:
    declared = getattr(task, "declared", None)
    found = [getattr(declared, kind) for kind in CLAIMED] if declared is not None else []
    return [one for one in found if one is not None and one.claims]


def _by_name(held: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for one in held:
        found[one.name].append(one)
    return found
