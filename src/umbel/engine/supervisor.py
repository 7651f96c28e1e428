"""``umbel worker``'s parent: starts worker processes, replaces them, and ends them.

It imports neither the application nor Celery, so it starts at once, stays small, and nothing in the application
can stop it. Children tell it over a pipe when they are ready, when they drain, and which lease they hold; each has
a pipe whose end means that the supervisor is gone. When a child crashes, its lease is reaped at once, and what had
started in it runs again alone, in a process of its own.

SIGTERM or SIGINT: no new jobs, running ones get the grace period, the rest goes back. A second one: now.
SIGHUP: new processes first, then the old ones drain.
A process that ``celery control shutdown`` ends is not replaced; with the last one the supervisor ends too.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from operator import methodcaller
from pathlib import Path
from typing import Any, Final

from umbel.engine import log_lines
from umbel.engine.companion import Companion
from umbel.engine.outage import Outage
from umbel.engine.signal_pipe import SignalPipe
from umbel.engine.supervised import Child

__all__ = ("Supervisor", "SupervisorOptions", "run")

logger = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 2.0
#: So many processes at most run suspects, one each.
_MOST_SUSPECTS: Final = 8
_STARTING_SECONDS: Final = 3.0
#: A process gets so long to stop a job that is past its hard limit, before it is killed for it.
_OVERDUE_SECONDS: Final = 5.0
#: A child that lived shorter than this is started again with a growing pause.
_SHORT_LIFE: Final = 5.0
_LONGEST_PAUSE: Final = 10.0
#: How much longer than the grace period a child may take before it is killed.
_MARGIN: Final = 10.0
_QUEUES_ENV: Final = "UMBEL_QUEUE_WEIGHTS"
#: Exit codes that mean that starting again cannot help: usage, a store that cannot be used, configuration.
_HOPELESS: Final = frozenset({2, 69, 78})


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """What ``umbel worker`` was asked for. None means: by the application's settings."""

    app: str
    processes: int | None = None
    concurrency: int | None = None
    #: ``"high,default"`` (in that order) or ``"high:4,default:1"`` (by weight).
    queues: str | None = None
    pool: str | None = None
    hostname: str | None = None
    loglevel: str = "INFO"
    task_events: bool = False
    beat: bool = False
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    grace: timedelta | None = None
    pidfile: Path | None = None
    logfile: Path | None = None

    @property
    def queue_names(self) -> list[str] | None:
        """The queues without their weights; None for all."""
        return [item.partition(":")[0] for item in self.queues.split(",")] if self.queues else None

    def for_child(self) -> dict[str, Any]:
        """Return what a child is told, as JSON values."""
        return {
            "app": self.app,
            "concurrency": self.concurrency,
            "queues": self.queue_names,
            "loglevel": self.loglevel,
            "logfile": str(self.logfile) if self.logfile else None,
            "task_events": self.task_events,
            "max_tasks_per_child": self.max_tasks_per_child,
            "max_memory_per_child": self.max_memory_per_child,
            "time_limit": self.time_limit,
            "soft_time_limit": self.soft_time_limit,
        }


