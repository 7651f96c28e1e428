"""The jobs of the worker tests. Each writes what it does into the trail: one line, one write, one file."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal as os_signal
import threading
import time
from pathlib import Path
from typing import Any

from celery import signals
from celery.exceptions import SoftTimeLimitExceeded

from umbel import Breaker, Snooze, Umbel, Unique, WithoutOverlap, current_lock, progress

__all__ = ("app", "tell")

app = Umbel("plant")
#: For so long prefork waits for the result of a child that has died.
app.conf.worker_lost_wait = 1.0
TRAIL = Path(os.environ.get("PLANT_TRAIL", "trail"))
#: A name is released by making a file of that name.
GATES = TRAIL.with_name("gates")


def tell(*words: object) -> None:
    """Append one line: the words, this process, the time."""
    line = " ".join(map(str, (*words, os.getpid(), f"{time.time():.6f}"))) + "\n"
    fd = os.open(TRAIL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


@app.task
def say(word: str) -> str:
    tell("say", word)
    return word


@app.task
def hold(name: str) -> str:
    """Run until the gate is opened."""
    tell("hold", name, threading.current_thread().name)
    while not (GATES / name).exists():
        time.sleep(0.01)
    tell("released", name)
    return name


@app.task
def chatter(name: str) -> None:
    """Log, print, and run until the gate is opened."""
    logging.getLogger("plant").warning("it is %s", name)
    print("printed", name)
    tell("hold", name)
    while not (GATES / name).exists():
        time.sleep(0.01)


@app.task
def deaf(name: str) -> str:
    """Run until the gate is opened, whatever tells it to end."""
    tell("hold", name, threading.current_thread().name)
    while not (GATES / name).exists():
        try:
            time.sleep(0.01)
        except BaseException:
            tell("caught", name)
    tell("released", name)
    return name


@app.task(unique=Unique(for_="10m", key="name"))
def once(name: str, word: str = "") -> str:
    """Run until the gate is opened; another one of this name is not queued meanwhile."""
    tell("once", name, word)
    while not (GATES / name).exists():
        time.sleep(0.01)
    return word


@app.task(unique=Unique(mode="replace", key="name"))
async def newest(name: str, word: str) -> str:
    """Run with what was said last before it began."""
    tell("newest", name, word)
    return word


@app.task(unique=Unique(mode="debounce", key="name", wait="500ms", longest="1h"))
def settled(name: str, word: str) -> str:
    """Run when nothing was said for a while."""
    tell("settled", name, word)
    return word


def fence() -> int:
    lock = current_lock()
    return 0 if lock is None else lock.fence


@app.task(overlap=WithoutOverlap(key="name"))
def alone(name: str, word: str = "") -> str:
    """Run while no other one of this name does."""
    tell("enter", name, word, fence())
    time.sleep(0.01)
    tell("leave", name, word)
    return word


@app.task(overlap=WithoutOverlap(key="name"))
async def alone_async(name: str, word: str = "") -> str:
    """The same on the event loop."""
    tell("enter", name, word, fence())
    await asyncio.sleep(0.01)
    tell("leave", name, word)
    return word


@app.task(overlap=WithoutOverlap(key="name", for_="1s"))
def alone_at(name: str) -> str:
    """Run alone until the gate is opened."""
    tell("enter", name, fence())
    while not (GATES / name).exists():
        time.sleep(0.01)
    return name


@app.task(overlap=WithoutOverlap(otherwise="skip"))
async def only(name: str) -> str:
    """Run until the gate is opened; no other one runs meanwhile, nor later."""
    tell("only", name)
    while not (GATES / name).exists():
        await asyncio.sleep(0.01)
    return name


@app.task(breaker=Breaker(failures=2, within="1h", open_for="1s", key="gateway"))
def charge(gateway: str, word: str) -> str:
    """Fail until the gate is opened."""
    tell("charge", gateway, word)
    if not (GATES / gateway).exists():
        raise ConnectionError(gateway)
    return word


@app.task(breaker=Breaker(failures=2, within="1h", open_for="1s", key="gateway", on=ConnectionError))
async def charge_async(gateway: str, word: str) -> str:
    """The same on the event loop; words that are wrong are the caller's fault."""
    tell("charge", gateway, word)
    if word == "wrong":
        raise ValueError(word)
    if not (GATES / gateway).exists():
        raise ConnectionError(gateway)
    return word


