"""Dead letters: to find, to look at, to replay, to drop; replays with care; failures that are alike."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from umbel.web.api.answers import PROBLEMS
from umbel.web.api.cursors import cursor_of, number_in
from umbel.web.api.shapes.failures import FailureGroupShape
from umbel.web.api.shapes.letters import CanaryShape, LetterDetailShape, LetterList, LetterShape
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.values import CanaryId, PathId
from umbel.web.api.wanted import LetterPageQuery, LimitQuery
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(tags=["dead letters"], responses=PROBLEMS)


@router.get("/dead-letters")
def list_letters(app: App, by: Viewer, query: Annotated[LetterPageQuery, Query()]) -> LetterList:
    """List dead letters, the newest first."""
    after = number_in("letters", query.cursor)
    found = app.dead_letters.find(query.filter(), limit=query.limit, after=after)
    following = found[-1].id if len(found) == query.limit else None
    letters = [LetterShape.model_validate(letter) for letter in found]
    return LetterList(letters=letters, next=cursor_of("letters", following))


@router.get("/dead-letters/{key}")
def show_letter(app: App, by: Viewer, key: PathId) -> LetterDetailShape:
    """Show a dead letter with all of its attempts, by its key or its number."""
    return LetterDetailShape.of(app.dead_letters.show(key))


@router.post("/dead-letters/{key}/replay")
def replay_letter(app: App, by: Operator, key: PathId) -> OutcomeAnswer:
    """Let the job of a dead letter run again."""
    return OutcomeAnswer.of(app.operations.letters.replay(key, by=by))


@router.delete("/dead-letters/{key}")
def drop_letter(app: App, by: Operator, key: PathId) -> OutcomeAnswer:
    """Forget a dead letter."""
    return OutcomeAnswer.of(app.operations.letters.drop(key, by=by))


@router.get("/canaries")
def list_canaries(app: App, by: Viewer) -> list[CanaryShape]:
    """List the replays with care of the process that answers, the newest first."""
    return [CanaryShape.model_validate(run) for run in app.operations.letters.canaries.all()]


@router.get("/canaries/{canary_id}")
def show_canary(app: App, by: Viewer, canary_id: CanaryId) -> CanaryShape:
    """Show how far a replay with care is."""
    return CanaryShape.model_validate(app.operations.letters.canaries.get(canary_id))


@router.post("/canaries/{canary_id}/stop")
def stop_canary(app: App, by: Operator, canary_id: CanaryId) -> OutcomeAnswer:
    """Let a replay with care replay no more."""
    return OutcomeAnswer.of(app.operations.letters.canaries.stop(canary_id, by=by))


@router.get("/failures")
def list_failures(app: App, by: Viewer, query: Annotated[LimitQuery, Query()]) -> list[FailureGroupShape]:
    """List failures that are alike, as one: all jobs that have failed or are retrying, the largest group first."""
    return [FailureGroupShape.model_validate(group) for group in app.history.failures.find(limit=query.limit)]
