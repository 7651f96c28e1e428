"""Webhooks that come in: a FastAPI dependency that checks Standard Webhooks signatures.

    @api.post("/hooks/partner", status_code=202)
    async def hook(webhook: Annotated[IncomingWebhook, Depends(jobs.incoming_webhook(SECRET))]) -> None:
        await webhook.adispatch(book, webhook.json())

What is not signed, not of now, or too long is answered with 401 or 413 before the endpoint runs, and never says what
was wrong with it. The body is read up to its bound and no further.
"""

# No postponed annotations here: FastAPI reads those of the inner function.
import logging
from collections.abc import Awaitable, Callable, Iterable

from fastapi import HTTPException, Request

from umbel.durations import duration
from umbel.errors import WebhookRefused
from umbel.jobs.webhook_signature import IncomingWebhook, keys_of, verify_webhook

__all__ = ("build_incoming",)

logger = logging.getLogger("umbel.web")


def build_incoming(
    secrets: str | Iterable[str], *, tolerance: object = "5m", source: str = "", most: int = 262_144
) -> Callable[[Request], Awaitable[IncomingWebhook]]:
    """Return the dependency for webhooks that one of ``secrets`` has signed.

    ``tolerance``: how far their time may be from ours, as a duration. ``source`` tells the ids of one sender from those
    of another. ``most``: how many bytes a body may have. Raises :exc:`ConfigurationError`.
    """
    known = secrets if isinstance(secrets, str) else tuple(secrets)
    keys_of(known, "jobs.incoming_webhook")
    near = duration(tolerance)

    async def incoming(request: Request) -> IncomingWebhook:
        body = await _body(request, most)
        try:
            return verify_webhook(body, request.headers, known, tolerance=near, source=source)
        except WebhookRefused as refused:
            logger.warning("A webhook for %s was refused: %s", request.url.path, refused)
            raise HTTPException(401, "The webhook's signature does not verify.") from None

    return incoming


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, f"A webhook may have {most:,} bytes.")
    return bytes(body)
