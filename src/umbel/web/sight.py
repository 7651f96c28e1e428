"""A job as one stream event sees it: its status, and what tells two of them apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from umbel.web.problems import encode

if TYPE_CHECKING:
    from umbel.jobs.status import JobStatus

__all__ = ("Sight",)

_DIGEST_BYTES = 6


@dataclass(frozen=True, slots=True)
class Sight:
    """The status of a job at one moment. Equal fingerprints look the same to a client."""

    job_id: str
    state: str
    finished: bool
    body: dict[str, Any]
    fingerprint: str

    @classmethod
    def of(cls, job: JobStatus) -> Sight:
        """Return the sight of ``job``; takes as long as its encoding, so call it in a thread."""
        body = job.as_dict()
        # A renewed time stamp alone is no news.
        visible = encode({key: value for key, value in body.items() if key != "updated"})
        digest = hashlib.blake2b(visible.encode(), digest_size=_DIGEST_BYTES).hexdigest()
        return cls(job.id, str(job.state), job.state.finished, body, digest)

    @property
    def fraction(self) -> float:
        """How far the job is, 0 to 1; 0 without progress."""
        progress = self.body.get("progress") or {}
        total = progress.get("total") or 0
        return min(1.0, max(0.0, progress["done"] / total)) if total > 0 else 0.0

    def at_least(self, fraction: float) -> Sight:
        """Return this with its progress raised to ``fraction``: a job that starts again shows no step back."""
        progress = self.body.get("progress")
        if not progress or self.fraction >= fraction:
            return self
        raised = progress | {"done": fraction * progress["total"]}
        return Sight(self.job_id, self.state, self.finished, self.body | {"progress": raised}, self.fingerprint)
