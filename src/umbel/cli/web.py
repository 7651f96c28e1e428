"""``umbel web``: the status page."""

from __future__ import annotations

import signal
import socket
from typing import Final

import click

from umbel.cli import lifeline
from umbel.cli.group import EX_CONFIG, EX_UNAVAILABLE, Failure
from umbel.cli.invocation import Invocation, app_argument, app_options, pass_invocation

__all__ = ("DEFAULT_HOST", "DEFAULT_PORT", "web")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 7788


@click.command()
@app_argument
@app_options
@click.option("--host", default=DEFAULT_HOST, show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="The port.")
@pass_invocation
def web(invocation: Invocation, host: str, port: int) -> None:
    """Serve the status page.

    It shows queues, workers and dead letters. On an address that others reach it needs UMBEL_WEB_TOKEN.
    """
    lifeline.hold()
    try:
        import uvicorn

        from umbel.web.access import check_bind, web_token
        from umbel.web.status_page import build_web
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("umbel"):
            raise
        raise Failure(f"The status page needs {error.name}: pip install 'umbel[web]'.", EX_CONFIG) from error
    app = invocation.umbel()
    check_bind(host, web_token(app))
    page = build_web(app)
    _check_free(host, port)
    click.echo(f"Status page: http://{host}:{port}", err=True)
    server = uvicorn.Server(uvicorn.Config(page, host=host, port=port, log_level="warning", access_log=False))
    # Uvicorn raises the signal that ended it again once it has ended: without this, stopping would look like a crash.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        raise Failure(f"The status page could not be served on {host}:{port}.", EX_UNAVAILABLE)


def _check_free(host: str, port: int) -> None:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise Failure(
            f"{host}:{port} cannot be used ({error.strerror or error}): choose another --port.", EX_UNAVAILABLE
        ) from error
