"""OpenID Connect, by Authlib: the authorization code flow with PKCE, a state and a nonce.

What must be remembered while somebody is at the provider (state, nonce, verifier, where they were going) is in a signed
cookie of ten minutes. The provider's answer is believed when its signature, issuer, audience, time and nonce are right.
Who gets which role is said by claims: see :mod:`umbel.web.signin.claims`. The provider is asked when somebody signs in,
and not again before the session ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from itsdangerous import BadData
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import Response

from umbel.errors import ConfigurationError
from umbel.monitor.actors import Actor
from umbel.plain_text import one_line
from umbel.web.cookies import drop_cookie, read_cookie, set_cookie
from umbel.web.problems import SOON, Problem
from umbel.web.render import absolute
from umbel.web.signin.claims import RoleRules, name_of
from umbel.web.signin.next_page import next_page
from umbel.web.signin.sessions import signer

if TYPE_CHECKING:
    from umbel.settings import Settings

__all__ = ("OpenId",)

logger = logging.getLogger("umbel.web")

_COOKIE: Final = "openid"
_AGE: Final = 600
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_TIMEOUT_SECONDS: Final = 10.0


class OpenId:
    """The client of one provider. Raises :exc:`ConfigurationError` where nobody could get in."""

    def __init__(self, settings: Settings, keys: Iterable[str]) -> None:
        if not settings.web_oidc_issuer or not settings.web_oidc_client_id:
            raise ConfigurationError("UMBEL_WEB_OIDC_ISSUER needs UMBEL_WEB_OIDC_CLIENT_ID beside it.")
        keys = tuple(keys)
        if not keys:
            raise ConfigurationError(
                "UMBEL_WEB_OIDC_ISSUER without a client secret needs UMBEL_WEB_SECRET, to sign sessions with "
                "(python -c 'import secrets; print(secrets.token_urlsafe())' makes one)."
            )
        self._rules: Final = RoleRules(settings.web_oidc_operators, settings.web_oidc_viewers)
        self._issuer: Final = settings.web_oidc_issuer.rstrip("/")
        self.host: Final = httpx2.URL(self._issuer).host
        #: What stands for who gets in by it.
        self.fingerprint: Final = f"{self._issuer} {self._rules.fingerprint}"
        self._signer: Final = signer(keys, "umbel openid")
        secret = settings.web_oidc_client_secret
        self._client: Final[Any] = OAuth().register(
            "openid",
            client_id=settings.web_oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            server_metadata_url=self._issuer + _WELL_KNOWN,
            client_kwargs={
                "scope": " ".join(settings.web_oidc_scopes),
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT_SECONDS,
                **({} if secret is not None else {"token_endpoint_auth_method": "none"}),
            },
        )

    async def begin(self, request: Request, wanted: str) -> Response:
        """Return the way to the provider. Raises a :exc:`Problem` (503) while that does not answer."""
        request.scope["session"] = kept = {"next": wanted}
        try:
            await self._check_issuer()
            answer: Response = await self._client.authorize_redirect(request, absolute(request, "/signin/callback"))
        except (httpx2.HTTPError, ValueError, KeyError, RuntimeError) as error:
            raise self._away(error) from error
        # Lax: they come back from another site.
        set_cookie(request, answer, _COOKIE, str(self._signer.dumps(kept)), age=_AGE, same_site="lax")
        return answer

    async def finish(self, request: Request) -> tuple[Actor, str]:
        """Return who came back, and where they were going. Raises a :exc:`Problem`."""
        try:
            kept = self._signer.loads(read_cookie(request, _COOKIE), max_age=_AGE)
        except BadData:
            raise Problem(
                403, "sign-in-expired", "That sign-in took too long, or began elsewhere: try again."
            ) from None
        request.scope["session"] = kept
        try:
            await self._check_issuer()
            answer = await self._client.authorize_access_token(request)
            claims: dict[str, Any] = dict(answer.get("userinfo") or {})
            role = self._rules.role_of(claims)
            if role is None:
                # Some providers tell of groups there only.
                claims = await self._more(answer, claims)
                role = self._rules.role_of(claims)
        except (AuthlibBaseError, JoseError) as error:
            logger.warning("OpenID Connect: %s", error)
            raise Problem(
                403, "sign-in-refused", "The provider did not let you in, or its answer is not right."
            ) from error
        except (httpx2.HTTPError, ValueError, KeyError, RuntimeError) as error:
            raise self._away(error) from error
        if not claims:
            raise Problem(403, "sign-in-refused", "The provider has not said who you are.")
        if role is None:
            name = one_line(name_of(claims))
            logger.warning("%s signed in at the provider and has no role here.", name)
            raise Problem(403, "not-permitted", f"You are {name}, and have no access to this dashboard.")
        return Actor(name_of(claims), role, "openid"), next_page(kept.get("next"))

    def forget(self, request: Request, response: Response) -> None:
        """Let the browser forget what was kept for the way."""
        drop_cookie(request, response, _COOKIE)

    async def _check_issuer(self) -> None:
        metadata: Mapping[str, Any] = await self._client.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self._issuer:
            raise ValueError(f"it calls itself {metadata.get('issuer')!r}, and UMBEL_WEB_OIDC_ISSUER says otherwise")

    async def _more(self, answer: Mapping[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        metadata = await self._client.load_server_metadata()
        if not claims or not metadata.get("userinfo_endpoint"):
            return claims
        more = dict(await self._client.userinfo(token=answer))
        # Of somebody else it says nothing about who came.
        return {**more, **claims} if more.get("sub") == claims.get("sub") else claims

    def _away(self, error: Exception) -> Problem:
        logger.error("OpenID Connect: %s cannot be used: %s", self._issuer, error)
        return Problem(
            503, "provider-unavailable", "The sign-in provider cannot be reached now: try again shortly.", retry=SOON
        )
