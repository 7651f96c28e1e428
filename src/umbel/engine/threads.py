"""A few threads for what must not block its caller; a child after a fork has none of its parent's."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ("Threads",)


class Threads:
    """Up to ``count`` threads, made when they are needed. What they were given is done before the process ends."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Begin without threads."""
        self._threads = ThreadPoolExecutor(max_workers=self._count, thread_name_prefix=self._name)

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Let a thread call ``call``."""
        return self._threads.submit(call, *args)
