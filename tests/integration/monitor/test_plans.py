"""Along which index a question goes: the one that is meant, whatever the database thinks of another one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, select

from tests.integration.monitor.events import START, Recorder, queued
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter, Times, stretch_of
from umbel.monitor.state_counts import count_states
from umbel.monitor.tables import JOBS, TAGS
from umbel.states import JobState

FAILED = frozenset({JobState.FAILED})
#: What is to lead to which jobs; a condition more lets rows be looked at, so that there is an end to find.
LEADS = {
    "umbel_jobs_state": JobFilter(states=FAILED, task="shop.t0", queue="q0"),
    "umbel_jobs_task": JobFilter(task="shop.t0", queue="q0"),
    "umbel_jobs_queue": JobFilter(queue="q0", text="nothing"),
    "umbel_jobs_owner": JobFilter(owner="x7", states=FAILED),
    "umbel_jobs_parent": JobFilter(parent_id="x7", states=FAILED),
    "umbel_jobs_root": JobFilter(root_id="x7", states=FAILED),
    "umbel_jobs_group": JobFilter(group_id="x7", states=FAILED),
    "umbel_jobs_batch": JobFilter(batch_id="x7", states=FAILED),
    "umbel_jobs_fingerprint": JobFilter(fingerprint="x7", states=FAILED),
    "umbel_tags_pkey": JobFilter(tag="x7", states=FAILED),
    "umbel_jobs_pkey": JobFilter(text="nothing"),
}
#: How SQLite calls the keys.
_KEYS = {
    "umbel_jobs_pkey": re.compile(r"(?:SCAN|SEARCH) umbel_jobs(?:\n| USING INTEGER PRIMARY KEY)"),
    "umbel_tags_pkey": re.compile(r"(?:SCAN|SEARCH) umbel_tags(?:\n| USING PRIMARY KEY)"),
}
_SORTS = re.compile("Sort|TEMP B-TREE")
_INDEX = re.compile(r"umbel_(?:jobs|tags)_[a-z]+")
#: More than a page looks at.
_ALL = 20_000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def grown(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_on_server: Callable[[], str]
) -> Iterator[History]:
    """A history that has grown thirtyfold since its server looked at it last."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("grown") / "history.db"
        shutil.copy(request.getfixturevalue("made_file"), path)
        history = History(f"sqlite:///{path}")
    else:
        history = History(new_on_server())
    Recorder(history).tell(queued("job-0", START, queue="q0", task="shop.t0"))
    if history.database.is_sqlite:
        # Nobody has it look.
        _run(history, *_copies(2, _ALL))
    else:
        _run(history, *(f"ALTER TABLE {one} SET (autovacuum_enabled = off)" for one in (JOBS, TAGS)))
        _run(history, *_copies(2, 700), "ANALYZE", *_copies(701, _ALL))
    yield history
    history.close()


def _copies(first: int, last: int) -> Iterator[str]:
    """Yield what adds jobs as the first one, and a tag for each."""
    numbers = f"WITH RECURSIVE n(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM n WHERE n < {last})"
    # A percent sign is the driver's own.
    some = "'x' || (n - n / 40 * 40)"
    changed = {"number": "n", "task_id": "'job-' || n"}
    changed |= {"state": "CASE n - n / 30 * 30 WHEN 0 THEN 'failed' ELSE 'succeeded' END"}
    changed |= dict.fromkeys(("owner", "parent_id", "root_id", "group_id", "batch_id", "fingerprint"), some)
    names, values = zip(*((one.name, changed.get(one.name, one.name)) for one in JOBS.c), strict=True)
    copied = f"SELECT {', '.join(values)} FROM {JOBS}, n WHERE number = 1"
    yield f"INSERT INTO {JOBS} ({', '.join(names)}) {numbers} {copied}"
    yield f"INSERT INTO {TAGS} (tag, job) {numbers} SELECT {some}, n FROM n"


def _run(history: History, *statements: str) -> None:
    for one in statements:
        history.database.write(lambda connection, one=one: connection.exec_driver_sql(one))


