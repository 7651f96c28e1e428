"""What the supervisor knows of a child is what that has told (C14)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from umbel.engine.supervised import Child


def test_c14_a_lease_is_known_from_when_it_is_told_until_it_is_given_up() -> None:
    status_read, status_write = os.pipe()
    life_read, life_write = os.pipe()
    os.set_blocking(status_read, False)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        child = Child("worker", 1, process, status_read, life_write)
        leases = []
        for message in ({"lease": "a", "ready": True}, {"draining": True}, {"lease": "b"}, {"lease": None}):
            os.write(status_write, json.dumps(message).encode() + b"\n")
            assert list(child.messages()) == [message]
            leases.append(child.lease)
        child.close()
    for fd in (status_write, life_read):
        os.close(fd)
    assert leases == ["a", "a", "b", None]
