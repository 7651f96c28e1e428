"""umbel batch: list, show, cancel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from umbel import Umbel
from umbel.cli import umbel_command
from umbel.cli.invocation import Invocation


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Umbel]:
    made = Umbel("shop", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)
    yield made
    made.engine.close()
    made.close()


def run(app: Umbel, *words: str) -> Result:
    return CliRunner().invoke(umbel_command, ["batch", *words], obj=Invocation(given=app))


def test_batches_are_listed_shown_and_cancelled(app: Umbel) -> None:
    @app.task(name="work", shared=False)
    def work() -> None: ...

    assert run(app, "list").output == "Batches: none\n"
    with app.batch("import", allow_failures="10%") as batch:
        batch.add(work.s(), work.s())
    assert [one["id"] for one in json.loads(run(app, "list", "--json").output)] == [batch.id]
    assert batch.id in run(app, "list").output
    shown = run(app, "show", batch.id).output
    assert "import: running" in shown
    assert "0 done, 0 failed, 0 cancelled, 2 pending, 2 in all; allowed to fail: 10%." in shown
    assert json.loads(run(app, "show", batch.id, "--json").output)["pending"] == 2
    assert "is cancelled; 2 of its 2 members" in run(app, "cancel", batch.id).output
    assert app.batch_status(batch.id).state == "cancelled"
    assert run(app, "show", "unknown").exit_code == 1
