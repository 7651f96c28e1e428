"""C42, C43: what is sensitive, or encrypted, is nowhere to be read: store, log, events, inspection, command line."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery import chain, chord
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from tests.acceptance.semantics.listening import Heard, listen
from tests.integration.protection.conftest import APP, Site
from tests.integration.protection.guarded import digest
from tests.integration.worker.plant import ROOT, until
from umbel import JobState, Umbel
from umbel.jobs.outbox_table import TABLE, create_outbox

LATER = 3600


def listening(client: Umbel) -> AbstractContextManager[Heard]:
    """Everything that Celery's events say while the block runs."""
    return listen(cast(Any, SimpleNamespace(app=client)))


def command(site: Site, *words: str) -> str:
    environment = {
        **os.environ,
        "UMBEL_BROKER_URL": site.plant.url,
        "UMBEL_PAYLOAD_KEYS": site.keys,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
    }
    done = subprocess.run(
        [sys.executable, "-m", "umbel", *words, "-A", APP],
        cwd=site.plant.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c43_what_is_sensitive_is_nowhere_to_be_read(site: Site, pool: str) -> None:
    site.start("-E", "-l", "DEBUG", pool=pool)
    client = site.client()
    token, number = f"token{uuid.uuid4().hex}", f"4111{uuid.uuid4().int}"
    task = client.tasks
    with listening(client) as heard:
        results = {
            f"a:{digest(token)}:{digest(number)}": task["g.charge"].delay("a", token, {"number": number, "kind": "x"}),
            f"b:{digest(token)}": client.send_task("g.charge", kwargs={"name": "b", "token": token}),
            f"c:{digest(token)}": task["g.acharge"].delay("c", token=token),
            f"d:{digest(token)}": task["g.charge"].apply_async(("d", token), countdown=0.3),
            f"e:{digest(token)}:1": task["g.flaky"].delay("e", token),
            f"f:{digest(token)}": chain(task["g.say"].s("f"), task["g.charge"].s(token)).delay(),
            f"g+h:{digest(token)}+{digest(token)}": chord(
                [task["g.say"].s("g"), task["g.acharge"].s("h", token=token)], task["g.gather"].s(token)
            ).delay(),
        }
        many = list(task["g.charge"].enqueue_many([("i", token), {"name": "j", "token": token}]))
        mapped = task["g.charge"].starmap([("k", token)]).delay()
        dead = task["g.reject"].delay(token)
        parked = task["g.charge"].apply_async(("l", token), queue="parked")
        task["g.charge"].apply_async(("m", token), countdown=LATER)
        task["g.say"].apply_async(("n",), link=task["g.charge"].s(token), countdown=LATER)
        held = task["g.hold"].delay("gate", token)
        for expected, result in results.items():
            assert result.get(timeout=60) == expected
        assert [client.AsyncResult(one).get(timeout=60) for one in many] == [f"{n}:{digest(token)}" for n in "ij"]
        assert mapped.get(timeout=60) == [f"k:{digest(token)}"]
        until(lambda: site.plant.engine.dead(), "a dead letter")
        inspect = client.control.inspect(timeout=30, limit=1)
        shown = repr([inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.query_task(held.id)])
        assert "***" in shown
        (site.plant.folder / "gate").touch()
        assert held.get(timeout=60) == digest(token)
        heard.wait("task-succeeded", held.id)
        shown += repr(heard.events)
    assert "('a', ***, {'number': ***, 'kind': 'x'})" in shown
    shown += "".join(command(site, "why", one.id) for one in (dead, parked, held)) + command(site, "status")
    shown += repr([client.status(one.id).as_dict() for one in (dead, parked, held)])
    assert token not in shown
    assert number not in shown
    assert site.traces(token, number) == []


@pytest.mark.parametrize(
    ("pool", "mode", "kept"),
    [
        ("default", "sign", ["the token is ***", "printed ***"]),
        ("prefork", "sign", ["the token is ***", "printed ***"]),
        ("default", "encrypt", []),
    ],
)
def test_c43_of_what_a_job_logs_nothing_sensitive_is_kept(site: Site, pool: str, mode: str, kept: list[str]) -> None:
    """Where everything is encrypted, nothing at all."""
    site.start(pool=pool, UMBEL_PAYLOAD_PROTECTION=mode)
    client = site.client(payload_protection=mode)
    token = f"token{uuid.uuid4().hex}"
    client.engine.events.expect(60)

    def told() -> list[Any]:
        job = client.tasks["g.log"].delay(token)
        job.get(timeout=60)
        logged = client.engine.events.read(1000)
        ends = [end for event in (logged.events if logged else ()) for end in getattr(event, "ends", ())]
        return [end for end in ends if end.task_id == job.id and end.ended]

    until(told, "an end that is told")
    (end,) = told()
    assert [line.text for line in (end.lines.lines if end.lines is not None else ())] == kept
    client.engine.events.expect(0)


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c42_what_is_encrypted_is_nowhere_to_be_read_results_included(site: Site, pool: str) -> None:
    worker = site.start("-E", pool=pool, UMBEL_PAYLOAD_PROTECTION="encrypt")
    client = site.client(payload_protection="encrypt")
    word = f"word{uuid.uuid4().hex}"
    task = client.tasks
    with listening(client) as heard:
        results = [
            task["g.say"].delay(word),
            client.send_task("g.asay", (word,)),
            task["g.asay"].apply_async((word,), countdown=0.3),
            task["g.again"].delay(word=word),
            chain(task["g.say"].s(word), task["g.asay"].s()).delay(),
        ]
        joined = chord([task["g.say"].s(word), task["g.asay"].s("x")], task["g.join"].s()).delay()
        many = [client.AsyncResult(one) for one in task["g.say"].enqueue_many([word, {"word": word}])]
        failed = task["g.join"].delay([word, 5])
        task["g.say"].apply_async((word,), countdown=LATER, headers={"note": word})
        task["g.say"].apply_async((word,), queue="parked", shadow=word)
        assert [one.get(timeout=60) for one in results + many] == [word] * 7
        assert joined.get(timeout=60) == f"{word}+x"
        with pytest.raises(TypeError):
            failed.get(timeout=60)
        heard.wait("task-failed", failed.id)
        assert client.status(results[0].id).result == word
        held = task["g.plain_hold"].delay(word)
        until(lambda: client.status(held.id).state is JobState.RUNNING, "a running job")
        inspect = client.control.inspect(timeout=30, limit=1)
        shown = repr([inspect.active(), inspect.query_task(held.id)])
        assert held.id in shown
        (site.plant.folder / word).touch()
        assert held.get(timeout=60) == word
        shown += repr(heard.events)
    assert word not in shown + command(site, "why", failed.id) + command(site, "status")
    # What a job returns stands in its worker's own log.
    worker.log.unlink()
    assert site.traces(word) == []


@pytest.mark.parametrize("mode", ["off", "encrypt"])
def test_c43_the_outbox_of_a_transaction_is_no_other_place(site: Site, mode: str) -> None:
    """C12: what is dispatched inside a transaction is protected before the session writes it."""
    engine = create_engine(f"sqlite:///{site.plant.folder / 'shop.db'}")
    create_outbox(engine)
    client = site.client(payload_protection=mode, database_url=str(engine.url))
    token = f"token{uuid.uuid4().hex}"
    with Session(engine) as session, session.begin():
        with client.in_transaction(session):
            result = client.tasks["g.charge"].delay("a", token)
        session.flush()
        (row,) = session.scalars(select(TABLE.c.payload))
        assert result.id in row
        assert token not in row
    site.start(UMBEL_PAYLOAD_PROTECTION=mode)
    assert result.get(timeout=60) == f"a:{digest(token)}"
    engine.dispose()
    assert site.traces(token) == []
