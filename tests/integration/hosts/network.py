"""Hosts that have a network of their own: Linux network namespaces on a bridge, as root. Nothing else sees them."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conftest import miss, need_program

__all__ = ("Host", "Network", "network")

#: The bridge's own end, where the server listens.
SERVER = "10.99.0.1"


@dataclass(frozen=True, slots=True)
class Host:
    """One host. ``port`` is its socket of the switch, so to say."""

    name: str
    namespace: str
    port: str

    @property
    def run(self) -> tuple[str, ...]:
        """What a command begins with that runs on this host."""
        return ("ip", "netns", "exec", self.namespace)


class Network:
    """A bridge in a namespace of its own, and the hosts on it."""

    def __init__(self, *names: str) -> None:
        self._mark = secrets.token_hex(3)
        self.hub = Host("hub", f"umbel-{self._mark}-hub", "")
        self.hosts = [Host(name, f"umbel-{self._mark}-{name}", f"p{at}") for at, name in enumerate(names)]

    def make(self) -> None:
        """Make everything. Skips the test where that is not allowed."""
        need_program("ip", "iproute2")
        if os.geteuid() != 0 or not _allowed(self.hub.namespace):
            miss("network namespaces (they need root)")
        self._in_hub("link", "add", "br0", "type", "bridge")
        self._in_hub("addr", "add", f"{SERVER}/24", "dev", "br0")
        self._in_hub("link", "set", "lo", "up")
        self._in_hub("link", "set", "br0", "up")
        for at, host in enumerate(self.hosts):
            _ip("netns", "add", host.namespace)
            # The pair is made where it is to be: its names meet nobody else's.
            self._in_hub("link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            self._in_hub("link", "set", host.port, "master", "br0", "up")
            _ip("-n", host.namespace, "addr", "add", f"10.99.0.{at + 2}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")

    def cut(self, host: Host) -> None:
        """Let nothing through to or from ``host``. It is not told: what it sends is lost in silence."""
        self._in_hub("link", "set", host.port, "down")

    def mend(self, host: Host) -> None:
        """Let everything through again."""
        self._in_hub("link", "set", host.port, "up")

    def remove(self) -> None:
        """Take everything away; the links go with the namespaces."""
        for host in (*self.hosts, self.hub):
            subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, check=False)

    def _in_hub(self, *words: str) -> None:
        _ip("-n", self.hub.namespace, *words)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def _allowed(namespace: str) -> bool:
    return subprocess.run(["ip", "netns", "add", namespace], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Give a network with hosts of these names."""
    made = Network(*names)
    try:
        made.make()
        yield made
    finally:
        made.remove()
