"""The keys that payloads are protected with: sealed (AES-256-GCM), or signed (HMAC-SHA256).

Each key is 32 random bytes under an id. The first one protects, every one opens. None is used as it is: HMAC-SHA256
derives one for signatures, and from 128 random bits that stand in each sealed text a key for that text alone. So the
bound of random nonces (2**32 texts a key, NIST SP 800-38D) holds for keys that are used once; a configured key may
protect 2**64 texts before two of them are likely to share even their derived key.

A text is bound to what it is for (its purpose, its job's id): it does not open anywhere else. Costs about ten
microseconds. Signing needs the standard library only, sealing the package ``cryptography``.
"""

from __future__ import annotations

import binascii
import hmac
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from umbel.errors import ConfigurationError, PayloadRefused

__all__ = ("KEY_BYTES", "Keyring", "framed", "unframed")

KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_VERSION: Final = "1"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOW: Final = "'umbel key' prints a new one"


class Keyring:
    """Keys by their ids, the one that protects first."""

    __slots__ = ("_keys", "_signing")

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self._keys: Final = dict(keys or {})
        self._signing: Final = {name: _derived(secret, b"sign") for name, secret in self._keys.items()}

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Return the keys of ``id:base64,id:base64``. Raises :exc:`ConfigurationError`; no key stands in its text."""
        keys: dict[str, bytes] = {}
        for place, part in enumerate(filter(None, map(str.strip, text.split(","))), 1):
            name, colon, encoded = part.partition(":")
            if not colon or not _ID.fullmatch(name):
                raise ConfigurationError(
                    f"UMBEL_PAYLOAD_KEYS: write key {place} as id:base64, the id of up to 32 letters, digits, _ and -; "
                    f"{_HOW}."
                )
            if name in keys:
                raise ConfigurationError(f"UMBEL_PAYLOAD_KEYS: two keys are called {name!r}; give each its own id.")
            keys[name] = _decoded(name, encoded)
        return cls(keys)

    @staticmethod
    def fresh(name: str) -> str:
        """Return a new key as :meth:`parse` takes it. Raises :exc:`ConfigurationError` if it cannot be called so."""
        if not _ID.fullmatch(name):
            raise ConfigurationError("A key's name has up to 32 letters, digits, _ and -.")
        return f"{name}:{b64encode(os.urandom(KEY_BYTES)).decode()}"

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        # Kombu shares connections whose options look alike: what is printed tells keys of one name apart.
        prints = [f"{name}#{_derived(secret, b'print')[:4].hex()}" for name, secret in self._keys.items()]
        return f"Keyring({', '.join(prints) or 'empty'})"

    # -- sealing ----------------------------------------------------------------------------------------------

    def seal(self, data: bytes, bound: Sequence[str]) -> str:
        """Return ``data`` as a text that only these keys open, and only for ``bound``."""
        name = self._first()
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        key = _derived(self._keys[name], b"seal", salt)
        sealed: bytes = _crypto().encrypt(key, nonce, data, _bound(name, bound))
        return f"{_VERSION}.{name}.{b64encode(salt + nonce + sealed).decode()}"

    def open(self, text: str, bound: Sequence[str]) -> bytes:
        """Return what was sealed. Raises :exc:`PayloadRefused` for what these keys have not sealed for ``bound``."""
        version, _, rest = text.partition(".")
        name, _, encoded = rest.partition(".")
        sealed = _bytes(encoded) if version == _VERSION else None
        if sealed is None or len(sealed) < _SALT_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise PayloadRefused("An encrypted payload is damaged, or was written by a newer version of Umbel.")
        salt, nonce = sealed[:_SALT_BYTES], sealed[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        key, tagged = _derived(self._secret(name), b"seal", salt), sealed[_SALT_BYTES + _NONCE_BYTES :]
        opened: bytes = _crypto().decrypt(key, nonce, tagged, _bound(name, bound), _tampered(name))
        return opened

    # -- signing ----------------------------------------------------------------------------------------------

    def sign(self, data: bytes, bound: Sequence[str]) -> tuple[str, str]:
        """Return the signing key's id and the signature of ``data`` for ``bound``."""
        name = self._first()
        return name, b64encode(self._mac(name, data, bound)).decode()

    def verify(self, name: str, signature: str, data: bytes, bound: Sequence[str]) -> None:
        """Raise :exc:`PayloadRefused` unless ``signature`` is that of ``data`` for ``bound``."""
        self._secret(name)
        if not hmac.compare_digest(_bytes(signature) or b"", self._mac(name, data, bound)):
            raise PayloadRefused(_tampered(name))

    def _mac(self, name: str, data: bytes, bound: Sequence[str]) -> bytes:
        return hmac.digest(self._signing[name], framed(_bound(name, bound), data), "sha256")

    # -- keys -------------------------------------------------------------------------------------------------

    def _first(self) -> str:
        for name in self._keys:
            return name
        raise ConfigurationError(f"There is no key to protect a payload with: set UMBEL_PAYLOAD_KEYS; {_HOW}.")

    def _secret(self, name: str) -> bytes:
        secret = self._keys.get(name)
        if secret is None:
            raise PayloadRefused(
                f"A payload is protected with the key {name[:32]!r}, which is not in UMBEL_PAYLOAD_KEYS: "
                "put it back there, after the others, until nothing that it protects is left."
            )
        return secret


def framed(*parts: bytes) -> bytes:
    """Return ``parts`` as one text in which none can be taken for a piece of another."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def unframed(data: bytes) -> list[bytes]:
    """Return the parts of what :func:`framed` has made."""
    parts = []
    while data:
        size = int.from_bytes(data[:8], "big")
        parts.append(data[8 : 8 + size])
        data = data[8 + size :]
    return parts


def _bound(name: str, bound: Sequence[str]) -> bytes:
    return framed(*(part.encode("utf-8", "surrogatepass") for part in (_VERSION, name, *bound)))


def _derived(secret: bytes, purpose: bytes, salt: bytes = b"") -> bytes:
    return hmac.digest(secret, framed(b"umbel", purpose, salt), "sha256")


def _decoded(name: str, encoded: str) -> bytes:
    secret = _bytes(encoded.strip().replace("-", "+").replace("_", "/"))
    if secret is None or len(secret) != KEY_BYTES:
        raise ConfigurationError(
            f"UMBEL_PAYLOAD_KEYS: the key {name!r} is not {KEY_BYTES} random bytes in base64; {_HOW}."
        )
    return secret


def _bytes(encoded: str) -> bytes | None:
    """Return what ``encoded`` says, if it is the one way to say it."""
    try:
        data = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if b64encode(data).decode() == encoded else None


def _tampered(name: str) -> str:
    return (
        f"A payload does not verify under the key {name[:32]!r}: it was changed, or belongs to another job, or the key "
        "has the same id as another one."
    )


def _crypto() -> Any:
    try:
        from umbel.engine import crypto
    except ImportError as error:
        raise ConfigurationError("Encrypting needs the package cryptography: pip install 'umbel[crypto]'.") from error
    return crypto
