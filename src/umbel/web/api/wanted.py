"""Filters as they come in the query of a request."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from umbel.engine.letters import LetterFilter
from umbel.monitor.job_filter import JobFilter
from umbel.states import JobState
from umbel.web.api.values import Cursor, Given, Id, Moment, Name, Number, PageSize, Text

__all__ = ("JobPageQuery", "JobQuery", "LetterPageQuery", "LetterQuery", "LimitQuery", "MatchQuery")

#: So many may be named at once.
_CHOSEN_MOST: Final = 100


class LimitQuery(Given):
    """How many."""

    limit: PageSize = 100


class MatchQuery(Given):
    """Which names."""

    match: Annotated[Name, Field(description="A pattern, in which `*` stands for anything.")] = "*"


class JobQuery(Given):
    """Which jobs: those that fit everything that is given."""

    id: Annotated[list[Id], Field(max_length=_CHOSEN_MOST, description="Any of these.")] = []
    state: Annotated[list[JobState], Field(max_length=len(JobState))] = []
    task: Name | None = None
    queue: Name | None = None
    tag: Name | None = None
    owner: Name | None = None
    release: Name | None = None
    worker: Name | None = None
    parent: Id | None = None
    root: Id | None = None
    group: Id | None = None
    batch: Id | None = None
    fingerprint: Name | None = None
    since: Annotated[Moment | None, Field(description="Dispatched at this time, in unix seconds, or later.")] = None
    until: Annotated[Moment | None, Field(description="Dispatched earlier than this.")] = None
    text: Annotated[Text | None, Field(description="In the id, the arguments or the error.")] = None
    argument: Annotated[
        Text | None, Field(description="`name=value` of a named argument, or a text in any of them.")
    ] = None

    def filter(self) -> JobFilter:
        """Return it as the history takes it."""
        same = ("task", "queue", "tag", "owner", "release", "worker", "fingerprint", "since", "until")
        return JobFilter(
            ids=tuple(self.id) or None,
            states=frozenset(self.state),
            parent_id=self.parent,
            root_id=self.root,
            group_id=self.group,
            batch_id=self.batch,
            text=self.text or None,
            argument=self.argument or None,
            **{name: getattr(self, name) for name in same},
        )


class JobPageQuery(JobQuery):
    """That, and which page."""

    limit: PageSize = 50
    cursor: Cursor = None


class LetterQuery(Given):
    """Which dead letters: those that fit everything that is given."""

    number: Annotated[list[Number], Field(max_length=_CHOSEN_MOST, description="Any of these.")] = []
    queue: Name | None = None
    task: Name | None = None
    exception: Annotated[Name | None, Field(description="With its module or without.")] = None
    fingerprint: Name | None = None
    release: Name | None = None
    owner: Name | None = None
    since: Annotated[Moment | None, Field(description="Died at this time, in unix seconds, or later.")] = None
    before: Annotated[Moment | None, Field(description="Died earlier than this.")] = None
    replaying: Annotated[bool | None, Field(description="Whether a replay is on its way.")] = None
    fewer_than: Annotated[int | None, Field(ge=1, le=1_000_000, description="Replayed less often than this.")] = None

    def filter(self) -> LetterFilter:
        """Return it as the store takes it."""
        same = {name: getattr(self, name) for name in LetterQuery.model_fields if name != "number"}
        return LetterFilter(numbers=tuple(self.number) or None, **same)


class LetterPageQuery(LetterQuery):
    """That, and which page."""

    limit: PageSize = 50
    cursor: Cursor = None
