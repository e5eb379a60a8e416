"""What is read off a request to the device registry: the body, where it comes from, how often, whose session."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import ManualClock
from bridge.receive.body import Rejected
from bridge.receive.origins import check_origin
from bridge.receive.posted import Posted, read_posted
from bridge.receive.session import sessions
from bridge.receive.throttle import MOST, PER_SECONDS, Throttle

ONE, OTHER = "8a1b3c4d-0000-4000-8000-000000000001", "8a1b3c4d-0000-4000-8000-000000000002"
PAGES = frozenset({"https://www.shop.example"})


def read(**fields: Any) -> Posted:
    found = read_posted(orjson.dumps(fields))
    assert isinstance(found, Posted)
    return found


def refusal(**fields: Any) -> str:
    found = read_posted(orjson.dumps(fields))
    assert isinstance(found, Rejected)
    return found.code


def test_what_is_said_beside_the_info_counts_more_than_what_is_in_it() -> None:
    info = {"platform": "ios", "oneSignalUserId": ONE}
    assert read(oneSignalInfo=info).platform == "ios"
    assert read(oneSignalInfo=info, platform="android").platform == "android"


def test_a_device_has_one_id_however_it_is_written() -> None:
    assert read(oneSignalUserId=ONE.upper()).subscription_id == ONE
    assert read(oneSignalUserId=ONE, subscription_id=ONE.upper()).subscription_id == ONE
    for other in (OTHER, "x", ONE.replace("-", ""), f"{{{ONE}}}"):
        assert refusal(oneSignalUserId=ONE, subscription_id=other) == "subscription-id-invalid"
        if other != OTHER:
            assert refusal(oneSignalUserId=other) == "subscription-id-invalid"


@pytest.mark.parametrize("no", [False, "false", "False", "0", 0, "no"], ids=repr)
def test_a_device_takes_pushes_unless_it_says_no(no: object) -> None:
    assert not read(oneSignalSubscribed=no).subscribed
    for other in (True, "true", "yes", 1, "", None, "odd"):
        assert read(oneSignalSubscribed=other).subscribed
    assert read().subscribed


@pytest.mark.parametrize(
    "nothing", ["", "null", "NULL", " Null ", "undefined", "(null)", "nil", None]
)
def test_what_javascript_makes_of_nobody_is_nobody(nothing: object) -> None:
    assert read(userId=nothing).user_id is None
    assert read(userId=nothing, external_id="u1").user_id == "u1"


def test_an_id_is_to_the_letter_as_events_have_it() -> None:
    assert (read(userId=" u1 ").user_id, read(userId=7.0).user_id) == (" u1 ", "7")
    assert refusal(userId="u1", external_id="u2") == "user-contradicts"
    assert read(userId="u1", user_id="u1").user_id == "u1"


@pytest.mark.parametrize(
    ("said", "platform"),
    [
        ({"platform": "android", "model": "iPhone14,2"}, "ios"),
        ({"platform": "android", "hardware": "iPad"}, "ios"),
        ({"platform": "web", "os": "iOS"}, "ios_web"),
        ({"platform": "web", "os": "Windows"}, "web"),
        ({"os": "Android"}, "android"),
        ({"platform": "huawei", "os": "android"}, "huawei"),
        ({}, None),
    ],
)
def test_a_device_that_any_field_calls_an_iphone_is_one(
    said: dict[str, str], platform: str | None
) -> None:
    assert read(**said).platform == platform


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({}, True),
        ({b"origin": b"https://www.shop.example"}, True),
        ({b"origin": b"https://www.shop.example.evil"}, False),
        ({b"origin": b"null"}, False),
        ({b"sec-fetch-site": b"cross-site"}, False),
        ({b"sec-fetch-site": b"Same-Site"}, False),
        ({b"sec-fetch-site": b"same-origin"}, True),
        ({b"sec-fetch-site": b"none"}, True),
    ],
)
def test_only_pages_that_are_listed_may_ask(headers: dict[bytes, bytes], *, may: bool) -> None:
    assert (check_origin(headers, PAGES) is None) is may


def test_a_user_says_something_new_so_often_and_then_has_to_wait() -> None:
    clock = ManualClock()
    throttle = Throttle(clock)
    assert [throttle.lets(1) for _ in range(MOST + 1)] == [True] * MOST + [False]
    assert throttle.lets(2)
    clock.advance(PER_SECONDS - 1)
    assert not throttle.lets(1)
    clock.advance(1)
    assert throttle.lets(1)


class Website:
    """A session endpoint, and what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.status, self.body = 200, b'{"userId":"u1"}'

    async def answer(self, request: Request) -> Response:
        headers = request.headers
        self.asked.append((headers.get("cookie", ""), headers.get("authorization", "")))
        return Response(self.body, self.status, headers={"set-cookie": "id=fresh; Path=/"})

    @property
    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(Starlette(routes=[Route("/me", self.answer)]))


async def test_a_session_is_its_cookies_and_its_authorization() -> None:
    website = Website()
    shown = [
        {b"cookie": b"id=1"},
        {b"cookie": b"id=1", b"authorization": b"x"},
        {b"cookie": b"id=1"},
    ]
    async with sessions(ManualClock(), website.transport) as known:
        for headers in shown:
            assert await known.user_of("http://shop.test/me", headers) == "u1"
        await known.user_of("http://shop.test/me", {b"authorization": b"y"})
    # What the endpoint set for one visitor is not shown to it as another's.
    assert website.asked == [("id=1", ""), ("id=1", "x"), ("", "y")]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"userId":7}', "7"), (200, b'{"userId":""}', "session-refused"), (200, b"{}", "session-refused"),
        (200, b"[1]", "session-refused"), (200, b"<html>", "session-unavailable"), (204, b"", "session-refused"),
        (302, b'{"userId":"u1"}', "session-refused"), (401, b"", "session-refused"),
        (408, b"", "session-unavailable"), (429, b"", "session-unavailable"), (500, b"", "session-unavailable"),
        (503, b'{"userId":"u1"}', "session-unavailable"),
    ],
)  # fmt: skip
async def test_only_an_answer_with_a_user_is_one_and_a_failure_is_none(
    status: int, body: bytes, said: str
) -> None:
    website = Website()
    website.status, website.body = status, body
    clock = ManualClock()
    async with sessions(clock, website.transport) as known:
        for _ in range(2):
            found = await known.user_of("http://shop.test/me", {b"cookie": b"id=1"})
            assert (found.code if isinstance(found, Rejected) else found) == said
        # A failure is asked about again at once, a no a few seconds later, a user a minute later.
        assert len(website.asked) == (2 if said == "session-unavailable" else 1)
        clock.advance(5.1)
        await known.user_of("http://shop.test/me", {b"cookie": b"id=1"})
        assert len(website.asked) == {"session-unavailable": 3, "session-refused": 2}.get(said, 1)
