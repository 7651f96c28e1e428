"""Every error that Umbel raises, under one root.

    UmbelError
    ├── ConfigurationError        a setting, a declaration or a URL is wrong
    ├── DispatchError             a job was not handed to the broker
    │   ├── InvalidArguments      the arguments do not fit the task's signature
    │   ├── PayloadTooLarge       the message is above ``max_payload_bytes``
    │   └── DispatchTimeout       no answer in time: the job may or may not be queued
    ├── StoreError                the engine's store cannot be used
    │   ├── StoreCorrupt          the file is damaged
    │   ├── StoreDenied           the server does not let this user in, or do what is needed
    │   ├── StoreForeign          the file is a database of something else
    │   ├── StoreFull             the disk, or the server's memory, is full
    │   ├── StoreReadOnly         the file or its folder cannot be written, or the server takes no writes
    │   ├── StoreTooNew           the file was written by a newer Umbel
    │   └── StoreUnreachable      the server does not answer
    ├── BreakerOpen               what is behind a circuit breaker has failed too often, and is left alone for a while
    ├── BatchError                one batch cannot do what was asked
    │   ├── BatchNotFound         no batch has this id, or it ended too long ago
    │   └── BatchEnded            it is over, or cancelled: nothing can be added
    ├── LimitReached              a limit lets nobody begin for longer than was waited
    ├── LockTaken                 another process has the lock, and has kept it for longer than was waited
    ├── EffectRunning             another one is causing an effect that happens once per key
    ├── EffectUncertain           nobody knows whether an effect is there, and a person is to say so
    ├── MoveRefused               jobs cannot be moved from one store to the other now
    ├── LetterError               one dead letter cannot do what was asked
    │   ├── LetterNotFound        no dead letter has this job id or number
    │   ├── LetterBusy            a replay of it is on its way
    │   └── NotReplayable         its message is damaged
    ├── AddressRefused            a webhook's URL is none, or leads into our own network
    ├── WebhookFailed             a webhook was not taken by its receiver
    ├── WebhookRefused            a webhook that came in is not signed by whom we know, or is an old one
    ├── PayloadRefused            a message or a result is not what somebody with our keys wrote
    ├── OperationError            what a person wanted done cannot be done; nothing was changed
    │   ├── NotPermitted          a viewer may look, and not act
    │   ├── UnknownName           there is no queue, worker, schedule, task or limit of this name
    │   ├── SelectionChanged      more fit now than were previewed, or the preview is of something else
    │   ├── NotRepeatable         the job's arguments are not known, so they have to be given
    │   ├── NotDeletable          the job has not ended
    │   ├── NotLost               the job is not lost, so it is not put back
    │   └── NoAnswer              a worker has not answered in time
    └── JobError                  one job cannot do what was asked
        ├── JobNotFound           no job has this id, or its result has expired
        ├── CheckpointTaken       another execution of this job goes on from its checkpoints
        ├── JobFinished           the job has ended, so it cannot be cancelled
        └── WaitRefused           waiting for a result here would block for ever

Each message says what to do next; what a program needs is in the fields.
"""

from __future__ import annotations

from umbel.errors.operations import (
    NoAnswer,
    NotDeletable,
    NotLost,
    NotPermitted,
    NotRepeatable,
    OperationError,
    SelectionChanged,
    UnknownName,
)
from umbel.errors.root import ConfigurationError, UmbelError
from umbel.errors.store import (
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
    StoreUnreachable,
)

