"""The lifespan of a web process that uses Umbel: its connections are closed at the end, and a small application may
have its worker beside it.

    api = FastAPI(lifespan=jobs.lifespan(worker=True))

The worker is a process of its own (Celery's pools change state of the whole process) that lives exactly as long as the
web process, see :mod:`umbel.web.worker_child`. Each web process has its own: with ``uvicorn --workers 4`` there are
four, and ``--reload`` replaces it together with the web process. Above one machine's worth of work run
``umbel worker`` by itself instead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from umbel.engine.registry import is_served
from umbel.errors import ConfigurationError
from umbel.web.worker_child import WorkerChild

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import Engine

__all__ = ("Lifespan", "build_lifespan", "close_pools")

logger = logging.getLogger("umbel.web")

#: What FastAPI and Starlette take as ``lifespan=``.
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

#: Seconds that running jobs have when the web process ends; what is not done by then goes back to its queue.
GRACE: Final = 10.0
#: Seconds for giving back what was not done, before the worker is told a second time.
_SLACK: Final = 3.0


def build_lifespan(
    umbel: Umbel,
    /,
    *,
    worker: bool = False,
    processes: int = 1,
    grace: float = GRACE,
    inner: Lifespan | None = None,
    app: str | None = None,
) -> Lifespan:
    """Return a lifespan for FastAPI or Starlette.

    With ``worker`` a worker of ``processes`` processes runs beside the web process; when that ends, jobs have ``grace``
    seconds to finish. ``inner`` is the application's own lifespan, entered within this one. ``app`` says where the
    worker finds the application (``"shop.jobs:jobs"``), when that cannot be told from here.

    Raises :class:`~umbel.errors.ConfigurationError`, at start-up, when the application's module cannot be told.
    """
    if processes < 1:
        raise ConfigurationError(f"lifespan(processes={processes}) starts no worker: give 1 or more.")
    if worker and sys.platform == "win32":
        raise ConfigurationError("lifespan(worker=True) needs Linux or macOS: run 'umbel worker' in a second terminal.")

    @asynccontextmanager
    async def lifespan(web: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, close_pools, umbel)
            if worker:
                child = _worker_child(umbel, app, processes, grace)
                # Registered first, so that a start which is cancelled half-way leaves nothing behind.
                stack.push_async_callback(child.stop)
                await child.start()
            yield await stack.enter_async_context(inner(web)) if inner is not None else None

    return lifespan


def close_pools(umbel: Umbel) -> None:
    """Close what ``umbel`` has open in this process; using it again opens it again."""
    try:
        umbel.close_databases()
        pools: tuple[Any, ...] = (umbel.producer_pool, umbel.pool)
        for pool in pools:
            pool.force_close_all(close_pool=False)
        if is_served(umbel.conf.broker_url):
            _close_engine(umbel.engine)
    except Exception:
        # The web process ends anyway, and its own clean-up must still run.
        logger.exception("the connections of %s could not be closed", umbel.main)


def _close_engine(engine: Engine) -> None:
    # A worker in a thread of this process (tests do that) would lose its lease.
    if not any(worker.pid == os.getpid() for worker in engine.workers()):
        engine.close()


def _worker_child(umbel: Umbel, path: str | None, processes: int, grace: float) -> WorkerChild:
    path = path or _import_path(umbel)
    command = [sys.executable, "-m", "umbel", "worker", "-A", path, "--processes", str(processes)]
    command += ["--grace", f"{grace:g}s"]
    return WorkerChild(command, _environment(path), grace=grace + _SLACK)


def _import_path(umbel: Umbel) -> str:
    try:
        return umbel.import_path()
    except ConfigurationError as error:
        raise ConfigurationError(
            'The worker cannot tell where the application is: pass lifespan(worker=True, app="module:attr"), '
            f"as in app='shop.jobs:jobs' ({error})"
        ) from error


def _environment(path: str) -> dict[str, str]:
    """Return the child's environment, in which the application's module is found as it was found here."""
    environ = dict(os.environ)
    root = _import_root(path.partition(":")[0])
    known = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if root is not None and str(root) not in known:
        environ["PYTHONPATH"] = os.pathsep.join([str(root), *known])
    return environ


def _import_root(module: str) -> Path | None:
    """Return the folder from which this process imported ``module``: ``uvicorn --app-dir`` puts it on no variable."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    above = module.count(".") + (1 if path.name == "__init__.py" else 0)
    return path.parents[above]
