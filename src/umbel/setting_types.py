"""The types of settings, as the environment writes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from umbel.durations import duration

__all__ = ("Duration", "Durations", "Names")


def _names(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(duration)]
#: Written as ``a,b`` in the environment.
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
#: Written as ``5s,5m,1h`` in the environment.
Durations = Annotated[
    tuple[timedelta, ...], NoDecode, BeforeValidator(lambda value: tuple(map(duration, _names(value))))
]
