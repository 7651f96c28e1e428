"""Dead letters: to replay and to drop, one, or all that fit; to replay with care."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from umbel.jobs.canary import Canary, CanaryStep, canary
from umbel.monitor.operations.canaries import Canaries
from umbel.monitor.operations.outcomes import Bulk, Outcome, Tally
from umbel.monitor.operations.selection import LetterSelection
from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.letters import DeadLetter, LetterFilter
    from umbel.monitor.actors import Actor
    from umbel.monitor.canary_book import CanaryRun
    from umbel.monitor.operations.desk import Desk

__all__ = ("STEP", "LetterOperations")

#: So many letters are acted on in one step.
STEP: Final = 2000
_PAGE: Final = 200


class LetterOperations:
    """``jobs.operations.letters``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk
        #: Replays with care that go on, or have ended lately.
        self.canaries: Final = Canaries(app, desk)

    def preview(self, where: LetterFilter) -> LetterSelection:
        """Return which letters fit now, and how many those are."""
        return LetterSelection.of(self._app.dead_letters, where)

    # -- replay -----------------------------------------------------------------------------------------------

    def replay(self, name: str, *, by: Actor) -> Outcome:
        """Let the job of one letter run again, named by its key or its number.

        Raises :exc:`LetterNotFound`, :exc:`LetterBusy`, :exc:`NotReplayable`.
        """
        with self._desk.action(by, "letter.replay", name):
            letter = self._app.dead_letters.replay(name)
        return Outcome(text=f"{letter.key} runs again.", target=letter.key, state=JobState.QUEUED)

    def replay_all(self, selection: LetterSelection, *, by: Actor, most: int | None = None) -> Bulk[LetterSelection]:
        """Replay what was previewed, one step of it, but for those whose replay is on its way.

        ``most``: no more than so many in this step, the newest.
        """
        resting = replace(selection.where, replaying=False)
        return self._all(selection, resting, by, "replay", "replayed", self._replay, most)

    def _replay(self, letters: Sequence[DeadLetter], tally: Tally) -> None:
        done = self._app.dead_letters.replay_these(letters)
        tally.done += done.count
        for _ in range(done.damaged):
            tally.fail("A message is damaged")
        tally.left_alone += len(letters) - done.count - done.damaged

    def begin_canary(
        self, selection: LetterSelection, *, by: Actor, failure_rate: float = 0.1, patience: float = 600.0
    ) -> CanaryRun:
        """Begin to replay one, then 5 in a hundred, then all, as long as no more than ``failure_rate`` fail again.

        It goes on in this process, or when that ends in the workers' recorder, and :attr:`canaries` tells of it;
        ``patience``: the seconds that a step's replays may take to end. Raises :exc:`OperationError` when too many are
        on their way.
        """
        return self.canaries.begin(selection, by=by, failure_rate=failure_rate, patience=patience)

    def canary(
        self,
        selection: LetterSelection,
        *,
        by: Actor,
        failure_rate: float = 0.1,
        patience: float = 600.0,
        tell: Callable[[CanaryStep], object],
    ) -> Canary:
        """Do that here and now, and return what became of it; ``tell`` hears of each step."""
        detail = {"previewed": selection.count, "rate": failure_rate}
        with self._desk.action(by, "letters.canary", selection.text, **detail) as entry:
            letters = self._app.dead_letters
            found = canary(
                letters,
                selection.where,
                upto=selection.upto,
                failure_rate=failure_rate,
                patience=patience,
                tell=tell,
            )
            entry.note(end=found.end.value, replayed=found.step.replayed, failed=found.step.failed)
        return found

    # -- drop -------------------------------------------------------------------------------------------------

    def drop(self, name: str, *, by: Actor) -> Outcome:
        """Forget one letter, by its key or its number. Raises :exc:`LetterNotFound`."""
        with self._desk.action(by, "letter.drop", name):
            letter = self._app.dead_letters.show(name)
            count = self._app.dead_letters.drop([letter])
        return Outcome(text=f"{letter.key} was dropped.", target=letter.key, count=count)

    def drop_all(self, selection: LetterSelection, *, by: Actor) -> Bulk[LetterSelection]:
        """Forget what was previewed, one step of it."""
        return self._all(selection, selection.where, by, "drop", "dropped", self._drop)

    def _drop(self, letters: Sequence[DeadLetter], tally: Tally) -> None:
        dropped = self._app.dead_letters.drop(letters)
        tally.done += dropped
        tally.left_alone += len(letters) - dropped

    # -- all that fit -----------------------------------------------------------------------------------------

    def _all(
        self,
        selection: LetterSelection,
        where: LetterFilter,
        by: Actor,
        verb: str,
        done: str,
        act: Callable[[Sequence[DeadLetter], Tally], None],
        most: int | None = None,
    ) -> Bulk[LetterSelection]:
        with self._desk.action(by, f"letters.{verb}", selection.text, previewed=selection.count) as entry:
            if selection.where.numbers is not None:
                entry.note(numbers=selection.where.numbers)
            before = selection.before or selection.upto + 1
            tally, last, number = Tally(), before, 0
            limit = STEP if most is None else min(STEP, most)
            try:
                walk = islice(self._app.dead_letters.walk(where, upto=before - 1), limit)
                for page in _pages(walk):
                    act(page, tally)
                    last, number = page[-1].id, number + len(page)
            finally:
                entry.note(done=tally.done, left_alone=tally.left_alone, failed=tally.failed)
        return tally.bulk(done, selection.going_on(last) if number == limit else None)


def _pages(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    source = iter(letters)
    while page := list(islice(source, _PAGE)):
        yield page
