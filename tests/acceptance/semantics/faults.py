"""The exceptions that the declared tasks raise, ordinary and odd."""

from __future__ import annotations

__all__ = ("Chosen", "Expected", "Multi", "Stubborn")


class Expected(Exception):
    """Listed in ``throws``."""


class Chosen(Exception):
    """Given to ``self.retry(exc=...)``, or listed in ``autoretry_for``."""


class Multi(Exception):
    """Takes more arguments than it keeps in ``args``."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


class Stubborn(Exception):
    """Its argument can be neither pickled nor written as JSON."""

    def __init__(self) -> None:
        super().__init__(lambda: None, object())
