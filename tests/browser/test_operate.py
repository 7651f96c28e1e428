"""Queues, workers, batches, schedules, tasks and graphs in a browser: each action as a person does it (C4, C33)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from celery import chord
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site, opened
from tests.browser.visitor import DESKTOP, LOOKS, PHONE, Look, Visitor
from tests.integration.worker.plant import until
from umbel import JobState

pytestmark = [pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Plant:
    """A site at work, and what is to be seen in it."""

    site: Site
    batch: str
    order: str
    #: The job that follows a chord of three, which no job has dispatched.
    body: str
    node: str


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with opened(tmp_path_factory.mktemp("operate")) as site:
        site.start_worker()
        site.start_web()
        order = site.send("order", 7)
        failed = site.send("reserve", "pear")
        site.send("count_stock", queue="stock")
        picture = site.app.signature("shop.thumbnail", args=("x.png",), immutable=True)
        body = chord([picture.clone() for _ in range(3)])(picture.clone())
        with site.app.batch("pictures", allow_failures=1) as batch:
            batch.add(*(picture.clone() for _ in range(5)))
        site.recorded(order, JobState.SUCCEEDED)
        site.recorded(failed, JobState.FAILED)
        until(lambda: batch.status().finished is not None, "the batch ends")
        site.recorded(body.id, JobState.SUCCEEDED)
        until(lambda: len(site.history.workflows.of(order).jobs) == 4, "the workflow is recorded")
        (worker,) = site.app.engine.workers()
        yield Plant(site, batch.id, order, body.id, worker.hostname)


def visit(browser: Browser, plant: Plant, look: Look = DESKTOP) -> Visitor:
    return Visitor(browser, plant.site.root, look)


def said(page: Page, text: str) -> None:
    """Wait until the page says what became of a form."""
    expect(page.get_by_role("status").filter(has_text=text).first).to_be_visible()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_each_page_is_well_in_every_look(browser: Browser, plant: Plant, look: Look) -> None:
    visitor = visit(browser, plant, look)
    paths = (
        "queues", "queues/celery", "queues/stock", "workers", f"workers/{plant.node}", "batches",
        f"batches/{plant.batch}", "schedules", "tasks", "tasks/shop.thumbnail", "tasks/shop.reserve?span=hour",
    )  # fmt: skip
    for path in paths:
        visitor.open(path)
    visitor.close()


def test_c4_the_queue_that_nobody_consumes_is_the_first(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("queues")
    first = page.locator("tbody tr").first
    expect(first).to_contain_text("stock")
    expect(first).to_contain_text("no consumer")
    visitor.close()


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=lambda look: look.name)
def test_a_queue_is_paused_resumed_and_purged(browser: Browser, plant: Plant, look: Look) -> None:
    engine, visitor = plant.site.app.engine, visit(browser, plant, look)

    def is_paused() -> bool:
        return any(one.paused for one in engine.queues() if one.name == "stock")

    page = visitor.open("queues")
    page.get_by_role("link", name="stock", exact=True).first.click()
    page.get_by_role("button", name="Pause", exact=True).last.click()
    said(page, "paused")
    assert is_paused()
    visitor.check()
    page.get_by_role("button", name="Resume").click()
    said(page, "resumed")
    assert not is_paused()
    plant.site.send("count_stock", queue="stock")
    page.reload()
    page.get_by_label("to confirm").fill("stok")
    page.get_by_role("button", name="Drop").click()
    said(page, "Nothing was dropped")
    page.get_by_label("to confirm").fill("stock")
    page.get_by_role("button", name="Drop").click()
    said(page, "dropped from")
    assert engine.names.size("stock") == 0
    visitor.close()


def test_c33_a_limit_is_changed_for_the_fleet_and_reset(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("queues/stock")
    page.get_by_label("Starts").fill("90/m")
    page.get_by_role("button", name="Change for the whole fleet").click()
    said(page, "90/m")
    page = visitor.open("workers")
    row = page.locator("#limits tr", has_text="queue:stock")
    expect(row).to_contain_text("90/m")
    row.get_by_role("button", name="Reset").click()
    said(page, "as it is declared")
    assert "queue:stock" not in {one.name for one in plant.site.app.limits.status()}
    visitor.close()


def test_a_worker_gets_more_slots_and_fewer_by_the_keyboard_alone(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("workers")
    page.get_by_role("link", name=plant.node).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/workers/{plant.node}")
    expect(page.locator("tr", has_text="release").first).to_contain_text("environment UMBEL_RELEASE")
    page.get_by_label("Grow by").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    said(page, "more at a time")
    expect(page.locator("dl.figures div", has_text="Slots")).to_contain_text("3")
    page.get_by_label("Shrink by").focus()
    page.keyboard.press("Enter")
    said(page, "fewer at a time")
    expect(page.locator("dl.figures div", has_text="Slots")).to_contain_text("2")
    visitor.check()
    visitor.close()


def test_an_entry_of_the_schedule_runs_now(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("schedules")
    expect(page.locator("#schedules")).to_contain_text("umbel beat")
    page.get_by_role("button", name="Run now: stock").click()
    said(page, "was dispatched as job")
    visitor.close()


def test_a_batch_shows_its_members_by_state(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("batches")
    page.get_by_role("link", name="pictures").click()
    expect(page.locator("#batch")).to_contain_text("5 of 5 members have ended")
    expect(page.locator("#members tbody tr")).to_have_count(5)
    page.get_by_role("navigation", name="States").get_by_role("link", name="failed").click()
    expect(page.locator("#members")).to_contain_text("None is failed")
    visitor.check()
    visitor.close()


def test_a_batch_is_cancelled_after_a_question(browser: Browser, plant: Plant) -> None:
    app, visitor = plant.site.app, visit(browser, plant, PHONE)
    with app.batch("stuck") as batch:
        batch.add(app.signature("shop.thumbnail", args=("1.png",), queue="stock"))
    page = visitor.open(f"batches/{batch.id}")
    page.locator("summary", has_text="Cancel batch").click()
    page.get_by_role("button", name="Cancel batch").click()
    said(page, "is cancelled")
    assert batch.status().state == "cancelled"
    visitor.check()
    visitor.close()


def test_a_task_has_histograms_and_what_failed(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("tasks")
    page.get_by_role("link", name="shop.reserve").click()
    expect(page.get_by_role("img", name="How long they ran")).to_be_visible()
    expect(page.locator("#failures")).to_contain_text("OutOfStock")
    page.get_by_role("link", name="last week").click()
    page.wait_for_url("**span=week")
    visitor.check()
    visitor.close()


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=lambda look: look.name)
def test_a_workflow_is_a_graph_and_a_list_whose_jobs_are_links(browser: Browser, plant: Plant, look: Look) -> None:
    visitor = visit(browser, plant, look)
    page = visitor.open(f"jobs/{plant.order}")
    graph = page.locator("svg.graph")
    expect(graph.locator("a.node")).to_have_count(4)
    expect(graph.locator("a.current")).to_have_count(1)
    page.get_by_text("The workflow as a list").click()
    page.locator("details ul ul a").first.click()
    page.wait_for_url("**/jobs/*")
    assert plant.order not in page.url
    expect(page.locator("svg.graph a.current")).to_have_count(1)
    visitor.check()
    visitor.close()


def test_a_chord_is_its_members_in_a_box_and_what_follows_them(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open(f"jobs/{plant.body}")
    expect(page.locator("svg.graph a.node")).to_have_count(4)
    expect(page.locator("svg.graph rect.group")).to_have_count(1)
    expect(page.locator("svg.graph path.edge")).to_have_count(1)
    visitor.close()


def test_pages_are_live_without_a_click(browser: Browser, plant: Plant) -> None:
    visitor = visit(browser, plant)
    page = visitor.open("queues/stock")
    expect(page.locator("#queue dl.figures div", has_text="Delayed")).to_contain_text("0")
    plant.site.send("count_stock", queue="stock", countdown=3600)
    expect(page.locator("#queue dl.figures div", has_text="Delayed")).to_contain_text("1")
    visitor.close()


def test_a_worker_is_drained_after_a_question(browser: Browser, plant: Plant) -> None:
    """The last one: nobody replaces it."""
    visitor = visit(browser, plant)
    page = visitor.open(f"workers/{plant.node}")
    page.locator("summary", has_text="Drain").click()
    page.get_by_role("button", name="Drain").click()
    said(page, "ends its jobs and goes")
    plant.site.workers[0].wait()
    page.reload()
    expect(page.locator("#workers")).to_contain_text("No worker is running")
    visitor.close()
