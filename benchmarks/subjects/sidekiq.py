"""Sidekiq as Debian packages it, in one Ruby process."""

import sys
from pathlib import Path

from benchmarks.subjects.subject import HERE, Subject, Variant

__all__ = ["SIDEKIQ"]

_CODE = HERE / "inside" / "sidekiq_jobs.rb"


class _Sidekiq(Subject):
    name = "sidekiq"
    title = "Sidekiq, Ruby, no results"
    module = "benchmarks.inside.sidekiq_jobs"
    language = "ruby"
    less = "stores no results; removes a job when it is fetched: a killed worker loses it"
    server = "redis"
    bulk = True
    pace = 8500
    dispatch_pace = 6500
    variants = (Variant("10 threads", ("-c", "10")),)
    crowds = (Variant("100 threads", ("-c", "100")),)

    def command(self, program: Path, variant: Variant) -> list[str]:
        return [str(program), "-S", "sidekiq", "-r", str(_CODE), *variant.arguments]

    def client(self, program: Path, verb: str) -> list[str]:
        return [str(program), str(_CODE), verb]

    def observer(self, program: Path) -> list[str]:
        return super().client(Path(sys.executable), "watch")


SIDEKIQ = _Sidekiq()
