"""The router tells how far a batch is, to whom may know."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import FastAPI, Request
from httpx import ASGITransport, AsyncClient, Response

from umbel import Umbel
from umbel.engine.batches import FAILED, MemberEnd
from umbel.engine.store import Settled


def caller(request: Request) -> str | None:
    return request.headers.get("x-user")


def test_c20_a_batch_is_shown_to_its_owner_only(tmp_path: Path) -> None:
    app = Umbel("shop", broker=f"sqlite:///{tmp_path}/jobs.db", set_as_current=False)

    @app.task(name="work", shared=False)
    def work() -> None: ...

    with app.batch("import", owner="ann") as batch:
        (one, _) = batch.add(work.s(), work.s())
    app.engine.settle([Settled(end=MemberEnd(batch.id, one, FAILED))])
    api = FastAPI()
    api.include_router(app.router(owner=caller))
    answer = get(api, f"/jobs/batches/{batch.id}", "ann")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["name"], told["state"]) == ("import", "running")
    assert (told["total"], told["failed"], told["pending"]) == (2, 1, 1)
    assert "owner" not in told
    for path, user in ((batch.id, "bob"), ("unknown", "ann"), ("%20", "ann")):
        assert get(api, f"/jobs/batches/{path}", user).status_code == 404
    assert get(api, f"/jobs/{one}", "bob").status_code == 404, "its members are the owner's too"
    app.engine.close()
    app.close()


def get(api: FastAPI, path: str, user: str) -> Response:
    async def ask() -> Response:
        async with AsyncClient(transport=ASGITransport(app=api), base_url="http://shop") as client:
            return await client.get(path, headers={"x-user": user})

    return asyncio.run(ask())
