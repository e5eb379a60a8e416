"""Several sources, each with its mapping, to several apps, each with its own pace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bridge.app import running
from bridge.clock import ManualClock
from bridge.config.load import load_config
from bridge.config.mappings import load_mappings
from bridge.deliver.credit import Credit
from bridge.sandbox import Sandbox, create_sandbox
from tests.harness import APP_ID, Rig, identify, rig, signed, track

TAGS = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
"""


async def test_what_a_source_that_is_gone_has_left_waits_for_a_person_and_can_be_replayed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TAGS, sources=("backend", "old")) as here:
        here.means.destination.writes.hold(3600)
        await here.post(identify("u1", tier="gold"), "/v1/segment/old")
    async with rig(tmp_path, TAGS, sources=("backend",), clock=here.clock) as here:
        await here.settle()
        assert [one[3:] for one in await here.outcomes()] == [("dead", "source_gone")]
        (letter,) = await here.bridge.journal.dead_letters()
    async with rig(
        tmp_path,
        TAGS,
        sources=("backend", "old"),
        clock=here.clock,
        admin_token=SecretStr("admin"),
    ) as here:
        answer = await here.http.post(
            f"/api/v1/dead/{letter.id}/replay", headers={"authorization": "Bearer admin"}
        )
        assert answer.status_code == 200
        await here.settle()
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}


SHOP_ID = "8a1b3c4d-0000-4000-8000-00000000000a"
CLUB_ID = "8a1b3c4d-0000-4000-8000-00000000000b"
CONFIG = f"""
apps:
  shop: {{app_id: {SHOP_ID}, api_key: os_v2_app_shop, url: "http://shop.test"}}
  club: {{app_id: {CLUB_ID}, api_key: os_v2_app_club, url: "http://club.test"}}
sources:
  backend: {{secrets: backend-secret, app: shop, mappings: pushes.yaml}}
  members: {{secrets: members-secret, app: club, mappings: pushes.yaml}}
  profiles: {{secrets: profiles-secret, app: club, mappings: tags.yaml}}
"""
PUSHES = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "On its way"}
"""


class ByHost(httpx.AsyncBaseTransport):
    """Each app's requests to a sandbox of its own."""

    def __init__(self, sandboxes: dict[str, Any]) -> None:
        self._ways = {host: httpx.ASGITransport(app) for host, app in sandboxes.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._ways[request.url.host].handle_async_request(request)


class Two(Rig):
    """A bridge between three sources and two apps; `sandbox` is the shop's."""

    club: Sandbox

    async def send(self, source: str, event: dict[str, Any]) -> int:
        raw, headers = signed(event, f"{source}-secret")
        path = f"/v1/segment/{source}"
        return (await self.http.post(path, content=raw, headers=headers)).status_code


@asynccontextmanager
async def two(folder: Path, config_text: str = CONFIG) -> AsyncIterator[Two]:
    (folder / "bridge.yaml").write_text(config_text)
    (folder / "pushes.yaml").write_text(PUSHES)
    (folder / "tags.yaml").write_text(TAGS)
    environment = {
        "BRIDGE_CONFIG": str(folder / "bridge.yaml"),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder}/bridge.db",
    }
    config = load_config(environment)
    mappings, _ = load_mappings(config)
    clock = ManualClock()
    shop, club = create_sandbox(clock=clock), create_sandbox(clock=clock)
    transport = ByHost({"shop.test": shop, "club.test": club})
    async with running(config, mappings, clock=clock, transport=transport) as bridge:
        made = Two(bridge, shop.state.sandbox, clock)
        made.club = club.state.sandbox
        yield made
        await made.http.aclose()


async def test_each_source_reaches_its_app_through_its_mapping(tmp_path: Path) -> None:
    async with two(tmp_path) as here:
        here.sandbox.add_device("u1", "android", app_id=SHOP_ID)
        here.club.add_device("u1", "android", app_id=CLUB_ID)
        assert await here.send("backend", track("Order Shipped", properties={"id": "A1"})) == 200
        assert await here.send("members", track("Order Shipped", properties={"id": "M1"})) == 200
        assert await here.send("profiles", track("Order Shipped", properties={"id": "P1"})) == 200
        assert await here.send("profiles", identify("u1", tier="gold")) == 200
        await here.settle()

        shop = here.sandbox.user("u1", app_id=SHOP_ID)
        club = here.club.user("u1", app_id=CLUB_ID)
        assert shop is not None
        assert club is not None
        assert dict(shop.tags) == {"last_order": "A1"}
        assert dict(club.tags) == {"last_order": "M1", "tier": "gold"}
        assert (len(here.sandbox.pushes), len(here.club.pushes)) == (1, 1)
        assert not here.sandbox.complaints
        assert not here.club.complaints


async def test_a_source_is_known_by_its_own_secret_and_there_is_no_short_address(
    tmp_path: Path,
) -> None:
    async with two(tmp_path) as here:
        raw, headers = signed(track("Order Shipped"), "backend-secret")
        for path, status in (
            ("/v1/segment/members", 401),
            ("/v1/segment", 404),
            ("/v1/segment/none", 404),
        ):
            answer = await here.http.post(path, content=raw, headers=headers)
            assert answer.status_code == status