@app.task
def exhaust(name: str) -> None:
    """Ask for more memory than there is."""
    tell("exhaust", name)
    raise MemoryError(f"Unable to allocate 7.28 TiB for {name}")


@app.task
async def aexhaust(name: str) -> None:
    """The same on the event loop."""
    tell("exhaust", name)
    raise MemoryError(f"Unable to allocate 7.28 TiB for {name}")


@app.task
def linger(name: str) -> str:
    """Run until the gate is opened for this host."""
    host = os.environ["PLANT_HOST"]
    tell("linger", name, host)
    while not (GATES / f"{name}@{host}").exists():
        time.sleep(0.01)
    tell("left", name, host)
    return host


@app.task
async def ahold(name: str) -> str:
    tell("hold", name)
    try:
        while not (GATES / name).exists():
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        tell("cancelled", name)
        raise
    finally:
        tell("finally", name)
    tell("released", name)
    return name


@app.task
def spin(name: str) -> str:
    """Run Python code for ever."""
    tell("hold", name)
    try:
        while True:
            sum(range(100))
    finally:
        tell("finally", name)


@app.task
def sleep(name: str, seconds: float) -> str:
    """Sit in one call into C that lets others run."""
    tell("hold", name)
    time.sleep(seconds)
    tell("released", name)
    return name


@app.task
def grip(name: str) -> str:
    """Sit in one call into C that lets nobody else run, as an exponential regular expression does, but at rest."""
    tell("hold", name)
    # Called with the interpreter's lock, which is what no signal ends.
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(256)
    library.pthread_mutex_init(mutex, None)
    for _ in range(2):
        library.pthread_mutex_lock(mutex)
    tell("released", name)
    return name


@app.task
def soft(name: str) -> str:
    try:
        tell("hold", name)
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        tell("soft", name)
    return "tidied up"


@app.task
async def asoft(name: str) -> str:
    try:
        tell("hold", name)
        await asyncio.sleep(1000)
    except SoftTimeLimitExceeded:
        tell("soft", name)
    return "tidied up"


@app.task(bind=True, max_retries=3)
def retry_once(self: Any, name: str) -> str:
    tell("attempt", name, self.request.retries)
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return name


@app.task(bind=True)
def retry_later(self: Any, name: str) -> None:
    tell("attempt", name, self.request.retries)
    raise self.retry(countdown=3600)


@app.task
def fail(name: str) -> None:
    tell("fail", name)
    raise ValueError(name)


@app.task(bind=True)
def poison(self: Any, name: str) -> None:
    """Kill the process."""
    tell("poison", name, self.request.retries)
    os.kill(os.getpid(), os_signal.SIGKILL)


@app.task
def eat(mebibytes: int) -> int:
    """Keep that much memory."""
    tell("eat", mebibytes)
    HOARD.append(bytearray(os.urandom(1024)) * (mebibytes * 1024))
    return len(HOARD)


HOARD: list[bytearray] = []


@app.task
def connect() -> None:
    """Connect receivers in this process, as an application may do at any time."""
    for name in SIGNALS:
        getattr(signals, name).connect(_receiver(name), weak=False)
    tell("connected")


SIGNALS = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")


def _receiver(name: str) -> Any:
    def receive(sender: Any = None, **_: Any) -> None:
        short = sender.name.rpartition(".")[2] if hasattr(sender, "name") else "?"
        tell("signal", name, short)

    return receive


if os.environ.get("PLANT_RECEIVERS"):
    connect.run()


