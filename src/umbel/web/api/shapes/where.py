"""Where a job is, and what it has logged."""

from __future__ import annotations

from pydantic import Field

from umbel.monitor.whereabouts import Place
from umbel.web.api.shapes.shape import Shape

__all__ = ("ExecutionLog", "LineShape", "LiveShape", "WhereShape")


class LineShape(Shape):
    """One line that a job has logged. `level` is `PRINT` for what it has printed."""

    at: float
    level: str
    logger: str
    text: str


class ExecutionLog(Shape):
    """What one execution has logged: the first `head` of `lines`, then `dropped` more, then the rest of them."""

    retries: int = Field(description="How many tries came before it.")
    ended_at: float
    lines: list[LineShape]
    head: int
    dropped: int


class FrameShape(Shape):
    """One line of code that waits for the next one to come back."""

    file: str
    line: int
    function: str
    code: str


class LiveShape(Shape):
    """What the worker of a job says of it now."""

    worker: str
    running: bool
    since: float | None
    kind: str | None = Field(description="thread, coroutine or process.")
    frames: list[FrameShape] = Field(description="Where it stands, the outermost first.")
    omitted: int
    waits: str | None
    silent: bool = Field(description="Its process did not answer in time.")
    lines: list[LineShape]


class WhereShape(Shape):
    """Where a job is, and why. Times are unix seconds."""

    id: str
    place: Place
    code: str = Field(description="Why it is there, for programs.")
    text: str = Field(description="The same as a sentence.")
    notes: list[str]
    state: str | None
    task: str | None
    queue: str | None
    position: int | None = Field(description="How many jobs of its queue go before it.")
    expected: float | None = Field(description="When it is expected to start, as its queue has gone lately.")
    due: float | None
    limits: list[str]
    deliveries: int | None
    error: str | None
    worker: str | None
    can_put_back: bool
    live: LiveShape | None
