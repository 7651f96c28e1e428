"""C14, C32: a campaign of a thousand while its worker is killed; nobody gets it twice, nobody is forgotten."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.services.email_campaigns.conftest import until
from tests.services.email_campaigns.running import running

RECIPIENTS = 1000
KILLS = 5


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(300)
def test_c14_c32_a_worker_killed_five_times_mails_nobody_twice_and_loses_nobody(tmp_path: Path) -> None:
    """Three times one of its processes, which its supervisor replaces, and twice all of it at once."""
    dice = random.Random()
    moments = sorted(dice.sample(range(20, RECIPIENTS - 150), KILLS))
    whole = dice.sample(range(KILLS), 2)
    in_flight: set[int] = set()
    with running(tmp_path) as service:
        path = service.new_campaign(RECIPIENTS)
        supervisor = psutil.Process(service.start_worker().pid)
        service.post(f"{path}/start")
        for kill, moment in enumerate(moments):
            until(lambda m=moment, s=supervisor: service.mailbox.count() >= m and s.children(), 60)
            victims = [supervisor, *supervisor.children()] if kill in whole else [dice.choice(supervisor.children())]
            for victim in victims:
                victim.kill()
            in_flight |= set(service.ask("SELECT id FROM mails WHERE state = 'sending'"))
            if kill in whole:
                supervisor = psutil.Process(service.start_worker().pid)
        ended = service.wait_until_finished(path, 120)
        received = Counter(service.mailbox.recipients())
        uncertain = service.client.get("/mails", params={"state": "uncertain", "limit": 1000}).json()
    assert max(received.values()) == 1, "somebody got the mail twice"
    assert ended["sent"] + ended["uncertain"] == RECIPIENTS
    assert {mail["id"] for mail in uncertain} <= in_flight
    everybody = {f"reader{number}@example.test" for number in range(RECIPIENTS)}
    held = {mail["address"] for mail in uncertain}
    assert everybody - received.keys() <= held, "somebody counts as sent and got nothing"
    print(f"killed at {moments}, {len(in_flight)} mails in flight: {ended}, {len(received)} received")
