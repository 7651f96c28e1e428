"""What is an alert, and who is told: as the settings say it, and as a worker hands it to the recorder, which has none.

Pure. The text that is handed on may hold passwords: it goes over a pipe, and never into an argument or a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from umbel.durations import duration
from umbel.errors import ConfigurationError
from umbel.monitor.alerts.rhythm import Rhythm

__all__ = ("Mail", "Plan", "Thresholds", "Webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Beyond what something is an alert. Times are seconds."""

    within: float = 600.0
    failures: int = 10
    dead_letters: int = 1
    wait: float = 300.0
    #: Of single queues.
    waits: Mapping[str, float] = field(default_factory=dict)

    def wait_of(self, queue: str) -> float:
        """Return how long jobs of a queue may wait."""
        return self.waits.get(queue, self.wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Whom to tell by webhook, signed with ``secret``; ``allow``: hosts and networks that are not public."""

    urls: tuple[str, ...]
    secret: str = field(repr=False)
    allow: tuple[str, ...] = ()
    timeout: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Whom to tell by mail, through the server at ``url``."""

    url: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of it. ``rhythm``: when each entry of the schedule runs."""

    app: str = ""
    thresholds: Thresholds = field(default_factory=Thresholds)
    webhooks: Webhooks | None = None
    mail: Mail | None = None
    rhythm: Rhythm = field(default_factory=Rhythm)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what :func:`umbel.engine.alerts_told.alerts_told` tells. Raises :exc:`ConfigurationError`."""
        return cls(
            app=told["app"],
            thresholds=_thresholds(told["thresholds"]),
            webhooks=_webhooks(told["webhooks"]),
            mail=_mail(told["mail"]),
            rhythm=Rhythm(**told["rhythm"]),
        )


def _thresholds(told: Mapping[str, Any]) -> Thresholds:
    return Thresholds(**{**told, "waits": dict(map(_of_queue, told["waits"]))})


def _of_queue(text: str) -> tuple[str, float]:
    name, mark, wait = text.rpartition("=")
    try:
        if not mark or not name:
            raise ValueError
        return name.strip(), duration(wait.strip()).total_seconds()
    except ValueError:
        raise ConfigurationError(f"UMBEL_ALERT_WAITS: {text!r} says no queue and no wait: write bulk=2h.") from None


def _webhooks(told: Mapping[str, Any]) -> Webhooks | None:
    if not told["urls"]:
        return None
    if not told["secret"]:
        raise ConfigurationError(
            "UMBEL_ALERT_WEBHOOK needs a secret to sign with: set UMBEL_WEBHOOK_SECRET to whsec_ and 24 to 64 random "
            "bytes in base64."
        )
    return Webhooks(
        urls=tuple(told["urls"]), secret=told["secret"], allow=tuple(told["allow"]), timeout=told["timeout"]
    )


def _mail(told: Mapping[str, Any]) -> Mail | None:
    recipients = tuple(told["recipients"])
    if not recipients:
        return None
    if not told["url"]:
        raise ConfigurationError(
            "UMBEL_ALERT_EMAIL needs a server to send by: set UMBEL_ALERT_SMTP_URL, as in "
            "smtp://user:password@mail.example.org:587."
        )
    return Mail(url=told["url"], sender=told["sender"] or recipients[0], recipients=recipients)
