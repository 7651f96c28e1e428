"""A new job of the same task as an old one: its parent, with the same arguments or with others.

The old job's arguments are read from the history, which never has what is sensitive and cuts what is long: then they
have to be given. They are dispatched as any are, so that they are checked, and encrypted where they are to be.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from kombu.exceptions import DecodeError

from umbel.engine import envelope
from umbel.errors import InvalidArguments, NotRepeatable, UnknownName
from umbel.ids import new_id as fresh_id
from umbel.monitor.texts import CUT

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.jobs_view import JobDetails
    from umbel.monitor.operations.selection import JobSelection

__all__ = ("Again",)

#: The ids of what is run again are made of this one and the old ids.
_SPACE: Final = uuid.UUID("8f1c1f0e-5a3e-4d0c-9b0e-6c0f7f0d2a51")


class Again:
    """Runs jobs of one application again."""

    def __init__(self, app: Umbel) -> None:
        self._app: Final = app

    @staticmethod
    def id_of(job_id: str, selection: JobSelection) -> str:
        """Return the id of the job that runs ``job_id`` again for this selection."""
        at = selection.where.ended_until
        return str(uuid.uuid5(_SPACE, json.dumps([job_id, selection.upto, at])))

    def dispatch(
        self,
        old: JobDetails,
        given: tuple[list[Any], dict[str, Any]] | None,
        *,
        queue: str | None = None,
        new_id: str | None = None,
    ) -> str:
        """Dispatch it and return the id of the new job."""
        job = old.job
        task = self._app.tasks.get(job.task or "")
        if task is None:
            raise UnknownName("task", str(job.task), " here: this process has not imported it")
        args, kwargs = given if given is not None else _arguments(old)
        options: dict[str, Any] = {
            "parent_id": job.id,
            "root_id": job.root_id or job.id,
            # A second call with the same id is the same wish.
            "headers": {"umbel_once": True},
        }
        if queue or job.queue:
            options["queue"] = queue or job.queue
        if job.priority:
            options["priority"] = job.priority
        if job.owner is not None:
            options["owner"] = job.owner
        try:
            return str(task.apply_async(args, kwargs, new_id or fresh_id(), **options).id)
        except InvalidArguments:
            if getattr(task, "sensitive_arguments", None) is None:
                raise
            # What is wrong with a value may say what the value is.
            raise InvalidArguments(str(task.name), "the arguments do not fit") from None


def _arguments(old: JobDetails) -> tuple[list[Any], dict[str, Any]]:
    text, job_id = old.arguments, old.job.id
    if text is None:
        raise NotRepeatable(job_id, "its arguments are not kept, as those of protected messages are not")
    if text.endswith(CUT):
        raise NotRepeatable(job_id, "its arguments are too long to be kept whole")
    try:
        args, kwargs = envelope.decode_body(text)
        return list(args), dict(kwargs)
    except (DecodeError, TypeError, ValueError):
        raise NotRepeatable(job_id, "its arguments cannot be read") from None
