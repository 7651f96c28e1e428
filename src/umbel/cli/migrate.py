"""``umbel migrate``: move what waits to another store."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from umbel.cli.console import print_table, remark
from umbel.cli.group import EX_USAGE, Failure
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating
from umbel.cli.quiet import names_of, reap_all

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.moving import Crate
    from umbel.engine.store import Engine
    from umbel.monitor.operations.desk import Entry

__all__ = ("migrate",)

_TELL_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.2
_LETTERS: Final = 10_000


@click.command()
@click.option("--from", "source", metavar="URL", help="The store to empty; the application's broker unless given.")
@click.option("--to", "target", metavar="URL", help="Where the jobs go; the application's broker unless given.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and move nothing.")
@click.option("--force", is_flag=True, help="Move although workers take from the source; what they hold stays there.")
@click.option("--recall", is_flag=True, help="Put back what was on its way to a store that is gone for good.")
@app_options
@pass_invocation
def migrate(
    invocation: Invocation, source: str | None, target: str | None, dry_run: bool, force: bool, recall: bool
) -> None:
    """Move the waiting jobs to another store.

    From sqlite: to redis: or the other way round, or between two of a kind: waiting and delayed jobs and suspects, with
    their history, batches, checkpoints, effects and dead letters, and the states of all jobs. Interrupted, by
    whatever, it is completed by running it again; workers may run at the target already.
    """
    app = invocation.umbel()
    here, source_name = _open(app, source, "--from", reading=True)
    if recall:
        do, me = operating(app)
        with do.action(me, "broker.recall", source_name) as entry:
            count = here.moving.recall()
            entry.note(jobs=count)
        click.echo(f"Put {_jobs(count)} back into their queues in {source_name}.")
        return
    if not source and not target:
        raise Failure("Name the other store: --to URL, or --from URL. Nothing was moved.", EX_USAGE)
    there, target_name = _open(app, target, "--to")
    _prepare(app, here, there, force or dry_run)
    if dry_run:
        _print_plan(here)
        return
    do, me = operating(app)
    with do.action(me, "broker.migrate", f"{source_name} to {target_name}") as entry:
        _run(here, there, source_name, target_name, entry)


def _open(app: Umbel, url: str | None, option: str, *, reading: bool = False) -> tuple[Engine, str]:
    """Return an engine whose commits wait for the disk, and how it is called."""
    from umbel.engine.redis_address import shown
    from umbel.engine.registry import address_of, is_embedded, is_redis, open_engine, options_of, sqlite_path

    place = str(url or app.conf.broker_url)
    if not (is_embedded(place) or is_redis(place)):
        scheme = place.partition(":")[0]
        raise Failure(
            f"{option} {scheme}: is no store that jobs can be moved from or to: name a sqlite: or redis: URL.", EX_USAGE
        )
    if reading and is_embedded(place) and not sqlite_path(place).exists():
        raise Failure(
            f"There is no file {sqlite_path(place)}: name the store with --from. Nothing was moved.", EX_USAGE
        )
    engine = open_engine(address_of(app, place) if url is None else place, **{**options_of(app), "durability": "full"})
    engine.check()
    return engine, shown(place)


def _prepare(app: Umbel, here: Engine, there: Engine, force: bool) -> None:
    """Let the source come to rest. Raises when the move cannot begin."""
    from umbel.engine.move import check

    check(here, there)
    # Plain clients may have sent to queues of which the store has never heard.
    for name in app.amqp.queues:
        here.names.declare(name, transient=False)
    if force:
        here.reap()
        return
    alive = reap_all(here)
    if alive:
        raise Failure(
            f"The source is in use by {names_of(alive)}: stop them first, or add --force to leave them what they hold. "
            "Nothing was moved."
        )
    _await_effects(here)


def _await_effects(here: Engine) -> None:
    """Wait for the leases of effects whose processes have died. Raises when somebody renews one."""
    from umbel.engine.move import refuse_running

    running = here.moving.running()
    deadline = time.monotonic() + max((one.seconds for one in running), default=0.0) + _TELL_SECONDS
    if running:
        remark(f"Waiting for the leases of {len(running)} effects whose processes have died")
    while here.moving.running() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    refuse_running(here)


def _print_plan(here: Engine) -> None:
    crate = here.moving.packed()
    if crate is not None:
        click.echo(f"On their way to {crate.label}, since a move was interrupted: {crate.contents}.")
    rows = [(q.name, q.ready, q.delayed, q.suspect, q.leased) for q in here.queues() if _total(q) or q.leased]
    columns = ("queue", "waiting", "delayed", "suspects", "(held, kept)")
    print_table("Would move", columns, rows, empty="nothing, no job waits")
    letters = len(here.dead(_LETTERS))
    if letters:
        click.echo(f"Dead letters: {letters}{' or more' if letters == _LETTERS else ''}")
    batches, doubtful = len(here.batches.find(_LETTERS)), len(here.effects.uncertain(_LETTERS))
    if batches or doubtful:
        click.echo(f"Batches: {batches}, uncertain effects: {doubtful}")


def _total(queue: object) -> int:
    return sum(getattr(queue, name) for name in ("ready", "delayed", "suspect"))


def _run(here: Engine, there: Engine, source_name: str, target_name: str, entry: Entry) -> None:
    from umbel.engine.move import move

    begun = here.moving.packed()
    if begun is not None:
        remark(f"Going on with what was on its way when an earlier run ended: {begun.contents}")
    moved: Counter[str] = Counter()
    told = time.monotonic()
    for crate in move(here, there, label=target_name):
        _count(moved, crate)
        entry.note(**moved)
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            remark(f"{_jobs(moved['jobs'])} moved, {sum(map(_total, here.queues()))} to go")
    kinds = f"{moved['delayed']} delayed, {moved['suspects']} suspects"
    others = [f"{moved[name]} {name}" for name in ("dead letters", "batches", "uncertain effects")]
    click.echo(
        f"Moved {_jobs(moved['jobs'])} ({kinds}), {', '.join(others)} from {source_name} to {target_name}; the states "
        "of all jobs are there too."
    )
    _tell_rest(here, source_name)


def _count(moved: Counter[str], crate: Crate) -> None:
    moved["jobs"] += len(crate.parcels)
    moved["delayed"] += sum(one.due is not None for one in crate.parcels)
    moved["suspects"] += sum(one.suspect for one in crate.parcels)
    moved["dead letters"] += len(crate.letters)
    moved["batches"] += len(crate.batches)
    moved["uncertain effects"] += len(crate.effects)


def _tell_rest(here: Engine, source_name: str) -> None:
    held = len(here.moving.held())
    left = sum(_total(queue) + queue.leased for queue in here.queues())
    if left or held:
        holders = names_of(here.workers())
        batches = f" and {held} batches that wait for them" if held else ""
        raise Failure(
            f"Still in {source_name}{f', with {holders}' if holders else ''}: {_jobs(left)}{batches}. "
            "Stop what works there and run this again."
        )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
