"""Sessions of those who came in through the sign-in page: a signed cookie, nothing kept here.

It holds a name, how they came and what their token's fingerprint is; it cannot be made or changed without the secret,
and ends after ``UMBEL_WEB_SESSION_AGE``, or when the token that opened it is taken away. Signing in always makes a new
one: what a browser had before is worth nothing afterwards. Signing out removes it from the browser.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any, Final

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.actors import Actor, Role
from umbel.web.cookies import drop_cookie, read_cookie, set_cookie
from umbel.web.signin.tokens import Tokens

__all__ = ("Sessions", "signer")

_COOKIE: Final = "session"
_COOKIE_MOST: Final = 4096


class Sessions:
    """Writes and reads sessions. ``age`` in seconds; ``openid``: whether those of OpenID Connect count."""

    def __init__(self, keys: Iterable[str], tokens: Tokens, age: int, *, openid: bool) -> None:
        self._signer: Final = signer(keys, "umbel session")
        self._tokens: Final = tokens
        self._age: Final = age
        self._openid: Final = openid

    def begin(self, request: Request, response: Response, actor: Actor, fingerprint: str = "") -> None:
        """Let ``response`` begin the session of ``actor``; ``fingerprint`` is that of their token."""
        kept = {"id": secrets.token_hex(8), "name": actor.name, "role": actor.role.value, "via": actor.via}
        text = str(self._signer.dumps({**kept, "token": fingerprint}))
        # Lax, so that a link in an alert finds them signed in; what acts is protected by more than this.
        set_cookie(request, response, _COOKIE, text, age=self._age, same_site="lax")

    def actor_of(self, request: Request) -> Actor | None:
        """Return who is signed in; None when nobody is, or not any more."""
        text = read_cookie(request, _COOKIE)
        if not text or len(text) > _COOKIE_MOST:
            return None
        try:
            kept = self._signer.loads(text, max_age=self._age)
            name, via = str(kept["name"]), str(kept["via"])
            role = self._role(kept, via)
        except (BadData, KeyError, TypeError, ValueError):
            return None
        return None if role is None else Actor(name, role, via)

    def _role(self, kept: Any, via: str) -> Role | None:
        if via == "token":
            # What that token may do today.
            return self._tokens.role_of(str(kept["token"]))
        return Role(kept["role"]) if via == "openid" and self._openid else None

    def end(self, request: Request, response: Response) -> None:
        """Let ``response`` end the session."""
        drop_cookie(request, response, _COOKIE)


def signer(keys: Iterable[str], purpose: str) -> URLSafeTimedSerializer:
    """Return what signs texts for one ``purpose`` with the first of ``keys``, and knows those of all of them."""
    known = [*keys] or [secrets.token_urlsafe()]
    return URLSafeTimedSerializer(
        # The last one signs.
        [hashlib.sha256(b"umbel web" + key.encode("utf-8", "surrogateescape")).digest() for key in reversed(known)],
        salt=purpose,
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )
