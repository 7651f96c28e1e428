"""Sessions of those who came in through the sign-in page: a signed cookie.

It holds a name, how they came and what their token's fingerprint is; it cannot be made or changed without the secret,
and ends after ``UMBEL_WEB_SESSION_AGE``, when the token that opened it is taken away, or the rules by which OpenID
Connect lets people in are changed; or when its owner signs out, here or everywhere (:mod:`umbel.web.signin.ended`).
Signing in always makes a new one: what a browser had before is worth nothing afterwards.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.actors import Actor, Role
from umbel.web.cookies import drop_cookie, read_cookie, set_cookie
from umbel.web.signin.ended import Ended
from umbel.web.signin.tokens import Tokens

__all__ = ("Session", "Sessions", "signer")

_COOKIE: Final = "session"
_COOKIE_MOST: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One of them. ``whose`` is the same for all sessions that one person began in the same way."""

    id: str
    whose: str
    #: Unix seconds.
    began: float
    actor: Actor

    @property
    def alone(self) -> str:
        """The key under which this one is ended."""
        return f"session {self.id}"

    @property
    def everywhere(self) -> str:
        """The key under which all of this person are ended."""
        return f"everywhere {self.whose}"

    @property
    def in_role(self) -> str:
        """The key under which those are ended that have a role which this person has no more."""
        return _in_role(self.whose, self.actor.role)

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them."""
        return self.alone, self.everywhere, self.in_role


class Sessions:
    """Writes and reads sessions. ``age`` in seconds; ``rules``: what stands for the rules of OpenID Connect, if any."""

    def __init__(self, keys: Iterable[str], tokens: Tokens, age: int, *, ended: Ended, rules: str = "") -> None:
        self._signer: Final = signer(keys, "umbel session")
        self._tokens: Final = tokens
        self._age: Final = age
        self._ended: Final = ended
        self._rules: Final = rules

    def begin(self, request: Request, response: Response, actor: Actor, fingerprint: str = "") -> None:
        """Let ``response`` begin the session of ``actor``; ``fingerprint`` is that of their token."""
        kept = {
            "id": secrets.token_hex(8),
            "at": time.time(),
            "name": actor.name,
            "role": actor.role.value,
            "via": actor.via,
            "by": fingerprint or self._rules,
        }
        # Lax, so that a link in an alert finds them signed in; what acts is protected by more than this.
        set_cookie(request, response, _COOKIE, str(self._signer.dumps(kept)), age=self._age, same_site="lax")

    async def actor_of(self, request: Request) -> Actor | None:
        """Return who is signed in; None when nobody is, or not any more."""
        session = self._read(request)
        if session is None:
            return None
        await self._ended.refresh()
        return None if self._ended.covers(session.keys, session.began) else session.actor

    def forget(self, request: Request, response: Response) -> None:
        """Let the browser forget its session."""
        drop_cookie(request, response, _COOKIE)

    def end(self, request: Request, *, everywhere: bool = False) -> Actor | None:
        """End the session that a request shows, or all of this person's, in all processes; return whose it was.

        Raises an :exc:`UmbelError` where this process alone knows of it.
        """
        session = self._read(request)
        if session is None:
            return None
        self._ended.end(session.everywhere if everywhere else session.alone)
        return session.actor

    def end_other_roles(self, actor: Actor) -> None:
        """End those sessions of somebody from OpenID Connect that have another role than the one they have now.

        Raises an :exc:`UmbelError`.
        """
        for role in Role:
            if role is not actor.role:
                self._ended.end(_in_role(_whose(actor, self._rules), role))

    def _read(self, request: Request) -> Session | None:
        text = read_cookie(request, _COOKIE)
        if not text or len(text) > _COOKIE_MOST:
            return None
        try:
            kept = self._signer.loads(text, max_age=self._age)
            role = self._role(kept)
            if role is None:
                return None
            actor = Actor(str(kept["name"]), role, str(kept["via"]))
            whose = _whose(actor, str(kept["by"]))
            return Session(id=str(kept["id"]), whose=whose, began=float(kept["at"]), actor=actor)
        except (BadData, KeyError, TypeError, ValueError):
            return None

    def _role(self, kept: Any) -> Role | None:
        if kept["via"] == "token":
            # What that token may do today.
            return self._tokens.role_of(str(kept["by"]))
        # What the provider said is judged by the rules of today.
        is_known = kept["via"] == "openid" and self._rules and kept["by"] == self._rules
        return Role(kept["role"]) if is_known else None


def _whose(actor: Actor, by: str) -> str:
    return hashlib.sha256("\0".join((actor.via, actor.name, by)).encode("utf-8", "replace")).hexdigest()[:32]


def _in_role(whose: str, role: Role) -> str:
    return f"{role} {whose}"


def signer(keys: Iterable[str], purpose: str) -> URLSafeTimedSerializer:
    """Return what signs texts for one ``purpose`` with the first of ``keys``, and knows those of all of them."""
    known = [*keys] or [secrets.token_urlsafe()]
    return URLSafeTimedSerializer(
        # The last one signs.
        [hashlib.sha256(b"umbel web" + key.encode("utf-8", "surrogateescape")).digest() for key in reversed(known)],
        salt=purpose,
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )
