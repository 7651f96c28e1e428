"""C5: what a running job knows of itself."""

from __future__ import annotations

from tests.acceptance.semantics.jobs import Jobs, outcome, reaches


def test_bound_task_knows_its_call(jobs: Jobs) -> None:
    """C5"""
    result = jobs.whoami.delay(1, two=2)
    seen = outcome(result)
    assert seen["id"] == result.id
    assert seen["task"] == jobs.named("whoami")
    assert (seen["args"], seen["kwargs"]) == ([1], {"two": 2})
    assert seen["retries"] == 0
    assert (seen["is_eager"], seen["called_directly"]) == (False, False)


def test_bound_task_knows_where_it_runs(jobs: Jobs) -> None:
    """C5: the host name is that of a node which answers to inspect."""
    seen = outcome(jobs.whoami.delay())
    assert seen["hostname"] in jobs.world.inspect().ping()
    assert seen["delivery_info"]["routing_key"] == "main"
    assert seen["delivery_info"]["redelivered"] is False
    assert "@" in seen["origin"]
    assert seen["lang"] == "py"


def test_first_job_is_its_own_root_and_has_no_parent(jobs: Jobs) -> None:
    """C5"""
    result = jobs.whoami.delay()
    seen = outcome(result)
    assert seen["root_id"] == result.id
    assert seen["parent_id"] is None
    assert seen["correlation_id"] == result.id


def test_job_of_a_job_knows_root_and_parent(jobs: Jobs, key: str) -> None:
    """C5: and the parent's result lists its children, but those that were not to be added."""
    parent = jobs.spawn.delay(key)
    child_id, unlisted = outcome(parent)
    child = outcome(jobs.world.app.AsyncResult(child_id))
    assert (child["root_id"], child["parent_id"]) == (parent.id, parent.id)
    jobs.trail.wait(unlisted, "task_postrun")
    assert [entry.id for entry in jobs.world.app.AsyncResult(parent.id).children] == [child_id]


def test_members_of_a_chain_know_root_and_parent(jobs: Jobs) -> None:
    """C5"""
    result = (jobs.tell_family.s() | jobs.tell_family.s() | jobs.tell_family.s()).delay()
    first, second, third = outcome(result)
    assert {first["root_id"], second["root_id"], third["root_id"]} == {first["id"]}
    assert (first["parent_id"], second["parent_id"], third["parent_id"]) == (None, first["id"], second["id"])


def test_limits_expiry_and_eta_are_in_the_request(jobs: Jobs) -> None:
    """C5"""
    seen = outcome(jobs.whoami.apply_async(time_limit=50, soft_time_limit=40, expires=600, countdown=0.01))
    assert seen["timelimit"] == [50, 40]
    assert seen["expires"] is not None
    assert seen["eta"] is not None


def test_current_task_is_the_running_one(jobs: Jobs) -> None:
    """C5"""
    result = jobs.whoami.delay()
    seen = outcome(result)
    assert (seen["current"], seen["current_id"]) == (jobs.named("whoami"), result.id)
    assert seen["worker_task"] == jobs.named("whoami")


def test_context_variable_set_in_prerun_is_seen_by_the_body(jobs: Jobs) -> None:
    """C5"""
    result = jobs.whoami.delay()
    assert outcome(result)["from_prerun"] == result.id


def test_direct_call_inside_a_job_leaves_its_request_alone(jobs: Jobs) -> None:
    """C5"""
    result = jobs.inside_direct_call.delay()
    assert outcome(result) == {"before": result.id, "direct": 5, "after": result.id}


def test_apply_inside_a_job_has_a_request_of_its_own(jobs: Jobs) -> None:
    """C5"""
    result = jobs.inside_apply.delay()
    found = outcome(result)
    assert found["outer"]["id"] == result.id
    assert found["inner"]["id"] != result.id
    assert found["inner"]["is_eager"] is True
    assert found["inner"]["parent_id"] == result.id
    assert found["outer"]["current_id"] == result.id


def test_jobs_that_run_side_by_side_keep_their_requests_apart(jobs: Jobs, key: str) -> None:
    """C5: two wait in their bodies at the same time, and each still knows who it is."""
    results = [jobs.wait_at_gate.delay(key, number) for number in range(2)]
    started = jobs.trail.wait(key, "started", 2)
    jobs.trail.open_gate(key)
    assert [outcome(result) for result in results] == [0, 1]
    ended = jobs.trail.wait(key, "ended", 2)
    ids = {result.id for result in results}
    assert {entry["id"] for entry in started} == {entry["id"] for entry in ended} == ids


def test_started_state_tells_node_and_pid(jobs: Jobs, key: str) -> None:
    """C5: with ``task_track_started``."""
    result = jobs.wait_at_gate.delay(key)
    jobs.trail.wait(key, "started")
    reaches(result, "STARTED")
    assert set(result.info) >= {"pid", "hostname"}
    jobs.trail.open_gate(key)
    outcome(result)
    assert result.state == "SUCCESS"


def test_waiting_for_a_result_inside_a_job_is_refused(jobs: Jobs) -> None:
    """C25"""
    assert outcome(jobs.refused_wait.delay()) in {"RuntimeError", "WaitRefused"}


def test_stamps_reach_the_job(jobs: Jobs) -> None:
    """C5"""
    signature = jobs.whoami.s()
    signature.stamp(monitoring_id="m-1")
    seen = outcome(signature.delay())
    assert seen["stamped_headers"] == ["monitoring_id"]
    assert seen["stamps"]["monitoring_id"] in ("m-1", ["m-1"])


def test_stamps_of_a_chain_reach_all_its_members(jobs: Jobs) -> None:
    """C5"""
    workflow = jobs.tell_family.s() | jobs.tell_family.s()
    workflow.stamp(tenant="acme")
    for seen in outcome(workflow.delay()):
        assert seen["stamps"]["tenant"] in ("acme", ["acme"])
