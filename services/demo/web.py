"""The demo's web process: the Email Campaign Service as it is, and in front of it a page and an inbox.

    python -m services.demo.web MAILBOX STATUS_PAGE_URL

It prints its port as soon as it is bound.
"""

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from services.demo.mailbox import Mailbox
from services.email_campaigns import app

__all__ = ("pages",)

_TEMPLATES = Jinja2Templates(Path(__file__).parent / "templates")
_TEMPLATES.env.filters["time"] = lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
# A mail's own HTML is shown in a frame without rights; nothing is loaded from elsewhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    " connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
}


def pages(mailbox: Mailbox, status_page: str) -> APIRouter:
    """Return the demo's pages over this mailbox."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def page(request: Request, name: str, **values: Any) -> HTMLResponse:
        values["status_page"] = status_page
        return _TEMPLATES.TemplateResponse(request, name, values, headers=_HEADERS)

    @router.get("/")
    def home(request: Request) -> HTMLResponse:
        return page(request, "home.html")

    @router.get("/inbox")
    def inbox(request: Request, before: int | None = None) -> HTMLResponse:
        return page(request, "inbox.html", mails=mailbox.newest(before), total=mailbox.count())

    @router.get("/inbox/{mail_id}")
    def mail(request: Request, mail_id: int) -> HTMLResponse:
        message = mailbox.read(mail_id)
        if message is None:
            raise HTTPException(404, "There is no such mail.")
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        return page(
            request,
            "mail.html",
            message=message,
            text=text.get_content() if text else "",
            html=html.get_content() if html else "",
            attachments=[part.get_filename() for part in message.iter_attachments()],
        )

    return router


if __name__ == "__main__":
    app.include_router(pages(Mailbox(Path(sys.argv[1])), sys.argv[2]))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    server.run(sockets=[listener])
