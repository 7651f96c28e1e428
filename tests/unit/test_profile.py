"""What a worker says of itself when it is asked: no secret leaves its process (C43)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from umbel import Settings, Umbel
from umbel.engine.profile import profile

SECRET = "hunter2"


def asked(app: Umbel, **options: Any) -> dict[str, tuple[str, str]]:
    pool = SimpleNamespace(limit=3)
    panel = SimpleNamespace(app=app, consumer=SimpleNamespace(controller=SimpleNamespace(**options), pool=pool))
    told = profile(panel)
    assert told["slots"] == 3
    return {name: (value, source) for name, value, source in told["settings"]}


def test_no_password_is_in_it_wherever_an_address_stands(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=f"redis://me:{SECRET}@127.0.0.1:1/0")
    app = Umbel("shop", settings=settings)
    app.conf.broker_transport_options = {"url": f"redis://me:{SECRET}@127.0.0.1:1/1", "password": SECRET}
    app.conf.broker_read_url = [f"redis://me:{SECRET}@127.0.0.1:1/2"]
    app.conf.beat_schedule = {"a": {"task": "celery.backend_cleanup", "schedule": 60, "args": (SECRET,)}}
    told = asked(app)
    assert "127.0.0.1" in told["broker_url"][0]
    assert SECRET not in repr(told)


def test_options_of_the_worker_come_before_settings(tmp_path: Path) -> None:
    told = asked(Umbel("shop", settings=Settings(data_dir=tmp_path)), concurrency=7, time_limit=1800.0)
    assert told["concurrency"] == ("7", "option of the worker")
    # The same as the setting says.
    assert told["time_limit"][1] == "default"
