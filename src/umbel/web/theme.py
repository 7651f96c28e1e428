"""Light, dark, or as the browser says: a choice that the browser keeps in a cookie."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from umbel.web.cookies import read_cookie, set_cookie
from umbel.web.signin.next_page import within

__all__ = ("THEMES", "router", "theme_of")

router: Final = APIRouter()
THEMES: Final = ("auto", "light", "dark")
_COOKIE: Final = "theme"
_YEAR_SECONDS: Final = 31_536_000


def theme_of(request: Request) -> str:
    """Return the theme of who looks."""
    chosen = read_cookie(request, _COOKIE)
    return chosen if chosen in THEMES else "auto"


@router.post("/theme")
def choose(
    request: Request,
    theme: Annotated[Literal["auto", "light", "dark"], Form()],
    wanted: Annotated[str, Form(alias="next", max_length=4000)] = "/",
) -> Response:
    """Keep a choice and go back to where it was made."""
    answer = RedirectResponse(within(request, wanted), 303)
    set_cookie(request, answer, _COOKIE, theme, age=_YEAR_SECONDS, same_site="lax")
    return answer
