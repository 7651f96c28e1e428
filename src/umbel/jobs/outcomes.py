"""What a job may say of its own end: by ``return``, or by ``raise`` from wherever it stands.

| | the job | attempts |
|---|---|---|
| :class:`RetryLater` | runs again later | uses one; when none is left, the job fails |
| :class:`Snooze` | runs again later | uses none, however often |
| :class:`Cancel` | is cancelled | |
| :class:`Fail` | has failed, and is never retried | |

They are exceptions of Umbel's own, beside Celery's ``Retry``, ``Reject`` and ``Ignore``, which mean what they mean
there. No retry that is declared, ``autoretry_for`` included, catches one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import signals
from celery.exceptions import MaxRetriesExceededError, TaskRevokedError

from umbel.durations import duration
from umbel.engine.ends import End
from umbel.engine.outcome import CancelledItself, Outcome
from umbel.jobs.again import EAGER_MOST, again, times_put_off

__all__ = ("Cancel", "Fail", "RetryLater", "Snooze")


class RetryLater(Outcome):
    """Run the job again after ``delay``; this uses one of its attempts.

        raise RetryLater("5m", "the printer is out of paper") from error

    ``delay`` is a duration (``timedelta``, seconds or ``"5m"``); without it the declared backoff says how long, or the
    task's ``default_retry_delay``. When no attempt is left the job fails with the exception that it was raised from, or
    in whose handling it was raised; without one, with Celery's ``MaxRetriesExceededError``. Raises :exc:`ValueError`.
    """

    def __init__(self, delay: object = None, reason: str = "") -> None:
        self.delay = None if delay in (None, "") else duration(delay)
        self.reason = reason
        super().__init__(*_said(self.delay, reason))

    def conclude(self, task: Any) -> BaseException:
        """Order another try, or fail."""
        error = self.__cause__ or (None if self.__suppress_context__ else self.__context__)
        shown = error if isinstance(error, Exception) else self
        pause = self._pause(task, shown)
        if pause is not None:
            return again(task, shown, pause)
        if shown is not self:
            return shown
        used_up: BaseException = MaxRetriesExceededError(
            f"{task.name}[{task.request.id}] asked to run again, and its {task.request.retries} retries are used up.",
            task_args=task.request.args,
            task_kwargs=task.request.kwargs,
        )
        return used_up

    def _pause(self, task: Any, error: Exception) -> timedelta | None:
        if task.declared is not None and task.declared.retry is not None:
            pause: timedelta | None = task.declared.retry.pause(task.request, error, asked=self.delay)
            return pause
        if task.max_retries is not None and task.request.retries >= task.max_retries:
            return None
        return duration(task.default_retry_delay) if self.delay is None else self.delay


class Snooze(Outcome):
    """Put the job off for ``delay``: it runs again as the same attempt, also when that happens a thousand times.

        return Snooze("30s", "the report is not there yet")

    ``delay`` is a duration. Until then the state is *scheduled*. Raises :exc:`ValueError`.
    """

    def __init__(self, delay: object, reason: str = "") -> None:
        self.delay: timedelta = duration(delay)
        self.reason = reason
        super().__init__(*_said(self.delay, reason))

    def conclude(self, task: Any) -> BaseException:
        """Order the same try once more."""
        if task.request.is_eager and times_put_off(task.request) >= EAGER_MOST:
            return RuntimeError(
                f"{task.name} put itself off {EAGER_MOST} times in eager mode, where nothing is waited for: "
                "let the test make true what the job waits for."
            )
        return again(task, self, self.delay, uses_attempt=False)


class Cancel(Outcome):
    """End the job as *cancelled*: nothing follows it, no errback is called, and it is no failure.

        return Cancel("the order was withdrawn")

    Hooks, signals and events are those of a cancel that came from outside.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(*([reason] if reason else []))

    def conclude(self, task: Any) -> BaseException:
        """Let the worker end the job as it ends one that somebody else has cancelled."""
        if task.request.is_eager:
            signals.task_revoked.send(sender=task, request=task.request, terminated=False, signum=None, expired=False)
            revoked = TaskRevokedError(self.reason or "cancelled")
            task.app.endings.tell(End(kind="cancel", task=task, request=task.request, error=revoked))
        return CancelledItself(f"cancelled: {self.reason}" if self.reason else "cancelled")


class Fail(Outcome):
    """End the job as *failed* now, whatever attempts are left.

        raise Fail("there is no such order") from error

    What the job ends with is this exception.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(*([reason] if reason else []))

    def conclude(self, task: Any) -> BaseException:
        """This is the failure itself."""
        return self


def _said(delay: timedelta | None, reason: str) -> tuple[str, ...]:
    # Plain text: it is what a client reads, and what makes the exception again there.
    seconds = "" if delay is None else f"{delay.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    return (seconds, reason) if reason else (seconds,) if seconds else ()
