"""The first page, jobs, failures and dead letters, as a person uses them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.browser.visitor import LOOKS, Look, Visitor
from tests.integration.monitor.events import Recorder, queued
from tests.integration.worker.plant import until
from umbel import JobState

pytestmark = pytest.mark.slow
Visit = Callable[..., Visitor]


def gone(site: Site, key: str) -> None:
    """Wait until there is no letter of a job any more."""
    until(lambda: not site.app.dead_letters.current([key]), f"the letter of {key} is gone")


def failed(site: Site, article: str) -> str:
    """A job that has failed for good, with its letter, as the history has it."""
    job = site.send("reserve", article)
    site.recorded(job, JobState.FAILED)
    until(lambda: site.app.dead_letters.current([job]), f"a letter of {job}")
    return job


def leaving(visitor: Visitor) -> Visitor:
    """Somebody whose page may be renewed at the moment at which what it shows goes."""
    visitor.expected.add(404)
    return visitor


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_pages_are_fit_for_all_who_look(visit: Visit, dashboard: Site, look: Look) -> None:
    """C44: light and dark, on a desk and on a phone: no violation, nothing forbidden, nothing outside of the window."""
    visitor = visit(look)
    first = ("", "jobs", f"jobs/{dashboard.bad}")
    others = (
        "?look=week",
        "jobs?text=nowhere",
        "jobs?act=cancel&state=scheduled",
        f"jobs/{dashboard.good}",
        f"jobs/{dashboard.again}",
        f"jobs/{dashboard.order}",
        "failures",
        "dead",
        "dead?group=1",
        "dead?act=canary",
        f"dead/{dashboard.bad}",
    )
    # Two of the four see both layouts, and both sets of colours.
    for path in first + (others if look.is_phone == (look.scheme == "dark") else ()):
        visitor.go(path)
        visitor.unfold()
        visitor.check()


def test_what_is_not_there_is_said(visit: Visit) -> None:
    visitor = visit()
    visitor.expected |= {404, 422}
    visitor.open("jobs/nothing")
    expect(visitor.page.get_by_role("alert")).to_contain_text("nothing")
    visitor.open("dead/nothing")
    expect(visitor.page.get_by_role("alert")).to_contain_text("nothing")
    visitor.open("jobs?state=asleep")
    expect(visitor.page.get_by_role("alert")).to_contain_text("There is no state 'asleep'")


def test_the_first_page_shows_how_jobs_fare(visit: Visit, dashboard: Site) -> None:
    page = visit().go()
    expect(page.locator("#queues")).to_contain_text("no consumer")
    expect(page.locator("#failing")).to_contain_text("shop.reserve")
    expect(page.locator("#slowest")).to_contain_text("shop.thumbnail")
    expect(page.locator("#letters")).to_contain_text("pears is not there 3 times")
    expect(page.locator("#due")).to_contain_text("report of the night")
    expect(page.locator(".trouble").first).to_contain_text("No worker consumes stock")
    expect(page.get_by_role("img", name=re.compile("Jobs that ended"))).to_be_visible()
    # The release that the worker is of is marked, and leads to its jobs.
    expect(page.locator("svg text.mark").first).to_have_text("r1")
    page.get_by_role("link", name="r1", exact=True).click()
    expect(page.locator("table")).to_contain_text("shop.thumbnail")
    page.go_back()
    summary = page.locator("#throughput summary")
    summary.click()
    expect(page.locator("#throughput tbody tr").first).to_be_visible()


def test_filters_are_in_the_address(visit: Visit, dashboard: Site) -> None:
    page = visit().go("jobs")
    page.get_by_label("Id, arguments or error", exact=True).fill("pears")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("text=pears"))
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.get_by_role("link", name=re.compile("text: pears")).click()
    page.locator("#states").get_by_role("link", name="scheduled").click()
    expect(page).to_have_url(re.compile("state=scheduled"))
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.get_by_role("link", name="shop.thumbnail").click()
    expect(page.locator("#whereabouts")).to_contain_text("scheduled")
    expect(page.locator("main")).to_contain_text("later.png")


def test_a_job_is_shown_with_its_attempts(visit: Visit, dashboard: Site) -> None:
    page = visit().go(f"jobs/{dashboard.bad}")
    expect(page.locator("#attempts")).to_contain_text("OutOfStock: pears is not there 3 times")
    expect(page.locator("#attempts pre")).to_contain_text("raise OutOfStock")
    expect(page.locator("#data")).to_contain_text('"pears"')
    expect(page.get_by_role("img", name="When it waited and ran")).to_be_visible()
    page = visit().go(f"jobs/{dashboard.order}")
    expect(page.locator("#data")).to_contain_text("order 7")
    page.locator("#children").get_by_role("link", name="shop.thumbnail").first.click()
    page.get_by_role("link", name="shop.order", exact=True).click()
    expect(page).to_have_url(f"{dashboard.root}/jobs/{dashboard.order}")


def test_a_running_job_is_shown_where_it_stands_and_interrupted(visit: Visit, dashboard: Site) -> None:
    job = dashboard.send("report", "autumn")
    dashboard.running(job)
    page = visit().go(f"jobs/{job}")
    expect(page.locator("#whereabouts")).to_contain_text("is running on")
    expect(page.locator("#whereabouts")).to_contain_text("1 of 3 gathering autumn")
    expect(page.locator("ol.stack")).to_contain_text("wait_at")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.get_by_role("status").filter(has_text="is cancelled")).to_be_visible()
    dashboard.recorded(job, JobState.CANCELLED)
    expect(page.locator("#whereabouts")).to_contain_text("was cancelled")


def test_a_waiting_job_is_cancelled(visit: Visit, dashboard: Site) -> None:
    job = dashboard.app.send_task("shop.thumbnail", ("never.png",), countdown=86_400).id
    dashboard.recorded(job, JobState.SCHEDULED)
    page = visit().go(f"jobs/{job}")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.get_by_role("status").filter(has_text="is cancelled")).to_be_visible()
    assert dashboard.app.status(job).state is JobState.CANCELLED
    # The page shows it by itself once it is recorded.
    expect(page.locator("#whereabouts")).to_contain_text("cancelled")


def test_a_failed_job_is_retried_and_deleted(visit: Visit, dashboard: Site) -> None:
    job = failed(dashboard, "cherries")
    dashboard.open_gate("stock-cherries")
    page = leaving(visit()).go(f"jobs/{job}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status").filter(has_text="runs again")).to_be_visible()
    dashboard.recorded(job, JobState.SUCCEEDED)
    gone(dashboard, job)
    expect(page.locator("#whereabouts")).to_contain_text("succeeded")
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete this job").click()
    expect(page).to_have_url(f"{dashboard.root}/jobs")
    expect(page.get_by_role("status").filter(has_text="is deleted")).to_be_visible()
    assert not dashboard.history.jobs.find().jobs or job not in {one.id for one in dashboard.history.jobs.find().jobs}


def test_a_job_is_run_again_with_other_arguments(visit: Visit, dashboard: Site) -> None:
    visitor = visit()
    page = visitor.open(f"jobs/{dashboard.good}")
    page.get_by_text("With other arguments").click()
    page.get_by_label("Arguments, a list in JSON").fill("[")
    visitor.expected.add(422)
    page.get_by_role("button", name="Dispatch it").click()
    expect(page.get_by_role("alert")).to_contain_text("This is no JSON")
    page.go_back()
    if not page.get_by_label("Arguments, a list in JSON").is_visible():
        page.get_by_text("With other arguments").click()
    page.get_by_label("Arguments, a list in JSON").fill('["quince.png"]')
    page.get_by_role("button", name="Dispatch it").click()
    expect(page.get_by_role("status").filter(has_text="was queued")).to_be_visible()
    job = page.url.rpartition("/")[2]
    assert job != dashboard.good
    dashboard.recorded(job, JobState.SUCCEEDED)
    found = dashboard.history.jobs.job(job)
    assert found.arguments == '[["quince.png"],{"width": 640}]'
    assert found.job.parent_id == dashboard.good


def test_all_that_fit_are_previewed_and_cancelled(visit: Visit, dashboard: Site) -> None:
    jobs = [dashboard.app.send_task("shop.report", (f"bulk{n}",), countdown=86_400).id for n in range(3)]
    for job in jobs:
        dashboard.recorded(job, JobState.SCHEDULED)
    page = visit().go("jobs?task=shop.report&state=scheduled")
    page.get_by_role("link", name="Cancel all…").click()
    expect(page.locator(".sure").first).to_contain_text("3 jobs")
    # What comes later is left alone.
    late = dashboard.app.send_task("shop.report", ("late",), countdown=86_400).id
    dashboard.recorded(late, JobState.SCHEDULED)
    page.get_by_role("button", name="Cancel 3 jobs").click()
    expect(page.get_by_role("status").filter(has_text="3 cancelled")).to_be_visible()
    expect(page).to_have_url(re.compile("task=shop.report"))
    assert {dashboard.app.status(job).state for job in jobs} == {JobState.CANCELLED}
    assert dashboard.app.status(late).state is JobState.SCHEDULED


def test_a_lost_job_is_put_back(visit: Visit, dashboard: Site) -> None:
    """Its message is gone, as after a store that lost its memory, and the history alone knows of it."""
    Recorder(dashboard.history, "a store of yesterday").tell(
        queued("lost-and-found", time.time() - 3600, queue="celery", task="shop.thumbnail", args=["mulberry.png"])
    )
    page = visit().go("jobs/lost-and-found")
    expect(page.locator("#whereabouts")).to_contain_text("lost")
    page.get_by_role("button", name="Put it back").click()
    expect(page.get_by_role("status").filter(has_text="was put back")).to_be_visible()
    dashboard.recorded("lost-and-found", JobState.SUCCEEDED)
    expect(page.locator("#whereabouts")).to_contain_text("succeeded")
    expect(page.get_by_role("button", name="Put it back")).to_have_count(0)


def test_jobs_are_ticked_and_cancelled_by_keyboard(visit: Visit, dashboard: Site) -> None:
    jobs = [dashboard.app.send_task("shop.report", (f"tick{n}",), countdown=86_400).id for n in range(3)]
    for job in jobs:
        dashboard.recorded(job, JobState.SCHEDULED)
    visitor = visit()
    page = visitor.go("jobs?task=shop.report&state=scheduled&since=1h")
    for job in reversed(jobs[:2]):
        reach(page, lambda job=job: page.evaluate("() => document.activeElement.value") == job)  # type: ignore[misc]
        page.keyboard.press("Space")
    visitor.check()
    page.set_viewport_size({"width": 1100, "height": 420})
    page.evaluate("() => scrollTo(0, 0)")
    expect(page.get_by_role("button", name="Cancel: ticked…")).to_be_in_viewport()
    press(page, "Cancel: ticked…")
    expect(page.locator(".sure").first).to_contain_text("2 jobs are chosen")
    press(page, "Cancel 2 jobs")
    expect(page.get_by_role("status").filter(has_text="2 cancelled")).to_be_visible()
    assert [dashboard.app.status(job).state for job in jobs] == [JobState.CANCELLED] * 2 + [JobState.SCHEDULED]


def test_letters_are_ticked_and_dropped_without_scripts(visit: Visit, dashboard: Site) -> None:
    job, other = failed(dashboard, "bullaces"), failed(dashboard, "greengages")
    page = visit(java_script_enabled=False).go("dead?task=shop.reserve&since=1h")
    page.get_by_role("button", name="Drop: ticked…").click()
    expect(page.get_by_role("status").filter(has_text="Nothing was chosen")).to_be_visible()
    page.locator("tr", has_text="bullaces").get_by_role("checkbox").check()
    page.get_by_role("button", name="Drop: ticked…").click()
    page.get_by_role("button", name="Drop: 1 dead letter").click()
    expect(page.get_by_role("status").filter(has_text="1 dropped")).to_be_visible()
    assert set(dashboard.app.dead_letters.current([job, other])) == {other}


def test_pages_are_read_and_acted_on_without_scripts(visit: Visit, dashboard: Site) -> None:
    job = failed(dashboard, "sloes")
    dashboard.open_gate("stock-sloes")
    page = visit(java_script_enabled=False).go("jobs")
    page.get_by_label("Id, arguments or error", exact=True).fill("sloes")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_role("link", name="Retry all…").click()
    page.get_by_role("button", name="Retry 1 job").click()
    expect(page.get_by_role("status").filter(has_text="1 queued again")).to_be_visible()
    gone(dashboard, job)
    dashboard.recorded(job, JobState.SUCCEEDED)
    page.get_by_role("link", name="shop.reserve").click()
    expect(page.locator("#whereabouts")).to_contain_text("succeeded")
    page.locator("#life summary").click()
    expect(page.locator("#life tbody tr").first).to_be_visible()


def test_failures_lead_to_their_jobs(visit: Visit, dashboard: Site) -> None:
    page = visit().go("failures")
    page.locator("tr", has_text="OutOfStock").get_by_role("link", name="failed jobs").click()
    expect(page.locator("#found")).to_contain_text("pears is not there")
    page.go_back()
    page.locator("tr", has_text="OutOfStock").get_by_role("link", name="dead letters").click()
    expect(page.locator("#found")).to_contain_text("pears is not there")


def test_a_letter_is_replayed_and_another_one_dropped(visit: Visit, dashboard: Site) -> None:
    job, other = failed(dashboard, "plums"), failed(dashboard, "damsons")
    dashboard.open_gate("stock-plums")
    page = leaving(visit()).go(f"dead/{job}")
    expect(page.locator("main")).to_contain_text('"plums"')
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status").filter(has_text="runs again")).to_be_visible()
    gone(dashboard, job)
    dashboard.recorded(job, JobState.SUCCEEDED)
    page.goto(f"{dashboard.root}/dead/{quote(other)}")
    page.get_by_text("Drop…").click()
    page.get_by_role("button", name="Drop it").click()
    expect(page.get_by_role("status").filter(has_text="was dropped")).to_be_visible()
    gone(dashboard, other)


def test_all_letters_of_a_task_are_replayed_with_care(visit: Visit, dashboard: Site) -> None:
    jobs = [failed(dashboard, f"figs-{n}") for n in range(3)]
    for n in range(3):
        dashboard.open_gate(f"stock-figs-{n}")
    page = visit().go("dead?task=shop.reserve&since=1h")
    page.get_by_role("link", name="Replay with care: all…").click()
    count = int(re.search(r"\d+", page.locator(".sure strong").inner_text())[0])  # type: ignore[index]
    assert count >= 3
    page.get_by_label("Stop when more than so many in a hundred fail again").fill("99")
    page.get_by_role("button", name=re.compile("Replay with care: ")).click()
    expect(page.get_by_role("status").filter(has_text="It has begun")).to_be_visible()
    for job in jobs:
        gone(dashboard, job)
    expect(page.locator("#canaries")).to_contain_text("all were replayed")
    # What has failed for good all the same is still there.
    expect(page.locator("#found")).to_contain_text("pears is not there")


def test_the_whole_way_by_keyboard_alone(visit: Visit, dashboard: Site) -> None:
    """From the first page to a job that failed, and through everything that is done to it, without a pointer."""
    job = failed(dashboard, "medlars")
    dashboard.open_gate("stock-medlars")
    visitor = leaving(visit())
    page = visitor.open()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "content"
    page.goto(f"{dashboard.root}/")
    press(page, "Jobs")
    expect(page).to_have_url(f"{dashboard.root}/jobs")
    reach(page, lambda: page.evaluate("() => document.activeElement.name") == "text")
    page.keyboard.type("medlars")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("text=medlars"))
    press(page, "shop.reserve")
    expect(page).to_have_url(re.compile(f"/jobs/{job}"))
    visitor.check()
    press(page, "Traceback")
    press(page, "Retry")
    expect(page.get_by_role("status").filter(has_text="runs again")).to_be_visible()
    dashboard.recorded(job, JobState.SUCCEEDED)
    expect(page.locator("#whereabouts")).to_contain_text("succeeded")
    gone(dashboard, job)
    press(page, "Delete…")
    press(page, "Delete this job")
    expect(page.get_by_role("status").filter(has_text="is deleted")).to_be_visible()
    press(page, "Dead letters")
    expect(page).to_have_url(f"{dashboard.root}/dead")
    press(page, "Drop: all…")
    expect(page).to_have_url(re.compile("act=drop"))
    press(page, "Back")
    expect(page).to_have_url(f"{dashboard.root}/dead")


def focused(page: Page) -> str:
    """What the keyboard is on, in words."""
    return str(page.evaluate("() => document.activeElement.innerText ?? ''")).strip()


def reach(page: Page, there: Callable[[], bool]) -> None:
    """Press Tab until ``there``."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if there():
            # It can be seen where the keyboard is.
            assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    pytest.fail(f"no Tab leads there on {page.url}", pytrace=False)


def press(page: Page, text: str) -> None:
    """Go to what says ``text``, and press it."""
    reach(page, lambda: focused(page) == text)
    page.keyboard.press("Enter")
