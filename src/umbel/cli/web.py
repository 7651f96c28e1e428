"""``umbel web``: the dashboard and its API."""

from __future__ import annotations

import logging
import signal
import socket
from typing import Final

import click

from umbel.cli import lifeline
from umbel.cli.group import EX_CONFIG, EX_UNAVAILABLE, Failure
from umbel.cli.invocation import Invocation, app_argument, app_options, pass_invocation
from umbel.engine import log_lines

__all__ = ("DEFAULT_HOST", "DEFAULT_PORT", "web")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 7788


@click.command()
@app_argument
@app_options
@click.option("--host", default=DEFAULT_HOST, show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="The port.")
@click.option(
    "--root-path", default="", metavar="PATH", help="What a proxy in front takes off each address, as in /umbel."
)
@pass_invocation
def web(invocation: Invocation, host: str, port: int, root_path: str) -> None:
    """Serve the dashboard and its API.

    On an address that others reach it needs UMBEL_WEB_TOKEN, or OpenID Connect.
    """
    lifeline.hold()
    try:
        import uvicorn

        from umbel.web.signin.local import check_bind
        from umbel.web.site import build_web
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("umbel"):
            raise
        raise Failure(f"The dashboard needs {error.name}: pip install 'umbel[web]'.", EX_CONFIG) from error
    app = invocation.umbel()
    check_bind(host, app.settings)
    site = build_web(app)
    _check_free(host, port)
    _log()
    click.echo(f"Dashboard: http://{_shown(host)}:{port}", err=True)
    config = uvicorn.Config(
        site, host=host, port=port, root_path=root_path.rstrip("/"), log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    # Uvicorn raises the signal that ended it again once it has ended: without this, stopping would look like a crash.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        raise Failure(f"The dashboard could not be served on {host}:{port}.", EX_UNAVAILABLE)


def _log() -> None:
    """Log as workers do; of what others log, what is wrong."""
    log_lines.begin(logging.WARNING)
    logging.getLogger("umbel").setLevel(logging.INFO)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
