"""C32 on Redis: what is only claimed harms nobody, also in the millisecond in which its key is still there."""

from __future__ import annotations

import time
from pathlib import Path

from umbel.engine.redis import RedisEngine
from umbel.state.effects import Claimant, Standing


def test_c32_a_claim_that_has_ended_and_had_not_begun_is_free(redis_url: str, tmp_path: Path) -> None:
    engine = RedisEngine(redis_url, run=tmp_path)
    first = engine.effects.claim("named:a", Claimant("one", "run", "token"), 0.05, begun=False)
    assert first.standing is Standing.MINE
    client = engine.store.client
    client.persist("umbel:effect:named:a")
    ends = int(client.hget("umbel:effect:named:a", "ends"))
    while True:
        seconds, microseconds = client.time()
        if seconds * 1000 + microseconds // 1000 > ends:
            break
        time.sleep(0.001)
    answer = engine.effects.claim("named:a", Claimant("two", "run", "other"), 60.0)
    assert (answer.standing, answer.held) == (Standing.MINE, True)
    assert engine.effects.uncertain() == []
    engine.close()
