"""Batches, and workflows as graphs."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from umbel.jobs.batch_status import BatchState
from umbel.monitor.workflows import Workflow
from umbel.web.api.shapes.jobs import JobShape
from umbel.web.api.shapes.shape import Shape

__all__ = ("BatchDetailShape", "BatchShape", "CallbackShape", "EdgeShape", "GraphShape")


class BatchShape(Shape):
    """How far a batch is. Times are unix seconds."""

    id: str
    name: str
    state: BatchState
    total: int
    done: int
    failed: int
    cancelled: int = Field(description="Members that were cancelled, expired or purged.")
    pending: int
    allow_failures: str
    closed: bool = Field(description="Whether everything has been added.")
    created: float
    updated: float
    finished: float | None
    owner: str | None


class CallbackShape(Shape):
    """One of a batch's callbacks."""

    kind: str
    when: str
    state: str = Field(description="waits, queued or never.")


class BatchDetailShape(Shape):
    """One batch with a page of its members, the newest first."""

    batch: BatchShape
    opener: str | None = Field(description="The job that has opened it.")
    callbacks: list[CallbackShape]
    members: list[JobShape]
    next: str | None


class EdgeShape(Shape):
    """One job was dispatched by another, or by its end."""

    source: str
    target: str


class GraphShape(Shape):
    """Jobs that came of one root, in the order in which they were dispatched."""

    root: str = Field(description="The root's id; it need not be among the nodes.")
    nodes: list[JobShape]
    edges: list[EdgeShape]
    left_out: int = Field(description="How many more there are.")
    more: bool = Field(description="At least so many.")

    @classmethod
    def of(cls, found: Workflow) -> Self:
        """Return a workflow as a graph."""
        known = {row.id for row in found.jobs}
        pairs = [(row.parent_id, row.id) for row in found.jobs if row.parent_id in known]
        return cls(
            root=found.root,
            nodes=[JobShape.of(row) for row in found.jobs],
            edges=[EdgeShape(source=str(source), target=target) for source, target in pairs],
            left_out=found.left_out.number,
            more=found.left_out.more,
        )
