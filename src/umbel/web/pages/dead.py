"""``/dead``: the dead letters that fit what the address says, and what may be done to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter
from fastapi import Query as Asked
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.operations import LetterSelection
from umbel.web.pages.acts import LETTER_ACTS, NOTHING_CHOSEN, Act, act_of
from umbel.web.pages.letter_query import LETTER_FILTERS, TIMES, letters_meant
from umbel.web.pages.posted import Posted, field
from umbel.web.pages.query import Query, wrong
from umbel.web.pages.recorded import recorded_now
from umbel.web.render import go_back, go_on, render
from umbel.web.signin.people import App, Operator, Viewer

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.canary_book import CanaryRun

__all__ = ("router",)

router: Final = APIRouter()
_A_PAGE: Final = 50
_GROUPS: Final = 100
_FEW: Final = 10
_RATE: Final = 10.0
_PATIENCE_MINUTES: Final = 10.0


@router.get("/dead")
def dead(
    request: Request,
    app: App,
    by: Viewer,
    act: Annotated[str | None, Asked(max_length=40)] = None,
    group: bool = False,
    chosen: bool = False,
    back: Annotated[str, Asked(alias="next", max_length=4000)] = "/dead",
) -> Response:
    """Show a page of dead letters, or those that are alike as one.

    With ``act`` what would be done to all that fit, or with ``chosen`` to those of ``number``.
    """
    query = Query.of(request.query_params.multi_items(), (*LETTER_FILTERS, "after"))
    if act is not None:
        if chosen and not query.all("number"):
            return go_back(request, back, NOTHING_CHOSEN, wrong=True)
        wanted_act, fixed = act_of(LETTER_ACTS, act), query.fixed(*TIMES)
        return _preview(request, app, wanted_act, fixed, app.operations.letters.preview(letters_meant(fixed)))
    wanted = letters_meant(query)
    letters = [] if group else app.dead_letters.find(wanted, limit=_A_PAGE + 1, after=query.number("after"))
    groups = app.dead_letters.groups(wanted) if group else []
    return render(
        request,
        "dead.html",
        query=query,
        acts=LETTER_ACTS,
        letters=letters[:_A_PAGE],
        following=letters[_A_PAGE - 1].id if len(letters) > _A_PAGE else None,
        is_grouped=group,
        groups=groups[:_GROUPS],
        left_out=max(0, len(groups) - _GROUPS),
        canaries=_canaries(app),
    )


def _canaries(app: Umbel) -> Sequence[CanaryRun]:
    """Return the replays with care; none while the history, which keeps them, is away: letters are at the store."""
    return app.operations.letters.canaries.all() if recorded_now(app).trouble is None else ()


@router.post("/dead")
def act_on_letters(request: Request, app: App, by: Operator, form: Posted) -> Response:
    """Do to all that fitted a preview what was previewed, one step of it."""
    if field(form, "act") == "stop":
        done = app.operations.letters.canaries.stop(field(form, "canary"), by=by)
        return go_on(request, "/dead", said=done.text)
    query = Query.of(form.multi_items(), LETTER_FILTERS)
    act = act_of(LETTER_ACTS, field(form, "act"))
    selection = LetterSelection.marked(letters_meant(query), field(form, "mark"))
    if act.name == "canary":
        _begin_canary(app, by, selection, form)
        return go_on(request, "/dead", said="It has begun: this page tells how it goes on.")
    done = getattr(app.operations.letters, f"{act.name}_all")(selection, by=by)
    if done.next is not None:
        return _preview(request, app, act, query, done.next, said=(done.text, False))
    return go_on(request, "/dead", said=done.text, wrong=bool(done.failed), **_given(query))


def _begin_canary(app: Umbel, by: Actor, selection: LetterSelection, form: Posted) -> None:
    rate = _part(form, "rate", _RATE, 99.0) / 100
    patience = _part(form, "patience", _PATIENCE_MINUTES, 1440.0) * 60
    app.operations.letters.begin_canary(selection, by=by, failure_rate=rate, patience=patience)


def _part(form: Posted, name: str, otherwise: float, most: float) -> float:
    text = field(form, name)
    try:
        value = float(text) if text else otherwise
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise wrong(f"{name} is a number from 0 to {most:g}.")
    return value


def _preview(request: Request, app: Umbel, act: Act, query: Query, selection: LetterSelection, **more: Any) -> Response:
    before = selection.before or selection.upto + 1
    shown = len(query.all("number")) or _FEW
    found = app.dead_letters.find(selection.where, limit=shown, after=before)
    return render(
        request, "dead_act.html", act=act, query=query, given=_given(query), selection=selection, letters=found, **more
    )


def _given(query: Query) -> dict[str, Any]:
    """Return filters as parameters of an address."""
    return {name: list(query.all(name)) for name, _ in query.given if name in LETTER_FILTERS}
