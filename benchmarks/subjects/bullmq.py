"""BullMQ, in one Node process."""

import sys
from pathlib import Path

from benchmarks.subjects.subject import HERE, ROOT, Subject, Variant

__all__ = ["BULLMQ"]


class _BullMQ(Subject):
    name = "bullmq"
    title = "BullMQ, Node"
    module = "benchmarks.inside.bullmq_jobs"
    language = "node"
    requirements = HERE / "requirements" / "bullmq" / "package.json"
    server = "redis"
    less = "a killed worker's jobs come back after half a minute to a minute"
    bulk = True
    pace = 16_000
    dispatch_pace = 4400
    variants = (Variant("100 tasks", concurrency=100),)
    crowds = variants

    def command(self, program: Path, variant: Variant) -> list[str]:
        return self.client(program, "worker")

    def client(self, program: Path, verb: str) -> list[str]:
        return [str(program), str(HERE / "inside" / "bullmq.js"), verb]

    def observer(self, program: Path) -> list[str]:
        return super().client(Path(sys.executable), "watch")

    def variables(self, directory: Path, url: str) -> dict[str, str]:
        return super().variables(directory, url) | {"NODE_PATH": str(ROOT / "bullmq" / "node_modules")}


BULLMQ = _BullMQ()
