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
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from umbel.engine.execution import current_execution
from umbel.engine.holdings import Candidate, Holding
from umbel.engine.outcome import is_running
from umbel.errors import StoreError
from umbel.jobs.effects import put_off
from umbel.jobs.job_effects import JobEffect
from umbel.jobs.locks import Keeper, Lock
from umbel.state.effects import Answer, Ending, Standing

__all__ = ("CLAIMED", "ClaimBook", "admitted", "finish", "granted", "passage", "try_acquire")

logger = logging.getLogger(__name__)

#: What is asked for, in the order in which it is put around a body: by the options that declare it.
CLAIMED: Final = ("breaker", "overlap", "limits", "idempotent")
_LOCKS: Final = ("overlap", "limits")
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
            # It holds nothing.
            raise holding.refusal(task)
        token = _here.set(holding)
        try:
            return run(*args, **kwargs)
        finally:
            _here.reset(token)
            execution.close(holding)

    return begin


def granted(kind: str) -> list[Any]:
    """Return what the job that begins here was granted with its batch, if it has it still."""
    holding = _here.get()
    found = holding.held.pop(kind, []) if holding is not None else []
    if all(one.usable for one in found):
        return found
    execution = current_execution.get()
    if execution is not None:
        execution.give_back(*found)
    return []


def passage(task: Any) -> str | None:
    """Return the breaker that the job which begins here has found closed with its batch, if nothing has opened it."""
    holding = _here.get()
    name = holding.passage if holding is not None else None
    if name is None or holding is None or time.monotonic() - holding.asked > _PASSAGE_SECONDS:
        return None
    return name if task.app.claims.is_closed(name, holding.asked) else None


def try_acquire(lock: Lock, waiter: str | None) -> float:
    """Take ``lock`` for the job that runs here, as :meth:`Lock.try_acquire` does."""
    execution = current_execution.get()
    told = execution.times_told if execution is not None else 0
    left = lock.try_acquire(waiter)
    if left and execution is not None and execution.owed(told):
        # A job of this process may have done with it, and nobody had told the store.
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
    refusal: Callable[..., Exception]


class ClaimBook:
    """Asks for what the jobs of one application need (:class:`umbel.engine.holdings.Claims`)."""

    def __init__(self, app: Any) -> None:
        self._app: Final = app
        #: When a failure here has opened a breaker.
        self._opened: Final[dict[str, float]] = {}

    def names(self) -> set[str]:
        """Return the tasks whose jobs need something."""
        return {str(name) for name, task in self._app.tasks.items() if any(_declared(task))}

    def claim(
        self, jobs: Sequence[Candidate], is_wanted: Callable[[str], bool] = lambda _: False
    ) -> dict[int, Holding]:
        """Ask for all of ``jobs`` in one step for each kind; return what each has, by the number of its message."""
        step = _Step(jobs, is_wanted)
        try:
            self._look(jobs, step)
            for kind in _LOCKS:
                wishes = [wish for job in jobs if step.goes_on(job.seq) for wish in self._wishes(kind, job, step)]
                if wishes:
                    step.ask(kind, wishes)
            self._bid(jobs, step)
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

    def _bid(self, jobs: Sequence[Candidate], step: _Step) -> None:
        effects: list[tuple[Candidate, JobEffect]] = []
        for job in jobs:
            task = self._app.tasks[job.task]
            declared = task.declared.idempotent
            if declared is not None and declared.claims and step.goes_on(job.seq):
                try:
                    effect = declared.effect(task, job.args, job.kwargs)
                    if not step.yields(job.seq, effect.name):
                        effects.append((job, effect))
                except Exception:
                    step.give_up(job.seq)
        if effects:
            bids = [effect.bid(job.task_id) for job, effect in effects]
            here = {one.name for one in self._app.effect_desk.keeper.held()}
            step.hear(effects, self._app.engine.effects.claim_many(bids), here)

    def _wishes(self, kind: str, job: Candidate, step: _Step) -> list[_Wish]:
        task = self._app.tasks[job.task]
        declared = getattr(task.declared, kind)
        if declared is None:
            return []
        try:
            waiter = declared.waiter(job.task_id)
            locks = declared.locks(task, job.task_id, job.args, job.kwargs)
            if step.yields(job.seq, *(lock.name for lock in locks)):
                return []
            return [_Wish(job.seq, lock, waiter, declared.refusal) for lock in locks]
        except Exception:
            # What is wrong with its arguments the job says itself.
            step.give_up(job.seq)
            return []

    def give_back(self, held: Sequence[Any]) -> None:
        """Free locks, slots and claims in one step a kind. Raises :exc:`StoreError`: then those last for their time."""
        unused = [ending for one in held if isinstance(one, JobEffect) and (ending := one.unused()) is not None]
        by_keeper: dict[Keeper[Any], list[tuple[Lock, int]]] = defaultdict(list)
        for lock in held:
            if isinstance(lock, Lock) and lock.fence:
                by_keeper[lock.keeper].append((lock, lock.fence))
                # Nobody renews it meanwhile.
                lock.fence = 0
        try:
            if unused:
                self._app.engine.effects.end_many(unused)
            for keeper, locks in by_keeper.items():
                keeper.store().release_many([(lock.name, fence) for lock, fence in locks])
        except StoreError:
            for lock, fence in (pair for locks in by_keeper.values() for pair in locks):
                lock.fence = fence
            raise
        finally:
            # Only now: until the store knows, others here are to find it held by one of them.
            for one in held:
                one.keeper.let_go(one)

    def conclude(self, endings: Sequence[tuple[JobEffect, Ending]]) -> None:
        """Note what became of effects, in one step. Raises :exc:`StoreError`."""
        kept = self._app.engine.effects.end_many([ending for _, ending in endings])
        for (effect, ending), is_kept in zip(endings, kept, strict=True):
            effect.told(ending, kept=is_kept)


