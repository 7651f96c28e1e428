"""A worker that lives and dies with the process that started it.

The child holds the read end of a pipe whose write end only this process has: however this process ends, SIGKILL
included, the kernel closes it and the worker's supervisor drains and goes. A child that dies first is started again,
after a pause that doubles up to 30 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ("PARENT_FD", "WorkerChild")

logger = logging.getLogger("umbel.web")

#: Names the read end to 'umbel worker', which ends gracefully at its end of file.
PARENT_FD: Final = "UMBEL_PARENT_FD"
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
#: Seconds of life after which a child counts as healthy, so that its next death is its first again.
_HEALTHY: Final = 60.0
#: Seconds that a second SIGTERM has before the group is killed.
_SECOND_GRACE: Final = 5.0


class WorkerChild:
    """One supervised child process. ``grace`` is in seconds."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, grace: float) -> None:
        self._command = tuple(command)
        self._environ = dict(environ)
        self._grace = grace
        self._process: Process | None = None
        self._pipe: int | None = None
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the child that runs now."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the child; raises OSError when that is impossible."""
        await self._spawn()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="umbel-worker-child")

    async def stop(self) -> None:
        """End the child: SIGTERM, again after the grace period, then SIGKILL to its group."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None:
            await self._end(self._process)
        self._close_pipe()

    async def _spawn(self) -> None:
        reading, self._pipe = os.pipe()
        try:
            # A session of its own: Ctrl-C in the terminal reaches the web process only, which then stops this in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=DEVNULL,
                env=self._environ | {PARENT_FD: str(reading)},
                pass_fds=(reading,),
                start_new_session=True,
            )
        except BaseException:
            self._close_pipe()
            raise
        finally:
            os.close(reading)

    async def _keep(self) -> None:
        """Start the child again whenever it dies."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while self._process is not None:
            began = loop.time()
            code = await self._process.wait()
            self._close_pipe()
            if loop.time() - began > _HEALTHY:
                pause = _FIRST_PAUSE
            logger.error("the worker beside this web process ended with %d; starting it again in %g s", code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                await self._spawn()
            except OSError as error:
                logger.error("the worker beside this web process cannot be started: %s", error)

    async def _end(self, process: Process) -> None:
        for patience in (self._grace, _SECOND_GRACE):
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await process.wait()
        if process.returncode is None:
            logger.error("the worker beside this web process did not end in time and was killed")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
