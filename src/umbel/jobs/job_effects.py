"""The effect that a job declares: its end is written with its job's, in the step before (C32).

What a process has not written yet when it dies is uncertain, as what it was about: that is what has ended since the
last settlement, some milliseconds of work. A store that is away is told when it is back; the job is not over before.
"""

from __future__ import annotations

from typing import Any, Final, Self

from celery._state import get_current_task

from umbel.engine.execution import Execution, current_execution
from umbel.ids import new_id
from umbel.jobs.effects import Effect
from umbel.jobs.locks import Keeper
from umbel.state.effects import Answer, Bid, Claimant, Effects, Ending, Standing

__all__ = ("JobEffect",)


class JobEffect(Effect):
    """One job's effect, whose block is all of its body."""

    _leaves = False
    #: The answer to its claim came with those to others.
    _answered = False

    @property
    def keeper(self) -> Keeper[Effects]:
        """What renews the claim."""
        return self._desk.keeper

    @property
    def usable(self) -> bool:
        """Whether what was answered with a batch is still worth something."""
        return self._done or not self.lost

    def bid(self, task_id: str) -> Bid:
        """Return what to ask for the job of ``task_id``, before it begins."""
        token = new_id()
        self._who = Claimant(task_id, token, token)
        return Bid(self.name, self._who, self.seconds, doubtful=self._policy.doubtful(asks=False))

    def answer(self, answer: Answer, asked: float) -> None:
        """Note the answer, of one that is ours or done, as asked for at that time."""
        self._take(answer, asked)
        self._answered = True

    def unused(self) -> Ending | None:
        """Return what is to be told of a claim whose body has not begun; None when there is nothing to tell."""
        return Ending(self.name, self._token, "release") if self.fence else None

    def __enter__(self) -> Self:
        """Raises what any effect does, where nothing was answered before."""
        if not self._answered:
            return super().__enter__()
        self._answered, self._task = False, get_current_task()
        return self

    def told(self, ending: Ending, *, kept: bool) -> None:
        """Note that the store has been told."""
        self._let_go()
        self._told(ending, kept=kept)

    def _leave(self, error: BaseException | None) -> None:
        self._leaves = True
        super()._leave(error)

    def _tell(self, ending: Ending) -> None:
        execution = self._execution()
        # What the body says itself is for what it does next; and a job that was given up may run elsewhere by now.
        if self._leaves and execution is not None and execution.is_open:
            execution.conclude(self, ending)
        else:
            super()._tell(ending)

    def _claim(self) -> Answer:
        execution = self._execution()
        told = execution.times_told if execution is not None else 0
        found = super()._claim()
        if found.standing is Standing.RUNNING and execution is not None and execution.owed(told):
            # It may have ended in this process, and nobody had told the store.
            found = super()._claim()
        return found

    def _execution(self) -> Execution | None:
        execution: Final[Any] = current_execution.get()
        own = execution is not None and self._task is not None and execution.delivery.task_id == self._task.request.id
        return execution if own else None
