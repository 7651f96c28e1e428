"""``umbel release``: hand everything back in Celery's own form, for whoever goes back to plain Celery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from umbel.cli.group import Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating
from umbel.cli.quiet import names_of, reap_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from umbel.app import Umbel
    from umbel.engine.redis import RedisEngine

__all__ = ("release",)


@click.command()
@app_options
@pass_invocation
def release(invocation: Invocation) -> None:
    """Hand all jobs back to plain Celery's workers.

    On Redis: suspects and delayed jobs go into Kombu's lists, where waiting ones are already, and unfinished chords
    into Celery's keys. Stop Umbel's workers before; interrupted, it is completed by running it again.
    """
    app = invocation.umbel()
    engine = _redis(app)
    _refuse_in_use(engine)
    from umbel.engine.redis_address import shown
    from umbel.engine.redis_release import release as hand_back

    total = {"suspects": 0, "delayed": 0, "chords": 0, "cancelled": 0}
    do, me = operating(app)
    with do.action(me, "broker.release", shown(str(app.conf.broker_url))) as entry:
        for step in hand_back(engine, _recode(app)):
            for name in total:
                total[name] += getattr(step, name)
            entry.note(**total)
    waiting = sum(queue.ready for queue in engine.queues())
    click.echo(
        f"Handed back: {total['delayed']} delayed jobs, {total['suspects']} suspects, {total['chords']} unfinished "
        f"chords; {total['cancelled']} cancelled jobs were dropped. {waiting} jobs wait for plain Celery's workers."
    )
    if total["delayed"]:
        click.echo(
            "Plain workers hold delayed jobs in memory: set broker_transport_options={'visibility_timeout': …} above "
            "the longest delay, or Celery runs them again."
        )


def _redis(app: Umbel) -> RedisEngine:
    engine = app.engine
    if engine.scheme != "redis":
        raise Failure(
            "Plain Celery cannot read the embedded file: move the jobs to Redis first (umbel migrate --to redis://…), "
            "then run this with UMBEL_BROKER_URL=redis://…. Nothing was changed."
        )
    return engine  # type: ignore[return-value]


def _refuse_in_use(engine: RedisEngine) -> None:
    crate = engine.moving.packed()
    if crate is not None:
        raise Failure(
            f"{len(crate.parcels)} jobs are on their way to {crate.label}, since a move was interrupted: run it again, "
            "or put them back with 'umbel migrate --recall'. Nothing was changed."
        )
    alive = reap_all(engine)
    if alive:
        raise Failure(
            f"Umbel's workers are alive, and would take back what they find: stop {names_of(alive)} first. "
            "Nothing was changed."
        )


def _recode(app: Umbel) -> Callable[[str, Any], str]:
    """Return what makes a chord's part Celery's: the same result in another envelope."""
    backend = app.backend

    def recode(task_id: str, result: Any) -> str:
        state, encoded = backend.decode(backend.protection.open_part(task_id, result))
        return str(backend.encode([1, task_id, state, encoded]))

    return recode
