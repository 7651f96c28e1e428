"""What is logged or printed while a chord is completed is no job's, and no error."""

from __future__ import annotations

import logging

import pytest

from umbel.engine import console
from umbel.engine.execution import current_execution
from umbel.engine.results import _Collected
from umbel.engine.store import Settled


@pytest.mark.parametrize("as_json", [False, True])
def test_a_log_line_of_a_chord_names_no_job(as_json: bool) -> None:
    before = logging.getLogRecordFactory()
    token = current_execution.set(_Collected(Settled()))  # type: ignore[arg-type]
    try:
        console.install(as_json=as_json)
        record = logging.getLogRecordFactory()("shop", logging.WARNING, "", 1, "text", (), None)
        assert record.job == ""
        assert console.job_here() is None
    finally:
        current_execution.reset(token)
        logging.setLogRecordFactory(before)
