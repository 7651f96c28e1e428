"""The hand-written loop that nothing in Python can be much faster than."""

from pathlib import Path

from benchmarks.subjects.subject import Subject, Variant

__all__ = ["FLOOR"]


class _Floor(Subject):
    name = "floor"
    title = "hand-written loop"
    module = "benchmarks.inside.floor_jobs"
    server = "redis"
    bulk = True
    pace = 45_000
    dispatch_pace = 7500
    variants = (Variant("batches of 100"),)
    less = (
        "a hand-written loop, no queue: nobody gives back what a killed worker held; no retries, states, delays, "
        "limits or signals; one job at a time"
    )

    def command(self, program: Path, variant: Variant) -> list[str]:
        return [str(program), "-m", self.module]


FLOOR = _Floor()
