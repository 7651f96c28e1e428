"""AES-256-GCM, by the package ``cryptography``: imported when something is to be encrypted or opened."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from umbel.errors import PayloadRefused

__all__ = ("decrypt", "encrypt")


def encrypt(key: bytes, nonce: bytes, data: bytes, bound: bytes) -> bytes:
    """Return ``data`` encrypted, with a tag that ``bound`` is part of."""
    return AESGCM(key).encrypt(nonce, data, bound)


def decrypt(key: bytes, nonce: bytes, data: bytes, bound: bytes, refusal: str) -> bytes:
    """Return what was encrypted. Raises :exc:`PayloadRefused` with ``refusal`` when the tag says otherwise."""
    try:
        return AESGCM(key).decrypt(nonce, data, bound)
    except InvalidTag:
        raise PayloadRefused(refusal) from None
