"""C33: umbel limits list, set and reset, on a real store."""

from __future__ import annotations

import json

from tests.integration.cli.conftest import Cli


def listed(shop: Cli) -> dict[str, tuple[str, str | None, bool]]:
    found = json.loads(shop.ok("limits", "list", "--json"))
    return {one["name"]: (one["limit"], one["declared"], one["changed"]) for one in found}


def test_c33_limits_are_listed_set_and_reset(shop: Cli) -> None:
    assert shop.ok("limits", "list") == "Limits: none"
    shown = shop.ok("limits", "set", "jobs.add", "100/m")
    assert "umbel limits reset jobs.add" in shown
    shop.ok("limits", "set", "queue:celery", "5/s", "--burst", "20")
    assert listed(shop) == {"jobs.add": ("100/m", None, True), "queue:celery": ("5/s, bursts of 20", None, True)}
    assert "100/m" in shop.ok("limits", "list")
    shop.ok("limits", "reset", "queue:celery")
    shop.ok("limits", "set", "jobs.add", "none")
    assert listed(shop) == {"jobs.add": ("none", None, True)}
    done = shop.run("limits", "set", "jobs.nothing", "1/s")
    assert (done.returncode, "There is no limit and no task 'jobs.nothing'" in done.stderr) == (1, True)
    assert "no rate" in shop.run("limits", "set", "jobs.add", "often").stderr
