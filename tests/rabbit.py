"""A private RabbitMQ node for tests: its own ports, folders, cookie and epmd, ended by their pids."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["RabbitServer", "is_installed", "running_rabbit"]

_PROGRAMS = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"
_START_SECONDS = 180.0
_HOSTS = [f"test-{number}" for number in range(60)]
#: What a queue of delays was passing on when the node was killed it passes on again after this time, usually 180 s.
_CONFIRM_MS = 2000
_ADVANCED = (
    "[{rabbit, [{channel_tick_interval, 1000}, "
    f"{{dead_letter_worker_publisher_confirm_timeout, {_CONFIRM_MS}}}]}}].\n"
)


@dataclass(slots=True)
class RabbitServer:
    """One node on loopback."""

    folder: Path
    port: int
    environment: dict[str, str]
    #: Virtual hosts that are still empty. They are made at the start: a command line would take seconds for each.
    hosts: Iterator[str] = field(default_factory=lambda: iter(_HOSTS))
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def new_url(self) -> str:
        """Return the URL of a virtual host that nothing else has used."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{next(self.hosts)}"

    def control(self, *words: str) -> str:
        """Run ``rabbitmqctl`` and return what it prints."""
        done = subprocess.run(
            [str(_program("rabbitmqctl")), "--quiet", *words],
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(_program("rabbitmq-server"))], env=self.environment, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "node.log").read_text(errors="replace")[-4000:]
            assert time.monotonic() < deadline, "RabbitMQ did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """End the node now: the whole session of its start script, which is ours alone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
        return False


def _program(name: str) -> Path:
    return sorted(Path("/").glob(f"{_PROGRAMS}/{name}"))[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_installed() -> bool:
    """Whether this machine has RabbitMQ."""
    return any(Path("/").glob(f"{_PROGRAMS}/rabbitmq-server"))


def _definitions() -> dict[str, object]:
    """Return what the node knows when it starts: a user, and virtual hosts that are his."""
    salt = os.urandom(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + b"guest").digest()).decode()
    user = {"name": "guest", "password_hash": hashed, "tags": "administrator"}
    user["hashing_algorithm"] = "rabbit_password_hashing_sha256"
    hosts = ["/", *_HOSTS]
    allowed = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [user],
        "vhosts": [{"name": name} for name in hosts],
        "permissions": [{**allowed, "vhost": name} for name in hosts],
    }


@contextlib.contextmanager
def running_rabbit() -> Iterator[RabbitServer]:
    """Run a node until the block ends."""
    with tempfile.TemporaryDirectory(prefix="rabbit-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "plugins").write_text("[].\n")
        (folder / "definitions.json").write_text(json.dumps(_definitions()))
        (folder / "rabbitmq.conf").write_text(
            "vm_memory_high_watermark.relative = 0.9\ndisk_free_limit.absolute = 50MB\n"
            f"load_definitions = {folder / 'definitions.json'}\n"
        )
        # Channels look every second for acknowledgements that are overdue, instead of every minute.
        (folder / "advanced.config").write_text(_ADVANCED)
        server = RabbitServer(folder, _free_port(), {})
        server.environment = _environment(folder, server.port)
        epmd = subprocess.Popen(
            ["epmd", "-address", "127.0.0.1", "-port", server.environment["ERL_EPMD_PORT"]],
            env=server.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            server.start()
            yield server
        finally:
            if hasattr(server, "process"):
                server.kill()
            epmd.kill()
            epmd.wait()


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(_free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"umbel-{folder.name}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
    }
