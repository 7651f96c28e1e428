"""The dead letters of an application: what failed for good, to find, drop and replay.

A letter is replayed as the job that it was, with its id and all of its attempts: it stays while its replay runs, a
success drops it, a failure writes it again. The store replays a letter and marks it as replayed in one step, so however
many do that at a time, each letter is dispatched once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from umbel.durations import duration
from umbel.engine.burial import replay_of
from umbel.engine.letters import ANY, DeadLetter, LetterFilter, Replay
from umbel.errors import ConfigurationError, LetterBusy, LetterNotFound, NotReplayable

if TYPE_CHECKING:
    from umbel.engine.store import Engine

__all__ = ("DeadLetter", "DeadLetters", "LetterFilter", "LetterGroup", "ReplayPolicy", "Replayed")

_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Letters that are alike: of one fingerprint and one release. Times are unix seconds."""

    fingerprint: str | None
    release: str | None
    exception: str | None
    #: Of the newest one.
    task: str | None
    reason: str
    newest: float
    oldest: float
    count: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was replayed: the letters' keys with their numbers; ``damaged`` are those whose message nobody can read."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    damaged: int = 0

    @property
    def count(self) -> int:
        """How many letters were replayed."""
        return len(self.numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPolicy:
    """Which letters are replayed by themselves, each time that :meth:`DeadLetters.sweep` is called.

        ReplayPolicy(where=LetterFilter(exception="ConnectTimeout"), older_than="10m", fewer_than=3, a_pass=100)

    Raises :exc:`ConfigurationError`.
    """

    where: LetterFilter = ANY
    #: Died so long ago, so that what is broken has had time to be mended.
    older_than: timedelta | str | float = "10m"
    #: Replayed less often than this: what fails again and again is for a person.
    fewer_than: int = 3
    #: So many in one pass.
    a_pass: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        try:
            duration(self.older_than)
        except ValueError as error:
            raise ConfigurationError(f"ReplayPolicy(older_than=…): {error}") from error
        for name in ("fewer_than", "a_pass"):
            if getattr(self, name) < 1:
                raise ConfigurationError(
                    f"ReplayPolicy({name}={getattr(self, name)}) replays nothing: write 1 or more."
                )

    def due(self, now: float) -> LetterFilter:
        """Return which letters are to be replayed at the unix time ``now``."""
        died = now - duration(self.older_than).total_seconds()
        before = died if self.where.before is None else min(died, self.where.before)
        fewer = self.fewer_than if self.where.fewer_than is None else min(self.fewer_than, self.where.fewer_than)
        return replace(self.where, before=before, fewer_than=fewer, replaying=False)


class DeadLetters:
    """The dead letters behind an application: ``jobs.dead_letters``."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """``engine`` returns the application's engine."""
        self._engine = engine

    # -- looking ----------------------------------------------------------------------------------------------

    def find(self, where: LetterFilter = ANY, *, limit: int = 100, after: int | None = None) -> list[DeadLetter]:
        """Return up to ``limit`` letters, the newest first; the next page begins ``after`` the last one's number."""
        return self._engine().letters.find(where, limit=limit, after=after)

    def walk(self, where: LetterFilter = ANY, *, oldest: bool = False, upto: int | None = None) -> Iterator[DeadLetter]:
        """Give all letters, the newest first or the oldest, a page at a time; the newest first up to a number.

        A letter that dies again meanwhile does not come a second time when the newest come first.
        """
        after = None if upto is None else upto + 1
        while page := self._engine().letters.find(where, limit=_PAGE, after=after, oldest=oldest):
            yield from page
            after = page[-1].id

    def show(self, name: str | int) -> DeadLetter:
        """Return the letter of a job's id, or of a number. Raises :exc:`LetterNotFound`."""
        letters = self._engine().letters
        for letter in letters.read([str(name)]):
            return letter
        found = letters.get(int(name)) if str(name).isdecimal() and len(str(name)) < 19 else None
        if found is None:
            raise LetterNotFound(str(name))
        return found

    def current(self, keys: Iterable[str]) -> dict[str, DeadLetter]:
        """Return the letters of those ``keys`` that have one now, by their keys."""
        return {letter.key: letter for letter in self._engine().letters.read(list(keys))}

    def groups(self, where: LetterFilter = ANY) -> list[LetterGroup]:
        """Return what is alike, by fingerprint and release, the most first."""
        groups: dict[tuple[str | None, str | None, str | None], LetterGroup] = {}
        for letter in self.walk(where):
            # What has no exception, because it never ran, is told apart by its reason.
            key = (letter.fingerprint, letter.release, None if letter.fingerprint else letter.reason)
            known = groups.get(key)
            groups[key] = _group_of(letter) if known is None else _grown(known, letter)
        return sorted(groups.values(), key=lambda group: (-group.count, -group.newest))

    # -- dropping ---------------------------------------------------------------------------------------------

    def drop(self, letters: Sequence[DeadLetter]) -> int:
        """Drop letters; return how many there still were."""
        return self._engine().letters.drop([letter.id for letter in letters])

    def drop_all(self, where: LetterFilter, *, upto: int | None = None) -> int:
        """Drop all letters that fit, or those ``upto`` a number; return how many those were."""
        return sum(self.drop(page) for page in _pages(self.walk(where, upto=upto)))

    # -- replaying --------------------------------------------------------------------------------------------

    def replay(self, name: str | int) -> DeadLetter:
        """Replay one letter, by its job's id or its number, and return it as it was.

        Raises :exc:`LetterNotFound`, :exc:`LetterBusy` when a replay of it is on its way, or :exc:`NotReplayable`. One
        whose replay was cancelled or purged, so that no message of it is left, is replayed again.
        """
        engine, letter = self._engine(), self.show(name)
        again = letter.replaying and letter.task_id is not None and engine.locate(letter.task_id) is None
        if not engine.letters.replay([replay_of(letter, engine.new_tag(), again=again)]):
            # Whoever was quicker has replayed it, or it is gone by now.
            raise LetterBusy(self.show(letter.key).key)
        return letter

    def replay_all(self, where: LetterFilter = ANY, *, most: int | None = None, upto: int | None = None) -> Replayed:
        """Replay all letters that fit, or the ``most`` newest ones, but for those whose replay is on its way.

        ``upto``: none whose number is above this one, because it has died later.
        """
        return self.replay_these(islice(self.walk(replace(where, replaying=False), upto=upto), most))

    def sweep(self, policy: ReplayPolicy) -> Replayed:
        """Replay what ``policy`` says is due, the oldest first: to be called by a schedule."""
        return self.replay_these(islice(self.walk(policy.due(time.time()), oldest=True), policy.a_pass))

    def replay_these(self, letters: Iterable[DeadLetter]) -> Replayed:
        """Replay letters as they were read; those that others have replayed or dropped since are left alone."""
        engine = self._engine()
        done: dict[str, int] = {}
        damaged = 0
        for page in _pages(letters):
            asked: list[Replay] = []
            for letter in page:
                try:
                    asked.append(replay_of(letter, engine.new_tag()))
                except NotReplayable:
                    damaged += 1
            numbers = set(engine.letters.replay(asked)) if asked else set()
            done.update((one.letter.key, one.letter.id) for one in asked if one.letter.id in numbers)
        return Replayed(done, damaged)


def _pages(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    source = iter(letters)
    while page := list(islice(source, _PAGE)):
        yield page


def _group_of(letter: DeadLetter) -> LetterGroup:
    return LetterGroup(
        letter.fingerprint,
        letter.release,
        letter.exception,
        letter.task,
        letter.reason,
        newest=letter.died,
        oldest=letter.died,
        count=1,
    )


def _grown(group: LetterGroup, letter: DeadLetter) -> LetterGroup:
    oldest, newest = min(group.oldest, letter.died), max(group.newest, letter.died)
    return replace(group, oldest=oldest, newest=newest, count=group.count + 1)
