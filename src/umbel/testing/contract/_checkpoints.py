"""Checkpoints belong to a job's latest execution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from umbel.engine.store import Settled
from umbel.state.checkpoints import Checkpoints
from umbel.testing.contract._suite import Suite

__all__ = ("CheckpointPromises", "EngineCheckpoints")


class CheckpointPromises:
    """What checkpoints promise, whoever keeps them."""

    def checkpoints(self) -> Checkpoints:
        """Return the checkpoints of an empty store."""
        raise NotImplementedError

    def forget(self, task_id: str) -> None:
        """Let a job end that has some."""
        raise NotImplementedError

    def test_checkpoint_what_is_saved_is_there_for_the_next_execution(self) -> None:
        store = self.checkpoints()
        assert store.take("a", 1) == {}
        assert store.save("a", 1, "rows", "5")
        assert store.save("a", 1, "rows", "7")
        assert store.save("a", 1, "Größe=1", '{"x": [1]}')
        assert store.take("a", 2) == {"rows": "7", "Größe=1": '{"x": [1]}'}
        assert store.take("b", 1) == {}, "another job's"

    def test_checkpoint_an_earlier_execution_moves_nothing(self) -> None:
        store = self.checkpoints()
        store.take("a", 1)
        assert store.save("a", 1, "rows", "5"), "nobody else has them yet"
        store.take("a", 3)
        assert not store.save("a", 1, "rows", "6")
        assert store.take("a", 2) is None
        assert not store.save("a", 2, "rows", "6")
        assert store.save("a", 3, "rows", "6")
        assert store.take("a", 3) == {"rows": "6"}, "the same one may ask again"

    def test_checkpoint_nobody_saves_what_nobody_has_taken(self) -> None:
        store = self.checkpoints()
        assert not store.save("a", 1, "rows", "5")
        assert store.take("a", 1) == {}

    def test_checkpoint_they_go_with_the_jobs_end(self) -> None:
        store = self.checkpoints()
        for task_id in ("a", "b", "c"):
            store.take(task_id, 9)
            store.save(task_id, 9, "rows", "5")
        self.forget("a")
        store.drop("b")
        assert not store.save("a", 9, "rows", "6")
        assert store.take("a", 1) == {}
        assert store.take("b", 1) == {}
        assert store.take("c", 9) == {"rows": "5"}

    def test_checkpoint_of_executions_that_race_the_latest_one_has_them(self) -> None:
        store = self.checkpoints()

        def work(fence: int) -> int:
            if store.take("a", fence) is None:
                return 0
            return fence if store.save("a", fence, "rows", str(fence)) else 0

        with ThreadPoolExecutor(50) as threads:
            saved = list(threads.map(work, range(1, 51)))
        assert saved[-1] == 50
        assert store.take("a", 50) == {"rows": "50"}


class EngineCheckpoints(Suite, CheckpointPromises):
    """The checkpoints of an engine."""

    def checkpoints(self) -> Checkpoints:
        return self.engine.checkpoints

    def forget(self, task_id: str) -> None:
        self.engine.settle([Settled(forget=task_id)])
