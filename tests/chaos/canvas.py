"""What Celery's canvas can have follow a job: links, errbacks, retries, chains, groups, chords of any size."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from celery import chain, chord, group

__all__ = ("Canvas",)

_STEPS: Final = 4
_LARGEST: Final = 500
#: Of so many chords one has a member that fails.
_FAILING: Final = 10


@dataclass(frozen=True)
class Canvas:
    """``size`` each of links, errbacks, retries, steps of chains, members of one chord, of many chords, of a group."""

    size: int
    seed: int = 0

    @cached_property
    def chords(self) -> list[int]:
        """The sizes of the chords beside the largest."""
        chance = random.Random(self.seed)
        sizes: list[int] = []
        while sum(sizes) < self.size:
            sizes.append(min(chance.randint(1, _LARGEST), self.size - sum(sizes)))
        return sizes

    @property
    def chains(self) -> int:
        """How many chains there are."""
        return self.size // _STEPS

    @property
    def failed_chords(self) -> range:
        """The numbers of the chords with a member that fails."""
        return range(0, len(self.chords), _FAILING)

    @property
    def jobs(self) -> int:
        """How many jobs that are; the callback of a chord with a failure is never sent, its errback is."""
        return 8 * self.size + _STEPS * self.chains + 1 + len(self.chords)

    @property
    def executions(self) -> int:
        """How many executions that takes when nobody is killed."""
        return self.jobs + self.size

    @property
    def failures(self) -> int:
        """How many jobs fail for good."""
        return self.size + len(self.failed_chords)

    @property
    def states(self) -> dict[str, int]:
        """How many jobs end in which state; the callback of a chord with a failure has failed, unsent."""
        failed = self.failures
        return {"SUCCESS": self.jobs - failed, "FAILURE": failed + len(self.failed_chords)}

    def effects(self) -> set[str]:
        """Return the keys of all effects."""
        keys = {f"{kind}{number}" for kind in ("m", "g", "l", "after-l", "f", "xf") for number in range(self.size)}
        keys |= {f"r{number}/{attempt}" for number in range(self.size) for attempt in (0, 1)}
        keys |= {f"s{number}.{step}" for number in range(self.chains) for step in range(_STEPS)}
        keys |= {f"c{number}-{member}" for number, size in enumerate(self.chords) for member in range(size)}
        keys |= {f"xc{number}" for number in self.failed_chords}
        whole = set(range(len(self.chords))) - set(self.failed_chords)
        return keys | {f"c{number}={self.chords[number]}" for number in whole} | {f"all={self.size}"}

    def dispatch(self, tasks: Any) -> None:
        """Send everything with the tasks of module ``tests.chaos.jobs``, the kinds by turns."""
        chord([tasks.member.si(f"m{number}") for number in range(self.size)])(tasks.gathered.s("all"))
        for tenth in range(10):
            for send in (
                self._send_links,
                self._send_errbacks,
                self._send_retries,
                self._send_chains,
                self._send_chords,
            ):
                send(tasks, tenth)
        group(tasks.member.si(f"g{number}") for number in range(self.size)).apply_async()

    def _send_links(self, tasks: Any, tenth: int) -> None:
        for number in range(tenth, self.size, 10):
            tasks.plain.apply_async((f"l{number}",), link=tasks.linked.s(f"after-l{number}"))

    def _send_errbacks(self, tasks: Any, tenth: int) -> None:
        for number in range(tenth, self.size, 10):
            tasks.failing.apply_async((f"f{number}",), task_id=f"f{number}", link_error=tasks.errback.s())

    def _send_retries(self, tasks: Any, tenth: int) -> None:
        task = (tasks.retrying, tasks.aretrying)[tenth % 2]
        for _ in task.enqueue_many(f"r{number}" for number in range(tenth, self.size, 10)):
            pass

    def _send_chains(self, tasks: Any, tenth: int) -> None:
        for number in range(tenth, self.chains, 10):
            steps = (tasks.coroutine, tasks.plain, tasks.member, tasks.coroutine)
            chain(*(task.si(f"s{number}.{step}") for step, task in enumerate(steps)))()

    def _send_chords(self, tasks: Any, tenth: int) -> None:
        for number in range(tenth, len(self.chords), 10):
            members = [tasks.member.si(f"c{number}-{member}") for member in range(self.chords[number])]
            callback = tasks.gathered.s(f"c{number}")
            if number in self.failed_chords:
                members[0] = tasks.failing.si(f"c{number}-0")
                callback = callback.set(task_id=f"c{number}").on_error(tasks.errback.s())
            chord(members)(callback)
