"""``/``: how the application fares lately, and what somebody must do something about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.overview import LOOKS, Overview, OverviewReader, QueueLine
from umbel.web.charts.bars import share_bar
from umbel.web.charts.figure import Figure, Tone
from umbel.web.charts.moments import Moments
from umbel.web.charts.over_time import Mark, Series, over_time
from umbel.web.charts.sparkline import sparkline
from umbel.web.charts.units import Unit, length_text
from umbel.web.pages.recorded import Recorded, recorded_now
from umbel.web.render import render
from umbel.web.signin.people import App, Viewer

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.breakdown import Breakdown

__all__ = ("router",)

router: Final = APIRouter()
#: What is written within this is not worth a sentence.
_BEHIND_SECONDS: Final = 5.0
#: Nor is anything left waiting for so long, unless something is wrong.
_STUCK_SECONDS: Final = 120.0
_ENDS: Final = ("succeeded", "failed", "cancelled", "expired")


@router.get("/")
def overview(
    request: Request, app: App, by: Viewer, look: Literal["hour", "day", "week", "month"] = "hour"
) -> Response:
    """Show the first screen."""
    now = recorded_now(app)
    found = _reader(request, app, now).read(look)
    lately = found.lately
    return render(
        request,
        "overview.html",
        overview=found,
        looks=tuple(LOOKS),
        waiting=sum(line.now.waiting for line in found.queues),
        slots_bar=share_bar(found.busy / found.slots if found.slots else 0.0),
        ended=sum(_counted(lately, *_ENDS)),
        failed=sum(_counted(lately, "failed")),
        charts=[] if lately is None else list(_charts(found, lately)),
        sparks={line.now.name: _spark(line) for line in found.queues},
        troubles=list(_troubles(found)),
        trouble=now.trouble,
    )


def _reader(request: Request, app: Umbel, now: Recorded) -> OverviewReader:
    """Return what reads for all who look, with the history or, while that is away, without."""
    state = request.app.state
    if not hasattr(state, "overviews"):
        state.overviews = {}
    readers: dict[bool, OverviewReader] = state.overviews
    is_away = now.trouble is not None
    if is_away not in readers:
        readers[is_away] = OverviewReader(app, now.history)
    return readers[is_away]


def _counted(lately: Breakdown | None, *words: str) -> Iterator[int]:
    for point in lately.points if lately else ():
        yield from (point.counts[word] for word in words)


def _charts(found: Overview, lately: Breakdown) -> Iterator[Figure]:
    moments = Moments(lately.first, lately.step, len(lately.points))
    marks = [Mark(one.at, one.name) for one in found.releases]
    yield over_time(
        id="throughput",
        title=f"Jobs that ended, {_STEP_NAMES[lately.step]}",
        moments=moments,
        marks=marks,
        series=[
            Series(name=word, tone=tone, values=[point.counts[word] for point in lately.points], filled=tone == "good")
            for word, tone in (("succeeded", Tone.GOOD), ("failed", Tone.BAD), ("retried", Tone.MORE))
        ],
    )
    yield over_time(
        id="waits",
        title="How long jobs waited for a slot",
        moments=moments,
        marks=marks,
        unit=Unit.SECONDS,
        series=[
            Series(name="half of them", tone=Tone.PLAIN, values=[one.waited_p50 for one in lately.points]),
            Series(name="19 of 20", tone=Tone.WAIT, values=[one.waited_p95 for one in lately.points]),
        ],
    )


_STEP_NAMES: Final = {60: "a minute", 3600: "an hour", 3 * 3600: "in three hours", 86_400: "a day"}


def _spark(line: QueueLine) -> Markup | str:
    high = max((one for one in line.waits if one is not None), default=None)
    if high is None:
        return ""
    return sparkline(line.waits, f"19 of 20 jobs waited {length_text(high)} at most", tone=Tone.WAIT)


def _troubles(found: Overview) -> Iterator[str]:
    """Yield what somebody must do something about, the most urgent first."""
    unserved = [line.now.name for line in found.queues if line.now.is_unserved and line.now.droppable]
    if unserved:
        names = ", ".join(unserved[:5]) + (" …" if len(unserved) > 5 else "")
        yield f"No worker consumes {names}: start one with 'umbel worker -Q {','.join(unserved)}'."
    elif not found.workers:
        yield "No worker is running: start one with 'umbel worker'."
    for line in found.queues:
        if line.now.is_paused:
            yield f"Queue {line.now.name} is paused: its jobs wait until it is resumed."
    if found.schedules.is_silent:
        yield "There is a schedule, and no scheduler is running: start one with 'umbel beat'."
    if found.behind >= _STUCK_SECONDS:
        yield (
            f"The history is {length_text(found.behind)} behind: a recorder runs beside each 'umbel worker', and its "
            "log says what it waits for."
        )
    elif found.behind >= _BEHIND_SECONDS:
        yield (
            f"The history is {length_text(found.behind)} behind: jobs have the machine first, and what they have told "
            "since is still to be written."
        )
