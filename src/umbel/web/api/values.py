"""Values that come in: each has its bounds, and nothing in it that a database or a log would choke on."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

__all__ = (
    "CanaryId",
    "Cursor",
    "Given",
    "Id",
    "Mark",
    "Moment",
    "Name",
    "NewId",
    "Number",
    "PageSize",
    "PathId",
    "PathName",
    "Text",
    "storable",
)

_ID = r"^[A-Za-z0-9_][!-.0-~]{0,199}$"
_NAME = r"^[^\x00-\x1f\x7f/]{1,200}$"
_TEXT = r"^[^\x00]*$"


class Given(BaseModel):
    """What somebody sends: nothing that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def storable(value: str) -> str:
    """Refuse what no database keeps: half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is no text that can be encoded") from None
    return value


_Storable = AfterValidator(storable)
#: A job's id: printable, without slashes.
Id = Annotated[str, StringConstraints(pattern=_ID, max_length=200)]
#: The id of a job that is to be made.
NewId = Annotated[
    str,
    StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{7,127}$"),
    Field(description="The id of the new job: a second call with it does nothing while the store knows the first."),
]
#: A name of a task, a queue, a worker, a tag, a release.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_TEXT), _Storable]
Text = Annotated[str, StringConstraints(max_length=200, pattern=_TEXT), _Storable]
#: That of a death.
Number = Annotated[int, Field(ge=1, le=2**62)]
#: Unix seconds.
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
#: What stands for a preview.
Mark = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[0-9a-f.]{1,200}$"), Field(description="As the preview told it.")
]
PageSize = Annotated[int, Field(ge=1, le=200, description="How many a page has at most.")]
Cursor = Annotated[
    str | None, Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$", description="The `next` of the page before.")
]
PathId = Annotated[str, Path(pattern=_ID, max_length=200)]
PathName = Annotated[str, Path(pattern=_NAME, max_length=200), _Storable]
CanaryId = Annotated[str, Path(pattern=r"^[0-9a-f-]{1,64}$", max_length=64)]
