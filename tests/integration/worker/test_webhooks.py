"""C37: how a job ended is told by a job of its own, signed, at least once, until it is taken."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Theirs

from tests.integration.worker.plant import Plant, planted, until
from tests.integration.worker.receiver import Heard, Receiver, Says
from umbel import JobState, Settings, Umbel
from umbel.errors import AddressRefused, ConfigurationError

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
APP = "tests.integration.worker.told:app"
_SITES = ("sqlite-default", "sqlite-prefork", "redis-default")


@dataclass
class Site:
    """A running site, its receiver, and which kind of its tasks a test uses."""

    plant: Plant
    receiver: Receiver
    flavour: str = "sync"
    pool: str = "default"
    #: What is answered, in turn, at a path; then 200.
    answers: dict[str, list[Says]] = field(default_factory=dict)

    def send(self, name: str, *args: object, **options: Any) -> str:
        return str(self.plant.app.send_task(f"{self.flavour}.{name}", args, **options).id)

    def says(self, heard: Heard) -> Says:
        answers = self.answers.get(heard.path)
        return answers.pop(0) if answers else (200, {})

    def heard(self, task_id: str) -> list[Heard]:
        """What the receiver was told of a job; each verified as any receiver would."""
        found = [one for one in self.receiver.heard if json.loads(one.body)["data"]["task_id"] == task_id]
        for one in found:
            for secret in (SECRET, OLD_SECRET):
                Theirs(secret).verify(one.body.decode(), one.headers)
        return found

    def told(self, task_id: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until a job's end was told so often."""
        until(lambda: len(self.heard(task_id)) >= times, f"{times} webhooks of {task_id}; {self.plant.logs()}")
        return [json.loads(one.body) for one in self.heard(task_id)]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    variables = {
        "UMBEL_WEBHOOK_SECRET": f"{SECRET},{OLD_SECRET}",
        "UMBEL_WEBHOOK_ALLOW": "127.0.0.1",
        "UMBEL_WEBHOOK_BACKOFF": "20ms,20ms,20ms",
        "UMBEL_CRASH_LIMIT": "2",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables


@pytest.fixture(scope="module", params=_SITES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[Site]:
    store, _, pool = request.param.partition("-")
    url = None
    if store == "redis":
        server = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = server.url
    with site_on(tmp_path_factory.mktemp(request.param), url) as site:
        site.pool = pool
        site.plant.start(app=APP, concurrency=4, TOLD_URL=site.receiver.url, UMBEL_POOL=pool, **environment)
        yield site


class site_on:
    """A site without a worker."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self._planted = planted(folder, url)

    def __enter__(self) -> Site:
        self._receiver = Receiver(lambda heard: self._site.says(heard))
        self._site = Site(self._planted.__enter__(), self._receiver)
        return self._site

    def __exit__(self, *error: Any) -> None:
        self._planted.__exit__(*error)
        self._receiver.close()


@pytest.fixture(params=["sync", "async"])
def site(running: Site, request: pytest.FixtureRequest) -> Site:
    running.flavour = request.param
    running.plant.app.set_current()
    return running


def test_c37_success_and_failure_are_told_per_task_and_per_dispatch(site: Site) -> None:
    declared = site.send("add", 2, 3)
    named = site.send("say", "x", webhook_url=f"{site.receiver.url}/named")
    instead = site.send("add", 2, 4, webhook_url=f"{site.receiver.url}/instead")
    failed = site.send("fail", "as told", webhook_url=f"{site.receiver.url}/failed")
    silent = site.send("say", "untold")
    expected = {
        declared: ("/declared", "succeeded", {"result": 5}),
        named: ("/named", "succeeded", {"result": "x"}),
        instead: ("/instead", "succeeded", {"result": 6}),
        failed: ("/failed", "failed", {"error": "ValueError: as told"}),
    }
    for job, (path, status, content) in expected.items():
        (said,) = site.told(job)
        assert (said["type"], said["data"].pop("task").partition(".")[0]) == (f"job.{status}", site.flavour)
        assert said["data"] == {"task_id": job, "status": status, **content}
        (heard,) = site.heard(job)
        assert (heard.path, heard.headers["webhook-id"]) == (path, f"{job}.{status}")
    until(site.plant.empty, "nothing left to do")
    assert not site.heard(silent)
    assert all(len(site.heard(job)) == 1 for job in expected)


def test_c37_it_is_sent_again_until_it_is_taken_with_the_same_id_and_body(site: Site) -> None:
    path = f"/flaky-{site.flavour}"
    site.answers[path] = [(500, {}), (429, {"Retry-After": "0"}), (302, {"Location": "/elsewhere"})]
    job = site.send("say", "x", webhook_url=site.receiver.url + path)
    site.told(job, times=4)
    until(site.plant.empty, "nothing left to do")
    heard = site.heard(job)
    assert len(heard) == 4
    assert len({one.headers["webhook-id"] for one in heard}) == 1
    assert len({one.body for one in heard}) == 1


def test_c37_one_that_is_never_taken_is_a_dead_letter(site: Site) -> None:
    gone, silent = f"/gone-{site.flavour}", f"/silent-{site.flavour}"
    site.answers[gone] = [(410, {})]
    site.answers[silent] = [(503, {})] * 4
    first = site.send("say", "x", webhook_url=site.receiver.url + gone)
    second = site.send("say", "x", webhook_url=site.receiver.url + silent)
    private = site.send("say", "x", webhook_url="http://127.0.0.2:9/private?token=hidden")
    site.told(first)
    site.told(second, times=4)
    letters = site.plant.app.dead_letters

    def reasons() -> list[str]:
        return [letter.reason for letter in letters.find() if letter.task == "umbel.webhook"]

    until(lambda: len(reasons()) >= 3, f"three dead letters, not {reasons()}; {site.plant.logs()}")
    for part in (f"{gone} was not taken: it answers 410", f"{silent} was not taken: it answers 503", "127.0.0.2"):
        assert any(part in reason for reason in reasons())
    assert (len(site.heard(first)), len(site.heard(second))) == (1, 4)
    assert site.plant.ended(private).state is JobState.SUCCEEDED
    assert "hidden" not in site.plant.logs()
    letters.drop(letters.find())


def test_c37_what_is_kept_or_too_large_is_told_without_it(site: Site) -> None:
    fine, wrong, large = site.send("keep", "s3cret", False), site.send("keep", "s3cret", True), site.send("large")
    (said,) = site.told(wrong)
    assert said["data"] == {"task_id": wrong, "task": f"{site.flavour}.keep", "status": "failed"}
    (said,) = site.told(large)
    assert said["data"] == {
        "task_id": large, "task": f"{site.flavour}.large", "status": "succeeded", "omitted": True,
    }  # fmt: skip
    assert site.plant.ended(large).state is JobState.SUCCEEDED
    until(site.plant.empty, "nothing left to do")
    assert not site.heard(fine)


def test_c37_a_lost_worker_and_an_unknown_task_are_told(site: Site) -> None:
    lost = site.send("crash")
    (said,) = site.told(lost)
    assert said["data"]["status"] == "failed"
    assert said["data"]["error"].startswith("WorkerLostError: worker lost")
    unknown = site.send("nobody.knows.me", webhook_url=f"{site.receiver.url}/unknown")
    (said,) = site.told(unknown)
    assert said["data"]["task"] == f"{site.flavour}.nobody.knows.me"
    assert said["data"]["error"].startswith("NotRegistered")


def test_c37_a_kill_before_the_settlement_is_no_second_webhook_by_another_id(site: Site) -> None:
    job = site.send("deadly")
    site.told(job)
    assert site.plant.ended(job).state is JobState.SUCCEEDED
    site.plant.until_told("success", job, times=2)
    until(site.plant.empty, "nothing left to do")
    assert {one.headers["webhook-id"] for one in site.heard(job)} == {f"{job}.succeeded"}
    # It goes out with the end; a prefork child sends it a moment before its parent acknowledges.
    assert site.pool == "prefork" or len(site.heard(job)) == 1


@pytest.fixture(params=["sqlite", "redis"])
def bare(request: pytest.FixtureRequest, tmp_path: Path, environment: dict[str, str]) -> Iterator[Site]:
    """A site without a worker."""
    # A database of its own: the worker of the other tests may still run.
    url = request.getfixturevalue("redis_server").url[:-1] + "7" if request.param == "redis" else None
    with site_on(tmp_path, url) as site:
        site.plant.app.set_current()
        yield site


def test_c37_a_kill_between_the_settlement_and_the_sending_loses_nothing(
    bare: Site, environment: dict[str, str]
) -> None:
    """The webhook waits in the store as soon as the end is there."""
    options = {"app": APP, "TOLD_URL": bare.receiver.url, **environment}
    first = bare.plant.start("-Q", "jobs", **options)  # type: ignore[arg-type]
    job = bare.send("add", 20, 22, queue="jobs")
    assert bare.plant.ended(job).state is JobState.SUCCEEDED
    first.destroy()
    assert not bare.heard(job)
    bare.plant.start(**options)  # type: ignore[arg-type]
    (said,) = bare.told(job)
    assert said["data"]["result"] == 42


def test_c37_a_kill_while_it_is_sent_sends_it_again(bare: Site, environment: dict[str, str]) -> None:
    bare.plant.start(app=APP, TOLD_URL=bare.receiver.url, **environment)
    killed: list[int] = []

    def says(heard: Heard) -> Says:
        if not killed:
            (child,) = bare.plant.workers[0].children("worker")
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)
        return 200, {}

    bare.says = says  # type: ignore[method-assign]
    job = bare.send("add", 1, 2)
    until(lambda: len(bare.receiver.heard) >= 2, f"the second time; {bare.plant.logs()}")
    assert {one.headers["webhook-id"] for one in bare.heard(job)} == {f"{job}.succeeded"}


def test_c37_without_a_secret_nothing_is_promised(make: Callable[..., Umbel]) -> None:
    jobs = make()

    @jobs.task(shared=False)
    def say(word: str) -> str:
        return word

    with pytest.raises(ConfigurationError, match="set UMBEL_WEBHOOK_SECRET"):
        say.apply_async(("x",), webhook_url="https://a.example/")
    with pytest.raises(ConfigurationError, match="UMBEL_WEBHOOK_SECRET: write whsec_"):
        make(webhook_secret="nothing")
    other = make()
    other.task(name="t", shared=False, webhook="https://a.example/")(say.run)
    with pytest.raises(ConfigurationError, match="Task t has a webhook, and there is no secret"):
        other.finalize()


def test_c37_a_url_that_is_none_is_refused_where_it_is_given(make: Callable[..., Umbel]) -> None:
    jobs = make(webhook_secret=SECRET)

    @jobs.task(shared=False)
    def say(word: str) -> str:
        return word

    with pytest.raises(AddressRefused):
        say.apply_async(("x",), webhook_url="file:///etc/passwd")
    assert not jobs.engine.queues() or jobs.engine.queues()[0].ready == 0
    for value, match in ((7, "is no Webhook"), ("ftp://x", "no http: or https: URL")):
        with pytest.raises(ConfigurationError, match=match):
            jobs.task(name="u", shared=False, webhook=value, lazy=False)(say.run)


def test_c37_each_receiver_may_have_its_own_secret(make: Callable[..., Umbel]) -> None:
    jobs, receiver = make(webhook_allow="127.0.0.1"), Receiver()
    try:

        @jobs.webhook_secrets
        def secret_of(url: str) -> str:
            return SECRET if "first" in url else OLD_SECRET

        send = jobs.tasks["umbel.webhook"]
        for path in ("first", "second"):
            send.apply(kwargs={"url": f"{receiver.url}/{path}", "webhook_id": "m", "body": "{}"}, throw=True)
        for heard, secret in zip(receiver.heard, (SECRET, OLD_SECRET), strict=True):
            Theirs(secret).verify("{}", heard.headers)
            assert len(heard.headers["webhook-signature"].split()) == 1
    finally:
        receiver.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Umbel]]:
    made: list[Umbel] = []

    def app(**settings: Any) -> Umbel:
        broker = f"sqlite:///{tmp_path}/jobs.db"
        made.append(Umbel("shop", broker=broker, settings=Settings.load(**settings), set_as_current=False))
        return made[-1]

    yield app
    for one in made:
        one.engine.close()
        one.close()
