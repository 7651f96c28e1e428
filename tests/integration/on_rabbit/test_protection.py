"""C42: signed and encrypted messages by RabbitMQ, whose headers and bodies AMQP carries in its own way."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from celery import Celery, chord

from tests.integration.on_rabbit.conftest import WAIT, Start
from tests.integration.worker.plant import until
from umbel import Settings, Umbel
from umbel.engine.keyring import Keyring

APP = "tests.integration.on_rabbit.umbel_app:app"


@pytest.mark.parametrize("state_url", ["redis"], indirect=True)
@pytest.mark.parametrize("mode", ["sign", "encrypt"])
def test_c42_jobs_are_protected_on_the_way_through_rabbitmq(
    mode: str, plain: Celery, rabbit_url: str, state_url: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UMBEL_PAYLOAD_KEYS", Keyring.fresh("k"))
    monkeypatch.setenv("UMBEL_PAYLOAD_PROTECTION", mode)
    start("umbel", "worker", "-A", APP, "--processes", "1")
    app = Umbel("client", broker=rabbit_url, settings=Settings.load(state_url=state_url), set_as_current=False)
    app.conf.task_default_queue = "shared"
    with contextlib.closing(app):
        add: Any = app.signature("shared.add")
        assert app.send_task("shared.add", (2, 3)).get(timeout=WAIT) == 5
        assert app.send_task("shared.add", ("käse", "☃"), countdown=1.5).get(timeout=WAIT) == "käse☃"
        joined = chord([add.clone((1, 2)), add.clone((3, 4))])(app.signature("shared.total"))
        assert joined.get(timeout=WAIT) == 10
        refused = plain.send_task("shared.add", (2, 3))
        until(lambda: app.engine.dead(), "a dead letter", WAIT)
        (letter,) = app.engine.dead()
        assert letter.task_id == refused.id
        assert "neither signed nor encrypted" in letter.reason
        app.engine.close()
