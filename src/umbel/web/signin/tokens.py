"""Tokens: ``Authorization: Bearer TOKEN``, or the password of ``Basic``, whose user is the name in the audit log.

Each role may have several, with commas between them, so that one is changed without a gap: add the new one in front,
take the old one away when nobody uses it any more; what was signed in with it ends then. All are compared, by digests
of one length, so that the time it takes tells nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from umbel.errors import ConfigurationError
from umbel.monitor.actors import Actor, Role

__all__ = ("MIN_TOKEN", "Tokens")

#: Characters.
MIN_TOKEN: Final = 16
_HEADER_MOST: Final = 4096


class Tokens:
    """The tokens of both roles, newest first."""

    def __init__(self, operators: str | None = None, viewers: str | None = None) -> None:
        """Raises :exc:`ConfigurationError` for a token below 16 characters."""
        given = [(token, Role.OPERATOR) for token in _split(operators, "UMBEL_WEB_TOKEN")]
        given += [(token, Role.VIEWER) for token in _split(viewers, "UMBEL_WEB_VIEWER_TOKEN")]
        self._digests: Final = tuple((_digest(token), role) for token, role in given)
        #: What sessions are signed with, where there is no secret of their own.
        self.secrets: Final = tuple(token for token, _ in given)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def fingerprint(self, token: str) -> tuple[str, Role] | None:
        """Return what a session remembers of a token, and its role; None for one that is not ours."""
        digest = _digest(token)
        found = None
        for known, role in self._digests:
            # Never the sooner for being found: the first one, the operators', wins.
            if hmac.compare_digest(known, digest) and found is None:
                found = (_fingerprint(known), role)
        return found

    def role_of(self, fingerprint: str) -> Role | None:
        """Return what a session's token may do today; None when that token was taken away."""
        found = [role for known, role in self._digests if hmac.compare_digest(_fingerprint(known), fingerprint)]
        return found[0] if found else None

    def actor_of(self, authorization: str) -> Actor | None:
        """Return who sends this header; None when it shows no token of ours."""
        name, token = _given(authorization[:_HEADER_MOST])
        found = self.fingerprint(token) if token else None
        return None if found is None else Actor(name or found[1].value, found[1], "token")


def _split(text: str | None, variable: str) -> list[str]:
    tokens = [token.strip() for token in (text or "").split(",") if token.strip()]
    for token in tokens:
        if len(token) < MIN_TOKEN:
            raise ConfigurationError(
                f"{variable} has a token of {len(token)} characters, and {MIN_TOKEN} are needed: "
                "python -c 'import secrets; print(secrets.token_urlsafe())' makes one."
            )
    return tokens


def _given(authorization: str) -> tuple[str, str]:
    """Return the name and the token of a header; of Bearer the name is empty."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return "", value.strip()
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, token = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _fingerprint(digest: bytes) -> str:
    return hashlib.sha256(b"umbel session" + digest).hexdigest()[:32]
