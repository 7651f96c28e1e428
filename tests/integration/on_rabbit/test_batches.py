"""Batches and checkpoints on RabbitMQ, with either state store beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.on_rabbit.conftest import Start, lines, umbel_command, until
from umbel import BatchState, Umbel


def test_batch_members_are_counted_and_callbacks_queued_once(umbel: Umbel, umbel_worker: Any, tmp_path: Path) -> None:
    def sig(name: str, *args: Any, **options: Any) -> Any:
        return umbel.signature(f"shared.{name}", args, **options)

    path = tmp_path / "mended"
    called = {kind: sig("mark", str(tmp_path / kind), immutable=True) for kind in ("then", "catch", "finally_")}
    with umbel.batch("import", **called) as batch:
        failing = batch.add(sig("unless", str(path)), sig("again", 2, 0.01), *(sig("add", 1, n) for n in range(20)))[0]
    until(lambda: umbel.batch_status(batch.id).finished, "the end")
    found = umbel.batch_status(batch.id)
    assert (found.total, found.done, found.failed, found.state) == (22, 21, 1, BatchState.FAILED)
    until(lambda: lines(tmp_path / "catch")[1:] and lines(tmp_path / "finally_")[1:], "the callbacks")
    path.touch()
    umbel.dead_letters.replay(failing)
    until(lambda: lines(tmp_path / "then")[1:], "the failure is mended")
    for kind in called:
        assert len(lines(tmp_path / kind)) == 2, f"{kind} once"


def test_batch_what_its_adder_could_not_publish_is_published_by_a_worker(
    umbel: Umbel, start: Start, tmp_path: Path, monkeypatch: Any
) -> None:
    start(*umbel_command())
    path = tmp_path / "marked"
    with monkeypatch.context() as patch:
        patch.setattr(umbel.engine.outbox, "publish", lambda posted: None)  # type: ignore[attr-defined]
        with umbel.batch("import") as batch:
            batch.add(umbel.signature("shared.mark", (str(path),)))
    until(lambda: umbel.batch_status(batch.id).finished, "the end")
    assert len(lines(path)) == 2
