"""The stack of requests, by context."""

from __future__ import annotations

import asyncio
import threading

from celery.utils.threads import LocalStack

from umbel.request_stack import ContextStack


def test_it_does_what_celerys_does() -> None:
    for kind in (ContextStack, LocalStack):
        stack = kind()
        assert (stack.top, stack.pop(), len(stack)) == (None, None, 0)
        stack.push("a")
        stack.push("b")
        assert (stack.top, list(stack.stack), len(stack)) == ("b", ["a", "b"], 2)
        assert (stack.pop(), stack.top, stack.pop(), stack.top) == ("b", "a", "a", None)


def test_threads_have_their_own() -> None:
    stack = ContextStack()
    stack.push("main")
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(stack.top))
    thread.start()
    thread.join()
    assert seen == [None]
    assert stack.top == "main"


def test_children_inherit_and_change_only_their_own() -> None:
    """C5: a gathered child sees its job's request; what it pushes is not seen by the job or its siblings."""

    async def child(stack: ContextStack, name: str) -> tuple[object, object]:
        before = stack.top
        stack.push(name)
        await asyncio.sleep(0)
        return before, stack.top

    async def main() -> None:
        stack = ContextStack()
        stack.push("job")
        found = await asyncio.gather(child(stack, "one"), child(stack, "two"))
        assert found == [("job", "one"), ("job", "two")]
        assert stack.top == "job"

    asyncio.run(main())


def test_two_stacks_are_two() -> None:
    one, two = ContextStack(), ContextStack()
    one.push("a")
    assert two.top is None
