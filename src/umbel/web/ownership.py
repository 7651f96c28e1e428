"""Who may see a job: its owner, and nobody learns that a job of someone else exists.

``owner`` of the router is any FastAPI dependency, or a plain function of the request, sync or async, that names the
caller. A job that was dispatched with ``owner=`` is shown to that caller only; one without is shown to whoever
has its id (122 random bits) and passes the guard.
"""

# No postponed annotations here: FastAPI reads those of the inner functions, which refer to local names.
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request
from fastapi.params import Depends as DependsMark

from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.jobs.batch_status import BatchStatus
    from umbel.jobs.status import JobStatus

__all__ = ("EVERY_OWNER", "Dependency", "EveryOwner", "caller_of", "dependency", "may_see", "refuse_open_mount")

#: A FastAPI dependency: a callable, or ``Depends(callable)``.
Dependency = Callable[..., Any] | DependsMark


class EveryOwner:
    """The type of :data:`EVERY_OWNER`."""

    def __repr__(self) -> str:
        return "EVERY_OWNER"


#: What an ``owner`` callable returns for an operator, who sees everybody's jobs.
EVERY_OWNER: Final = EveryOwner()


def refuse_open_mount(app: "Umbel", owner: Dependency | None, guard: Dependency | None) -> None:
    """Raise :class:`~umbel.errors.ConfigurationError` when the router would show every job to everybody."""
    if owner is None and guard is None and not app.settings.debug:
        raise ConfigurationError(
            "jobs.router() would show every job to everybody: pass owner= (a callable that names the caller) or "
            "guard= (a dependency that refuses strangers), or set UMBEL_DEBUG=true while you develop."
        )


def caller_of(owner: Dependency | None, guard: Dependency | None) -> DependsMark:
    """Return the dependency that names the caller: a text, None for nobody, or :data:`EVERY_OWNER`."""
    if owner is not None:
        return dependency(owner)
    # A guard says who may come in, not who they are: then a job with an owner is nobody's to see.
    nobody: EveryOwner | None = None if guard is not None else EVERY_OWNER

    def anonymous() -> EveryOwner | None:
        return nobody

    return dependency(anonymous)


def dependency(call: Dependency) -> DependsMark:
    """Return ``call`` as a dependency; one whose only parameter has no annotation gets the request."""
    if isinstance(call, DependsMark):
        return call
    return DependsMark(_with_request(call) if _wants_request(call) else call)


def may_see(caller: Any, job: "JobStatus | BatchStatus") -> bool:
    """Tell whether ``caller`` may see ``job``, or a batch."""
    if job.owner is None or caller is EVERY_OWNER:
        return True
    return caller is not None and str(caller) == job.owner


def _wants_request(call: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(call).parameters.values())
    if len(parameters) != 1:
        return False
    only = parameters[0]
    return only.annotation is inspect.Parameter.empty and only.default is inspect.Parameter.empty


def _with_request(call: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):

        async def ask(request: Request) -> Any:
            return await call(request)

        return ask

    def ask_in_thread(request: Request) -> Any:
        return call(request)

    return ask_in_thread