class Supervisor:
    """Keeps ``processes`` children running until told to stop."""

    def __init__(self, options: SupervisorOptions, *companions: Companion) -> None:
        self.options: Final = options
        self._companions: Final = companions
        #: Until the first child has read the application's settings, it is the only one.
        self.processes = options.processes or 1
        #: How many processes were shut down by remote control since the last reload, and are not replaced.
        self._dismissed = 0
        self.grace = (options.grace or timedelta(seconds=30)).total_seconds()
        self.children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._numbers = set[int]()
        self._signals = SignalPipe()
        self._on_terminal = os.isatty(2)
        self._stopping = 0
        self._deadline = float("inf")
        self._not_before: dict[str, float] = {}
        self._failures = 0
        #: Those whose jobs are still to be given back, and whether they crashed.
        self._dead: list[tuple[Child, bool]] = []
        self._exit_code = 0
        self._url: str | None = None
        self._engine_options: dict[str, Any] = {}
        self._outage = Outage(
            "The supervisor cannot look after its processes' jobs",
            "The supervisor looks after its processes' jobs again",
        )
        #: Whether the store has left a question unanswered since the last look: it is asked again at the next.
        self._unanswered = False
        self._next_check = time.monotonic() + _CHECK_SECONDS

    # -- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until stopped; return the exit code."""
        self._selector.register(self._signals.fileno(), selectors.EVENT_READ, self._on_signal)
        self._signals.install((signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, "SIGHUP", "SIGQUIT"))
        if self.options.pidfile:
            self.options.pidfile.write_text(f"{os.getpid()}\n")
        try:
            while not (self._stopping and not self.children):
                self._keep_up()
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._bury()
                # First the new processes: the store may be slow to answer, or away.
                self._replace()
                self._reap_dead()
                self._enforce()
        finally:
            for child in self.children.values():
                child.kill()
            for companion in self._companions:
                companion.stop()
            if self.options.pidfile:
                self.options.pidfile.unlink(missing_ok=True)
        return self._exit_code

    def _patience(self) -> float:
        now = time.monotonic()
        times = [self._next_check - now, *(at - now for at in self._not_before.values() if at > now)]
        if self._stopping:
            times.append(self._deadline - now)
        return max(0.01, min(times))

    # -- starting ---------------------------------------------------------------------------------------------

    def _replace(self) -> None:
        if self._stopping:
            return
        for _ in range(self.processes - self._dismissed - len(self._working())):
            self._start("worker")
        if self.options.beat and not any(c.role == "beat" and c.serves for c in self.children.values()):
            self._start("beat")

    def _working(self) -> list[Child]:
        return [child for child in self.children.values() if child.role == "worker" and child.serves]

    def _keep_up(self) -> None:
        if self._stopping:
            self._unanswered = False
            return
        working = self._working()
        self._replace()
        if sum(child.ready for child in working) >= self.processes - self._dismissed:
            self._hand_over()
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + _CHECK_SECONDS
            self._unanswered = False
            self._renew()
            self._look_for_suspects()
            self._look_for_overdue()
            # Some of these a store may answer without its server.
            if not self._unanswered:
                self._outage.over()

    def _start(self, role: str) -> None:
        if time.monotonic() < self._not_before.get(role, 0.0):
            return
        number = next(n for n in range(1, 1 << 16) if n not in self._numbers)
        self._numbers.add(number)
        child = Child.start(role, number, self._settings_for(role, number), self._environment(role))
        self.children[child.pid] = child
        self._selector.register(child.status_fd, selectors.EVENT_READ, lambda: self._on_status(child))

    def _settings_for(self, role: str, number: int) -> dict[str, Any]:
        host = socket.gethostname()
        name = (self.options.hostname or "umbel@%h").replace("%h", host)
        base, _, at = name.partition("@")
        settings = self.options.for_child()
        # The process looks whether another worker of this host has that name already.
        settings.update(role=role, name=base, number=number, host=at or host)
        if role == "suspects":
            settings["concurrency"] = 1
        return settings

    def _environment(self, role: str) -> dict[str, str]:
        extra = {"UMBEL_SUSPECTS": "only" if role == "suspects" else "never"}
        if self.options.grace is not None:
            extra["UMBEL_GRACE"] = str(self.grace)
        if self.options.pool:
            extra["UMBEL_POOL"] = self.options.pool
        if self.options.queues and ":" in self.options.queues:
            extra[_QUEUES_ENV] = self.options.queues
        return extra

    # -- what happens -----------------------------------------------------------------------------------------

    def _on_status(self, child: Child) -> None:
        for message in child.messages():
            for companion in self._companions:
                companion.hear(message)
            if "url" in message:
                self._url = message["url"]
            self._engine_options = message.get("engine", self._engine_options)
            if "processes" in message and self.options.processes is None:
                self.processes = message["processes"] or os.cpu_count() or 1
            if "grace" in message and self.options.grace is None:
                self.grace = message["grace"]
        if child.ready:
            self._failures = 0
        if child.silent:
            self._selector.unregister(child.status_fd)

    def _on_signal(self) -> None:
        for number in self._signals.read():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == getattr(signal, "SIGQUIT", None):
                self._stopping = 1
                self._stop()
            elif number == getattr(signal, "SIGHUP", None):
                # A terminal that is closed says the same, and nobody could stop us afterwards.
                self._stop() if self._on_terminal and not os.isatty(2) else self._reload()

    def _stop(self) -> None:
        self._stopping += 1
        if self._stopping == 1:
            self._deadline = time.monotonic() + self.grace + _MARGIN
            for child in self.children.values():
                child.terminate()
        else:
            self._kill_all()

    def _kill_all(self) -> None:
        self._deadline = time.monotonic() + 1.0
        for child in self.children.values():
            child.kill()

    def _reload(self) -> None:
        logger.info("Reloading: new processes start, then the old ones drain.")
        self._dismissed = 0
        self._not_before.clear()
        for child in self.children.values():
            child.outgoing = True

    def _hand_over(self) -> None:
        for child in self.children.values():
            if child.outgoing and not child.draining:
                child.terminate()

    def _stay(self) -> None:
        """Give a reload up: the new code does not start."""
        logger.error("The new code does not start (see above): the old processes stay. Mend it and reload again.")
        for child in self.children.values():
            if child.outgoing:
                child.outgoing = False
            elif not child.ready:
                child.kill()

    def _enforce(self) -> None:
        if self._stopping and time.monotonic() >= self._deadline:
            self._kill_all()

    # -- the dead ---------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        for child in [child for child in self.children.values() if child.poll() is not None]:
            del self.children[child.pid]
            self._numbers.discard(child.number)
            if child.status_fd in self._selector.get_map():
                self._on_status(child)
                if child.status_fd in self._selector.get_map():
                    self._selector.unregister(child.status_fd)
            child.close()
            self._after(child)

    def _after(self, child: Child) -> None:
        code = child.poll() or 0
        self._dead.append((child, code != 0 and not child.killed))
        if self._stopping or child.role == "suspects":
            return
        if child.leaving:
            self._dismiss(child)
            return
        if child.killed and not child.ready:
            # Given up with its reload, whichever way it ended.
            return
        if code in _HOPELESS and not child.ready:
            if any(other.outgoing and not other.draining for other in self.children.values()):
                self._stay()
                return
            self._exit_code = code
            self._stop()
            return
        if code != 0:
            logger.warning("%s process %d ended with %s; starting another one.", child.role, child.pid, _said(code))
        if code != 0 and child.lived < _SHORT_LIFE:
            self._failures += 1
            pause = min(_LONGEST_PAUSE, 0.1 * 2**self._failures) if not child.ready else 0.05
            self._not_before[child.role] = time.monotonic() + pause

    def _dismiss(self, child: Child) -> None:
        logger.info("Process %d was shut down by remote control and is not replaced.", child.pid)
        self._dismissed += 1
        if self._dismissed >= self.processes:
            self._stop()

    def _reap_dead(self) -> None:
        """Give back what the dead held. Which of it is to blame is known here alone: so as long as it takes."""
        told = []
        while self._dead and not self._unanswered:
            child, crashed = self._dead[0]
            reap = methodcaller("reap", child.lease, crashed=crashed, overdue=child.overdue)
            if child.lease and self._ask(reap) is None:
                break
            told.append(self._dead.pop(0))
        if any(crashed or child.role == "suspects" for child, crashed in told):
            self._look_for_suspects()

    def _renew(self) -> None:
        # From here, because a job can hold the interpreter of its own process for as long as it likes.
        leases = [child.lease for child in self.children.values() if child.lease and child.poll() is None]
        self._ask(methodcaller("renew", leases))

    def _look_for_suspects(self) -> None:
        if self._stopping:
            return
        waiting = self._ask(methodcaller("suspects", self.options.queue_names)) or 0
        running = [child for child in self.children.values() if child.role == "suspects"]
        # One that is just starting has not taken its job yet; the others are busy, or end by themselves.
        starting = sum(child.lived < _STARTING_SECONDS for child in running)
        for _ in range(min(waiting - starting, _MOST_SUSPECTS - len(running))):
            self._start("suspects")

    def _look_for_overdue(self) -> None:
        """Kill a process whose job holds the interpreter past its hard limit: it cannot stop it itself."""
        for child in self.children.values():
            if child.lease and not child.overdue:
                overdue = self._ask(methodcaller("overdue", child.lease, _OVERDUE_SECONDS))
                child.overdue = overdue or []
                if child.overdue:
                    logger.error("Process %d does not stop a job that is past its hard limit: it is killed.", child.pid)
                    child.kill()

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Return what the engine says; None where there is none, or while it cannot be asked."""
        if not self._url:
            return None
        from umbel.engine.registry import is_served, open_engine
        from umbel.errors import StoreError

        if not is_served(self._url):
            return None
        try:
            return question(open_engine(self._url, **self._engine_options))
        except StoreError as error:
            self._unanswered = True
            self._outage.pause(error)
            return None


def _said(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def run(options: SupervisorOptions, *companions: Companion) -> int:
    """Supervise workers until a signal ends them; return the exit code."""
    log_lines.begin(options.loglevel)
    return Supervisor(options, *companions).run()