@pytest.mark.parametrize(
    "answer",
    [{"status": 403, "body": {"errors": ["no"]}}, {"status": 503}, {"status": 429, "headers": {"Retry-After": "3000"}}],
    ids=["key refused", "down", "limited"],
)  # fmt: skip
async def test_an_app_that_fails_does_not_slow_another(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    async with two(tmp_path) as here:
        for lanes in here.bridge.lanes.values():
            lanes._credit = Credit(40)
        here.sandbox.faults.script({"match": {}, "answers": [answer], "times": 1_000_000})
        for number in range(300):
            event = track("Order Shipped", f"s{number}", properties={"id": "A"})
            assert await here.send("backend", event) == 200
        await here.pass_time(60)
        for number in range(50):
            here.club.add_device(f"c{number}", "android", app_id=CLUB_ID)
            event = track("Order Shipped", f"c{number}", properties={"id": "M"})
            assert await here.send("members", event) == 200
        await here.pass_time(5)

        assert len(here.club.pushes) == 50
        assert not here.sandbox.pushes


async def test_what_an_app_that_is_gone_has_left_stays_for_its_return(tmp_path: Path) -> None:
    async with two(tmp_path) as here:
        here.bridge.means["shop"].destination.hold(3600)
        await here.send("backend", track("Order Shipped", properties={"id": "A1"}))
    async with rig(tmp_path, TAGS, clock=here.clock, admin_token=SecretStr("admin")) as alone:
        await alone.pass_time(60)
        assert (await alone.bridge.journal.counts()).pending == 1
        assert await alone.outcomes() == []
        status = await alone.http.get("/api/v1/status", headers={"authorization": "Bearer admin"})
        assert status.json()["problems"] == ["1 events wait for app shop, which is not configured"]


ROWS = """
version: 1
rules:
  - name: vip
    when: audience.key = "vip"
    do: {update_user: {tags: {vip: "{{ audience.entered }}"}}}
"""
CLIENT = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: any, when: event = "Hello", do: {send_notification: {contents: "any"}}}
  - {name: named, when: source = "members" and event = "Hello", do: {send_notification: {contents: "named"}}}
"""


async def test_a_source_is_read_and_trusted_as_the_file_says(tmp_path: Path) -> None:
    config = CONFIG.replace(
        "app: club, mappings: tags.yaml",
        ("app: club, mappings: rows.yaml, reverse_etl: {mode: mirror, key: vip}"),
    ).replace("app: club, mappings: pushes.yaml", "app: club, mappings: client.yaml, trust: client")
    (tmp_path / "rows.yaml").write_text(ROWS)
    (tmp_path / "client.yaml").write_text(CLIENT)
    async with two(tmp_path, config) as here:
        here.club.add_device("u1", "android", app_id=CLUB_ID)
        assert await here.send("profiles", track("new", "u1", "m1")) == 200
        assert await here.send("profiles", track("deleted", "u2", "m2")) == 200
        assert await here.send("members", track("Hello", "u1", "m3")) == 200
        await here.settle()

        users = [here.club.user(name, app_id=CLUB_ID) for name in ("u1", "u2")]
        assert [user and dict(user.tags) for user in users] == [{"vip": "true"}, {"vip": "false"}]
        assert len(here.club.pushes) == 1
        assert {one[1]: one[3:] for one in await here.outcomes() if one[0] == 3} == {
            "any": ("skipped", "client_source"),
            "named": ("delivered", None),
        }


# Restraint


async def test_a_dry_run_calls_nobody_and_says_what_it_would_have_done(tmp_path: Path) -> None:
    async with rig(tmp_path, PUSHES, dry_run="yes") as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(track("Order Shipped", properties={"id": "A1"}))
        await here.settle()

        assert not here.sandbox.calls
        assert [one[1:] for one in await here.outcomes()] == [
            ("shipped", "send_notification", "skipped", "dry_run"),
            ("shipped", "update_user", "skipped", "dry_run"),
        ]


async def test_a_push_that_was_written_before_a_dry_run_waits_for_the_real_one(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, PUSHES) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.means.destination.sends.hold(3600)
        await here.post(track("Order Shipped", properties={"id": "A1"}))
        await here.still()
        calls = len(here.sandbox.calls)
        onesignal = here.sandbox
    async with rig(tmp_path, PUSHES, dry_run="yes", clock=here.clock) as dry:
        await dry.pass_time(600)
        assert not dry.sandbox.calls
        assert (await dry.bridge.journal.counts()).pending == 1
    assert len(onesignal.calls) == calls
    async with rig(tmp_path, PUSHES, clock=here.clock) as real:
        real.sandbox.add_device("u1", "android", app_id=APP_ID)
        await real.settle(within=60)
        assert len(real.sandbox.pushes) == 1


async def test_only_the_people_listed_are_written_to_and_pushed(tmp_path: Path) -> None:
    async with rig(tmp_path, PUSHES, only_users=("ann",)) as here:
        for user in ("ann", "Ann", "ben"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
            await here.post(track("Order Shipped", user, properties={"id": "A1"}))
        await here.settle()

        assert len(here.sandbox.pushes) == 1
        assert {(seq, status, reason) for seq, *_, status, reason in await here.outcomes()} == {
            (1, "delivered", None),
            (2, "skipped", "not_listed"),
            (3, "skipped", "not_listed"),
        }
        assert {call.path.rpartition("/")[2] for call in here.sandbox.calls} <= {
            "ann",
            "notifications",
        }
