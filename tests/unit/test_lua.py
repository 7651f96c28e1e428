"""What the scripts use is tried before a worker starts, and stands in the manual's line of rights."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path


def commands(text: str) -> set[str]:
    return set(re.findall(r"redis\.p?call\('([A-Z]+)'", text))


def scripts() -> dict[str, str]:
    files = resources.files("umbel.engine.lua").iterdir()
    return {file.name: file.read_text("utf-8") for file in files if file.name.endswith(".lua")}


def test_what_the_scripts_use_is_tried_before_a_worker_starts() -> None:
    texts = scripts()
    tried = set(re.findall(r"\{'([A-Z]+)'", texts["check.lua"]))
    assert set().union(*map(commands, texts.values())) <= tried


def test_what_the_scripts_use_is_in_the_rights_of_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs/operate/redis.md").read_text()
    rights = set(re.findall(r"\+([a-z]+)", page))
    assert {command.lower() for text in scripts().values() for command in commands(text)} <= rights
