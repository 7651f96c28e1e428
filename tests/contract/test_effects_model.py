"""C32: the effects of each store beside a plain model of them, by whatever is asked in whatever order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from umbel.engine.registry import open_engine, open_state
from umbel.state.effects import Answer, Claimant, Effects, Standing

NAMES = st.sampled_from("ab")
#: PostgreSQL has no text with NUL; JSON has none either.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5)
OWNERS = st.sampled_from(("one", "two"))
RUNS = st.integers(1, 2)
#: A lease, or the time of a result, that ends at once.
SHORT = 0.001


@dataclass
class Known:
    """What the model knows of one effect."""

    state: str
    who: Claimant
    ended: bool = False
    result: str = ""


class Machine(RuleBasedStateMachine):
    """Each rule asks the store and the model the same."""

    effects: ClassVar[Effects]
    number: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).number += 1
        self.space = f"{type(self).number}-"
        self.known: dict[str, Known] = {}
        self.tokens = 0

    def live(self, name: str) -> Known | None:
        found = self.known.get(name)
        return None if found is not None and found.ended and found.state in ("claimed", "done") else found

    def own(self, name: str, token: str) -> Known | None:
        found = self.live(name)
        return found if found is not None and found.who.token == token else None

    def token(self, name: str, own: bool) -> str:
        found = self.known.get(name)
        return found.who.token if own and found is not None else "nobody's"

    def passes(self, short: bool) -> None:
        end = time.time() + 3 * SHORT
        while short and time.time() < end:
            time.sleep(SHORT)

    @rule(
        name=NAMES,
        owner=OWNERS,
        run=RUNS,
        short=st.booleans(),
        begun=st.booleans(),
        doubtful=st.sampled_from(("leave", "take", "repeat")),
    )
    def claim(self, name: str, owner: str, run: int, short: bool, begun: bool, doubtful: Any) -> None:
        self.tokens += 1
        who = Claimant(owner, f"{owner}{run}", f"t{self.tokens}")
        found = self.effects.claim(self.space + name, who, SHORT if short else 3600, begun=begun, doubtful=doubtful)
        self.passes(short)
        old, new = self.live(name), Known("begun" if begun else "claimed", who, short)
        again = old is not None and old.who.owner == owner and old.who.run != who.run
        if old is None or (old.state == "claimed" and again):
            self.known[name] = new
            assert found == Answer(Standing.MINE, held=True)
        elif old.state == "done":
            assert found == Answer(Standing.DONE, result=old.result)
        elif old.state != "uncertain" and not old.ended and not again:
            assert found.standing is Standing.RUNNING
            assert 3000 < found.seconds <= 3600
        elif doubtful == "leave":
            old.state = "uncertain"
            assert found == Answer(Standing.UNCERTAIN)
        elif doubtful == "take":
            self.known[name] = Known("asked", who, short)
            assert found == Answer(Standing.UNCERTAIN, held=True)
        else:
            self.known[name] = Known("begun", who, short)
            assert found == Answer(Standing.MINE, held=True)

    @precondition(lambda self: self.known)
    @rule(name=NAMES, own=st.booleans())
    def begin(self, name: str, own: bool) -> None:
        token = self.token(name, own)
        found = self.own(name, token)
        may = found is not None and found.state in ("claimed", "begun", "asked")
        assert self.effects.begin(self.space + name, token) == may
        if may and found is not None:
            found.state = "begun"

    @precondition(lambda self: self.known)
    @rule(name=NAMES, own=st.booleans(), short=st.booleans())
    def renew(self, name: str, own: bool, short: bool) -> None:
        token = self.token(name, own)
        found = self.own(name, token)
        may = found is not None and found.state in ("claimed", "begun", "asked")
        assert self.effects.renew([(self.space + name, token)], SHORT if short else 3600) == [may]
        self.passes(short)
        if may and found is not None:
            found.ended = short

    @precondition(lambda self: self.known)
    @rule(name=NAMES, own=st.booleans(), short=st.booleans(), result=TEXT)
    def complete(self, name: str, own: bool, short: bool, result: str) -> None:
        token = self.token(name, own)
        found = self.own(name, token)
        done = self.effects.complete(self.space + name, token, result, SHORT if short else 3600)
        self.passes(short)
        assert done == (found is not None)
        if found is not None:
            self.known[name] = Known("done", found.who, short, result)

    @precondition(lambda self: self.known)
    @rule(name=NAMES, own=st.booleans())
    def release(self, name: str, own: bool) -> None:
        token = self.token(name, own)
        found = self.own(name, token)
        may = found is not None and found.state != "done"
        assert self.effects.release(self.space + name, token) == may
        if may:
            del self.known[name]

    @precondition(lambda self: self.known)
    @rule(name=NAMES, own=st.booleans())
    def doubt(self, name: str, own: bool) -> None:
        token = self.token(name, own)
        found = self.own(name, token)
        may = found is not None and found.state in ("claimed", "begun", "asked")
        assert self.effects.doubt(self.space + name, token) == may
        if may and found is not None:
            found.state = "uncertain"

    @precondition(lambda self: self.known)
    @rule(name=NAMES, result=st.none() | TEXT)
    def resolve(self, name: str, result: str | None) -> None:
        may = name in self.uncertain()
        assert self.effects.resolve(self.space + name, result, 3600) == may
        if may and result is None:
            del self.known[name]
        elif may:
            self.known[name] = Known("done", self.known[name].who, False, result or "")

    def uncertain(self) -> list[str]:
        return [
            name
            for name, found in self.known.items()
            if found.state == "uncertain" or (found.state in ("begun", "asked") and found.ended)
        ]

    @invariant()
    def what_is_uncertain_is_listed(self) -> None:
        listed = {found.name: found.owner for found in self.effects.uncertain(10_000)}
        mine = {name.removeprefix(self.space): owner for name, owner in listed.items() if name.startswith(self.space)}
        assert mine == {name: self.known[name].who.owner for name in self.uncertain()}


@pytest.mark.parametrize("store", ["sqlite", "redis", "redis-state", "postgres"])
def test_c32_each_store_is_as_the_model(store: str, request: pytest.FixtureRequest, tmp_path: Any) -> None:
    if store == "sqlite":
        opened: Any = open_engine(f"sqlite:///{tmp_path}/jobs.db")
    elif store == "redis":
        opened = open_engine(request.getfixturevalue("redis_url"))
    else:
        opened = open_state(request.getfixturevalue("redis_url" if store == "redis-state" else "postgres_state_url"))
    machine = type("OfStore", (Machine,), {"effects": opened.effects})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=30,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        opened.close()
