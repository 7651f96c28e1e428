"""What an application offers for the ends of its jobs: hooks, and webhooks out and in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from umbel.jobs.declared import Declared
from umbel.jobs.endings import Endings
from umbel.jobs.hooks import KINDS, Hooks
from umbel.tracing import WithTracing

if TYPE_CHECKING:
    from umbel.jobs.hooks import Around, Hook

__all__ = ("HookDecorators", "WithEndings")

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M")


class HookDecorators:
    """``jobs.hook``: each of its methods makes a function hear of all jobs of the application."""

    def __init__(self, add: Callable[[Hooks], None]) -> None:
        self._add = add

    def before(self, function: F) -> F:
        """Call ``function(job)`` before a job's body; what it raises is the job's end."""
        return self._added("before", function)

    def around(self, function: F) -> F:
        """Call ``function(job, call)`` around a job's body, ``call()``; what it returns is the job's result."""
        return self._added("around", function)

    def success(self, function: F) -> F:
        """Call ``function(job)`` when a job has succeeded."""
        return self._added("success", function)

    def retry(self, function: F) -> F:
        """Call ``function(job)`` when a job is to run again."""
        return self._added("retry", function)

    def failure(self, function: F) -> F:
        """Call ``function(job)`` when a job has failed for good, also when it never ran."""
        return self._added("failure", function)

    def cancel(self, function: F) -> F:
        """Call ``function(job)`` when a job was cancelled, or has expired."""
        return self._added("cancel", function)

    def _added(self, kind: str, function: F) -> F:
        hook: Hook | Around = function
        self._add(Hooks(**{kind: hook}))  # type: ignore[arg-type]
        return function


class WithEndings(WithTracing):
    """A part of :class:`umbel.Umbel`."""

    #: What is done when jobs end.
    endings: Endings
    _tasks: Any

    @cached_property
    def hook(self) -> HookDecorators:
        """Decorators for functions that hear of all jobs.

            @jobs.hook.failure
            def alert(job: JobContext) -> None: ...

        A task's own are declared by ``hooks=``. See :mod:`umbel.jobs.hooks`. Raises :exc:`ConfigurationError`.
        """
        return HookDecorators(self._add_hooks)

    def middleware(self, value: M) -> M:
        """Let ``value`` hear of all jobs: :class:`umbel.Hooks`, an object with such methods, or one function around.

            @jobs.middleware
            async def traced(job: JobContext, call: Callable[[], Awaitable[Any]]) -> Any:
                with tracer.span(job.task):
                    return await call()

        The first that is added is the outermost. Raises :exc:`ConfigurationError`.
        """
        has_hooks = isinstance(value, Hooks) or any(hasattr(value, kind) for kind in KINDS)
        plain = callable(value) and not has_hooks
        self._add_hooks(Hooks(around=value) if plain else Hooks.of(value, "jobs.middleware"))  # type: ignore[arg-type]
        return value

    def _add_hooks(self, hooks: Hooks) -> None:
        self.endings.add(hooks)
        for task in list(self._tasks.values()):
            self._put_around(task)

    def _put_around(self, task: Any) -> None:
        """Put what a task declares, and what the application does around all of them, around its body."""
        declared: Declared | None = task.declared
        if self.endings.hooks and (declared is None or declared.hooks is None):
            declared = task.declared = (declared or Declared()).with_hooks()
        if self.tracing is not None and declared is None:
            declared = task.declared = Declared()
        if declared is not None:
            declared.put_around(task)

    def webhook_secrets(self, function: Callable[[str], str | Iterable[str]]) -> Callable[[str], str | Iterable[str]]:
        """Sign each webhook with what ``function`` returns for its URL, so that no receiver knows another's secret.

            @jobs.webhook_secrets
            def secret_of(url: str) -> str:
                return partners.by_url(url).secret

        One or several ``whsec_…``. It is called in a worker, at each try, in place of ``UMBEL_WEBHOOK_SECRET``.
        """
        self.endings.webhooks.sign_with(function)
        return function

    def incoming_webhook(self, secrets: str | Iterable[str], **options: Any) -> Callable[..., Any]:
        """Return a FastAPI dependency: the :class:`umbel.IncomingWebhook` of a request, if its signature is right.

            @api.post("/hooks/partner")
            async def hook(webhook: Annotated[IncomingWebhook, Depends(jobs.incoming_webhook(SECRET))]) -> None:
                await webhook.adispatch(book, webhook.json())

        See :mod:`umbel.web.incoming`.
        """
        from umbel.web.incoming import build_incoming

        return build_incoming(secrets, **options)
