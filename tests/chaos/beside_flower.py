"""The history beside Flower's: the same jobs, everything restarted in between, and what each of them still knows.

Flower listens to Celery's events, as it is started for that: with ``--persistent``, room for all jobs, and its state
saved every second. Between the parts the workers, Flower, the recorder and Redis end, once in order and once by
SIGKILL; at the end all are started again, and both are asked for every job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.chaos.recording import made
from tests.chaos.redis_site import RedisSite
from tests.chaos.verdict import Verdict
from tests.conftest import free_port
from umbel import JobState, Umbel
from umbel.monitor.history import History
from umbel.monitor.job_filter import EVERY

__all__ = ("FlowerCampaign",)

_PATIENCE: Final = 300.0
_PAGE: Final = 500
_SUCCEEDED, _FAILED = "succeeded", "failed"
_STATES: Final = {"SUCCESS": _SUCCEEDED, "FAILURE": _FAILED}


@dataclass(frozen=True, slots=True)
class _Known:
    """What somebody knows of one job."""

    state: str
    has_arguments: bool
    has_outcome: bool


@dataclass(slots=True)
class FlowerCampaign:
    """``jobs`` jobs in parts, with something restarted after each."""

    folder: Path
    jobs: int = 10_000
    say: Callable[[str], None] = print
    seed: int = 0
    _app: Umbel = field(init=False)
    _variables: dict[str, str] = field(init=False)
    _site: RedisSite = field(init=False)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _port: int = 0

    def run(self) -> Verdict:
        """Run it all; the verdict's figures say how many jobs each knows, with the right state, and with what."""
        self._site = RedisSite(self.folder)
        self._app, self._port = made(broker=self._site.direct), free_port()
        place = f"sqlite:///{self.folder / 'history.db'}"
        told = {"UMBEL_BROKER_URL": self._site.direct, "UMBEL_HISTORY": "1", "UMBEL_HISTORY_URL": place}
        self._variables = {**os.environ, **told, "FLOWER_UNAUTHENTICATED_API": "true"}
        with contextlib.closing(self._site):
            try:
                self._start_all()
                sent = self._send()
                self._settle()
                self._restart_all(signal.SIGTERM)
                return self._verdict(sent, self._umbels(place), self._flowers())
            finally:
                self._stop_all(signal.SIGKILL)
                self._app.engine.close()

    # -- what is started, and ended -----------------------------------------------------------------------------

    def _start_all(self) -> None:
        self._start("flower", "celery", "flower", "--address=127.0.0.1", f"--port={self._port}", *self._flower_keeps())
        self._start("worker", "umbel", "worker", "-E", "--processes", "2", "--loglevel", "WARNING")
        self._until(self._flower_answers, "Flower")
        self._until(lambda: len(self._app.engine.workers()) == 2, "the workers")
        self._until(self._app.engine.events.is_kept, "a recorder")

    def _flower_keeps(self) -> list[str]:
        kept = self.folder / "flower.db"
        return ["--persistent=True", f"--db={kept}", "--state_save_interval=1000", f"--max_tasks={self.jobs * 2}"]

    def _start(self, name: str, module: str, verb: str, *arguments: str) -> None:
        place = ["-A", "tests.chaos.recording:app"]
        words = [*place, verb] if module == "celery" else [verb, *place]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *words, *arguments], env=self._variables, stdout=log, stderr=log
            )

    def _stop_all(self, how: int) -> None:
        for process in self._running.values():
            with contextlib.suppress(psutil.Error):
                family = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(how)
                if how == signal.SIGKILL:
                    for member in family:
                        with contextlib.suppress(psutil.Error):
                            member.kill()
            process.wait(_PATIENCE)

    def _restart_all(self, how: int) -> None:
        self._stop_all(how)
        self._site.kill()
        self._site.start()
        self._start_all()

    # -- the jobs -----------------------------------------------------------------------------------------------

    def _send(self) -> dict[str, str]:
        """Send all jobs in four parts; everything is restarted in order, by force, and after a part that waits."""
        sent: dict[str, str] = {}
        for part in range(4):
            numbers = range(part * self.jobs // 4, (part + 1) * self.jobs // 4)
            plans = [(number, 2 if number % 100 == 7 else int(number % 20 == 3)) for number in numbers]
            ids = self._app.tasks["recorded.work"].enqueue_many(plans)
            sent.update((one, _FAILED if plan[1] > 1 else _SUCCEEDED) for one, plan in zip(ids, plans, strict=True))
            if part == 3:
                break
            if part < 2:
                # The third part is cut in the middle.
                self._settle()
            self.say(f"everything is restarted, {len(sent):,} jobs sent")
            self._restart_all(signal.SIGTERM if part == 0 else signal.SIGKILL)
        return sent

    def _settle(self) -> None:
        def is_empty() -> bool:
            return not any(one.ready or one.delayed or one.leased or one.suspect for one in self._app.engine.queues())

        self._until(is_empty, "all jobs to have run")
        self._until(lambda: self._app.engine.events.size() == 0, "all of it to be written")
        # Flower's listener, which has no log to be asked about.
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 2.0:
            known = len(self._flowers())
            if known != last:
                last, since = known, time.monotonic()
            time.sleep(0.2)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {_PATIENCE:g} s for {what}")
            time.sleep(0.1)

    # -- what each knows ----------------------------------------------------------------------------------------

    def _flower_answers(self) -> bool:
        try:
            self._ask("/healthcheck")
        except OSError:
            return False
        return True

    def _ask(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=60) as answer:
            return bytes(answer.read())

    def _flowers(self) -> dict[str, _Known]:
        found = json.loads(self._ask(f"/api/tasks?limit={self.jobs * 2}"))
        return {
            name: _Known(
                _STATES.get(one.get("state"), str(one.get("state"))),
                has_arguments=bool(one.get("args")),
                has_outcome=bool(one.get("result") or one.get("exception")),
            )
            for name, one in found.items()
        }

    def _umbels(self, place: str) -> dict[str, _Known]:
        history = History(place)
        with contextlib.closing(history):
            return {name: self._details(history, name) for name in _all(history)}

    @staticmethod
    def _details(history: History, name: str) -> _Known:
        found = history.jobs.job(name)
        outcome = found.result if found.job.state is JobState.SUCCEEDED else found.job.error_message
        return _Known(found.job.state.value, has_arguments=bool(found.arguments), has_outcome=bool(outcome))

    def _verdict(self, sent: dict[str, str], ours: dict[str, _Known], theirs: dict[str, _Known]) -> Verdict:
        verdict = Verdict(len(sent), 4, sum(one not in ours for one in sent), 0, 0, 0.0)
        for name, known in (("umbel", ours), ("flower", theirs)):
            right = [known[one] for one, state in sent.items() if one in known and known[one].state == state]
            verdict.figures |= {
                f"{name}_knows": float(sum(one in known for one in sent)),
                f"{name}_right_state": float(len(right)),
                f"{name}_with_arguments": float(sum(one.has_arguments for one in right)),
                f"{name}_with_outcome": float(sum(one.has_outcome for one in right)),
            }
        for what in ("knows", "right_state", "with_arguments", "with_outcome"):
            if verdict.figures[f"umbel_{what}"] != len(sent):
                verdict.faults.append(f"umbel_{what}: {verdict.figures[f'umbel_{what}']:g} of {len(sent)}")
        return verdict


def _all(history: History) -> Iterator[str]:
    before = None
    while True:
        page = history.jobs.find(EVERY, before=before, limit=_PAGE)
        yield from (job.id for job in page.jobs)
        before = page.next
        if before is None:
            return
