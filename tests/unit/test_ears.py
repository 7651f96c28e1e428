"""The folder in which prefork children are asked: it goes with its process, however that ends."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest

from umbel.engine import ears


def test_folders_of_killed_processes_are_swept_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("umbel-ears-dead", "umbel-ears-alive", "umbel-else"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner").touch()
    made = ears._made()
    with (tmp_path / "umbel-ears-alive" / "owner").open("wb") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        ears.sweep()
        left = {folder.name for folder in tmp_path.iterdir()}
        assert left == {"umbel-ears-alive", "umbel-else", made.name}
    monkeypatch.undo()
    assert ears._owner is not None
    ears._owner.close()
