"""Pages: templates with what all of them need, addresses within the site, and going on after a form.

    @router.get("/queues")
    def queues(request: Request, app: App, by: Viewer) -> Response:
        return render(request, "queues.html", queues=app.engine.queues())

    @router.post("/queues/{name}/pause")
    def pause(request: Request, name: str, app: App, by: Operator) -> Response:
        app.operations.queues.pause(name, by=by)
        return go_on(request, f"/queues/{name}", said=f"Queue {name} is paused.")

Write handlers as plain ``def``: they run in threads, so they may read stores. A template extends ``base.html`` and
fills ``title`` (a few words), ``heading`` (by default the title), ``actions`` (beside the heading), ``main``; and
``head`` for stylesheets and modules of its own. It has, beside what the handler passes:

``url(path, **query)``      an address within the site, wherever it is mounted; parameters that are None are left out
``here(**query)``           this page's address with these parameters changed; None removes one
``static(name)``            the address of a file in ``web/static``
``csrf_field()``            the hidden field that every POST form needs; ``csrf_token`` for a header
``next_field()``            a hidden field ``next`` with this page, for :func:`go_back`
``actor``, ``may_act``      who looks, and whether to show what acts
``now``                     unix seconds, for ``moment``
filters                     ``number``, ``plural``, ``iso``, ``ago(now)``, ``span`` (seconds as ``1.2 s``)
macros                      ``{% import "parts/page.html" as part with context %}``: see there

Undefined names are errors; everything is escaped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from umbel.web import words
from umbel.web.cookies import drop_cookie, read_cookie, set_cookie
from umbel.web.signin.forgery import FIELD, Forgery
from umbel.web.signin.next_page import path_of, this_page, within
from umbel.web.theme import theme_of

if TYPE_CHECKING:
    from umbel.web.site import Site

__all__ = ("absolute", "go_back", "go_on", "link", "render", "templates")

_FOLDER: Final = Path(__file__).resolve().parent / "templates"
_SAID: Final = "said"
#: As it travels: browsers drop a cookie of more than 4,096 bytes, and proxies an answer with large headers.
_SAID_MOST: Final = 1500
_DIGITS_CUT: Final = re.compile(r"%[0-9A-F]?$")
_SAID_SECONDS: Final = 60


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page."""
    site: Site = request.app.state.site
    forgery = Forgery(request)
    said = read_cookie(request, _SAID)
    text = site.templates.get_template(template).render(
        {**_shared(request, site, forgery), "said": _decoded(said), **context}
    )
    answer = HTMLResponse(text, status)
    forgery.finish(answer)
    if said:
        drop_cookie(request, answer, _SAID)
    return answer


def go_on(request: Request, path: str, said: str = "", *, wrong: bool = False, **query: Any) -> Response:
    """Return the redirect after a form to ``path`` within the site, where ``said`` is shown once.

    ``wrong``: it tells of something that did not work.
    """
    return _go(request, link(request, path, **query), said, wrong)


def go_back(request: Request, wanted: str, said: str = "", *, wrong: bool = False) -> Response:
    """Return the redirect to where a form was sent from: ``wanted`` is its field ``next``, by ``{{ next_field()
    }}``."""
    return _go(request, within(request, wanted), said, wrong)


def _go(request: Request, address: str, said: str, wrong: bool) -> Response:
    answer = RedirectResponse(address, 303)
    if said:
        text = ("!" if wrong else "+") + said
        set_cookie(request, answer, _SAID, _encoded(text), age=_SAID_SECONDS)
    return answer


def link(request: Request, path: str, **query: Any) -> str:
    """Return the address of ``path`` (beginning with a slash, names in it as they are) within the site, for a
    browser."""
    root = request.scope.get("root_path", "").rstrip("/")
    text = urlencode([(name, value) for name, value in query.items() if value is not None], doseq=True)
    return quote(root + path, safe="/:@!$&'()*+,;=~", errors="replace") + (f"?{text}" if text else "")


def absolute(request: Request, path: str) -> str:
    """Return the whole address of ``path``: below ``UMBEL_WEB_URL``, else as this request came in."""
    site: Site = request.app.state.site
    if site.public_url:
        return site.public_url.rstrip("/") + path
    return f"{request.url.scheme}://{request.url.netloc}{link(request, path)}"


def templates() -> Environment:
    """Return the environment of the site's templates."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters |= {name: getattr(words, name) for name in words.__all__}
    return environment


def _shared(request: Request, site: Site, forgery: Forgery) -> Mapping[str, Any]:
    actor = getattr(request.state, "actor", None)
    path = path_of(request.scope)
    return {
        "site": site,
        "path": path,
        "url": partial(link, request),
        "here": _here(request, path),
        "static": lambda name: link(request, site.assets.address(name)),
        "csrf_token": forgery.token,
        "csrf_field": lambda: _hidden(FIELD, forgery.token),
        "next_field": lambda: _hidden("next", this_page(request)),
        "actor": actor,
        "may_act": actor is not None and actor.may_act,
        "theme": theme_of(request),
        "now": time.time(),
    }


def _hidden(name: str, value: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)


def _here(request: Request, path: str) -> Callable[..., str]:
    def here(**changes: Any) -> str:
        kept: dict[str, Any] = {name: request.query_params.getlist(name) for name in request.query_params}
        return link(request, path, **{**kept, **changes})

    return here


def _encoded(text: str) -> str:
    """Return the beginning of ``text`` that a cookie can hold."""
    # What was cut within a character, or within its digits, is none.
    whole = _DIGITS_CUT.sub("", quote(text, safe="", errors="replace")[:_SAID_MOST])
    return quote(unquote(whole, errors="ignore"), safe="")


def _decoded(said: str) -> tuple[str, bool] | None:
    """Return what was said, and whether it went wrong."""
    text = unquote(said)
    return (text[1:], text[0] == "!") if len(text) > 1 and text[0] in "!+" else None
