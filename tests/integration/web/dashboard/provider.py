"""A small OpenID Connect provider, run as a process: ``python -m tests.integration.web.dashboard.provider PORT``.

It signs with a key of its own, checks client, redirect address and PKCE, and lets in at once whoever ``POST /next``
named. What it does wrong on request (another audience, an old token, ...) is said there too.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, RedirectResponse, Response

__all__ = ["CLIENT", "SECRET", "provider"]

CLIENT = "umbel-dashboard"
SECRET = "the-providers-word-for-it"


def provider(issuer: str) -> FastAPI:
    """The provider at ``issuer``."""
    api = FastAPI()
    state: dict[str, Any] = {"key": _key("one"), "claims": {}, "faults": {}, "codes": {}, "tokens": {}}

    @api.post("/next")
    async def who(request: Request) -> Response:
        """Say who comes next: their claims, what only userinfo tells of them, and what is to go wrong."""
        said = await request.json()
        state.update(claims=said["claims"], userinfo=said.get("userinfo", {}), faults=said.get("faults", {}))
        if "rotate" in state["faults"]:
            state["key"] = _key(secrets.token_hex(4))
        return JSONResponse({})

    @api.get("/.well-known/openid-configuration")
    async def metadata() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    @api.get("/keys")
    async def keys() -> dict[str, Any]:
        return {"keys": [state["key"].as_dict(private=False)]}

    @api.get("/authorize")
    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        if "denied" in state["faults"]:
            answer = {"error": "access_denied", "error_description": "no"}
        else:
            answer = {"code": secrets.token_hex(8)}
            state["codes"][answer["code"]] = asked
        state_back = "another-state" if "state" in state["faults"] else asked["state"]
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({**answer, 'state': state_back})}", 302)

    @api.post("/token")
    async def token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        asked = state["codes"].pop(form["code"], None)
        if asked is None or basic != f"{CLIENT}:{SECRET}" or form["redirect_uri"] != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        access = secrets.token_hex(8)
        state["tokens"][access] = state["claims"] | state["userinfo"]
        return JSONResponse(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": 3600,
                "id_token": _id_token(issuer, state, asked),
            }
        )

    @api.get("/userinfo")
    async def userinfo(request: Request) -> Any:
        return state["tokens"][request.headers["authorization"].removeprefix("Bearer ")]

    return api


def _key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": name, "alg": "RS256", "use": "sig"})


def _id_token(issuer: str, state: dict[str, Any], asked: dict[str, str]) -> str:
    now = int(time.time())
    claims = {"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"], "sub": "nobody"}
    faults = {name: value for name, value in state["faults"].items() if name in claims}
    key = _key(state["key"].kid) if "forged" in state["faults"] else state["key"]
    return str(jwt.encode({"alg": "RS256", "kid": state["key"].kid}, claims | state["claims"] | faults, key))


if __name__ == "__main__":
    PORT = int(sys.argv[1])
    uvicorn.run(provider(f"http://127.0.0.1:{PORT}"), host="127.0.0.1", port=PORT, log_level="warning")
