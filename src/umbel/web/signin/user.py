"""What the application around the dashboard says about one of its own users."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from umbel.monitor.actors import Actor, Role

__all__ = ("UserHook", "WebUser", "host_actor")


@dataclass(frozen=True, slots=True)
class WebUser:
    """Somebody whom the host application knows: a name for the audit log, and ``"viewer"`` or ``"operator"``.

        api.mount("/umbel", jobs.web(user=lambda request: WebUser(request.user.email, "operator")))

    Raises :exc:`ValueError` for another role.
    """

    name: str
    role: Role | str = Role.VIEWER

    def __post_init__(self) -> None:
        object.__setattr__(self, "role", Role(self.role))


#: Called with each request, sync (in a thread) or async; None turns them away.
UserHook = Callable[[Request], WebUser | Awaitable[WebUser | None] | None]


async def host_actor(hook: UserHook, request: Request) -> Actor | None:
    """Return who asks, as the host application knows them; None for nobody."""
    is_async = inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)
    found = hook(request) if is_async else await run_in_threadpool(hook, request)
    if inspect.isawaitable(found):
        found = await found
    return None if found is None else Actor(found.name, Role(found.role), "host")
