"""Umbel: background jobs for Python web applications, on Celery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from umbel import errors
    from umbel.app import Umbel
    from umbel.jobs.backoff import exponential
    from umbel.jobs.batch_status import BatchState, BatchStatus
    from umbel.jobs.batches import AsyncBatch, Batch
    from umbel.jobs.breaker import Breaker
    from umbel.jobs.canary import canary
    from umbel.jobs.checkpoints import resumable
    from umbel.jobs.dead_letters import LetterFilter, ReplayPolicy
    from umbel.jobs.doubt import Done, NotDone
    from umbel.jobs.effects import current_effect
    from umbel.jobs.fair import Fair
    from umbel.jobs.faults import Fault, Outlook, fault_of
    from umbel.jobs.hooks import Hooks, JobContext
    from umbel.jobs.idempotency import Idempotent
    from umbel.jobs.limit_book import LimitStatus
    from umbel.jobs.limits import Concurrency, RateLimit, TokenBucket
    from umbel.jobs.outcomes import Cancel, Fail, RetryLater, Snooze
    from umbel.jobs.overlap import WithoutOverlap, current_lock
    from umbel.jobs.progress import Progress, progress
    from umbel.jobs.retry import Retry
    from umbel.jobs.status import JobStatus
    from umbel.jobs.unique import Unique
    from umbel.jobs.webhook_signature import IncomingWebhook, verify_webhook
    from umbel.jobs.webhooks import Webhook
    from umbel.settings import Settings
    from umbel.states import JobState
    from umbel.task import Task

__all__ = (
    "AsyncBatch",
    "Batch",
    "BatchState",
    "BatchStatus",
    "Breaker",
    "Cancel",
    "Concurrency",
    "Done",
    "Fail",
    "Fair",
    "Fault",
    "Hooks",
    "Idempotent",
    "IncomingWebhook",
    "JobContext",
    "JobState",
    "JobStatus",
    "LetterFilter",
    "LimitStatus",
    "NotDone",
    "Outlook",
    "Progress",
    "RateLimit",
    "ReplayPolicy",
    "Retry",
    "RetryLater",
    "Settings",
    "Snooze",
    "Task",
    "TokenBucket",
    "Umbel",
    "Unique",
    "Webhook",
    "WithoutOverlap",
    "__version__",
    "canary",
    "current_effect",
    "current_lock",
    "errors",
    "exponential",
    "fault_of",
    "progress",
    "resumable",
    "verify_webhook",
)

__version__: Final = "0.1.0"

_HOMES: Final = {
    "AsyncBatch": "umbel.jobs.batches",
    "Batch": "umbel.jobs.batches",
    "BatchState": "umbel.jobs.batch_status",
    "BatchStatus": "umbel.jobs.batch_status",
    "Breaker": "umbel.jobs.breaker",
    "Cancel": "umbel.jobs.outcomes",
    "Concurrency": "umbel.jobs.limits",
    "Done": "umbel.jobs.doubt",
    "Fail": "umbel.jobs.outcomes",
    "Fair": "umbel.jobs.fair",
    "Fault": "umbel.jobs.faults",
    "Hooks": "umbel.jobs.hooks",
    "IncomingWebhook": "umbel.jobs.webhook_signature",
    "JobContext": "umbel.jobs.hooks",
    "Idempotent": "umbel.jobs.idempotency",
    "JobState": "umbel.states",
    "JobStatus": "umbel.jobs.status",
    "LetterFilter": "umbel.jobs.dead_letters",
    "LimitStatus": "umbel.jobs.limit_book",
    "NotDone": "umbel.jobs.doubt",
    "Outlook": "umbel.jobs.faults",
    "Progress": "umbel.jobs.progress",
    "RateLimit": "umbel.jobs.limits",
    "ReplayPolicy": "umbel.jobs.dead_letters",
    "Retry": "umbel.jobs.retry",
    "RetryLater": "umbel.jobs.outcomes",
    "Settings": "umbel.settings",
    "Snooze": "umbel.jobs.outcomes",
    "Task": "umbel.task",
    "TokenBucket": "umbel.jobs.limits",
    "Umbel": "umbel.app",
    "Unique": "umbel.jobs.unique",
    "Webhook": "umbel.jobs.webhooks",
    "WithoutOverlap": "umbel.jobs.overlap",
    "current_effect": "umbel.jobs.effects",
    "current_lock": "umbel.jobs.overlap",
    "canary": "umbel.jobs.canary",
    "exponential": "umbel.jobs.backoff",
    "fault_of": "umbel.jobs.faults",
    "progress": "umbel.jobs.progress",
    "resumable": "umbel.jobs.checkpoints",
    "verify_webhook": "umbel.jobs.webhook_signature",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used: 'umbel worker' runs in a supervisor that never needs them.
    import importlib

    if name == "errors":
        return importlib.import_module("umbel.errors")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'umbel' has no attribute {name!r}")
