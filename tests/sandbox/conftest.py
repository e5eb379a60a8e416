"""A sandbox in this process, on a clock that stands still; limits are off but where they matter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from bridge.clock import ManualClock
from bridge.sandbox import Limits, Sandbox, create_sandbox


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def limits() -> Limits:
    return Limits(enforced=False)


@pytest.fixture
def app(clock: ManualClock, limits: Limits) -> Starlette:
    return create_sandbox(clock=clock, limits=limits)


@pytest.fixture
def sandbox(app: Starlette) -> Sandbox:
    found: Sandbox = app.state.sandbox
    return found


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://sandbox",
        headers={"Authorization": "Key os_v2_app_x"},
    ) as client:
        yield client
