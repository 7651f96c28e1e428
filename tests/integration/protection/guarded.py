"""The application whose jobs hold secrets, for clients and workers. What a job returns tells that it got the values."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path
from typing import Any

from celery.exceptions import Reject

from umbel import Umbel
from umbel.settings import Settings

__all__ = ("build", "digest")


def digest(value: str) -> str:
    """What tells a secret from others, and not what it is."""
    return hashlib.sha256(value.encode()).hexdigest()[:12]


def build(**settings: Any) -> Umbel:
    """Return the application with its tasks; what is not given is the environment's."""
    app = Umbel("guarded", settings=Settings.load(**settings), set_as_current=False)
    app.conf.task_send_sent_event = True
    _declare_sensitive(app)
    _declare_plain(app)
    app.finalize()
    return app


def _declare_sensitive(app: Umbel) -> None:
    @app.task(name="g.charge", sensitive=("token", "card.number"), shared=False)
    def charge(name: str, token: str, card: dict[str, str] | None = None) -> str:
        return f"{name}:{digest(token)}" + (f":{digest(card['number'])}" if card else "")

    @app.task(name="g.acharge", sensitive=("token",), shared=False)
    async def acharge(name: str, *, token: str) -> str:
        return f"{name}:{digest(token)}"

    @app.task(name="g.flaky", bind=True, sensitive=("token",), max_retries=1, shared=False)
    def flaky(self: Any, name: str, token: str) -> str:
        if not self.request.retries:
            raise self.retry(countdown=0.1)
        return f"{name}:{digest(token)}:{self.request.retries}"

    @app.task(name="g.reject", sensitive=("token",), shared=False)
    def reject(token: str) -> None:
        raise Reject("not today", requeue=False)

    @app.task(name="g.log", sensitive=("token",), shared=False)
    def log(token: str) -> None:
        logging.getLogger("guarded").warning("the token is %s", token)
        print("printed", token)

    @app.task(name="g.gather", sensitive=("token",), shared=False)
    def gather(parts: list[str], token: str) -> str:
        return "+".join([*parts, digest(token)])

    @app.task(name="g.hold", sensitive=("token",), shared=False)
    def hold(gate: str, token: str) -> str:
        while not Path(os.environ["PLANT_TRAIL"]).with_name(gate).exists():
            time.sleep(0.01)
        return digest(token)


def _declare_plain(app: Umbel) -> None:
    @app.task(name="g.say", shared=False)
    def say(word: str) -> str:
        return word

    @app.task(name="g.asay", shared=False)
    async def asay(word: str) -> str:
        return word

    @app.task(name="g.again", bind=True, max_retries=1, shared=False)
    def again(self: Any, word: str) -> str:
        if not self.request.retries:
            raise self.retry(countdown=0.1)
        return word

    @app.task(name="g.mended", bind=True, max_retries=1, shared=False)
    def mended(self: Any, word: str) -> str:
        if Path(os.environ["PLANT_TRAIL"]).with_name("mended").exists():
            return f"{word} {self.request.retries}"
        raise self.retry(countdown=0.05, exc=ValueError(word))

    @app.task(name="g.plain_hold", shared=False)
    def plain_hold(gate: str) -> str:
        while not Path(os.environ["PLANT_TRAIL"]).with_name(gate).exists():
            time.sleep(0.01)
        return gate

    @app.task(name="g.join", shared=False)
    def join(words: list[str]) -> str:
        return "+".join(words)
