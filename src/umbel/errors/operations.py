"""Why what a person wanted done is not done; nothing was changed then."""

from __future__ import annotations

from umbel.errors.root import UmbelError

__all__ = (
    "NoAnswer",
    "NotDeletable",
    "NotLost",
    "NotPermitted",
    "NotRepeatable",
    "OperationError",
    "SelectionChanged",
    "UnknownName",
)


class OperationError(UmbelError):
    """What a person wanted done cannot be done; nothing was changed."""


class NotPermitted(OperationError):
    """Whoever wants this may look, and not act."""

    def __init__(self, name: str, action: str) -> None:
        self.name = name
        self.action = action
        super().__init__(f"{name} may look, and not act ({action}): sign in as an operator.")


class UnknownName(OperationError):
    """There is no queue, worker, schedule, task or limit of this name; ``kind`` says which it should be."""

    def __init__(self, kind: str, name: str, advice: str = "") -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"There is no {kind} {name!r}{advice}.")


class SelectionChanged(OperationError):
    """More fit now than were previewed, or the preview is one of something else."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: nothing was done, look again at what fits.")


class NotRepeatable(OperationError):
    """The arguments of a job are not known, or not to be shown, so that they have to be given."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"Job {job_id!r} cannot be run again as it was: {reason}. Give its arguments anew.")


class NotDeletable(OperationError):
    """The job has not ended, so that it is not forgotten."""

    def __init__(self, job_id: str, state: str) -> None:
        self.job_id = job_id
        self.state = state
        super().__init__(f"Job {job_id!r} has not ended ({state}): cancel it before you delete it.")


class NotLost(OperationError):
    """The job is not lost, or its message was not kept, so that it is not put back; ``reason`` says where it is."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"Job {job_id!r} was not put back. {reason}")


class NoAnswer(OperationError):
    """A worker has not answered in time; it may still do what was asked."""

    def __init__(self, worker: str, seconds: float) -> None:
        self.worker = worker
        self.seconds = seconds
        super().__init__(
            f"{worker} has not answered within {seconds:g} s: is it still there? It may yet do what was asked."
        )
