"""Where and on what the figures were measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from benchmarks.environments import ROOT, prepare

__all__ = ["machine", "revision"]

_PROJECT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, Any]:
    """Processor, memory, system, file system, load and date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "redis": _redis(),
        "file_system": _file_system(prepare(ROOT)),
        "load": os.getloadavg(),
    }


def revision() -> str:
    """The short commit id, with ``-changed`` when the working tree differs; ``none`` outside a repository."""
    commit = _git("rev-parse", "--short", "HEAD")
    if not commit:
        return "none"
    return f"{commit}-changed" if _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=_PROJECT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _redis() -> str:
    try:
        done = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return next((word.removeprefix("v=") for word in done.stdout.split() if word.startswith("v=")), "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(path: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
