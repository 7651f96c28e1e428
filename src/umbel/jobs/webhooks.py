"""Webhooks out: somebody elsewhere is told how a job has ended (C37).

    @jobs.task(webhook=Webhook("https://partner.example/hooks/exports"))
    def export(customer: int) -> str: ...

    export.apply_async((7,), webhook_url="https://other.example/hook")

Each is a job of its own, ``umbel.webhook``, that is ordered in the step that writes the end of which it tells: no kill
comes between. It is sent until its receiver says 2xx, at least once, with ``UMBEL_WEBHOOK_BACKOFF`` between the tries;
after the last it is a dead letter. Its ``webhook-id`` and its body stay the same, its time and its signature do not.
A URL of a dispatch travels in a header of its message. In eager mode nothing is sent. A job without one pays nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from umbel.engine.ends import End
from umbel.engine.execution import current_execution, deferring
from umbel.engine.headers import REPLAY, WEBHOOK
from umbel.errors import AddressRefused, ConfigurationError, PayloadTooLarge, StoreError, WebhookFailed
from umbel.jobs.outcomes import Fail, RetryLater
from umbel.jobs.retry import Retry
from umbel.jobs.retry_after import retry_after
from umbel.jobs.status import json_safe
from umbel.jobs.webhook_address import Allowed, checked_url, shown_url
from umbel.jobs.webhook_signature import keys_of, signature_of

if TYPE_CHECKING:
    from umbel.settings import Settings

__all__ = ("TASK", "Webhook", "Webhooks")

logger = logging.getLogger(__name__)

#: The task that sends.
TASK: Final = "umbel.webhook"
_ON: Final = ("success", "failure")
_STATUS: Final = {"success": "succeeded", "failure": "failed"}
#: The receiver wants no more of it.
_GONE: Final = 410
_ERROR_MOST: Final = 1000
_HIDDEN: Final = {"argsrepr": "()", "kwargsrepr": "***"}

Secrets = Callable[[str], str | Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Tell ``url`` how the jobs of a task end.

    ``on``: of which ends, ``"success"`` and ``"failure"``. ``content``: without it what the job returned, or what its
    error says, stays here; the receiver learns the status and the id. Raises :exc:`ConfigurationError`.
    """

    url: str = field(kw_only=False)
    on: tuple[str, ...] | str = _ON
    content: bool = True

    def __post_init__(self) -> None:
        on = (self.on,) if isinstance(self.on, str) else tuple(self.on)
        if not on or any(kind not in _ON for kind in on):
            raise ConfigurationError(f"Webhook(on={self.on!r}): write 'success', 'failure', or both.")
        object.__setattr__(self, "on", on)
        try:
            checked_url(self.url)
        except AddressRefused as error:
            raise ConfigurationError(f"Webhook: {error}") from None

    @classmethod
    def of(cls, value: Any, place: str) -> Self:
        """Return what ``webhook=`` declares: a :class:`Webhook`, or its URL."""
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, cls):
            raise ConfigurationError(f"{place}: webhook={value!r} is no Webhook; write Webhook('https://…').")
        return value