class _Step:
    """One batch that is asked for. ``freed``: what goes back at once, because its job was refused something else."""

    def __init__(self, jobs: Sequence[Candidate], is_wanted: Callable[[str], bool]) -> None:
        self._asked: Final = time.monotonic()
        self._is_wanted: Final = is_wanted
        # A job that is there twice is its own rival, and asks when it begins.
        once = {job.task_id: job.seq for job in reversed(jobs)}
        self.holdings: Final = {seq: Holding(self._asked) for seq in once.values()}
        self.freed: Final[list[Lock]] = []

    def goes_on(self, seq: int) -> bool:
        """Whether the job has not been refused anything so far."""
        holding = self.holdings.get(seq)
        return holding is not None and holding.refusal is None and holding.wanted is None

    def yields(self, seq: int, *names: str) -> bool:
        """Let a job ask by itself if an earlier one is going to ask for one of ``names``; return whether it does."""
        wanted = next(filter(self._is_wanted, names), None)
        if wanted is not None:
            self._wait(seq, wanted)
        return wanted is not None

    def pass_by(self, seq: int, breaker: str, wait: float | None, refusal: Callable[[Any, float], Exception]) -> None:
        """Note for how long nobody passes the breaker of a job; None for one that it may have to try out."""
        if wait is None:
            self.give_up(seq)
        elif wait:
            self._refuse(seq, lambda task: refusal(task, wait))
        else:
            self.holdings[seq].passage = breaker

    def ask(self, kind: str, wishes: Sequence[_Wish]) -> None:
        """Ask for ``wishes``, all of which are of one kind. Raises :exc:`StoreError`."""
        keeper = wishes[0].lock.keeper
        here = _by_name(keeper.held())
        wishes = self._uncrowded(wishes, here)
        grants = keeper.store().acquire_many([wish.lock.want(wish.waiter) for wish in wishes]) if wishes else []
        refused: list[tuple[_Wish, float]] = []
        for wish, grant in zip(wishes, grants, strict=True):
            if grant.fence:
                wish.lock.granted(grant, self._asked)
                wish.lock.batched = True
                self.holdings[wish.seq].held.setdefault(kind, []).append(wish.lock)
            else:
                refused.append((wish, max(grant.seconds, 0.001)))
        keeper.keep(*(wish.lock for wish in wishes if wish.lock.fence))
        for wish, left in refused:
            rivals = here.get(wish.lock.name, [])
            for rival in rivals:
                rival.batched = False
            self._refuse(wish.seq, functools.partial(wish.refusal, left=left), wish.lock.name if rivals else None)

    def _uncrowded(self, wishes: Sequence[_Wish], here: dict[str, list[Any]]) -> list[_Wish]:
        """Let those ask by themselves of whom too many are here: they follow each other, as they begin.

        Of slots half: what waits in the pool would keep from others what these have done with before it begins.
        """
        crowd = Counter(wish.lock.name for wish in wishes)
        for wish in wishes:
            name = wish.lock.name
            if crowd[name] + len(here.get(name, ())) > max(1, wish.lock.want(None).most // 2):
                for rival in here.get(name, ()):
                    rival.batched = False
                self._wait(wish.seq, name)
        return [wish for wish in wishes if self.goes_on(wish.seq)]

    def hear(self, effects: Sequence[tuple[Candidate, JobEffect]], answers: Sequence[Answer], here: set[str]) -> None:
        """Note the answers to the claims of jobs on their effects; ``here``: what others of this process claim."""
        for (job, effect), answer in zip(effects, answers, strict=True):
            if answer.standing is Standing.RUNNING:
                # One of this process may end before it begins.
                rivals = effect.name in here
                self._refuse(job.seq, functools.partial(put_off, left=answer.seconds), effect.name if rivals else None)
                continue
            try:
                effect.answer(answer, self._asked)
            except Exception:
                # What is wrong with what was kept its job says itself.
                self.give_up(job.seq)
            else:
                self.holdings[job.seq].held["idempotent"] = [effect]
                here.add(effect.name)

    def _refuse(self, seq: int, refusal: Callable[[Any], Exception], wanted: str | None = None) -> None:
        """Let a job wait, which holds nothing meanwhile; or ask again for what one of this process has."""
        if wanted is not None:
            self._wait(seq, wanted)
        elif self.goes_on(seq):
            self._free(self.holdings[seq])
            self.holdings[seq].refusal = refusal

    def _wait(self, seq: int, wanted: str) -> None:
        self._free(self.holdings[seq])
        self.holdings[seq].refusal, self.holdings[seq].wanted = None, wanted

    def give_up(self, seq: int) -> None:
        """Let a job ask by itself, as if nobody had asked for it."""
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
