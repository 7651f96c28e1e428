"""The settings: documented one by one, read from the environment, refused when they make no sense."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from services.email_campaigns.settings import Settings
from tests.services.email_campaigns.conftest import ROOT, Configure

PAGE = ROOT / "docs" / "services" / "email_campaigns.md"


def test_each_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `EMAIL_(\w+)` \| (.*?) \|", PAGE.read_text(), re.MULTILINE))
    assert rows.keys() == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float):
            assert float(rows[name.upper()]) == field.default, name


@pytest.mark.parametrize(
    ("name", "value"), [("rate_per_minute", 0), ("max_attempts", 0), ("smtp_timeout", 0), ("uncertain_policy", "guess")]
)
def test_a_value_without_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    monkeypatch.setenv(f"EMAIL_{name.upper()}", str(value))
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_secrets_are_not_shown(configure: Configure) -> None:
    found = configure(smtp_url="smtp://ada:s3cret@localhost", admin_token="t0ken")
    assert "s3cret" not in repr(found)
    assert "t0ken" not in repr(found)