__all__ = (
    "AddressRefused", "BatchEnded", "BatchError", "BatchNotFound", "BreakerOpen", "CheckpointTaken",
    "ConfigurationError", "DispatchError", "DispatchTimeout", "EffectRunning", "EffectUncertain", "InvalidArguments",
    "JobError", "JobFinished", "JobNotFound", "LetterBusy", "LetterError", "LetterNotFound", "LimitReached",
    "LockTaken", "MoveRefused", "NoAnswer", "NotDeletable", "NotLost", "NotPermitted", "NotRepeatable",
    "NotReplayable", "OperationError", "PayloadRefused", "PayloadTooLarge", "SelectionChanged", "StoreCorrupt",
    "StoreDenied", "StoreError", "StoreForeign", "StoreFull", "StoreReadOnly", "StoreTooNew", "StoreUnreachable",
    "UmbelError", "UnknownName", "WaitRefused", "WebhookFailed", "WebhookRefused",
)  # fmt: skip


class DispatchError(UmbelError):
    """The job was not handed to the broker."""


class InvalidArguments(DispatchError, TypeError):
    """The arguments do not fit the task's signature."""

    def __init__(self, task: str, reason: str) -> None:
        self.task = task
        self.reason = reason
        super().__init__(f"{task} cannot be called like this: {reason}. Nothing was queued.")


class PayloadTooLarge(DispatchError):
    """The encoded message is larger than the application allows.

    ``size`` and ``limit`` are in bytes.
    """

    def __init__(self, task: str, size: int, limit: int) -> None:
        self.task = task
        self.size = size
        self.limit = limit
        super().__init__(
            f"The arguments of {task} take {size:,} bytes and the limit is {limit:,}: store the data "
            "(a file, a row, an object) and pass its reference, or raise UMBEL_MAX_PAYLOAD_BYTES."
        )


class DispatchTimeout(DispatchError, TimeoutError):
    """The broker did not answer in time, so the job may or may not be queued.

    Dispatching again with the same ``task_id`` is safe.
    """

    def __init__(self, task: str, task_id: str, timeout: float) -> None:
        self.task = task
        self.task_id = task_id
        self.timeout = timeout
        super().__init__(
            f"{task} was not confirmed within {timeout:g} s: it may or may not be queued. "
            f"Dispatch it again with task_id={task_id!r}; it will not run twice because of that."
        )


class BreakerOpen(UmbelError):
    """What is behind a circuit breaker has failed too often, and is left alone for another ``seconds``."""

    name, seconds = "", 0.0

    @classmethod
    def of(cls, name: str, seconds: float) -> BreakerOpen:
        """Return that of one breaker."""
        text = f"The circuit breaker {name.partition(':')[2]!r} is open: what is behind it has failed too often. "
        return cls._about(f"{text}Try again in {seconds:.1f} s.", name=name, seconds=seconds)


class BatchError(UmbelError):
    """One batch cannot do what was asked."""

    def __init__(self, batch_id: str, message: str) -> None:
        self.batch_id = batch_id
        super().__init__(message)


class BatchNotFound(BatchError):
    """No batch has this id, or it ended so long ago that it is not kept any more."""

    def __init__(self, batch_id: str) -> None:
        text = f"There is no batch {batch_id!r}: 'umbel batch list' shows which there are; one that has ended is kept"
        super().__init__(batch_id, f"{text} for a week.")


