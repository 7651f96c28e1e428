"""One worker for the tests of a module that leave it as they found it: its start costs more than most of them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from tests.integration.on_redis.server import Server
from tests.integration.worker.plant import Plant, until

__all__ = ("Crew",)


class Crew:
    """A plant on a store of its own, and its worker; made when first needed, and anew when they have broken."""

    def __init__(self, folder: Path, store: str, pool: str) -> None:
        self.pool = pool
        self._folder = folder
        self._store = store
        self._server: Server | None = None
        self._plant: Plant | None = None
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def plant(self) -> Plant:
        """Return the plant with nothing waiting, told or kept in it, and its worker fetching."""
        if self._plant is None:
            self._made += 1
            folder = self._folder / str(self._made)
            folder.mkdir()
            if self._store == "redis":
                # That of all tests is emptied before each.
                self._server = Server(folder / "redis")
            self._plant = Plant(folder, self._server.url if self._server else None)
            self._plant.start("-P", self.pool, "--loglevel", "WARNING", concurrency=4)
        return self._plant

    def tidy(self) -> None:
        """Make ready for the next test."""
        plant = self._plant
        if plant is None:
            return
        try:
            assert plant.workers[0].process.poll() is None, "the worker has ended"
            until(plant.empty, "nothing left to do")
            plant.engine.letters.drop([letter.id for letter in plant.engine.letters.find()])
            plant.trail.unlink(missing_ok=True)
            for gate in plant.gates.iterdir():
                gate.unlink()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        plant, self._plant = self._plant, None
        server, self._server = self._server, None
        if plant is not None:
            plant.close()
        if server is not None:
            server.kill()
