"""The table of states, both ways (C20)."""

from __future__ import annotations

import pytest
from celery import states

from umbel import JobState
from umbel.states import CELERY_STATES, from_celery

TABLE = {
    "PENDING": JobState.QUEUED,
    "RECEIVED": JobState.QUEUED,
    "STARTED": JobState.RUNNING,
    "PROGRESS": JobState.PROGRESS,
    "RETRY": JobState.RETRYING,
    "SUCCESS": JobState.SUCCEEDED,
    "IGNORED": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
    "REJECTED": JobState.FAILED,
    "REVOKED": JobState.CANCELLED,
}


@pytest.mark.parametrize("name", sorted(states.ALL_STATES | {"PROGRESS", "IGNORED"}))
def test_c20_every_state_of_celerys_has_a_word(name: str) -> None:
    assert from_celery(name) is TABLE[name]


@pytest.mark.parametrize("state", JobState)
def test_c20_every_word_has_a_state_of_celerys_and_comes_back(state: JobState) -> None:
    back = from_celery(CELERY_STATES[state], expired=state is JobState.EXPIRED)
    assert back is (JobState.QUEUED if state is JobState.SCHEDULED else state)


def test_c20_a_custom_state_is_a_job_that_runs() -> None:
    assert from_celery("CROPPING") is JobState.PROGRESS


def test_c10_expired_is_a_revocation_with_a_reason() -> None:
    assert from_celery("REVOKED", expired=True) is JobState.EXPIRED
    assert from_celery("SUCCESS", expired=True) is JobState.SUCCEEDED


def test_an_end_is_an_end_for_celery_too() -> None:
    for state in JobState:
        assert state.finished == (CELERY_STATES[state] in states.READY_STATES)


def test_words_are_plain_text() -> None:
    assert {str(state) for state in JobState} == {
        *("queued", "scheduled", "running", "progress", "retrying", "succeeded", "failed", "cancelled", "expired")
    }
