"""Who may run campaigns: whoever has the token; without a token only a client on this machine."""

import secrets
from ipaddress import ip_address

from fastapi import HTTPException, Request

from services.email_campaigns.settings import settings

__all__ = ("administrator",)

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def administrator(request: Request) -> None:
    """Let the administrator pass (a FastAPI dependency). Raises 401 or 403."""
    token = settings().admin_token
    if token is None:
        if not _is_local(request):
            raise HTTPException(403, "Set EMAIL_ADMIN_TOKEN to use this from another machine.")
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = token.get_secret_value()
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(401, "This needs the administrator's token.", headers={"WWW-Authenticate": "Bearer"})


def _is_local(request: Request) -> bool:
    # A proxy makes the whole world look local; a foreign page may use a name that leads here, or post a form to here.
    if request.client is None or any(header in request.headers for header in _FORWARDED):
        return False
    if request.headers.get("origin", own := f"{request.url.scheme}://{request.url.netloc}") != own:
        return False
    try:
        local = ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    return local and request.url.hostname in _LOCAL_NAMES
