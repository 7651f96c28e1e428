"""Worker processes."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from umbel.monitor.workers_view import WorkerRow
from umbel.web.api.shapes.shape import Shape

__all__ = ("SettingShape", "WorkerDetailShape", "WorkerShape")

_SAME = ("name", "pid", "slots", "in_flight", "started")


class WorkerShape(Shape):
    """One live process. Times are unix seconds."""

    name: str = Field(description="Its node name.")
    pid: int
    queues: list[str]
    slots: int
    in_flight: int = Field(description="How many jobs it holds.")
    started: float
    draining: bool

    @classmethod
    def of(cls, row: WorkerRow) -> Self:
        """Return how a worker is shown."""
        return cls(draining=row.is_draining, queues=list(row.queues), **{name: getattr(row, name) for name in _SAME})


class SettingShape(Shape):
    """A setting as it holds in the process, masked where it is a secret."""

    name: str
    value: str
    source: str


class ProfileShape(Shape):
    """What the process says of itself."""

    pool: str
    memory: int = Field(description="Bytes; 0 where it does not know.")
    jobs: int = Field(description="How many it has begun since its start.")
    release: str | None
    versions: dict[str, str]
    settings: list[SettingShape]


class WorkerDetailShape(Shape):
    """One live process with its configuration; `profile` is null where it did not answer in time."""

    worker: WorkerShape
    profile: ProfileShape | None

    @classmethod
    def of(cls, row: WorkerRow) -> Self:
        """Return how all of a worker is shown."""
        profile = None if row.profile is None else ProfileShape.model_validate(row.profile)
        return cls(worker=WorkerShape.of(row), profile=profile)
