"""Small runs of the real thing, on private servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import umbel
from benchmarks import redis_server
from benchmarks.bench import Bench
from benchmarks.environments import Environments, Missing
from benchmarks.inside.declarations import DECLARATIONS, Declaration, known
from benchmarks.plan import TINY
from benchmarks.site import reachable
from benchmarks.subjects import SUBJECTS
from benchmarks.subjects.nearest import BESIDE, NEAREST, PLAIN
from tests.conftest import need_program
from umbel import Umbel

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> dict[str, float]:
    """Run one measurement and return its JSON."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("subject", ["umbel-redis", "floor"])
def test_a_drain_counts_every_job_and_what_redis_did_for_it(subject: str) -> None:
    need_program("redis-server")
    outcome = bench("drain", "--subject", subject, "--jobs", "5000")
    assert outcome["jobs"] == 5000
    assert outcome["rate"] > 0
    assert outcome["cpu_us_per_job"] > 0
    if subject == "floor":
        # One SET for each job, and a few commands for each hundred.
        assert outcome["redis_commands_per_job"] == pytest.approx(1.05, abs=0.05)
    assert outcome["redis_commands_per_job"] >= 1


def test_latency_is_that_of_every_job() -> None:
    need_program("redis-server")
    outcome = bench("wait", "--subject", "umbel-redis", "--jobs", "5")
    assert 0 < outcome["p50_ms"] <= outcome["p99_ms"]


def test_a_peer_that_cannot_be_installed_is_missing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    environments = Environments(tmp_path / "environments")
    for name, words in (("bullmq", "node is not installed"), ("sidekiq", "ruby is not installed")):
        with pytest.raises(Missing, match=words):
            environments.program(SUBJECTS[name])
    assert environments.program(SUBJECTS["umbel"]) == Path(sys.executable)


def test_a_peer_that_breaks_is_left_out_and_umbel_makes_the_run_fail() -> None:
    here = Bench(TINY)
    here.lose(SUBJECTS["rq"], "first line\nno variant of its worker ran\n")
    assert here.missing == {"rq": "no variant of its worker ran"}
    assert not here.available(SUBJECTS["rq"])
    assert not here.broken
    here.lose(SUBJECTS["umbel"], "it hangs")
    assert here.broken == ["umbel: it hangs"]
    assert here.available(SUBJECTS["umbel"])


def test_without_a_server_what_needs_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reachable.cache_clear()
    redis_server._port.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    here = Bench(TINY)
    assert not here.available(SUBJECTS["umbel-redis"])
    assert here.missing == {"umbel-redis": "redis-server is not installed"}
    assert here.available(SUBJECTS["umbel"])
    assert not here.broken


def test_each_declaration_is_one_that_the_no_op_is_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: what this version lacks is left out, and every other one is really declared."""
    app = Umbel("costs", broker="sqlite:///unused.db", set_as_current=False)
    for name, one in known().items():
        task = app.task(name=f"bench.{name}", shared=False, **one.options())(noop)
        assert (task.declared is None) == (name == "none" or one.fill is not None), name
    app.close()
    monkeypatch.setitem(DECLARATIONS, "later", Declaration(lambda: {"later": umbel.NotThereYet}))  # type: ignore[attr-defined]
    assert "later" not in known()
    assert set(BESIDE) & set(known()), "what is nearest is beside something"
    assert {*(peer for peers in BESIDE.values() for peer in peers), *PLAIN, *PLAIN.values()} <= set(NEAREST)


def noop(number: int) -> int:
    return number


def test_every_subject_names_files_that_exist() -> None:
    for subject in (*SUBJECTS.values(), *NEAREST.values()):
        assert (ROOT / subject.module.replace(".", os.sep)).with_suffix(".py").exists()
        assert subject.requirements is None or subject.requirements.exists()
        for pin in (subject.requirements.read_text() if subject.requirements else "").splitlines():
            assert subject.language != "python" or "==" in pin
