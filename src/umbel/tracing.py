"""What an application offers to follow its jobs across processes, by OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from umbel.monitor.traces import Traces

__all__ = ("WithTracing",)


class WithTracing:
    """A part of :class:`umbel.Umbel`."""

    #: What follows jobs; None while nobody does, which costs one look at this attribute.
    tracing: Traces | None = None
    _tasks: Any

    def trace(self, provider: Any = None) -> None:
        """Follow jobs by OpenTelemetry, from their dispatch through their run; ``UMBEL_TRACES=1`` does so too.

            jobs.trace()

        ``provider``: a ``TracerProvider``; by default the process's own. What is dispatched from then on carries its
        context, and each execution is a span. See :mod:`umbel.monitor.traces`. Raises :exc:`ConfigurationError`.
        """
        try:
            from umbel.monitor.traces import Traces
        except ImportError as error:
            raise ConfigurationError("Following jobs needs OpenTelemetry: pip install 'umbel[otel]'.") from error
        self.tracing = Traces(self, provider)
        for task in list(self._tasks.values()):
            self._put_around(task)

    def _put_around(self, task: Any) -> None:
        raise NotImplementedError
