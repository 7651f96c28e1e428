"""Shops: the real thing, with and without a worker beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web.shop import Shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"), worker=True)
    try:
        yield shop.wait_started()
    finally:
        shop.close()


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Open further shops in one folder of this test, so that they share a store."""
    shops: list[Shop] = []

    def open_shop(**options: Any) -> Shop:
        shops.append(Shop(tmp_path, **options))
        return shops[-1].wait_started()

    yield open_shop
    for shop in shops:
        shop.close()
