"""Which role somebody has by what an OpenID Connect provider says of them.

    UMBEL_WEB_OIDC_OPERATORS=groups=ops,email=ann@example.org
    UMBEL_WEB_OIDC_VIEWERS=*

A rule is ``claim=value``: the claim is that text, or a list that has it; ``a.b=value`` looks into an object. ``*`` is
everybody whom the provider lets in. A rule about ``email`` counts only if the provider says that it has verified it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from umbel.errors import ConfigurationError
from umbel.monitor.actors import Role

__all__ = ("RoleRules", "name_of")

_NAMES: Final = ("preferred_username", "email", "name", "sub")


class RoleRules:
    """The rules of both roles. Raises :exc:`ConfigurationError` without any, and for what is no rule."""

    def __init__(self, operators: Iterable[str], viewers: Iterable[str]) -> None:
        given = ((Role.OPERATOR, "OPERATORS", operators), (Role.VIEWER, "VIEWERS", viewers))
        self._rules: Final = [(role, *_rule(text, name)) for role, name, texts in given for text in texts]
        if not self._rules:
            raise ConfigurationError(
                "UMBEL_WEB_OIDC_ISSUER is set, and nobody would get in: say who may by UMBEL_WEB_OIDC_OPERATORS and "
                "UMBEL_WEB_OIDC_VIEWERS, as in groups=ops."
            )

    @property
    def fingerprint(self) -> str:
        """What stands for these rules, and no others."""
        return hashlib.sha256(repr(self._rules).encode("utf-8", "replace")).hexdigest()[:32]

    def role_of(self, claims: Mapping[str, Any]) -> Role | None:
        """Return the role of whom ``claims`` describe; None for none."""
        for role, claim, value in self._rules:
            if claim == "*" or (_says(claims, claim, value) and _is_verified(claims, claim)):
                return role
        return None


def name_of(claims: Mapping[str, Any]) -> str:
    """Return what somebody is called in the audit log."""
    return next((str(claims[one]) for one in _NAMES if claims.get(one) and _is_verified(claims, one)), "unknown")


def _rule(text: str, name: str) -> tuple[str, str]:
    claim, equals, value = text.partition("=")
    if text != "*" and not (claim and equals and value):
        raise ConfigurationError(
            f"UMBEL_WEB_OIDC_{name}: {text!r} is no rule: write claim=value, as in groups=ops, or *."
        )
    return claim.strip(), value.strip()


def _says(claims: Mapping[str, Any], claim: str, value: str) -> bool:
    found = _find(claims, claim)
    said = found if isinstance(found, list) else [found]
    return any(isinstance(one, str) and one == value for one in said) or (found is True and value == "true")


def _find(claims: Any, claim: str) -> Any:
    if not isinstance(claims, Mapping):
        return None
    if claim in claims:
        return claims[claim]
    # A claim may be called by a URL, which has dots of its own.
    for place, letter in enumerate(claim):
        if letter == "." and claim[:place] in claims:
            return _find(claims[claim[:place]], claim[place + 1 :])
    return None


def _is_verified(claims: Mapping[str, Any], claim: str) -> bool:
    return claim != "email" or claims.get("email_verified") is True
