"""The same promises on PostgreSQL, where transactions really run side by side."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.email_campaigns import accounts, campaigns, database, letters, upkeep
from services.email_campaigns.models import Base, MailState
from services.email_campaigns.sending import Claimed, Waiting, claim, end
from tests.conftest import free_port, need_program
from tests.services.email_campaigns.conftest import Configure, the_mail

MakeMails = Callable[..., list[int]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A private PostgreSQL on loopback, as another user where we are root, which it refuses to be."""
    initdb, pg_ctl = (need_program(name, "postgresql", "/usr/lib/postgresql/*/bin") for name in ("initdb", "pg_ctl"))
    as_nobody = [need_program("runuser"), "-u", "nobody", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="umbel-pg-"))
    if as_nobody:
        shutil.chown(folder, "nobody")
    data, port = str(folder / "data"), free_port()
    control = [*as_nobody, pg_ctl, "-D", data]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*as_nobody, initdb, "-D", data, "-U", "umbel", "-A", "trust", "--no-sync"], **run)
    subprocess.run([*control, "-o", options, "-l", str(folder / "log"), "-w", "start"], **run)
    try:
        yield f"postgresql+psycopg://umbel@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _on_postgresql(server: str, configure: Configure) -> Iterator[None]:
    """Set the database, without a row."""
    configure(database_url=server)
    yield
    engine = database._engine(server, os.getpid())
    Base.metadata.drop_all(engine)
    engine.dispose()
    database._engine.cache_clear()


def race(count: int, work: Callable[[int], object]) -> list[object]:
    results: list[object] = []
    threads = [threading.Thread(target=lambda n=n: results.append(work(n))) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def test_a_mail_is_claimed_once(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    results = race(20, lambda n: claim(mail_id, f"job-{n}"))
    assert sum(isinstance(result, Claimed) for result in results) == 1


def test_c33_the_limit_holds(make_mails: MakeMails, configure: Configure) -> None:
    configure(rate_per_minute=7)
    mails = make_mails(20)
    results = race(20, lambda n: claim(mails[n], f"job-{n}"))
    assert sum(isinstance(result, Claimed) for result in results) == 7
    assert sum(isinstance(result, Waiting) for result in results) == 13


def test_two_last_mails_that_end_together_end_the_campaign(make_mails: MakeMails) -> None:
    for _ in range(10):
        mails = make_mails(2)
        for mail_id in mails:
            claim(mail_id, "job")
        race(2, lambda n, mails=mails: end(mails[n], MailState.SENT))
        assert campaigns.progress_of(the_mail(mails[0]).campaign_id or 0).state == "finished"


def test_the_rest_of_the_service(make_mails: MakeMails, configure: Configure) -> None:
    configure(admin_address="boss@example.test")
    (mail_id,) = make_mails()
    accounts.register("ada@example.test", "Ada", "correct horse")
    reset = accounts.request_reset("ada@example.test")
    assert reset is not None
    token = accounts.new_reset_link(reset.user_id or 0).partition("token=")[2]
    accounts.set_password(token, "a new one")
    assert list(campaigns.pages_to_queue(1)) == [[mail_id]]
    campaigns.mark_queued([mail_id])
    claim(mail_id, "job")
    end(mail_id, MailState.FAILED, "why")
    assert [mail.id for mail in letters.replay([mail_id])] == [mail_id]
    upkeep.release_stuck()
    assert (upkeep.campaigns_to_start(), upkeep.single_mails_to_queue(), upkeep.tidy_up()) == ([], [], 0)
    assert upkeep.make_digest() is not None
    assert upkeep.make_digest() is None
