"""Dead letters, and replays with care."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from umbel.engine.failures import failures_in
from umbel.engine.letters import DeadLetter
from umbel.monitor.messages import told_by
from umbel.web.api.shapes.shape import Shape, parsed

__all__ = ("CanaryShape", "FailureShape", "LetterDetailShape", "LetterList", "LetterShape")


class LetterShape(Shape):
    """A job that failed for good. Times are unix seconds."""

    key: str = Field(description="The job's id, or a name of its own where the message has none.")
    id: int = Field(description="The number of this death: one that dies again has another.")
    task_id: str | None
    task: str | None
    queue: str
    reason: str
    died: float
    deliveries: int
    owner: str | None
    release: str | None
    exception: str | None
    fingerprint: str | None
    replays: int
    replaying: bool = Field(description="Whether a replay is on its way.")


class LetterList(Shape):
    """A page of dead letters, the newest first."""

    letters: list[LetterShape]
    next: str | None


class FailureShape(Shape):
    """One attempt that failed."""

    attempt: int
    at: float
    exception: str
    message: str
    traceback: str
    release: str | None


class LetterDetailShape(Shape):
    """One dead letter with all of its attempts."""

    letter: LetterShape
    arguments: Any = Field(None, description="null where they are not kept, as those of protected messages are not.")
    failures: list[FailureShape]

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return how all of a letter is shown."""
        return cls(
            letter=LetterShape.model_validate(letter),
            arguments=parsed(told_by(letter.payload).arguments),
            failures=[FailureShape.model_validate(one) for one in failures_in(letter.failures)],
        )


class CanaryShape(Shape):
    """A replay with care. Times are unix seconds."""

    id: str
    by: str
    where: str = Field(description="The filter in words.")
    previewed: int
    began: float
    replayed: int
    succeeded: int
    failed: int
    ended: float | None
    end: str | None = Field(description="done, failed, undecided, stopped or broken; null while it goes on.")
    left: int | None = Field(description="How many were not replayed.")
    text: str = Field(description="A sentence for a person.")