@pytest.fixture
def plans(grown: History) -> Iterator[Callable[[], list[str]]]:
    """Tell the plan of each question about jobs that was asked."""
    asked: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        if re.search(f"FROM ({JOBS}|{TAGS})", text):
            asked.append((text, parameters))

    def tell() -> list[str]:
        said = tuple(asked)
        word = "EXPLAIN QUERY PLAN" if grown.database.is_sqlite else "EXPLAIN"
        with grown.database.reading() as connection:
            found = [connection.exec_driver_sql(f"{word} {text}", parameters) for text, parameters in said]
            return ["".join(f"{row[-1]}\n" for row in rows) for rows in found]

    event.listen(grown.database.engine, "before_cursor_execute", hear)
    yield tell
    event.remove(grown.database.engine, "before_cursor_execute", hear)


def led(plan: str) -> set[str]:
    """Return which indexes a plan goes along."""
    for name, said in _KEYS.items():
        plan = said.sub(name, plan)
    return set(_INDEX.findall(plan))


@pytest.mark.parametrize("before", [None, 19_000, 300])
@pytest.mark.parametrize("meant", LEADS)
def test_a_page_goes_along_the_index_that_is_meant(
    grown: History, plans: Callable[[], list[str]], meant: str, before: int | None
) -> None:
    found = grown.jobs.find(LEADS[meant], before=before)
    grown.jobs.count(LEADS[meant], before=before)
    told = plans()
    assert len(told) == 4
    for plan in told:
        # A tag leads to numbers, and the key from there to the jobs.
        assert led(plan) - ({"umbel_jobs_pkey"} if "tags" in meant else set()) == {meant}, plan
        assert not _SORTS.search(plan), plan
    numbers = [one.number for one in found.jobs]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("before", [-(2**63), -1, 0, 2**63, 10**30])
@pytest.mark.parametrize("meant", ["umbel_jobs_state", "umbel_jobs_pkey"])
def test_a_page_begins_at_any_number(grown: History, meant: str, before: int) -> None:
    wanted = JobFilter() if meant.endswith("pkey") else JobFilter(states=FAILED)
    newest = _ALL if meant.endswith("pkey") else 19_980
    found = [one.number for one in grown.jobs.find(wanted, before=before).jobs]
    assert found[:1] == ([newest] if before > 0 else [])


@pytest.mark.parametrize("meant", [one for one in LEADS if one != "umbel_jobs_pkey"])
def test_no_count_goes_along_the_key(grown: History, plans: Callable[[], list[str]], meant: str) -> None:
    count_states(grown.database, LEADS[meant])
    for plan in plans():
        wrong = "umbel_jobs_pkey" in led(plan) and "umbel_tags" not in plan
        assert not wrong, plan


@pytest.mark.parametrize("times", [Times(above=None, upto=None), Times(above=15_000, upto=18_000)])
@pytest.mark.parametrize("before", [None, 17_001])
@pytest.mark.parametrize("meant", LEADS)
def test_it_finds_what_a_look_at_all_finds(grown: History, meant: str, before: int | None, times: Times) -> None:
    """Between numbers that times mean, and down to where a page ends."""
    wanted = LEADS[meant]
    with grown.database.reading() as connection:
        stretch = stretch_of(connection, wanted, before, looked_at=100, times=times)
        found = list(connection.scalars(select(stretch.number).where(*stretch.conditions).order_by(*stretch.order)))
    high = min(_ALL, times.upto or _ALL, (before or _ALL + 1) - 1)
    fits = range(high, times.above or 0, -1)
    first = [number for number in fits if _leads(meant, number)][:100]
    assert stretch.last in (None, first[-1])
    assert found == [number for number in first if number > 1 and _fits(wanted, number)]


def _leads(meant: str, number: int) -> bool:
    if meant.endswith(("_task", "_queue", "_pkey")) and "tags" not in meant:
        return True
    if meant.endswith("_state"):
        return number % 30 == 0
    return number > 1 and number % 40 == 7


def _fits(wanted: JobFilter, number: int) -> bool:
    return wanted.text is None and (not wanted.states or number % 30 == 0)


def test_a_server_plans_each_question_anew_and_along_an_index(made_server: str) -> None:
    """A statement that it has seen five times would get a plan for any bound: one through the whole table."""
    history = History(made_server)
    off = ("jit", *(f"enable_{one}" for one in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")))
    with history.database.reading() as connection:
        assert connection.exec_driver_sql("SHOW plan_cache_mode").scalar() == "force_custom_plan"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
        assert connection.exec_driver_sql("SHOW max_parallel_workers_per_gather").scalar() == "0"
        for name in off:
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == "off"
    with history.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW plan_cache_mode").scalar() == "auto"
        for name in off:
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == "on"
    history.close()
