"""The environment in which the services are imported: an application reads its broker's address only then."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

__all__ = ["forget_environment"]

for _name in [name for name in os.environ if name.startswith("EMAIL_")]:
    del os.environ[_name]
_folder = tempfile.mkdtemp(prefix="umbel-services-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["UMBEL_BROKER_URL"] = f"sqlite:///{_folder}/jobs.db"


def forget_environment() -> None:
    """Take the address back once the services are imported: no other test shall see it."""
    os.environ.pop("UMBEL_BROKER_URL", None)
