"""A log that machines read: one JSON object a line, whatever is logged."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from umbel.engine import log_lines
from umbel.engine.log_lines import FACTS, JsonLines


def line(message: str, *args: Any, **more: Any) -> dict[str, Any]:
    extra = more.pop("extra", {})
    logger = logging.getLogger("shop.mail")
    record = logger.makeRecord(
        "shop.mail", logging.WARNING, "x.py", 1, message, args, more.pop("exc_info", None), extra=extra
    )
    for name, value in more.items():
        setattr(record, name, value)
    text = JsonLines("%(message)s", use_color=True).format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_says_when_what_and_who() -> None:
    said = line("slow %s\nserver", "mail")
    assert said.pop("time").endswith("+00:00")
    assert said == {"level": "warning", "logger": "shop.mail", "message": "slow mail\nserver"}


def test_a_job_and_extras_are_fields() -> None:
    said = line(
        "x", extra={"order": 7, "place": Path("/a"), "data": {"args": "secret"}}, **{FACTS: {"job": "a", "attempt": 2}}
    )
    assert (said["job"], said["attempt"], said["order"], said["place"]) == ("a", 2, 7, "/a")
    assert "secret" not in str(said)


def test_celerys_own_lines_name_their_job() -> None:
    said = line("Task %(name)s[%(id)s] received", extra={"data": {"id": "a", "name": "shop.send", "args": "secret"}})
    assert (said["job"], said["task"]) == ("a", "shop.send")
    assert "secret" not in str(said)


def test_an_exception_is_an_object() -> None:
    try:
        raise ValueError("no\nmoney")
    except ValueError:
        said = line("failed", exc_info=sys.exc_info())
    assert (said["error"]["type"], said["error"]["message"]) == ("builtins.ValueError", "no\nmoney")
    assert "raise ValueError" in said["error"]["traceback"]


def test_nothing_is_too_odd_or_too_long() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    said = line("x" * 100_000, extra={"odd": Odd(), "nan": float("nan"), "bytes": b"\xff", "deep": {("a", 1): 2}})
    assert len(said["message"]) == 32_768
    assert (said["odd"], said["bytes"], said["deep"]) == ("<Odd>", "b'\\xff'", {})
    assert len(line("x", extra={f"e{number}": number for number in range(500)})) < 60


@pytest.mark.parametrize("place", ["environment", "dotenv"])
def test_a_process_without_settings_asks_the_environment(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not log_lines.wants_json()
    if place == "environment":
        monkeypatch.setenv("UMBEL_LOG_FORMAT", "json")
    else:
        (tmp_path / ".env").write_text("UMBEL_LOG_FORMAT=json\n")
    assert log_lines.wants_json()
