"""What ``umbel doctor`` looks at. Each check yields findings and changes nothing that lasts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Final

from umbel.cli.console import duration
from umbel.cli.finding import Finding
from umbel.cli.outbox_check import check_outbox
from umbel.monitor.publishable import publishable

if TYPE_CHECKING:
    from celery import Celery

    from umbel.app import Umbel
    from umbel.engine.store import Engine

__all__ = ("Finding", "examine")

_SPACE_PROBLEM: Final = 100 * 2**20
_SPACE_NOTE: Final = 2**30
_LONG_RESULTS: Final = 7 * 86_400.0
#: File systems that lie about locks or lack shared memory, as they are called in /proc/self/mountinfo.
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "ocfs2", "beegfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.juicefs"}
)


def examine(app: Umbel) -> Iterator[Finding]:
    """Run all checks."""
    from umbel.engine.registry import is_redis
    from umbel.engine.sqlite import SQLiteEngine

    yield from check_queues(app, app.engine)
    yield from check_limits(app)
    yield from check_results(app)
    if isinstance(app.engine, SQLiteEngine):
        yield from check_file(app.engine.path)
    elif is_redis(app.conf.broker_url):
        yield from check_redis(app.engine.server_settings())  # type: ignore[attr-defined]
    yield from check_outbox(app)
    yield from check_alerts(app)
    yield from check_versions()


def check_redis(settings: Mapping[str, str]) -> Iterator[Finding]:
    """C14: a server that throws keys away, or forgets at a restart, loses jobs. Not every server may be asked."""
    policy, kept = settings.get("maxmemory-policy"), settings.get("appendonly")
    if policy is None:
        yield Finding("redis", "note", "The server does not tell its settings: see that it never evicts keys.")
    elif policy != "noeviction" and settings.get("maxmemory", "0") != "0":
        yield Finding(
            "redis",
            "problem",
            f"Redis evicts keys when it is full ({policy}), jobs too: set maxmemory-policy noeviction.",
        )
    if kept == "no":
        yield Finding("redis", "note", "Redis keeps no log (appendonly no): a restart of the server may lose jobs.")
    if policy == "noeviction" and kept == "yes":
        yield Finding("redis", "ok", "Redis keeps a log and evicts nothing.")


def check_queues(app: Celery, engine: Engine) -> Iterator[Finding]:
    """C4: whatever can be published to has a live consumer."""
    users_of = publishable(app)
    consumed = {name for worker in engine.workers() for name in worker.queues}
    waiting = {queue.name: queue.ready + queue.delayed + queue.suspect for queue in engine.queues()}
    consumed |= {queue.name for queue in engine.queues() if queue.consumers}
    for queue in engine.queues():
        if queue.paused:
            yield Finding(
                "queues", "note", f"{queue.name!r} is paused: 'umbel resume {queue.name}' lets its jobs start again."
            )
    for name in sorted(users_of.keys() | {name for name, count in waiting.items() if count}):
        if name in consumed:
            continue
        users = users_of.get(name, [])
        by = f", used by {', '.join(users[:3])}{' and more' if len(users) > 3 else ''}," if users else ""
        count = waiting.get(name, 0)
        jobs = "; one job waits in it" if count == 1 else f"; {count} jobs wait in it" if count else ""
        yield Finding("queues", "problem", f"{name!r}{by} has no consumer{jobs}: start 'umbel worker -Q {name}'.")
    covered = sorted(users_of.keys() & consumed)
    if covered:
        yield Finding("queues", "ok", f"{', '.join(covered)} {'has' if len(covered) == 1 else 'have'} a consumer.")


def check_limits(app: Celery) -> Iterator[Finding]:
    """A soft limit must come before its hard limit, and every job should have a hard one."""
    wrong = 0
    for name, task in sorted(app.tasks.items()):
        soft, hard = task.soft_time_limit, task.time_limit
        if soft and hard and soft >= hard:
            wrong += 1
            yield Finding(
                "limits", "problem", f"{name}: its soft limit {soft:g} s is not below its hard limit {hard:g} s."
            )
    if not app.conf.task_time_limit:
        yield Finding(
            "limits", "note", "There is no hard limit (task_time_limit): a job that hangs keeps its slot for ever."
        )
    elif not wrong:
        yield Finding("limits", "ok", "Every soft limit is below its hard limit.")


def check_alerts(app: Umbel) -> Iterator[Finding]:
    """C38: whoever is to be told can be told."""
    from umbel.engine.alerts_told import alerts_told
    from umbel.errors import ConfigurationError
    from umbel.monitor.alerts.plan import Plan

    if not (app.settings.history and app.settings.alerts):
        off = "UMBEL_ALERTS" if app.settings.history else "UMBEL_HISTORY"
        yield Finding("alerts", "note", f"{off} is off: nobody is told what is wrong.")
        return
    try:
        from umbel.monitor.alerts.channels import channels_of

        names = [channel.name for channel in channels_of(Plan.of(alerts_told(app)))]
    except ConfigurationError as error:
        yield Finding("alerts", "problem", str(error))
    except ImportError:
        yield Finding("alerts", "note", "There is no history, and so no alerts: pip install 'umbel[sqlalchemy]'.")
    else:
        yield Finding("alerts", "ok", f"Alerts go to {', '.join(names)}; 'umbel alerts test' tries that.")


def check_results(app: Celery) -> Iterator[Finding]:
    """Results that never expire fill the store."""
    expires = app.conf.result_expires
    seconds = expires.total_seconds() if hasattr(expires, "total_seconds") else float(expires or 0)
    if not seconds:
        yield Finding("results", "note", "Results never expire, so the store grows for ever: set result_expires.")
    elif seconds > _LONG_RESULTS:
        yield Finding("results", "note", f"Results are kept for {duration(seconds)}: is that meant (result_expires)?")
    else:
        yield Finding("results", "ok", f"Results are kept for {duration(seconds)}.")


def check_file(path: Path) -> Iterator[Finding]:
    """The embedded engine's file: where it lies, who may read it, and whether its disk can do what SQLite needs.

    The file itself is never opened here: closing it again would drop the locks that this process holds on it.
    """
    folder = path.parent
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        yield Finding(
            "file", "problem", f"{path} cannot be written by this user: give it write permission on file and folder."
        )
        return
    yield _mode(path)
    yield _network(folder)
    yield _space(folder)
    yield _write_ahead_log(folder)


def _mode(path: Path) -> Finding:
    if not path.exists():
        return Finding("file", "ok", f"{path} will be made when first used.")
    loose = [file for file in path.parent.glob(f"{path.name}*") if file.is_file() and file.stat().st_mode & 0o077]
    if loose:
        return Finding(
            "file", "problem", f"Others may read {', '.join(map(str, loose))}: chmod 600 {' '.join(map(str, loose))}"
        )
    return Finding("file", "ok", f"{path} is readable by its owner only.")


def _network(folder: Path) -> Finding:
    kind = _file_system(folder)
    if kind is None:
        return Finding(
            "file", "note", "This platform does not tell whether the folder is on a network: it must not be."
        )
    if kind in _NETWORK:
        return Finding(
            "file",
            "problem",
            f"{folder} is on a network file system ({kind}), where locks are unsafe: use a local disk.",
        )
    return Finding("file", "ok", f"{folder} is on a local file system ({kind}).")


def _file_system(folder: Path) -> str | None:
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    target, best, kind = folder.resolve(), -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        # The last one mounted over the same point is the one that is seen.
        if target.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), after.split()[0]
    return kind


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    shown = f"{free / 2**30:.1f} GiB are free in {folder}"
    if free < _SPACE_PROBLEM:
        return Finding(
            "file", "problem", f"Only {free / 2**20:.0f} MiB are free in {folder}: make room before jobs are refused."
        )
    return Finding("file", "note" if free < _SPACE_NOTE else "ok", f"{shown}.")


def _write_ahead_log(folder: Path) -> Finding:
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".umbel-doctor-", dir=folder) as trial,
            closing(sqlite3.connect(Path(trial, "trial.db"))) as connection,
        ):
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            connection.execute("CREATE TABLE trial (x)")
    except (OSError, sqlite3.Error) as error:
        return Finding("file", "problem", f"SQLite cannot work in {folder} ({error}): use a local disk.")
    if mode != "wal":
        return Finding(
            "file", "problem", f"{folder} cannot hold a write-ahead log (SQLite chose {mode!r}): use a local disk."
        )
    return Finding("file", "ok", "SQLite's write-ahead log works there.")


def check_versions() -> Iterator[Finding]:
    """Two copies of Umbel on the import path: which one runs depends on how a process was started."""
    places = {
        str(found.locate_file("")): found.version
        for found in distributions()
        if (found.metadata["Name"] or "").lower() == "umbel"
    }
    if len(set(places.values())) > 1:
        listed = ", ".join(f"{version} in {place}" for place, version in places.items())
        yield Finding("versions", "problem", f"Several versions of Umbel are installed: {listed}. Keep one.")
    else:
        yield Finding(
            "versions", "ok", f"Umbel {next(iter(places.values()), 'from source')}, SQLite {sqlite3.sqlite_version}."
        )
