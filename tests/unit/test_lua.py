"""What the scripts use is tried before a worker starts, and stands in the manual's line of rights."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from umbel.engine.lua import source


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


def test_a_script_brings_all_that_it_uses_and_no_more() -> None:
    shared = "".join(text for name, text in scripts().items() if name.endswith("keys.lua") or name == "waits.lua")
    known = set(re.findall(r"^local function (\w+)", shared, re.MULTILINE))
    for name in (name.removesuffix(".lua") for name in scripts()):
        if name.endswith("keys") or name == "waits":
            continue
        text = re.sub(r"--.*", "", source(name))
        made = set(re.findall(r"^local function (\w+)", text, re.MULTILINE))
        used = {one for one in known if len(re.findall(rf"\b{one}\b(?!\s*=)", text)) > (one in made)}
        assert {one for one in used if re.search(rf"\b{one}\(", text)} <= made, f"{name} lacks a function"
        assert made & known <= used, f"{name} brings what it does not use"
