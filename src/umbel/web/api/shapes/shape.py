"""What all shapes have in common."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from umbel.jobs.status import json_safe
from umbel.monitor.operations import Bulk, Outcome
from umbel.states import JobState

__all__ = ("BulkAnswer", "OutcomeAnswer", "Preview", "Problem", "Shape", "parsed")


class Shape(BaseModel):
    """Read from what has such attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Problem(BaseModel):
    """What is wrong, for a program (`type`) and for a person (`detail`). RFC 9457."""

    type: str = Field(description="A stable word, as `urn:umbel:problem:…`.")
    title: str
    status: int
    detail: str = Field(description="One sentence that says what to do.")


class OutcomeAnswer(Shape):
    """What was done."""

    text: str = Field(description="A sentence for a person.")
    target: str = Field(description="What it was done to.")
    state: JobState | None = Field(None, description="The job's state now.")
    job_id: str | None = Field(None, description="The job that came of it.")
    count: int | None = Field(None, description="How many it was about.")

    @classmethod
    def of(cls, outcome: Outcome) -> OutcomeAnswer:
        """Return what is answered."""
        return cls.model_validate(outcome)


class Preview(Shape):
    """How many fit now. Acting on them takes the same filter, and the mark."""

    count: int
    more: bool = Field(description="At least so many.")
    mark: str = Field(description="What stands for them: those that come later are no part of it.")


class BulkAnswer(BaseModel):
    """One step over all that fit was done."""

    text: str = Field(description="A sentence for a person.")
    done: int
    left_alone: int = Field(description="They had changed by then, or somebody else was quicker.")
    failed: int
    problems: list[str] = Field(description="Why, for the first of those that failed.")
    next: str | None = Field(description="The mark with which the next step is asked for; null when all was done.")

    @classmethod
    def of(cls, bulk: Bulk[Any]) -> BulkAnswer:
        """Return what is answered."""
        return cls(
            text=bulk.text,
            done=bulk.done,
            left_alone=bulk.left_alone,
            failed=bulk.failed,
            problems=list(bulk.problems),
            next=None if bulk.next is None else bulk.next.mark,
        )


def parsed(text: str | None) -> Any:
    """Return what a text that is kept as JSON says, in plain values; None where it was cut, or is none."""
    if text is None:
        return None
    try:
        return json_safe(json.loads(text))
    except (ValueError, RecursionError):
        return None
