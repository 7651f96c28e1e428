"""A TCP proxy on loopback whose link can be cut: in a process of its own, so that it takes no part in what it carries.

Two kinds of cut. ``reset``: every connection is reset, and new ones are refused. ``freeze``: every connection falls
silent for ever, without a word to either side, and so does each that is opened until the cut ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

from tests.chaos.lasting_port import lasting_port

__all__ = ("Cut", "Proxy")

Cut = Literal["reset", "freeze"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_CHUNK: Final = 1 << 17
_STOP_SECONDS: Final = 10.0
#: A closing socket that lingers for zero seconds sends a reset.
_RESET: Final = struct.pack("ii", 1, 0)


class Proxy:
    """The proxy's process, as the campaign sees it. Every call returns when it has taken effect."""

    def __init__(self, target: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(target)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self.port: Final = int(self._answer())

    def cut(self, kind: Cut) -> None:
        """Cut the link."""
        self._say(kind)

    def mend(self) -> None:
        """Let new connections through again."""
        self._say("mend")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the proxy ended with code {self._process.wait(_STOP_SECONDS)}")
        return line.strip()


class _Link:
    """Carries bytes between clients and one port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._port = lasting_port()
        self._frozen = False
        self._pairs: set[_Pair] = set()

    async def open(self) -> int:
        """Listen, on the same port as before; return it."""
        self._frozen = False
        if self._server is None:
            listening = socket.create_server(("127.0.0.1", self._port), backlog=512)
            self._server = await asyncio.start_server(self._serve, sock=listening)
        return self._port

    def freeze(self) -> None:
        """Let every connection fall silent."""
        self._frozen = True
        for pair in self._pairs:
            pair.silence()

    def reset(self) -> None:
        """Reset every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for pair in list(self._pairs):
            pair.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(reader, writer)
        self._pairs.add(pair)
        try:
            if self._frozen:
                pair.silence()
            await pair.carry(self._target)
        finally:
            self._pairs.discard(pair)


class _Pair:
    """A client's connection and ours to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._client = (reader, writer)
        self._far: asyncio.StreamWriter | None = None
        self._silent = asyncio.Event()

    def silence(self) -> None:
        """Swallow what either side says from now on; the server sees its client go, the client sees nothing."""
        self._silent.set()
        if self._far is not None:
            self._far.transport.abort()

    def reset(self) -> None:
        """Reset both sides."""
        for writer in (self._client[1], self._far):
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    async def carry(self, target: int) -> None:
        """Carry bytes until either side is gone; a silenced client is kept until it goes by itself."""
        reader, writer = self._client
        if not self._silent.is_set():
            try:
                far, self._far = await asyncio.open_connection("127.0.0.1", target, limit=_CHUNK)
            except OSError:
                self.reset()
                return
            await asyncio.gather(self._pass_on(reader, self._far), self._pass_on(far, writer))
        with contextlib.suppress(OSError):
            while self._silent.is_set() and await reader.read(_CHUNK):
                pass
        writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while not self._silent.is_set() and (data := await reader.read(_CHUNK)):
                if self._silent.is_set():
                    return
                writer.write(data)
                await writer.drain()
        if not self._silent.is_set():
            for one in (self._client[1], self._far):
                if one is not None:
                    one.transport.abort()


async def _main(target: int) -> None:
    link = _Link(target)
    print(await link.open(), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while word := (await lines.readline()).decode().strip():
        if word == "mend":
            await link.open()
        else:
            getattr(link, word)()
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