# -- bodies that misbehave --------------------------------------------------------------------------------------


class Quitting(BaseException):
    """Not an ``Exception``, so that most handlers let it through."""


@app.task
def leave(how: str) -> None:
    tell("leave", how)
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "own": Quitting}[how](1)


@app.task
async def aleave(how: str) -> None:
    tell("leave", how)
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "own": Quitting}[how](1)


@app.task
async def child_leaves() -> None:
    """A task that the job has started ends the loop, if it can."""

    async def child() -> None:
        raise SystemExit(3)

    tell("child_leaves")
    await asyncio.gather(child(), return_exceptions=True)


@app.task(bind=True)
def state_without_a_name(self: Any) -> str:
    self.update_state(meta={"at": 1})
    tell("meta")
    return "told"


@app.task(bind=True, max_retries=2)
def again(self: Any) -> str:
    tell("again", self.request.retries)
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return "third"


@app.task(ignore_result=True)
def unrecorded(word: str) -> None:
    tell("unrecorded", word)


@app.task(acks_late=False)
def early(name: str) -> str:
    tell("hold", name)
    progress(1, 2, "half")
    while not (GATES / name).exists():
        time.sleep(0.01)
    return name


@app.task(bind=True)
def backwards(self: Any, name: str) -> None:
    for done in (1, 5, 3):
        progress(done, 10)
    tell("hold", name, threading.current_thread().name)
    while not (GATES / name).exists():
        time.sleep(0.01)


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def from_the_start(self: Any, name: str) -> None:
    """Come to six of ten, and begin again: by a retry, then by being put off."""
    if not self.request.retries:
        progress(6, 10, "first")
        raise self.retry(exc=OSError())
    if not (self.request.headers or {}).get("umbel_put_off"):
        raise Snooze("1ms")
    tell("hold", name)
    _wait(name)
    progress(2, 10, "again")
    tell("told", name)
    _wait(f"{name}-end")


class _SlowToSay(app.Task):  # type: ignore[misc,name-defined]
    """Says that it was put off when its next run has begun: a prefork child sends the message first."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        sent = super().apply_async(args, kwargs, **options)
        _wait(f"{args[0]}-late")
        return sent

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        tell("said", args[0])


@app.task(bind=True, base=_SlowToSay)
def put_off(self: Any, name: str) -> None:
    """Put itself off once, and tell how far it is."""
    if not (self.request.headers or {}).get("umbel_put_off"):
        raise Snooze("1ms")
    progress(2, 10, "again")
    tell("hold", name)
    _wait(name)


@app.task
def after_a_crash(name: str) -> None:
    """Come to six of ten; the second time less."""
    if not (GATES / f"{name}-began").exists():
        (GATES / f"{name}-began").touch()
        progress(6, 10, "first")
    tell("hold", name)
    _wait(name)
    progress(2, 10, "again")
    tell("told", name)
    _wait(f"{name}-end")


def _wait(name: str) -> None:
    while not (GATES / name).exists():
        time.sleep(0.01)


@app.task
def parent(word: str) -> str:
    return str(say.delay(word).id)


class Lingering(app.Task):  # type: ignore[name-defined, misc]
    """Takes its time over having failed."""

    def on_failure(self, exc: object, task_id: str, args: tuple[str, ...], kwargs: object, einfo: object) -> None:
        tell("lingers", args[0])
        while not (GATES / args[0]).exists():
            time.sleep(0.01)


@app.task(base=Lingering, time_limit=0.5)
def dawdle(name: str) -> None:
    tell("hold", name)
    while True:
        time.sleep(0.01)


@app.task(soft_time_limit=0.5, time_limit=30)
async def family(name: str) -> None:
    """Two children in a task group, which go on until they are told to end."""

    async def child(number: int) -> None:
        try:
            tell("child", name, number)
            await asyncio.sleep(60)
        finally:
            tell("child ended", name, number)

    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(child(number))
