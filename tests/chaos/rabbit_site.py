"""A RabbitMQ of the campaign's own, and a state store beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from tests.chaos.redis_site import RedisSite
from tests.conftest import need_program
from tests.postgres import running_postgres
from tests.rabbit import running_rabbit

__all__ = ("RabbitSite",)


class RabbitSite:
    """One node and, beside it, a Redis or (``postgres``) a PostgreSQL."""

    def __init__(self, folder: Path, *, postgres: bool = False) -> None:
        self._running = contextlib.ExitStack()
        with contextlib.ExitStack() as starting:
            if postgres:
                self.state = starting.enter_context(running_postgres(need_program)).url
            else:
                beside = RedisSite(folder, append=False)
                starting.callback(beside.close)
                self.state = beside.direct
            self.broker: Final = starting.enter_context(running_rabbit()).new_url()
            self._running = starting.pop_all()

    def close(self) -> None:
        """End everything."""
        self._running.close()
