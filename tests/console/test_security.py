"""What somebody might try at the console and the API: refused, or shown as text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from structlog.testing import capture_logs

from bridge.app.doors import console_of
from bridge.app.views import views_of
from tests.console.visiting import SETTINGS, TOKENS, Visitor, browser, form_of, visiting
from tests.harness import APP_ID, Rig, identify, rig, track

OPEN = {"/console/login", "/console/assets/{name}"}
NOTHING = "version: 1\nrules: []"
SCRIPT = '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">\'"&{{7*7}}'


def address(route: Route) -> str:
    for name in ("{seq}", "{id}", "{key}", "{external_id:path}", "{name}"):
        route_path = route.path.replace(name, "1")
        route = Route(route_path, route.endpoint, methods=list(route.methods or ()))
    return route.path


def console_routes(here: Rig) -> list[tuple[str, str]]:
    """Method and address of every page and form that is not for everybody."""
    return sorted(
        (method, address(route))
        for route in console_of(here.bridge, views_of(here.bridge)).routes()
        if route.path not in OPEN
        for method in (route.methods or set()) - {"HEAD"}
    )


def api_routes(here: Rig) -> list[tuple[str, str]]:
    app: Any = here.bridge.app
    return sorted(
        (method, address(route))
        for route in app._rest.routes
        if route.path.startswith("/api/")
        for method in (route.methods or set()) - {"HEAD"}
    )


async def test_no_page_or_form_is_anybodys(tmp_path: Path) -> None:
    async with rig(tmp_path, NOTHING, **SETTINGS) as here:
        found = console_routes(here)
        assert len(found) > 20
        stranger = browser(here, cookies={"bridge_session": "e30.0000"}).http
        for method, path in found:
            answer = await stranger.request(method, path, headers={"authorization": "Bearer x"})
            # A page leads to the form for signing in; a form answers with it, and does nothing.
            assert answer.status_code == (303 if method == "GET" else 401), (method, path)
            if method == "GET":
                assert answer.headers["location"].startswith("/console/login")


async def test_no_route_of_the_api_is_anybodys(tmp_path: Path) -> None:
    async with rig(tmp_path, NOTHING, **SETTINGS) as here:
        found = api_routes(here)
        assert len(found) > 15
        for method, path in found:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "bridge_session=x"}):
                answer = await here.http.request(method, path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "token-wrong"), path


async def test_who_only_looks_changes_nothing_by_the_api(tmp_path: Path) -> None:
    async with rig(tmp_path, NOTHING, **SETTINGS) as here:
        headers = {"authorization": f"Bearer {TOKENS['view']}"}
        for method, path in api_routes(here):
            if method == "GET" or path == "/api/v1/try":  # which changes nothing
                continue
            answer = await here.http.request(method, path, headers=headers, json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "role-insufficient"), path
        headers = {"authorization": f"Bearer {TOKENS['operate']}"}
        erasing = await here.http.delete("/api/v1/users/u1", headers=headers)
        assert erasing.status_code == 403


@pytest.mark.parametrize("role", ["view", "operate"])
async def test_a_form_of_another_role_does_nothing(tmp_path: Path, role: str) -> None:
    allowed = {
        "view": {"/console/logout", "/console/theme", "/console/try"},
        "operate": {
            "/console/pause", "/console/resume", "/console/people", "/console/waiting/act", "/console/waiting/hold",
            "/console/logout", "/console/theme", "/console/try",
        },
    }[role]  # fmt: skip
    async with visiting(tmp_path, role) as (here, visitor):
        csrf = form_of(await visitor.get("/console/audit"), "/console/logout")["csrf"]
        for method, path in console_routes(here):
            if method == "POST" and path not in allowed:
                answer = await visitor.http.post(path, data={"csrf": csrf})
                assert answer.status_code == 403, path
                assert "That takes the role" in answer.text


async def test_no_form_is_taken_without_its_mark(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin") as (here, visitor):
        for method, path in console_routes(here):
            if method == "POST":
                answer = await visitor.http.post(path, data={"csrf": "0" * 64})
                assert answer.status_code == 403, path
                assert "Nothing was done" in answer.text


# Who was erased


OF_A_USER = (
    "/api/v1/explain?user={}", "/api/v1/events?user={}", "/api/v1/users/{}",
    "/console/people?user={}", "/console/events?q={}",
)  # fmt: skip


async def told_of(visitor: Visitor, role: str, user: str) -> list[str]:
    """All that the API and the console answer about a user, but for the id itself."""
    headers = {"authorization": f"Bearer {TOKENS[role]}"}
    found = [
        await visitor.http.get(path.format(user), headers=headers, follow_redirects=True)
        for path in OF_A_USER
    ]
    assert {one.status_code for one in found} == {200}
    return [one.text.replace(user, "WHO") for one in found]


LEGACY = {"onesignal_api": "legacy", "onesignal_legacy_flags": "trust"}


@pytest.mark.parametrize("settings", [{}, LEGACY], ids=["user-model", "legacy"])
async def test_who_only_looks_cannot_tell_who_was_erased_from_who_was_never_there(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with visiting(tmp_path, "view", **settings) as (here, visitor):
        here.sandbox.add_device("ada-1", "android", app_id=APP_ID)
        await here.post([identify("ada-1", tier="gold"), track("Order Shipped", "ada-1")])
        await here.settle()
        here.sandbox.faults.script({"match": {}, "answers": [{"status": 503}], "times": 1})
        headers = {"authorization": f"Bearer {TOKENS['admin']}"}
        await here.http.delete("/api/v1/users/ada-1", headers=headers)
        await here.still()
        # The request waits for OneSignal; who operates sees it.
        assert '"under_way":true' in (await told_of(visitor, "operate", "ada-1"))[0]
        for said in await told_of(visitor, "view", "ada-1"):
            assert not re.search('eras|under_way|forget-|>delete<|"delete"|tier', body_of(said)), (
                said
            )
        await here.settle()
        assert '"under_way":false' in (await told_of(visitor, "operate", "ada-1"))[0]
        assert await told_of(visitor, "view", "ada-1") == await told_of(visitor, "view", "zoe-7")


def body_of(page: str) -> str:
    """A page without what every page has, and an answer without its names."""
    return page.partition("<main")[2] or page.replace('"erased":[]', "")


async def test_the_trail_calls_nobody_by_their_hash_for_who_only_looks(tmp_path: Path) -> None:
    async with visiting(tmp_path, "view") as (here, visitor):
        headers = {"authorization": f"Bearer {TOKENS['admin']}"}
        await here.http.delete("/api/v1/users/ada-1", headers=headers)
        await here.settle()
        whose = f"{here.bridge.journal.user_hash('default', 'ada-1'):016x}"
        assert whose not in await visitor.get("/console/audit")
        seen = {}
        for role in TOKENS:
            answer = await here.http.get(
                "/api/v1/audit", headers={"authorization": f"Bearer {TOKENS[role]}"}
            )
            assert [one["what"] for one in answer.json()["lines"]] == [
                "a customer was erased", "asked to erase a customer",
            ]  # fmt: skip
            seen[role] = whose in answer.text
        assert seen == {"view": False, "operate": True, "admin": True}


# What is stored is shown as text


async def test_a_script_in_an_event_is_text_wherever_it_is_shown(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin", keep_unmatched="1d") as (here, visitor):
        here.sandbox.add_device(SCRIPT, "android", app_id=APP_ID)
        await here.post(track("Order Shipped", SCRIPT, "m-1", properties={"id": SCRIPT}))
        await here.post(track(SCRIPT, "u2", SCRIPT[:60], properties={SCRIPT: SCRIPT}))
        await here.post(identify(SCRIPT, "m-3", tier=SCRIPT))
        await here.settle()
        pages = [
            "/console", "/console/overview", "/console/events", "/console/events/1", "/console/events/2", "/console/events/3",
            "/console/waiting", "/console/audit", "/console/try?event=2", "/console/mappings",
        ]  # fmt: skip
        pages += [f"/console/{one}" for one in (
            str(httpx.URL("people", params={"user": SCRIPT})), str(httpx.URL("events", params={"q": SCRIPT})),
            str(httpx.URL("events", params={"name": SCRIPT, "rule": SCRIPT, "reason": SCRIPT})),
            str(httpx.URL("waiting", params={"rule": SCRIPT, "reason": SCRIPT})),
        )]  # fmt: skip
        for path in pages:
            page = await visitor.get(path)
            assert "<script>window" not in page, path
            assert "<img src=x" not in page, path


async def test_every_answer_says_what_a_page_may_do(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        for path in (
            "/console",
            "/console/events/99",
            "/console/assets/console.js",
            "/console/login",
        ):
            headers = (await visitor.http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
        page = await visitor.get("/console")
        assert "style=" not in page
        assert " onclick" not in page
        assert (await visitor.http.get("/console")).headers["cache-control"] == "no-store"


# What is asked


@pytest.mark.parametrize(
    "name",
    ["../shell.py", "..%2fshell.py", "%2e%2e/door.py", "console.css/../../door.py", "templates/base.html.j2", "/etc/passwd", "__init__.py", "console.css%00"],
)  # fmt: skip
async def test_no_file_but_the_consoles_own_is_served(tmp_path: Path, name: str) -> None:
    async with visiting(tmp_path) as (_, visitor):
        answer = await visitor.http.get(f"/console/assets/{name}")
        assert answer.status_code == 404, name
        assert "import" not in answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize(
    "path", ["/console", "/console/events", "/console/people", "/console/login"]
)
async def test_an_address_that_is_too_long_is_refused(tmp_path: Path, path: str) -> None:
    async with visiting(tmp_path) as (_, visitor):
        assert (await visitor.http.get(f"{path}?q={'x' * 5000}")).status_code == 414


async def test_a_form_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        answer = await visitor.http.post("/console/try", content=b"event=" + b"x" * 2_000_000)
        assert answer.status_code == 413
        many = "&".join(f"a{n}=1" for n in range(1000))
        assert (await visitor.http.post("/console/try", content=many)).status_code == 413


async def test_a_token_is_not_read_for_longer_than_any_is(tmp_path: Path) -> None:
    async with rig(tmp_path, NOTHING, **SETTINGS) as here:
        stranger = browser(here).http
        answer = await stranger.post("/console/login", content=b"token=" + b"x" * 20_000)
        assert answer.status_code == 413


async def test_no_body_is_read_for_longer_than_it_means_anything(tmp_path: Path) -> None:
    headers = {"authorization": f"Bearer {TOKENS['admin']}"}
    async with rig(tmp_path, NOTHING, **SETTINGS) as here:
        for method, path in api_routes(here):
            if method == "POST":
                endless = Endless()
                answer = await here.http.post(path, headers=headers, content=endless.parts())
                assert answer.status_code in {400, 404, 413}, path
                assert endless.sent < 10_000_000, path


async def test_who_leaves_in_the_middle_of_a_body_has_asked_for_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin") as (here, visitor):
        await here.post(track("Signed Up", "u1", "m-1"))
        await here.post(track("Signed Up", "u2", "m-2"))
        await here.settle()
        mark = form_of(await visitor.get("/console/audit"), "/console/logout")["csrf"]
        cookie = "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())
        for _, path in [one for one in console_routes(here) if one[0] == "POST"]:
            await left(here, path, f"csrf={mark}".encode(), cookie=cookie)
        for method, path in api_routes(here):
            if method == "POST":
                await left(here, path, b"", authorization=f"Bearer {TOKENS['admin']}")
        held = await here.bridge.journal.sends.held_counts()
        assert sum(count for *_, count in held) == 1
        assert not here.bridge.brake.pauses


class Endless:
    """A body without an end."""

    def __init__(self) -> None:
        self.sent = 0

    async def parts(self) -> AsyncIterator[bytes]:
        while self.sent < 50_000_000:
            self.sent += 65_536
            yield b" " * 65_536


async def left(here: Rig, path: str, body: bytes, **headers: str) -> None:
    """Begin to send a body, and hang up; whatever is answered, nobody hears it."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("bridge.test", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(_: Any) -> None:
        return None

    await here.bridge.app(scope, receive, send)


