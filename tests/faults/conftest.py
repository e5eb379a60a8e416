"""Every test here has a world, and every world is checked: a test cannot forget its invariants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.disk import Switches, built
from tests.faults.forked import Nursery
from tests.faults.small_disk import Small, mounted, unmounted
from tests.faults.worlds import (
    Company,
    Inside,
    Outside,
    Worlds,
    inside as an_inside,
    outside as an_outside,
)

WORLDS = {"inside", "outside", "worlds"}


@pytest.fixture(autouse=True)
def _is_checked(request: pytest.FixtureRequest) -> None:
    """A test without a world has to say why."""
    if request.node.get_closest_marker("unchecked") is None:
        asked = WORLDS & set(request.fixturenames)
        assert asked, "ask for `inside` or `outside`, or say @pytest.mark.unchecked(why)"


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where bridges are forked that need not begin like any process."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
def company() -> Company:
    """For cases of one test that may be played together."""
    return Company()


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """A bridge in this process, with the clock in the test's hand."""
    async with an_inside(tmp_path) as world:
        yield world


@pytest.fixture
async def outside(tmp_path: Path, nursery: Nursery) -> AsyncIterator[Outside]:
    """Real processes."""
    async with an_outside(tmp_path, nursery) as world:
        yield world


@pytest.fixture
def worlds(tmp_path: Path, nursery: Nursery) -> Iterator[Worlds]:
    """For a test that needs more than one."""
    made = Worlds(tmp_path, nursery)
    yield made
    assert made.opened, "no world was opened, so nothing was checked"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk that fails, for LD_PRELOAD."""
    return built(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def switches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switches]:
    """Its faults, all of them off."""
    made = Switches(tmp_path_factory.mktemp("switches") / "switches")
    yield made
    made.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A disk of 100 MB; ask for it before the world whose database is on it."""
    made = mounted(tmp_path / "small")
    yield made
    unmounted(made)
