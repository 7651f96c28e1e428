"""What a dispatch raises where the store fails it: Kombu's ``OperationalError``, which Celery's callers know."""

from __future__ import annotations

from typing import Any

from kombu.exceptions import OperationalError

from umbel.errors import StoreError, StoreUnreachable

__all__ = ("as_celery_says", "sent_once")


class as_celery_says:
    """Raises what the store says as that ``OperationalError``."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, StoreError):
            raise OperationalError(str(error)) from error


class sent_once:
    """Raises so only what may have been sent: Kombu sends again after what its transport's errors name."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, StoreUnreachable) and error.unsure:
            raise OperationalError(str(error)) from error
