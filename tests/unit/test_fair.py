"""C34: in whose line a job waits, and what is put on its message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.app.trace import build_tracer

from umbel import Fair, Retry, Umbel
from umbel.engine import envelope
from umbel.engine.collecting import publishing_into
from umbel.engine.fairness import SHARE, share_of
from umbel.engine.store import Outgoing
from umbel.errors import ConfigurationError, InvalidArguments


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Umbel]:
    made = Umbel("fair", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)
    yield made
    made.engine.close()
    made.close()


def shares(found: list[Outgoing]) -> list[str]:
    return [share_of(one.payload) for one in found]


def test_c34_every_way_of_dispatch_names_the_same_line(app: Umbel) -> None:
    @app.task(fair=Fair(key="tenant"), shared=False)
    def load(tenant: str, row: int = 0) -> None: ...

    @app.task(fair="tenant", shared=False)
    async def sum_up(month: str, tenant: str = "a") -> None: ...

    sent: list[Outgoing] = []
    with publishing_into(sent):
        load.delay("a", 1)
        load.delay(tenant="a")
        load.apply_async(("a",), countdown=60)
        load.apply_async(("a",), expires=60)
        load.apply_async(("a",), headers={"mine": 1})
        load.apply_async(("a",), owner="somebody")
        load.si("a").apply_async()
        list(load.enqueue_many([("a", 1), {"tenant": "a"}]))
        list(load.enqueue_many([("a", 1)], countdown=60))
        sum_up.delay("May")
        sum_up.delay("May", tenant="a")
    found = set(shares(sent))
    assert len(sent) == 12
    assert len(found) == 1
    assert "" not in found
    sent.clear()
    with publishing_into(sent):
        load.delay("b")
        list(load.enqueue_many([("b", 1), ("c", 1)]))
    assert len(set(shares(sent)) | found) == 3
    assert envelope.decode(sent[0].payload)["headers"]["task"] == load.name


def test_c34_bulk_and_single_dispatch_make_the_same_message(app: Umbel) -> None:
    @app.task(fair="tenant", shared=False)
    def load(tenant: str) -> None: ...

    sent: list[Outgoing] = []
    with publishing_into(sent):
        load.apply_async(("a",), task_id="1")
        list(load.enqueue_many([("a",)]))
    one, other = (envelope.decode(message.payload) for message in sent)
    assert one["headers"].keys() == other["headers"].keys()
    assert one["headers"][SHARE] == other["headers"][SHARE]
    assert one["body"] == other["body"]


@pytest.mark.parametrize("key", ["tenant", ("tenant", "region"), lambda tenant, region: f"{tenant}-{region}"])
def test_c34_keys_of_each_kind(app: Umbel, key: Any) -> None:
    @app.task(fair=Fair(key=key), shared=False)
    def load(tenant: Any, region: str = "eu") -> None: ...

    fair = load.declared.fair
    same = [fair.share(load, ("a",), None), fair.share(load, (), {"tenant": "a", "region": "eu"})]
    assert len(set(same)) == 1
    assert fair.share(load, ("b",), {}) != same[0]
    if not callable(key):
        assert fair.share(load, ({"deep": [1]},), {}) == fair.share(load, ({"deep": (1,)},), {})
    with pytest.raises(InvalidArguments, match="tenant"):
        fair.share(load, (), {})


def test_c34_a_task_without_a_key_has_no_line(app: Umbel) -> None:
    @app.task(retry=Retry(1), shared=False)
    def plain(text: str) -> None: ...

    sent: list[Outgoing] = []
    with publishing_into(sent):
        plain.delay('"umbel_share": "a"')
        plain.apply_async((f'{{"headers": {{"{SHARE}": "a"}}}}',), headers={"mine": 1})
    assert shares(sent) == ["", ""]


@pytest.mark.parametrize("value", [7, None, "", "a b", "a\n", "x" * 65, ["a"]])
def test_c34_only_a_plain_word_names_a_line(value: Any) -> None:
    assert share_of(json.dumps({"headers": {SHARE: value}})) == ""
    assert share_of('{"headers": {"umbel_share": "a"') == ""


@pytest.mark.parametrize(("fair", "said"), [(7, "Fair"), (Fair(key="nobody"), "'nobody'")])
def test_c34_what_cannot_work_is_refused(tmp_path: Path, fair: Any, said: str) -> None:
    app = Umbel("fair", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)

    def declare() -> None:
        def load(tenant: str) -> None: ...

        app.task(name="load", shared=False, fair=fair)(load)
        app.finalize()

    with pytest.raises(ConfigurationError, match=said):
        declare()
    app.close()


def test_c34_an_empty_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="whose jobs"):
        Fair(key=())


@pytest.mark.parametrize("again", ["declared", "celery"])
def test_c34_a_retry_waits_in_the_line_of_its_job(app: Umbel, again: str) -> None:
    @app.task(fair="tenant", bind=True, max_retries=1, shared=False, retry=Retry(1) if again == "declared" else None)
    def load(self: Any, tenant: str) -> None:
        if again == "celery":
            raise self.retry(countdown=60)
        raise OSError

    request = {"id": "1", "is_eager": False, "delivery_info": {}, "retries": 0, "headers": {}}
    sent: list[Outgoing] = []
    with publishing_into(sent):
        load.delay("a")
        build_tracer(load.name, load, app=app)("1", ("a",), {}, request)
    first, following = sent
    assert envelope.decode(following.payload)["headers"]["retries"] == 1
    assert share_of(following.payload) == share_of(first.payload) != ""
