"""What a form has sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request

__all__ = ("Posted", "field")


async def _form(request: Request) -> FormData:
    return await request.form()


#: For handlers that take whatever fields there are.
Posted = Annotated[FormData, Depends(_form)]


def field(form: FormData, name: str) -> str:
    """Return the text of a field; an empty one for what was not sent, or is a file."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
