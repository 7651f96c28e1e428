"""Words by which jobs are found in the history: ``tags=`` of a task, and of one dispatch.

    @jobs.task(tags=["billing"])
    def charge(order: int) -> None: ...

    charge.apply_async((7,), tags=["eu", "retry-campaign"])

A job has those of its task and those of its dispatch, and keeps them through retries and replays. They stand in a
header of its message, for everybody to read: no secrets. A task that has none pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from umbel.engine.headers import TAGS
from umbel.errors import ConfigurationError, InvalidArguments

__all__ = ("TAGS_MOST", "TAG_MOST", "Tags", "tagged", "tags_header", "tags_of")

TAGS_MOST: Final = 20
#: Characters.
TAG_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of one task."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``tags=`` of a task declares. Raises :exc:`ConfigurationError`."""
        if isinstance(value, cls):
            return value
        try:
            return cls(_words(value))
        except ValueError as error:
            raise ConfigurationError(f"{place}: {error}") from None


def tags_of(task: Any) -> tuple[str, ...]:
    """Return what a task declares."""
    declared = getattr(task, "declared", None)
    return () if declared is None or declared.tags is None else declared.tags.words


def tagged(task: Any, options: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """Return the options of a dispatch with what ``tags=`` says in its headers, after those that the task has.

    ``name``: that of a task which this process may not have.

    Raises :exc:`InvalidArguments`.
    """
    rest = {key: value for key, value in options.items() if key != "tags"}
    if options["tags"] is None:
        return rest
    headers = rest.get("headers") or {}
    try:
        words = _words([*tags_of(task), *(headers.get(TAGS) or ()), *_listed(options["tags"])])
    except ValueError as error:
        raise InvalidArguments(str(name or task.name), str(error)) from None
    return {**rest, "headers": {**headers, **tags_header(words)}}


def tags_header(words: Iterable[str]) -> dict[str, list[str]]:
    """Return the header in which they stand; nothing for none."""
    found = [*words]
    return {TAGS: found} if found else {}


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"tags={value!r} is no list of texts; write tags=['billing', 'eu'].")
    return [*value]


def _words(value: Any) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(_listed(value)))
    for word in words:
        if not isinstance(word, str) or not 0 < len(word) <= TAG_MOST:
            raise ValueError(f"the tag {word!r} is no text of 1 to {TAG_MOST} characters.")
    if len(words) > TAGS_MOST:
        raise ValueError(f"tags= has {len(words)} of them, and {TAGS_MOST} are the most.")
    return words
