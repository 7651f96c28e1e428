"""C39: five schedulers, of which one leads; leaders are killed and stopped, and every tick is there once."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.integration.worker.plant import until

APP = "tests.integration.on_redis.beat_app:app"
LEADS = "This scheduler leads"
SUPERSEDED = "Another scheduler leads by now"


@dataclass(slots=True)
class Beat:
    """One ``umbel beat``."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self, text: str) -> int:
        return self.log.read_text().count(text)


class Schedulers:
    """All of them, and what they have sent."""

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]], folder: Path, url: str) -> None:
        self._start, self._folder = start, folder
        self.client = redis.Redis.from_url(url)
        self.beats: list[Beat] = []

    def start(self) -> Beat:
        log = self._folder / f"worker-{len(self.beats)}.log"
        beat = Beat(self._start("umbel", "beat", "-A", APP), log)
        self.beats.append(beat)
        return beat

    def runs(self) -> Counter[str]:
        ticks = self.client.hgetall("umbel:ticks")
        return Counter({name.decode().removeprefix("clockwork/"): int(said.split()[1]) for name, said in ticks.items()})

    def sent(self) -> Counter[str]:
        return Counter(json.loads(json.loads(element)["body"])[0][0] for element in self.client.lrange("ticks", 0, -1))

    def go_on(self) -> None:
        """Wait until some more ticks were sent."""
        before = self.runs().total()
        until(lambda: self.runs().total() >= before + 5, f"more ticks than {before}")

    def after(self, act: Callable[[], None], others: list[Beat]) -> Beat:
        """Do something to the leader, and wait until one of ``others`` leads in its place."""
        before = [beat.said(LEADS) for beat in others]
        act()
        until(lambda: [beat.said(LEADS) for beat in others] != before, "a new leader")
        return next(beat for beat, count in zip(others, before, strict=True) if beat.said(LEADS) > count)


@pytest.fixture
def schedulers(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, redis_url: str) -> Iterator[Schedulers]:
    made = Schedulers(start, tmp_path, redis_url)
    yield made
    made.client.close()
    for beat in made.beats:
        beat.process.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_c39_every_tick_is_sent_once_whatever_happens_to_leaders(schedulers: Schedulers) -> None:
    leader = schedulers.start()
    until(lambda: leader.said(LEADS), "the first one leads")
    living = [leader, *(schedulers.start() for _ in range(4))]
    until(lambda: all(beat.said("leads") for beat in living), "all have looked")
    for _ in range(3):
        schedulers.go_on()
        living.remove(leader)
        leader = schedulers.after(leader.process.kill, living)
        living.append(schedulers.start())
    schedulers.go_on()

    others = [beat for beat in living if beat is not leader]
    second = schedulers.after(lambda: leader.process.send_signal(signal.SIGSTOP), others)
    schedulers.go_on()
    leader.process.send_signal(signal.SIGCONT)
    until(lambda: leader.said(SUPERSEDED), "the stopped one hears that another one leads")
    schedulers.go_on()

    second.process.terminate()
    assert second.process.wait(60) == 0
    schedulers.go_on()
    for beat in living:
        beat.process.kill()
        beat.process.wait(60)
    assert schedulers.runs() == schedulers.sent()
    assert set(schedulers.runs()) == {"fast", "slow"}
