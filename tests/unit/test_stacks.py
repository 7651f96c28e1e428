"""Where a thread or a coroutine stands, as it is shown: bounded, and without any value."""

from __future__ import annotations

import asyncio
import threading

from umbel.engine.stacks import FRAMES_MOST, Stack, of_coroutine, of_thread


def functions(stack: Stack) -> list[str]:
    return [frame.function.rpartition(".")[2] for frame in stack.frames]


def standing(depth: int, secret: str) -> Stack:
    """The stack of a thread that waits ``depth`` calls deep."""
    there, go = threading.Event(), threading.Event()

    def deeper(left: int, secret: str) -> None:
        if left:
            deeper(left - 1, secret)
        else:
            there.set()
            go.wait(60)

    thread = threading.Thread(target=deeper, args=(depth, secret))
    thread.start()
    assert there.wait(60)
    found = of_thread(thread.ident or 0)
    go.set()
    thread.join(60)
    return found


def test_a_thread_is_shown_from_its_own_code_on_without_values() -> None:
    stack = standing(3, "hunter2")
    assert functions(stack)[:4] == ["deeper"] * 4
    assert stack.frames[0].file.endswith("test_stacks.py")
    assert stack.frames[3].code == "go.wait(60)"
    assert "hunter2" not in repr(stack)
    assert stack.omitted == 0


def test_a_deep_one_is_cut_outside() -> None:
    stack = standing(200, "")
    assert len(stack.frames) == FRAMES_MOST
    assert stack.omitted > 150
    assert "go.wait(60)" in [frame.code for frame in stack.frames]


def test_a_thread_that_has_ended_stands_nowhere() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert of_thread(thread.ident or 0) == Stack(())


def test_a_coroutine_is_shown_by_what_it_awaits() -> None:
    async def inner(future: asyncio.Future[None], secret: str) -> None:
        await future

    async def outer(future: asyncio.Future[None]) -> None:
        secret = "hunter2"
        await inner(future, secret)

    async def main() -> Stack:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        body = outer(future)
        task = asyncio.create_task(body)
        await asyncio.sleep(0)
        found = of_coroutine(body, task)
        future.set_result(None)
        await task
        return found

    stack = asyncio.run(main())
    assert functions(stack) == ["outer", "inner"]
    assert stack.frames[1].code == "await future"
    assert "hunter2" not in repr(stack)


def test_behind_gathered_ones_stands_the_first_that_is_not_done() -> None:
    async def child(future: asyncio.Future[None]) -> None:
        await future

    async def done() -> None:
        return

    async def parent(future: asyncio.Future[None]) -> None:
        await asyncio.gather(done(), child(future), child(future))

    async def main() -> Stack:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        body = parent(future)
        task = asyncio.create_task(body)
        for _ in range(5):
            await asyncio.sleep(0)
        found = of_coroutine(body, task)
        future.set_result(None)
        await task
        return found

    stack = asyncio.run(main())
    assert functions(stack) == ["parent", "child"]
    assert stack.waits == "2 of 3 gathered"


def test_a_coroutine_that_runs_just_now_is_its_thread() -> None:
    async def body() -> Stack:
        return of_coroutine(coroutine, thread=threading.get_ident())

    coroutine = body()
    assert "body" in functions(asyncio.run(coroutine))
