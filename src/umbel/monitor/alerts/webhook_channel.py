"""Alerts by webhook: signed as Standard Webhooks, to public addresses and those that ``UMBEL_WEBHOOK_ALLOW`` names.

    {"type": "alert.opened", "timestamp": "2026-11-26T05:00:00Z",
     "data": {"number": 3, "rule": "queue-wait", "subject": "mail", "summary": "...", "app": "shop",
              "opened": "2026-11-26T05:00:00Z", "ended": null}}

The ``webhook-id`` is the same when one is told again, so that a receiver that keeps ids takes each once.
"""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from umbel.errors import AddressRefused, ConfigurationError, WebhookFailed
from umbel.jobs.webhook_address import Allowed, checked_url
from umbel.jobs.webhook_signature import keys_of, signature_of
from umbel.monitor.alerts.channels import Untold

if TYPE_CHECKING:
    from umbel.monitor.alerts.notices import Notice
    from umbel.monitor.alerts.plan import Webhooks

__all__ = ("WebhookChannel",)


class WebhookChannel:
    """One URL. Raises :exc:`ConfigurationError` for one that is none, or a secret that is none."""

    def __init__(self, url: str, plan: Webhooks, app: str) -> None:
        try:
            self._url: Final = checked_url(url)
        except AddressRefused as error:
            raise ConfigurationError(f"UMBEL_ALERT_WEBHOOK: {error}") from None
        # A URL's path may be what gives the right to use it.
        self.name: Final = f"webhook {urlsplit(url).netloc} {hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._keys: Final = keys_of(plan.secret, "UMBEL_WEBHOOK_SECRET")
        self._plan: Final = plan
        self._app: Final = app

    def tell(self, notice: Notice) -> None:
        """Send it. Raises :exc:`Untold`."""
        try:
            import httpcore

            from umbel.jobs.webhook_http import Post
        except ImportError:
            raise Untold("a package is missing here: pip install 'umbel[webhooks]'") from None
        body, now = _body(notice, self._app), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Umbel",
            "webhook-id": notice.id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature_of(self._keys, notice.id, now, body),
        }
        try:
            answer = Post(Allowed(self._plan.allow), timeout=self._plan.timeout).send(self._url, body, headers)
        except AddressRefused as error:
            raise Untold(str(error)) from error
        except WebhookFailed as error:
            never = (httpcore.ConnectError, httpcore.ConnectTimeout)
            raise Untold(error.reason, unsure=not isinstance(error.__cause__, never)) from error
        if not 200 <= answer.status < 300:
            raise Untold(f"it answers {answer.status}")


def _body(notice: Notice, app: str) -> bytes:
    incident = notice.incident
    data = {
        "number": incident.number,
        "rule": incident.rule,
        "subject": incident.subject,
        "summary": incident.summary,
        "app": app,
        "opened": _moment(incident.opened_at),
        "ended": _moment(incident.ended_at),
    }
    whole = {"type": f"alert.{notice.kind}", "timestamp": _moment(time.time()), "data": data}
    return json.dumps(whole, separators=(",", ":")).encode()


def _moment(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