class Webhooks:
    """The webhooks of one application."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._secrets: Secrets | None = None
        secret = settings.webhook_secret
        if secret is not None:
            text = secret.get_secret_value()
            keys_of(text, "UMBEL_WEBHOOK_SECRET")
            self.sign_with(lambda _: text)

    @property
    def can_sign(self) -> bool:
        """Whether there is something to sign with."""
        return self._secrets is not None

    def sign_with(self, secrets: Secrets) -> None:
        """Sign what goes to a URL with what ``secrets`` returns for it."""
        if self._secrets is None:
            self._declare()
        self._secrets = secrets

    def addressed(self, task: str, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a dispatch, with its ``webhook_url`` in a header.

        Raises :exc:`ConfigurationError` and :exc:`AddressRefused`.
        """
        if "webhook_url" not in options:
            return options
        options = dict(options)
        url = options.pop("webhook_url")
        if url is None:
            return options
        if not self.can_sign:
            raise ConfigurationError(f"{task} is to have a webhook, and {_UNSIGNED}")
        options["headers"] = {**(options.get("headers") or {}), WEBHOOK: checked_url(url)}
        return options

    # -- the end of a job -------------------------------------------------------------------------------------------

    def order(self, end: End) -> None:
        """Order the webhook of ``end``, if it has one, in the step that writes the end.

        Raises Celery's ``Reject``, so that the job runs again, if the order cannot be given now.
        """
        webhook = self._webhook_of(end)
        if webhook is None or end.kind not in webhook.on or getattr(end.request, "is_eager", False):
            return
        try:
            self._order(webhook, end)
        except (OperationalError, StoreError) as error:
            logger.error("The webhook of %s could not be queued, so the job runs again: %s", end.request.id, error)
            execution = current_execution.get()
            if execution is not None:
                execution.forget()
            raise Reject(error, requeue=True) from error
        except Exception:
            logger.exception("The webhook of %s could not be made.", end.request.id)

    @staticmethod
    def _webhook_of(end: End) -> Webhook | None:
        url = getattr(end.request, WEBHOOK, None)
        declared = getattr(end.task, "declared", None)
        if isinstance(url, str):
            try:
                return Webhook(url)
            except ConfigurationError as error:
                logger.error("%s has a webhook that cannot be sent: %s", end.request.id, error)
                return None
        return declared.webhook if declared is not None else None

    def _order(self, webhook: Webhook, end: End) -> None:
        about = _about(end)
        said = _content(end) if webhook.content else {}
        for data in ({**about, **said}, {**about, "omitted": True}):
            body = json.dumps(
                {"type": f"job.{data['status']}", "timestamp": _now(), "data": data}, separators=(",", ":")
            )
            kwargs = {"url": webhook.url, "webhook_id": _id(end, data["status"]), "body": body}
            try:
                with deferring():
                    self._app.send_task(TASK, kwargs=kwargs, headers=_HIDDEN)
            except PayloadTooLarge:
                # What is too large for a message is fetched by its id.
                continue
            return

    # -- the job that sends -----------------------------------------------------------------------------------------

    def _declare(self) -> None:
        pauses = self._settings.webhook_backoff
        policy = Retry(len(pauses), backoff=list(pauses) or 0)
        limit = self._settings.webhook_timeout.total_seconds() * 4 + 60

        @self._app.task(  # type: ignore[untyped-decorator]
            name=TASK,
            bind=True,
            shared=False,
            ignore_result=True,
            retry=policy,
            soft_time_limit=limit,
            time_limit=limit + 60,
        )
        def webhook(self: Any, *, url: str, webhook_id: str, body: str) -> None:
            try:
                send(url, webhook_id, body.encode())
            except AddressRefused as error:
                raise Fail(str(error)) from error
            except WebhookFailed as error:
                if error.final:
                    raise Fail(str(error)) from error
                wait = retry_after(error.retry_after)
                raise RetryLater(policy.delay(self.request.retries, wait=wait), str(error)) from error

        send = self._send

    def _send(self, url: str, webhook_id: str, body: bytes) -> None:
        try:
            from umbel.jobs.webhook_http import Post
        except ImportError:
            raise WebhookFailed(shown_url(url), "this worker lacks a package: pip install 'umbel[webhooks]'") from None
        assert self._secrets is not None
        keys, now = keys_of(self._secrets(url), "The secret of a webhook"), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Umbel",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature_of(keys, webhook_id, now, body),
        }
        post = Post(Allowed(self._settings.webhook_allow), timeout=self._settings.webhook_timeout.total_seconds())
        answer = post.send(url, body, headers)
        if not 200 <= answer.status < 300:
            raise WebhookFailed(
                shown_url(url),
                f"it answers {answer.status}",
                final=answer.status == _GONE,
                retry_after=answer.retry_after,
            )


_UNSIGNED: Final = (
    "there is no secret to sign it with: set UMBEL_WEBHOOK_SECRET to whsec_ and 24 to 64 random bytes in base64, "
    "or name a function of the URL by @jobs.webhook_secrets."
)


def _about(end: End) -> dict[str, Any]:
    name = getattr(end.task, "name", None) or getattr(end.request, "task", None)
    return {"task_id": end.request.id, "task": name, "status": _STATUS[end.kind]}


def _content(end: End) -> Mapping[str, Any]:
    if end.kind == "success":
        return {"result": json_safe(end.result)}
    error = end.error
    said = str(error)
    return {"error": json_safe(f"{type(error).__name__}: {said}" if said else type(error).__name__)[:_ERROR_MOST]}


def _id(end: End, status: str) -> str:
    """Return the webhook's id: the same for the same end, another one for the end of a replay."""
    number = str(getattr(end.request, REPLAY, None) or "").partition(" ")[0]
    return ".".join(filter(None, (str(end.request.id), status, number)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
