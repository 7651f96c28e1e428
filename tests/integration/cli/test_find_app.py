"""The application is found by -A, by UMBEL_APP, or by looking in the usual places, without being imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from umbel.cli.find_app import Found, look, resolve
from umbel.cli.source import applications
from umbel.errors import ConfigurationError

UMBEL = "from umbel import Umbel\njobs = Umbel('shop')\nraise SystemExit('must not be imported')\n"


def write(folder: Path, name: str, text: str = UMBEL) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from umbel import Umbel\njobs = Umbel('shop')", ["jobs"]),
        ("from umbel import Umbel as U\napp: U = U()", ["app"]),
        ("import umbel\nqueue = umbel.Umbel()", ["queue"]),
        ("import celery as c\napp = c.Celery('x')", ["app"]),
        ("from celery import Celery\na = b = Celery('x')", ["a", "b"]),
        ("from umbel import Umbel\nclass Mine(Umbel): ...\njobs = Mine()", ["jobs"]),
        ("from umbel import Umbel\ndef make() -> Umbel: ...\njobs = make()", ["jobs"]),
        (
            "from umbel import Umbel\ntry:\n    jobs = Umbel()\nexcept ValueError:\n    spare = Umbel()",
            ["jobs", "spare"],
        ),
        ("from umbel import Umbel\nif True:\n    jobs = Umbel()", ["jobs"]),
        ("from umbel import Umbel\ndef make():\n    inner = Umbel()\n    return inner", []),
        ("from other import Umbel\njobs = Umbel()", []),
        ("# Umbel is mentioned\njobs = 3", []),
        ("from umbel import Umbel\njobs = Umbel()\ndef broken(:\n", ["jobs"]),
        ("jobs = 1", []),
        ("", []),
    ],
)
def test_applications_are_read_from_text(tmp_path: Path, text: str, names: list[str]) -> None:
    assert applications(write(tmp_path, "m.py", text)) == names


def test_unreadable_and_huge_files_hold_nothing(tmp_path: Path) -> None:
    assert applications(tmp_path / "missing.py") == []
    assert applications(write(tmp_path, "huge.py", UMBEL + "#" * 1_000_001)) == []
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe Umbel \x00")
    assert applications(tmp_path / "bytes.py") == []


@pytest.mark.parametrize(
    ("file", "spec"),
    [
        ("jobs.py", "jobs:jobs"),
        ("main.py", "main:jobs"),
        ("src/tasks.py", "tasks:jobs"),
        ("app/jobs.py", "app.jobs:jobs"),
        ("app/__init__.py", "app:jobs"),
        ("shop/celery.py", "shop.celery:jobs"),
        ("src/shop/jobs.py", "shop.jobs:jobs"),
        ("src/shop/__init__.py", "shop:jobs"),
    ],
)
def test_the_usual_places(tmp_path: Path, file: str, spec: str) -> None:
    path = write(tmp_path, file)
    assert look(tmp_path) == Found(spec, path)
    assert resolve(folder=tmp_path, environ={}) == spec


def test_the_likelier_place_wins_and_the_others_are_told(tmp_path: Path) -> None:
    write(tmp_path, "app/main.py")
    path = write(tmp_path, "jobs.py")
    assert look(tmp_path) == Found("jobs:jobs", path, ("app.main:jobs",))


@pytest.mark.parametrize("folder", ["tests", "venv", "docs", ".hidden", "node_modules", "not-a-package"])
def test_what_is_no_package_of_the_project_is_not_looked_at(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}/jobs.py")
    with pytest.raises(ConfigurationError, match="No application was found"):
        look(tmp_path)


def test_ambiguity_lists_the_choices(tmp_path: Path) -> None:
    write(tmp_path, "src/one/jobs.py")
    write(tmp_path, "src/two/jobs.py")
    with pytest.raises(ConfigurationError, match=r"one\.jobs:jobs, two\.jobs:jobs\. Choose one with -A"):
        look(tmp_path)


def test_several_in_one_file_are_ambiguous(tmp_path: Path) -> None:
    write(tmp_path, "jobs.py", "from umbel import Umbel\nfirst = Umbel()\nsecond = Umbel()\n")
    with pytest.raises(ConfigurationError, match="jobs:first, jobs:second"):
        look(tmp_path)
    with pytest.raises(ConfigurationError, match="jobs:first or jobs:second"):
        resolve("jobs", folder=tmp_path)
    assert resolve("jobs:second", folder=tmp_path) == "jobs:second"


@pytest.mark.parametrize(
    "spec",
    [
        "shop.jobs:jobs",
        "shop.jobs",
        "shop",
        "shop/jobs.py",
        "./src/shop/jobs.py:jobs",
        "src/shop/jobs.py",
        "shop.jobs.jobs",
    ],
)
def test_every_spelling_of_one_application(tmp_path: Path, spec: str) -> None:
    write(tmp_path, "src/shop/__init__.py", "")
    write(tmp_path, "src/shop/jobs.py")
    assert resolve(spec, folder=tmp_path) == "shop.jobs:jobs"


def test_an_absolute_file_name_is_read_from_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "src/shop/__init__.py", "")
    write(tmp_path, "src/shop/jobs.py")
    assert resolve(f"{tmp_path}/src/shop/jobs.py", folder=tmp_path) == "shop.jobs:jobs"
    with pytest.raises(ConfigurationError, match="is not below"):
        resolve("/elsewhere/jobs.py", folder=tmp_path)


def test_an_explicit_choice_beats_the_environment_which_beats_looking(tmp_path: Path) -> None:
    for name in ("one", "two", "jobs"):
        write(tmp_path, f"{name}.py")
    assert resolve("one", folder=tmp_path, environ={"UMBEL_APP": "two"}) == "one:jobs"
    assert resolve(None, folder=tmp_path, environ={"UMBEL_APP": "two"}) == "two:jobs"
    assert resolve(None, folder=tmp_path, environ={}) == "jobs:jobs"


def test_a_module_whose_text_does_not_tell_stays_a_module(tmp_path: Path) -> None:
    write(tmp_path, "made.py", "import factory\njobs = factory.make()\n")
    assert resolve("made", folder=tmp_path) == "made"


@pytest.mark.parametrize("spec", ["1jobs", "jobs:", "a b", "../jobs", "jobs:a:b", "jobs;import os", "-x"])
def test_nonsense_is_refused(tmp_path: Path, spec: str) -> None:
    with pytest.raises(ConfigurationError, match="does not name an application"):
        resolve(spec, folder=tmp_path)


@pytest.mark.parametrize("spec", ["nowhere", "nowhere.jobs", "json.nowhere.jobs:app"])
def test_a_missing_module_is_named(tmp_path: Path, spec: str) -> None:
    with pytest.raises(ConfigurationError, match=f"There is no module '{spec.partition(':')[0]}'"):
        resolve(spec, folder=tmp_path)
