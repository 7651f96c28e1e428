"""The history while recorders are killed and its database is away: complete afterwards, nothing twice (C14, C23).

Jobs run on Redis, and are recorded in a PostgreSQL that is stopped for a minute in the middle, with thousands of jobs
meanwhile. Recorders are killed at random before and after.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.chaos.redis_site import RedisSite
from tests.chaos.verdict import Verdict
from tests.conftest import need_program
from tests.postgres import PostgresServer, running_postgres
from umbel import Retry, Umbel
from umbel.monitor.history import History
from umbel.monitor.job_filter import EVERY
from umbel.monitor.jobs_view import JobRow
from umbel.states import JobState

__all__ = ("RecordingCampaign", "app", "made")

_PATIENCE: Final = 300.0


class _Wanted(Exception):
    """What a job that is to fail raises."""


def _work(number: int, tries: int) -> int:
    """Fail ``tries`` times, and for good with more than one."""
    if tries > 1 or (tries and app.current_task.request.retries < tries):
        raise _Wanted(number)
    return number


def made(**how: Any) -> Umbel:
    """Return an application with the campaign's job."""
    jobs = Umbel("recorded", set_as_current=False, **how)
    jobs.task(name="recorded.work", retry=Retry(1, on=(_Wanted,), backoff=[0.5]), shared=False)(_work)
    return jobs


#: The workers'.
app = made()


@dataclass(slots=True)
class RecordingCampaign:
    """``jobs`` jobs: one of twenty is tried again, one of a hundred fails. The database is away for ``outage``."""

    folder: Path
    jobs: int = 50_000
    kills: int = 20
    outage: float = 60.0
    processes: int = 2
    say: Callable[[str], None] = print
    seed: int = 0
    _app: Umbel = field(init=False)
    _killed: int = 0

    def run(self) -> Verdict:
        """Run it all; the verdict's figures are seconds and events."""
        site = RedisSite(self.folder, append=False)
        self._app = made(broker=site.direct)
        with running_postgres(need_program) as database, contextlib.closing(site):
            # Made before it is away.
            history = History(database.url)
            worker = self._start(site.direct, database.url)
            try:
                sent = self._disturbed(worker, database)
                seconds = self._settle()
                return self._verdict(sent, list(_all(history)), seconds)
            finally:
                worker.terminate()
                worker.wait(_PATIENCE)
                history.close()
                self._app.engine.close()

    def _start(self, broker: str, history: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "umbel", "worker", "-A", "tests.chaos.recording:app", "--loglevel", "WARNING"]
        told = {"UMBEL_BROKER_URL": broker, "UMBEL_HISTORY": "1", "UMBEL_HISTORY_URL": history}
        with (self.folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [*command, "--processes", str(self.processes)],
                env={**os.environ, **told},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._until(self._app.engine.events.is_kept, "a recorder")
        return worker

    def _disturbed(self, worker: subprocess.Popen[bytes], database: PostgresServer) -> dict[str, int]:
        """Send all jobs, in as many parts as there are kills, with the database away in the middle."""
        chance = random.Random(self.seed)
        parts = max(2, self.kills)
        sent: dict[str, int] = {}
        for part in range(parts):
            numbers = range(part * self.jobs // parts, (part + 1) * self.jobs // parts)
            plans = {number: 2 if number % 100 == 7 else int(number % 20 == 3) for number in numbers}
            ids = self._app.tasks["recorded.work"].enqueue_many(plans.items())
            sent.update(zip(ids, plans.values(), strict=True))
            if part == parts // 2:
                self._away(database)
            elif self._kill(worker):
                time.sleep(chance.uniform(0.0, 1.0))
        return sent

    def _away(self, database: PostgresServer) -> None:
        self.say(f"the database goes away for {self.outage:g} s")
        began = time.monotonic()
        database.stop()
        while time.monotonic() - began < self.outage:
            ids = list(self._app.tasks["recorded.work"].enqueue_many([(0, 0)] * 10))
            self._extra += len(ids)
            time.sleep(0.2)
        database.start()
        self.say(f"the database is back; {self._app.engine.events.size():,} entries wait in the log")

    _extra: int = 0

    def _kill(self, worker: subprocess.Popen[bytes]) -> bool:
        for child in psutil.Process(worker.pid).children():
            with contextlib.suppress(psutil.Error):
                if "umbel.monitor" in child.cmdline():
                    child.send_signal(signal.SIGKILL)
                    self._killed += 1
                    return True
        return False

    def _settle(self) -> float:
        """Wait until everything has run and is written; return how long the history took after the last job."""

        def is_empty() -> bool:
            return not any(one.ready or one.delayed or one.leased or one.suspect for one in self._app.engine.queues())

        self._until(is_empty, "all jobs to have run")
        began = time.monotonic()
        self._until(lambda: self._app.engine.events.size() == 0, "all of it to be written")
        return time.monotonic() - began

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {_PATIENCE:g} s for {what}")
            time.sleep(0.05)

    def _verdict(self, sent: dict[str, int], found: list[JobRow], seconds: float) -> Verdict:
        wanted = {0: (JobState.SUCCEEDED, 1), 1: (JobState.SUCCEEDED, 2), 2: (JobState.FAILED, 2)}
        known = {job.id: (job.state, job.attempts) for job in found}
        wrong = {known[one] for one, plan in sent.items() if one in known and known[one] != wanted[plan]}
        lost = [one for one in sent if one not in known]
        twice = sum(count > 1 for count in Counter(job.id for job in found).values())
        hole = self._app.engine.events.lost()
        verdict = Verdict(len(sent) + self._extra, self._killed, len(lost), twice, 0, 0.0)
        verdict.figures = {"written_after_s": seconds, "in_history": float(len(found)), "events_lost": float(hole)}
        if lost:
            verdict.faults.append(f"{len(lost)} jobs are not in the history")
        if wrong:
            verdict.faults.append(f"the history is wrong about some: {sorted(map(str, wrong))[:5]}")
        if len(found) != len(sent) + self._extra or twice or hole:
            verdict.faults.append(f"the history has {len(found)} of {len(sent) + self._extra} jobs, {twice} twice")
        return verdict


def _all(history: History) -> Iterator[JobRow]:
    before = None
    while True:
        page = history.jobs.find(EVERY, before=before, limit=500)
        yield from page.jobs
        before = page.next
        if before is None:
            return
