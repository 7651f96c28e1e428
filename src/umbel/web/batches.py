"""The status of a batch, beside the jobs': ``GET /jobs/batches/{id}``."""

# No postponed annotations here: FastAPI reads those of the inner functions, which refer to local names.
import re
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from umbel.errors import BatchNotFound
from umbel.jobs.batch_status import BatchState
from umbel.web.ownership import may_see
from umbel.web.problems import NO_STORE, Answer, ask_store, not_found

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("BatchDocument", "add_batch")

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class BatchDocument(BaseModel):
    """How far a batch is. Its counters never shrink but for ``failed``, when a replay mends a member."""

    id: str
    name: str
    state: BatchState
    total: int
    done: int
    failed: int
    cancelled: int = Field(description="members that were cancelled, expired or purged")
    pending: int
    allow_failures: str = Field(description="how many members may fail: a number, a share, or any")
    closed: bool = Field(description="whether everything has been added, so that the total stays")
    created: float
    updated: float
    finished: float | None = None


def add_batch(router: APIRouter, app: "Umbel", caller_mark: Any) -> None:
    """Let ``router`` answer for batches; one of somebody else answers like an unknown one."""

    @router.get("/batches/{batch_id}", response_model=BatchDocument)
    async def batch_status(batch_id: str, caller: Any = caller_mark) -> Response:
        """Return how far a batch is."""
        if not _ID.fullmatch(batch_id):
            raise not_found()
        try:
            found = await ask_store(app.batch_status, batch_id)
        except BatchNotFound:
            raise not_found() from None
        if not may_see(caller, found):
            raise not_found()
        return Answer(found.as_dict(), headers=NO_STORE)
