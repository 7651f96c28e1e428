"""What waits can be given other arguments, and more time, while it has its key until its start (C30)."""

from __future__ import annotations

import time

from umbel.engine.envelope import headers_of
from umbel.engine.store import Delivery, Record
from umbel.testing.contract._suite import until
from umbel.testing.contract._uniques import Uniques

__all__ = ("Superseding",)


class Superseding(Uniques):
    """C30, of engines that hold their messages themselves."""

    def supersede(self, task_id: str, retries: int, due: float | None = None, longest: float | None = None) -> bool:
        """Put a message with this header in the place of the one that waits."""
        message = self.message(task_id, headers={"retries": retries}, due=due)
        return self.engine.uniques.supersede(message, longest)

    def test_c30_what_waits_is_given_the_newest_arguments(self) -> None:
        self.put("before")
        self.put_unique("a", until_start=True)
        self.put("behind")
        assert self.supersede("a", 7)
        assert self.supersede("a", 8)
        found = self.get()
        assert [one.task_id for one in found] == ["before", "a", "behind"], "its place is the first one's"
        assert _retries(found[1]) == 8
        assert not self.supersede("a", 9), "a worker has it"
        self.finish(found[1])
        assert not self.supersede("a", 9)

    def test_c30_what_waits_longer_than_its_key_keeps_the_newest_arguments(self) -> None:
        self.put_unique("a", until_start=True, seconds=1.0)
        assert self.supersede("a", 7)
        self.wait_for_the_key()
        assert _retries(self.get_one()) == 7

    def test_c30_a_key_until_the_end_lets_nothing_take_its_place(self) -> None:
        self.put_unique("a")
        assert not self.supersede("a", 1)
        assert _retries(self.get_one()) == 0

    def test_c30_a_cancelled_job_is_given_nothing(self) -> None:
        self.put_unique("a", until_start=True)
        self.engine.cancel("a", Record("a", "REVOKED", True, "{}"))
        assert not self.supersede("a", 1)

    def test_c30_each_dispatch_lets_it_wait_anew_until_the_longest_is_over(self) -> None:
        now = time.time()
        self.put_unique("a", until_start=True, due=now + 100)
        assert self.supersede("a", 1, due=now + 200, longest=1000)
        assert self.due("a") == round(now + 200)
        assert self.supersede("a", 2, due=now + 5000, longest=1000)
        assert abs(self.due("a") - round(now + 1000)) <= 30
        assert not self.get()

    def test_c30_what_was_superseded_while_delayed_runs_with_the_newest(self) -> None:
        self.put_unique("a", until_start=True, due=time.time() + 3600)
        assert self.supersede("a", 3, due=time.time() - 1)
        (found,) = until(self.get, "what is due")
        assert _retries(found) == 3

    def due(self, task_id: str) -> int:
        """Return when a job is due, as whole seconds."""
        found = self.engine.locate(task_id)
        assert found is not None
        assert found.due is not None
        return round(found.due)


def _retries(delivery: Delivery) -> int:
    return int(headers_of(delivery.payload)["retries"])
