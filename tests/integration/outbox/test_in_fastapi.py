"""The block in FastAPI's dependencies: part of the request where it can be, an error where it cannot (C12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.integration.outbox.shop import Order, Shop
from tests.integration.worker.plant import until
from umbel.errors import ConfigurationError

pytestmark = pytest.mark.parametrize("place", ["sqlite-embedded"], indirect=True)


def ask(api: FastAPI, *paths: str) -> list[int]:
    async def get() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://shop") as client:
            return [(await client.get(path)).status_code for path in paths]

    return asyncio.run(get())


# The driver's thread tells a loop that has ended by then that it has closed the connection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_in_an_async_dependency_the_endpoint_dispatches_in_its_transaction(shop: Shop) -> None:
    async def transaction() -> AsyncIterator[AsyncSession]:
        async with (
            shop.async_engine() as engine,
            AsyncSession(engine) as session,
            session.begin(),
            shop.jobs.in_transaction(session),
        ):
            yield session

    async def buy(label: str, session: AsyncSession) -> str:
        session.add(Order(label=label))
        await shop.confirm.aapply_async((label,), task_id=label)
        if label == "refused":
            raise HTTPException(409)
        return label

    api = FastAPI()
    # Committed before the response goes out.
    mark = Depends(transaction, scope="function")

    @api.get("/{label}")
    async def endpoint(label: str, session: Any = mark) -> str:
        return await buy(label, session)

    assert ask(api, "/a", "/refused") == [200, 409]
    relay = shop.relay()
    until(lambda: relay.drain() and shop.has("a") and shop.rows() == 0, "the job is queued")
    relay.close()
    assert not shop.has("refused")
    assert shop.labels() == ["a"]


def test_in_a_plain_generator_it_is_an_error(shop: Shop) -> None:
    def transaction() -> Iterator[Session]:
        with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
            yield session

    api = FastAPI()
    mark = Depends(transaction, scope="function")

    @api.get("/")
    def endpoint(session: Any = mark) -> str:
        return "never"

    with pytest.raises(ConfigurationError, match="another context"):
        ask(api, "/")
