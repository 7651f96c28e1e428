"""C32: umbel effects list, show and resolve, on a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.cli.conftest import Cli
from umbel.engine.registry import open_engine
from umbel.engine.store import Engine
from umbel.state.effects import Claimant, Standing

NAMES = ("named:first", "named:second")


@pytest.fixture
def engine(shop: Cli) -> Iterator[Engine]:
    found = open_engine(f"sqlite:///{shop.folder}/.umbel/umbel.db")
    yield found
    found.close()


def test_c32_uncertain_effects_are_listed_shown_and_resolved(shop: Cli, engine: Engine) -> None:
    assert shop.ok("effects", "list") == "Uncertain effects: none"
    assert shop.ok("effects", "list", "--json") == "[]"
    for name in NAMES:
        engine.effects.claim(name, Claimant(f"job-of-{name}", "run", name), 60.0)
        engine.effects.doubt(name, name)
    assert [one["name"] for one in json.loads(shop.ok("effects", "list", "--json"))] == list(NAMES)
    assert "named:second  job-of-named:second" in shop.ok("effects", "list")
    assert json.loads(shop.ok("effects", "show", NAMES[0], "--json"))["job"] == "job-of-named:first"
    assert "named:first" in shop.ok("effects", "show", NAMES[0])
    told = shop.ok("effects", "resolve", NAMES[0], "--done", "--result", '{"id": 7}', "--for", "2h")
    assert "'umbel dead replay job-of-named:first' lets its job run again" in told
    shop.ok("effects", "resolve", NAMES[1], "--not-done")
    assert engine.effects.uncertain() == []
    first, second = (engine.effects.claim(name, Claimant("other", "run", "other"), 60.0) for name in NAMES)
    assert (first.standing, second.standing) == (Standing.DONE, Standing.MINE)
    assert json.loads(str(first.result)) == {"id": 7}


def test_c32_what_cannot_be_resolved_is_said(shop: Cli, engine: Engine) -> None:
    engine.effects.claim("named:a", Claimant("job", "run", "token"), 60.0)
    for arguments, code, text in (
        (("named:a", "--done"), 1, "No effect 'named:a' is uncertain: 'umbel effects list' shows those that are."),
        (("named:a",), 2, "Say --done, with --result if there is one, or --not-done."),
        (("named:a", "--not-done", "--result", "1"), 2, "Nothing was changed."),
    ):
        done = shop.run("effects", "resolve", *arguments)
        assert (done.returncode, text in done.stderr) == (code, True), done.stderr
    engine.effects.doubt("named:a", "token")
    assert "--result is no JSON" in shop.run("effects", "resolve", "named:a", "--done", "--result", "{").stderr
    assert [one.name for one in engine.effects.uncertain()] == ["named:a"]
