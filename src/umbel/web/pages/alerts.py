"""Alerts: what is wrong now, and what was; to say that somebody looks after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.alerts.symptoms import Rule
from umbel.web.pages.acting import act
from umbel.web.render import render
from umbel.web.signin.people import App, Operator, Viewer
from umbel.web.words import number, span

if TYPE_CHECKING:
    from umbel.settings import Settings

__all__ = ("router",)

router: Final = APIRouter()
_PAGE: Final = 50
Number = Annotated[int, Path(ge=1, le=2**62)]


def _rules(settings: Settings) -> Mapping[Rule, str]:
    """Return when each rule raises an alert, as a person reads it."""
    within = span(settings.alert_within.total_seconds())
    others = f"; of others: {', '.join(settings.alert_waits)}" if settings.alert_waits else ""
    return {
        Rule.FAILURES: f"{number(settings.alert_failures)} jobs fail alike within {within}",
        Rule.DEAD_LETTERS: f"{number(settings.alert_dead_letters)} of a task within {within}",
        Rule.QUEUE_WAIT: f"for longer than {span(settings.alert_wait.total_seconds())}{others}",
        Rule.NO_CONSUMER: "jobs wait for a minute in a queue that no worker consumes",
        Rule.SCHEDULER: "an entry of the schedule is a minute late",
    }


def _told(settings: Settings) -> Iterator[str]:
    """Yield who is told; of a webhook's address the host alone, because the rest may be secret."""
    yield "the log of the recorder"
    for url in settings.alert_webhook:
        yield f"a webhook at {urlsplit(url).hostname or 'an address without a host'}"
    yield from settings.alert_email


@router.get("/alerts")
def alerts(
    request: Request,
    app: App,
    by: Viewer,
    rule: Rule | None = None,
    over: bool = True,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Show incidents, those that go on and, unless ``over`` is false, those that have ended."""
    incidents = app.history.incidents
    page = incidents.find(going_on=not over, rule=None if rule is None else rule.value, before=before, limit=_PAGE)
    return render(
        request,
        "alerts.html",
        page=page,
        counts=incidents.counts(),
        rule=rule,
        over=over,
        before=before,
        is_on=app.settings.history and app.settings.alerts,
        rules=_rules(app.settings),
        told=list(_told(app.settings)),
    )


@router.post("/alerts/{number}/acknowledge")
def acknowledge(request: Request, number: Number, app: App, by: Operator) -> Response:
    """Say that somebody looks after an incident."""
    return act(request, "/alerts", lambda: app.operations.alerts.acknowledge(number, by=by))
