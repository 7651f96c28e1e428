"""The graph of a job's workflow, as its page includes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup
from starlette.requests import Request

from umbel.web.charts.graph import Node, graph, nested
from umbel.web.render import link

if TYPE_CHECKING:
    from umbel.monitor.history import History
    from umbel.monitor.jobs_view import Count

__all__ = ("Graph", "graph_of")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A workflow, drawn and as nested lists. ``others`` is the address of all of its jobs."""

    drawing: Markup
    as_list: Markup
    left_out: Count
    others: str


def graph_of(request: Request, history: History, task_id: str) -> Graph | None:
    """Return the workflow of a job; None for one that is alone. Raises :exc:`JobNotFound`."""
    workflow = history.workflows.of(task_id)
    if workflow.is_single:
        return None
    nodes = [
        Node(
            id=one.id,
            parent=one.parent_id,
            group=one.group_id,
            label=one.task or "unknown",
            state=one.state.value,
            href=link(request, f"/jobs/{one.id}"),
            is_current=one.id == task_id,
        )
        for one in workflow.jobs
    ]
    title = f"The workflow of {workflow.root}, {len(nodes)} jobs"
    return Graph(
        drawing=graph(nodes, id="workflow", title=title),
        as_list=nested(nodes),
        left_out=workflow.left_out,
        others=link(request, "/jobs", root=workflow.root),
    )
