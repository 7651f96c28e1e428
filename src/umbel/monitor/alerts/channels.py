"""By what people are told: the log, webhooks, mail. Each tells one notice, within a bounded time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from umbel.monitor.alerts.incidents import ENDED

if TYPE_CHECKING:
    from umbel.monitor.alerts.notices import Notice
    from umbel.monitor.alerts.plan import Plan

__all__ = ("Channel", "LogChannel", "Untold", "channels_of", "sentence")

logger = logging.getLogger("umbel.alerts")


class Untold(Exception):
    """A notice was not told; with ``unsure`` nobody knows whether it was."""

    def __init__(self, reason: str, *, unsure: bool = False) -> None:
        self.reason = reason
        self.unsure = unsure
        super().__init__(reason)


class Channel(Protocol):
    """One way to tell people."""

    @property
    def name(self) -> str:
        """By this its notices are kept: the same as long as it leads to the same people. Without secrets."""

    def tell(self, notice: Notice) -> None:
        """Tell it. Raises :exc:`Untold`."""


def sentence(notice: Notice) -> str:
    """Return what is said of a notice, in one line."""
    incident = notice.incident
    if notice.kind == ENDED:
        return f"Over: {incident.summary}"
    return incident.summary


class LogChannel:
    """The recorder's own log: always there."""

    name: Final = "log"

    def tell(self, notice: Notice) -> None:
        """Log it: a warning when something began, a remark when it is over."""
        level = logging.INFO if notice.kind == ENDED else logging.WARNING
        logger.log(level, "Alert %d (%s): %s", notice.incident.number, notice.incident.rule, sentence(notice))


def channels_of(plan: Plan) -> Iterator[Channel]:
    """Yield the channels that ``plan`` names. Raises :exc:`ConfigurationError`."""
    yield LogChannel()
    if plan.webhooks is not None:
        from umbel.monitor.alerts.webhook_channel import WebhookChannel

        for url in plan.webhooks.urls:
            yield WebhookChannel(url, plan.webhooks, plan.app)
    if plan.mail is not None:
        from umbel.monitor.alerts.mail_channel import MailChannel

        yield MailChannel(plan.mail, plan.app)