async def test_a_guess_at_the_api_is_seen_in_the_log_and_never_what_was_guessed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, NOTHING, **SETTINGS) as here:
        with capture_logs() as logs:
            await here.http.get("/api/v1/status", headers={"authorization": "Bearer guess"})
        assert [one["reason"] for one in logs if one["event"] == "api.refused"] == ["token-wrong"]
        assert "guess" not in str(logs)


@pytest.mark.parametrize(
    "back",
    ["/console\r\nset-cookie: x=1", "https://evil.example", "//evil.example", "/console?a=\n"],
)
async def test_no_header_is_injected_by_where_a_form_leads_back(tmp_path: Path, back: str) -> None:
    async with visiting(tmp_path) as (_, visitor):
        done = await visitor.post("/console/pause", on="/console", back=back)
        assert done.headers["location"] == "/console?said=paused"
        assert "x=1" not in str(done.headers)


async def test_odd_queries_are_answered_and_not_with_a_fault(tmp_path: Path) -> None:
    async with visiting(tmp_path, "admin") as (here, visitor):
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        odd = ("\x00", "\ud7ff", "9" * 400, "-1", "' OR 1=1 --", "%", "../..", "{{7*7}}", "null")
        for value in odd:
            for path, names in (
                ("/console/events", ("q", "name", "state", "since", "until", "before", "rule", "reason", "source")),
                ("/console/people", ("user", "app")), ("/console/waiting", ("rule", "reason", "app")),
                ("/console/audit", ("before",)), ("/console/try", ("event", "edit", "source")), ("/console", ("rule", "said", "count")),
            ):  # fmt: skip
                for name in names:
                    answer = await visitor.http.get(path, params={name: value})
                    assert answer.status_code < 400, (path, name, value)
