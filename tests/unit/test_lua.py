"""The script that looks at a server tries every command that any script uses."""

from __future__ import annotations

import re
from importlib import resources


def commands(text: str) -> set[str]:
    return set(re.findall(r"redis\.p?call\('([A-Z]+)'", text))


def test_what_the_scripts_use_is_tried_before_a_worker_starts() -> None:
    texts = {
        file.name: file.read_text("utf-8")
        for file in resources.files("umbel.engine.lua").iterdir()
        if file.name.endswith(".lua")
    }
    tried = set(re.findall(r"\{'([A-Z]+)'", texts["check.lua"]))
    assert set().union(*map(commands, texts.values())) <= tried
