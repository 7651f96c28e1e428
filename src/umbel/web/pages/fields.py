"""The fields of forms, each of them bounded."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form

__all__ = ("Mark", "Name", "Rate", "Whole")

#: The name of something.
Name = Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")]
#: ``100/m``, a number of slots, or ``none``.
Rate = Annotated[str, Form(min_length=1, max_length=50)]
#: What a store has told of how far it was, where it tells that.
Mark = Annotated[int | None, Form(ge=0, le=2**62)]
#: How many there are of something.
Whole = Annotated[int, Form(ge=0, le=1_000_000_000_000)]
