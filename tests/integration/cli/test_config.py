"""umbel config: every value with where it came from, secrets hidden (C1)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.integration.cli.conftest import Cli
from umbel.cli.config import _shown


def test_values_and_origins_c1(shop: Cli) -> None:
    found = json.loads(shop.ok("config", "--json", UMBEL_MAX_PAYLOAD_BYTES="1234"))
    rows = {row["name"]: row for row in found["umbel"]}
    assert str(rows["max_payload_bytes"]["value"]) == "1234"
    assert "UMBEL_MAX_PAYLOAD_BYTES" in rows["max_payload_bytes"]["source"]
    assert {"name": "task_acks_late", "value": True, "source": "Umbel"} in found["celery"]


def test_what_the_application_sets_is_told_from_what_umbel_sets_c1(shop: Cli) -> None:
    shop.write("jobs.py", (shop.folder / "jobs.py").read_text() + "\njobs.conf.task_acks_late = False\n")
    found = json.loads(shop.ok("config", "--json"))
    assert {"name": "task_acks_late", "value": False, "source": "application"} in found["celery"]


def test_the_plain_table_c1(shop: Cli) -> None:
    shown = shop.ok("config")
    assert "max_payload_bytes" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("smtp_password", "hunter2", "********"),
        ("security_key", "hunter2", "********"),
        ("broker_url", "redis://:hunter2@host:6379/0", "redis://:********@host:6379/0"),
        ("broker_url", "redis://me:hun@t/er2@host/0", "redis://me:********@host/0"),
        ("broker_url", "redis://host/0?password=hunter2&x=1", "redis://host/0?password=********&x=1"),
        ("hosts", ["amqp://me:hunter2@a//", "amqp://b//"], "['amqp://me:********@a//', 'amqp://b//']"),
        ("options", {"deep": [{"api_key": "hunter2"}]}, "{'deep': [{'api_key': '********'}]}"),
        ("broker_url", "sqlite:////srv/umbel.db", "sqlite:////srv/umbel.db"),
        ("task_default_routing_key", "default", "default"),
        ("web_token", None, None),
        ("task_time_limit", 1800, 1800),
        ("grace", timedelta(minutes=30), "30 min"),
    ],
)
def test_secrets_are_hidden_everywhere(name: str, value: object, shown: object) -> None:
    assert _shown(name, value) == shown


def test_a_password_in_the_environment_is_hidden(shop: Cli) -> None:
    url = "redis://:hunter2@127.0.0.1:1/0"
    for arguments in (("config",), ("config", "--json")):
        done = shop.run(*arguments, UMBEL_BROKER_URL=url)
        assert "hunter2" not in done.stdout + done.stderr


def test_an_unknown_variable_is_reported_c2(shop: Cli) -> None:
    done = shop.run("config", UMBEL_MAX_PAYLOAD_BYTE="1")
    assert "UMBEL_MAX_PAYLOAD_BYTES" in done.stdout + done.stderr
