"""Make .venv hold Umbel, editable, with the pinned packages of one extra: `environment.py [--ready] EXTRA`.

Only the standard library, because it runs before anything is installed. A stamp in .venv remembers what was
installed from which files; with the same stamp there is nothing to do (`--ready` only asks, by its exit code).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
SOURCES = ("pyproject.toml", "constraints.txt", "scripts/environment.py")
INCLUDES = {"services": ("services",), "dev": ("services", "dev")}


def main(arguments: list[str]) -> int:
    ready_only = "--ready" in arguments
    extras = [word for word in arguments if not word.startswith("-")]
    if len(extras) != 1 or extras[0] not in INCLUDES:
        print(f"usage: environment.py [--ready] {'|'.join(INCLUDES)}", file=sys.stderr)
        return 2
    if is_ready(extras[0]):
        return 0
    return 1 if ready_only else build(extras[0])


def is_ready(extra: str) -> bool:
    stamp = stamp_of(extra)
    return stamp.is_file() and stamp.read_text() == fingerprint()


def stamp_of(extra: str) -> Path:
    return VENV / f"installed-{extra}"


def fingerprint() -> str:
    """The contents of what the installation depends on, and where the clone stands (a moved .venv does not run)."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in SOURCES:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def build(extra: str) -> int:
    started = time.monotonic()
    if not pip_runs():
        make_venv()
    say("[2/2] installing the pinned packages (about a minute the first time)")
    code = install(extra)
    if code:
        return explain(code)
    for name in INCLUDES[extra]:
        stamp_of(name).write_text(fingerprint())
    say(f"      ready in {time.monotonic() - started:.0f} s")
    return 0


def pip_runs() -> bool:
    """Whether .venv stands and stands here: its launchers name their folder, so a moved one is made anew."""
    probe = [str(PYTHON), "-c", "import pip, sys; print(sys.prefix)"]
    try:
        answer = subprocess.run(probe, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    config = (VENV / "bin" / "pip").read_text(errors="replace") if (VENV / "bin" / "pip").is_file() else ""
    return Path(answer.stdout.strip()) == VENV and str(VENV) in config


def make_venv() -> None:
    say(f"[1/2] making .venv with Python {sys.version.split()[0]}")
    if VENV.exists():
        shutil.rmtree(VENV)
    venv.create(VENV, with_pip=True, symlinks=True)


def install(extra: str) -> int:
    """Run pip quietly, its whole output in .venv/install.log, a count of packages on a terminal."""
    options = ["--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off"]
    command = [str(PYTHON), "-m", "pip", "install", *options, "-c", "constraints.txt", "-e", f".[{extra}]"]
    # The build back end is pinned too: older pips read the first variable for it, newer ones the second.
    environment = {**os.environ, "PIP_CONSTRAINT": "constraints.txt", "PIP_BUILD_CONSTRAINT": "constraints.txt"}
    pip = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert pip.stdout is not None
    count = 0
    with LOG.open("w") as log:
        for line in pip.stdout:
            log.write(line)
            if line.startswith("Collecting "):
                count += 1
                show(f"{count} packages, {line.split()[1]}")
            elif line.startswith("Installing collected"):
                show(f"writing {count} packages")
    show("")
    return pip.wait()


def show(text: str) -> None:
    """Overwrite one line on a terminal; nothing elsewhere."""
    if sys.stdout.isatty():
        print(f"\r\033[K      {text[:70]}" if text else "\r\033[K", end="", flush=True)


def explain(code: int) -> int:
    tail = LOG.read_text(errors="replace").splitlines()[-15:]
    print("\n".join(f"      | {line}" for line in tail), file=sys.stderr)
    print(f"Umbel's setup: pip failed ({code}); the whole log is {LOG}. Mend the cause and repeat.", file=sys.stderr)
    return 1


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
