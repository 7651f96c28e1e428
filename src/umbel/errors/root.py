"""What all errors have in common."""

from __future__ import annotations

from typing import Any, Self

__all__ = ("ConfigurationError", "UmbelError")


class UmbelError(Exception):
    """The root of all errors that Umbel raises on purpose."""

    @classmethod
    def _about(cls, text: str, **known: Any) -> Self:
        """Return one that can be made again of its text alone, which is what a job's result holds of it."""
        error = cls(text)
        error.__dict__.update(known)
        return error


class ConfigurationError(UmbelError):
    """A setting, a declaration or a URL is wrong; the message names the place."""
