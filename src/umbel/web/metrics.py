"""What other programs ask: ``/metrics`` for Prometheus, ``/autoscale`` for whoever starts and ends workers.

Behind the site's sign-in, as a page is, unless ``UMBEL_METRICS_OPEN`` says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from umbel.monitor.metrics.prometheus import Metrics
from umbel.monitor.metrics.scaling import Scaling, Wanted
from umbel.web.problems import NO_STORE, Answer
from umbel.web.signin.people import App

__all__ = ("AutoscaleDocument", "router")

router: Final = APIRouter(tags=["metrics"])
_REPLICAS_MOST: Final = 10_000
_NAME: Final = 255


class AutoscaleDocument(BaseModel):
    """How many replicas of the workers would do. Times are seconds."""

    wanted: int = Field(description="How many replicas would do, within the bounds")
    replicas: int = Field(description="Hosts on which workers live now")
    slots: int = Field(description="Jobs that one replica runs at a time")
    wanted_slots: float = Field(description="Slots that would be busy")
    backlog: int = Field(description="Jobs that could start now")
    running: int = Field(description="Jobs that run")
    oldest_wait: float | None = Field(description="How long the next job has been due")
    arrivals: float = Field(description="Jobs a second, in the busiest of the last minutes")
    run: float | None = Field(description="What a job runs, on average")


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
def prometheus(request: Request, app: App, accept: Annotated[str, Header()] = "") -> Response:
    """Tell all metrics, in Prometheus' text format or in OpenMetrics."""
    state = request.app.state
    metrics: Metrics | None = getattr(state, "metrics", None)
    if metrics is None:
        metrics = state.metrics = Metrics(app)
    text, content_type = metrics.exposition(accept)
    return Response(text, headers={**NO_STORE, "Content-Type": content_type})


@router.get("/autoscale", response_model=AutoscaleDocument)
def autoscale(
    app: App,
    queue: Annotated[list[Annotated[str, Query(max_length=_NAME)]] | None, Query(max_length=100)] = None,
    least: Annotated[int | None, Query(alias="min", ge=0, le=_REPLICAS_MOST)] = None,
    most: Annotated[int | None, Query(alias="max", ge=1, le=_REPLICAS_MOST)] = None,
    drain: Annotated[float | None, Query(ge=1, le=86_400)] = None,
    hold: Annotated[float | None, Query(ge=0, le=86_400)] = None,
    slots: Annotated[int | None, Query(ge=1, le=100_000)] = None,
) -> Response:
    """Tell how many replicas of the workers that consume these queues (default: all) would do."""
    scaling = Scaling(app)
    bounds = scaling.bounds.but(least=least, most=most, drain=drain, hold=hold, slots=slots)
    return Answer(_document(scaling.ask(queue or None, bounds)), headers=NO_STORE)


def _document(found: Wanted) -> dict[str, Any]:
    load = found.load
    return {
        "wanted": found.replicas,
        "replicas": load.replicas,
        "slots": load.slots,
        "wanted_slots": round(found.slots, 3),
        "backlog": load.ready,
        "running": load.running,
        "oldest_wait": load.oldest,
        "arrivals": round(max(load.arrivals, default=0.0), 3),
        "run": load.run,
    }