class BatchEnded(BatchError):
    """The batch is over, or was cancelled, so nothing can be added to it."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(
            batch_id,
            f"Batch {batch_id!r} is over, so nothing can be added to it: add before its last member has ended (from "
            "inside of a member), or open another batch.",
        )


class LimitReached(UmbelError):
    """A limit lets nobody begin now; in ``seconds`` it may."""

    name, seconds = "", 0.0

    @classmethod
    def of(cls, name: str, seconds: float) -> LimitReached:
        """Return that of one limit."""
        text = f"The limit {name!r} lets nobody begin for another {seconds:.3g} s: wait longer (wait=), or let the job "
        return cls._about(f"{text}come back by 'raise Snooze(error.seconds)'.", name=name, seconds=seconds)


class LockTaken(UmbelError):
    """Another process has the lock.

    ``seconds``: it ends after so long at the latest, unless it is renewed.
    """

    name, seconds = "", 0.0

    @classmethod
    def of(cls, name: str, seconds: float) -> LockTaken:
        """Return that of one lock."""
        text = f"The lock {name.partition(':')[2]!r} is held elsewhere, for another {seconds:.1f} s at least unless it "
        text += "is released: wait longer (wait=), or leave the work to whoever has it."
        return cls._about(text, name=name, seconds=seconds)


class EffectRunning(UmbelError):
    """Another one is causing an effect that happens once per key; unless it goes on, its claim ends in ``seconds``."""

    name, seconds = "", 0.0

    @classmethod
    def of(cls, name: str, seconds: float) -> EffectRunning:
        """Return that of one effect."""
        text = f"The effect {name!r} is being caused by another one: wait for its result (wait=), or ask later."
        return cls._about(text, name=name, seconds=seconds)


class EffectUncertain(UmbelError):
    """An effect was interrupted, and nobody knows whether it is there: it is held, and no retry repeats it.

    ``name`` is what it goes by; who reads a job's result back has it in the text only.
    """

    name = ""

    @classmethod
    def of(cls, name: str) -> EffectUncertain:
        """Return that of one effect."""
        text = (
            f"The effect {name!r} was interrupted and may be there or not: find that out, say so with "
            "'umbel effects resolve' (jobs.effects in a program), then let the job run again."
        )
        return cls._about(text, name=name)


class MoveRefused(UmbelError):
    """Jobs cannot be moved from one store to the other now; nothing was changed."""


class LetterError(UmbelError):
    """One dead letter cannot do what was asked; ``name`` is what it goes by."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class LetterNotFound(LetterError):
    """No dead letter has this job id or number: it was dropped, its replay succeeded, or it was too old."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"There is no dead letter {name!r}: 'umbel dead list' shows which there are.")


class LetterBusy(LetterError):
    """A replay of this letter is on its way, so it is not replayed now."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"A replay of {name!r} is on its way: 'umbel why {name}' says where it is.")


class NotReplayable(LetterError):
    """The message of this letter is damaged, so that no worker could read it; it can be exported and dropped."""

    def __init__(self, name: str, reason: str) -> None:
        self.reason = reason
        super().__init__(name, f"Dead letter {name!r} cannot be replayed: {reason} Export it, then drop it.")


class PayloadRefused(UmbelError):
    """A message or a result does not verify, or is not protected where it must be: it is not used."""


class AddressRefused(UmbelError):
    """A webhook's URL is none that can be sent to, or leads to an address that is not public."""


class WebhookFailed(UmbelError):
    """A webhook was not taken by its receiver. ``final``: sending it again is of no use."""

    def __init__(self, url: str, reason: str = "", *, final: bool = False, retry_after: str | None = None) -> None:
        self.url = url
        self.reason = reason
        self.final = final
        self.retry_after = retry_after
        super().__init__(f"The webhook to {url} was not taken: {reason}." if reason else url)


class WebhookRefused(UmbelError):
    """A webhook that came in is not what somebody with one of our secrets has sent just now."""


class JobError(UmbelError):
    """One job cannot do what was asked."""

    def __init__(self, job_id: str, message: str) -> None:
        self.job_id = job_id
        super().__init__(message)


class JobNotFound(JobError):
    """No job has this id, or it ended so long ago that its result has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, f"There is no job {job_id!r}: check the id, or its result has expired.")


class JobFinished(JobError):
    """The job has ended, so it cannot be cancelled."""

    def __init__(self, job_id: str, state: str) -> None:
        self.state = state
        super().__init__(job_id, f"Job {job_id!r} has already ended ({state}), so there is nothing to cancel.")


class CheckpointTaken(JobError):
    """Another execution of this job goes on from its checkpoints: this one was taken for dead."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            job_id,
            f"Another execution of job {job_id!r} goes on from where this one was, because its process was out of "
            "touch for too long: let this one end, what it returns is refused.",
        )


class WaitRefused(JobError, RuntimeError):
    """Waiting for a result here would block a worker or an event loop."""
