"""The status page: queues, workers and the newest dead letters of one application, on one page.

    uvicorn.run(build_web(jobs), host="127.0.0.1", port=7788)

It is read without JavaScript (a small script only renews it), shows no arguments and no payloads, and changes nothing.
``/healthz`` answers 200 while the store can be read, else 503. Who may look is said in :mod:`umbel.web.access`.
"""

# No postponed annotations here: FastAPI reads those of the inner functions, which refer to local names.
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from umbel.errors import UmbelError
from umbel.web.access import Access, SecurityHeaders, check_bind, web_token
from umbel.web.overview import Overview, Reader
from umbel.web.words import ago, iso, number, plural

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("build_web", "check_bind")

logger = logging.getLogger("umbel.web")

_HERE: Final = Path(__file__).resolve().parent


def build_web(app: "Umbel", *, token: str | None = None) -> FastAPI:
    """Return the web application of the status page.

    ``token`` opens it to the network; by default the application's setting ``web_token`` (``UMBEL_WEB_TOKEN``).
    Without one, only this machine is answered.
    """
    reader = Reader(app)
    templates = _templates(str(app.main or "jobs"))
    web = FastAPI(title="Umbel", docs_url=None, redoc_url=None, openapi_url=None)
    web.add_middleware(Access, token=token or web_token(app))
    # Added last, so it is the outermost: refusals get the headers too.
    web.add_middleware(SecurityHeaders)
    web.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    _add_page(web, reader, templates)
    _add_health(web, reader)
    return web


def _add_page(web: FastAPI, reader: Reader, templates: Environment) -> None:
    page = templates.get_template("status.html")
    trouble = templates.get_template("trouble.html")

    @web.get("/")
    async def status() -> Response:
        """Show the status page."""
        try:
            overview = await run_in_threadpool(reader.overview)
        except (UmbelError, OSError) as error:
            logger.error("the status page cannot be read: %s", error)
            return HTMLResponse(trouble.render(reason=str(error)), 503)
        return HTMLResponse(page.render(overview=overview, trouble=_trouble(overview)))


def _add_health(web: FastAPI, reader: Reader) -> None:
    @web.get("/healthz")
    async def health() -> Response:
        """Tell whether the store can be read; says nothing else, so it needs no token."""
        try:
            await run_in_threadpool(reader.overview)
        except Exception as error:
            logger.error("not healthy: %s", error)
            return JSONResponse({"status": "unavailable"}, 503)
        return JSONResponse({"status": "ok"})


def _templates(title: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"title": title}
    environment.filters |= {"ago": ago, "iso": iso, "number": number, "plural": plural}
    return environment


def _trouble(overview: Overview) -> list[str]:
    """Return what somebody must do something about, the most urgent first."""
    found = []
    waiting = [queue for queue in overview.unserved if queue.ready or queue.delayed]
    if waiting:
        names = [queue.name for queue in waiting]
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        found.append(f"No worker consumes {listed}: start one with 'umbel worker -Q {','.join(names)}'.")
    elif not overview.workers:
        found.append("No worker is running: start one with 'umbel worker'.")
    for queue in overview.queues:
        if queue.paused:
            found.append(f"Queue {queue.name} is paused: 'umbel resume {queue.name}' lets its jobs start again.")
    return found
