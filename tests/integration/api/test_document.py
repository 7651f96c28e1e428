"""The OpenAPI document, and the page that lists what is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import OPERATOR, VIEWER, Api

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/api.md"


@pytest.fixture(scope="module")
def document(resting: str) -> dict[str, Any]:
    with Api(resting, OPERATOR) as api:
        answer = api.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def endpoints(document: dict[str, Any]) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


def test_the_page_lists_every_endpoint(document: dict[str, Any]) -> None:
    listed = re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /api/[^`]*)`", PAGE.read_text(), re.M)
    assert len(listed) == len(set(listed))
    assert set(listed) == endpoints(document)


def test_every_endpoint_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            assert about["description"].endswith("."), f"{method} {path}"
            assert "Problem" in str(about["responses"]["422"]), f"{method} {path}"


def test_every_text_and_number_that_comes_in_is_bounded(document: dict[str, Any]) -> None:
    """In paths, queries, headers and bodies."""
    loose = []
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            for parameter in about.get("parameters", ()):
                loose += _loose(parameter["schema"], f"{method} {path} {parameter['name']}", document)
            for content in about.get("requestBody", {}).get("content", {}).values():
                loose += _loose(content["schema"], f"{method} {path} body", document)
    assert not loose


def _loose(schema: dict[str, Any], place: str, document: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        return _loose(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], place, document)
    found = [one for part in schema.get("anyOf", ()) for one in _loose(part, place, document)]
    if "enum" in schema or "const" in schema:
        return found
    match schema.get("type"):
        case "string" if "maxLength" not in schema:
            found.append(f"{place}: text")
        case "integer" | "number" if not schema.keys() & {"maximum", "exclusiveMaximum"}:
            found.append(f"{place}: number")
        case "array" if "maxItems" not in schema:
            found.append(f"{place}: list")
        case "array":
            found += _loose(schema["items"], place, document)
        case "object" if "properties" in schema:
            if schema.get("additionalProperties") is not False:
                found.append(f"{place}: unknown fields")
            found += [
                one for name, part in schema["properties"].items() for one in _loose(part, f"{place}.{name}", document)
            ]
        case "object" if "maxProperties" not in schema:
            found.append(f"{place}: object")
    return found


def test_strangers_get_nothing(document: dict[str, Any], resting: str) -> None:
    stranger = Api(resting, None)
    for endpoint in endpoints(document):
        method, path = endpoint.split()
        answer = stranger.request(method, path.removeprefix("/api").replace("{", "").replace("}", ""))
        assert answer.status_code == 401, endpoint
        assert answer.headers["content-type"] == "application/problem+json"
    assert stranger.get("/openapi.json").status_code == 401
    stranger.close()


def test_a_viewer_acts_on_nothing(document: dict[str, Any], resting: str) -> None:
    viewer = Api(resting, VIEWER)
    for endpoint in endpoints(document):
        method, path = endpoint.split()
        if method != "GET":
            answer = viewer.request(method, path.removeprefix("/api").replace("{", "").replace("}", ""))
            assert answer.status_code == 403, endpoint
    viewer.close()
