"""Who comes into the console, for how long, and that a form is really theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.config.access import Access, Key, Person
from bridge.console.web.door import inside
from bridge.console.web.sessions import LASTS_SECONDS, Sessions
from tests.console.visiting import PEOPLE, SETTINGS, TOKENS, browser, form_of, visiting
from tests.harness import Rig, rig

EVENTS = "/console/events"


async def test_who_is_not_signed_in_is_asked_and_led_back(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        visitor = browser(here)
        asked = await visitor.http.get(f"{EVENTS}?q=u1&state=dead")
        assert asked.status_code == 303
        way = asked.headers["location"]
        page = await visitor.get(way)
        form = form_of(page, "/console/login") | {"token": TOKENS["view"]}
        entered = await visitor.http.post("/console/login", data=form)
        assert entered.headers["location"] == f"{EVENTS}?q=u1&state=dead"
        assert "vera" in await visitor.get(EVENTS)


@pytest.mark.parametrize("role", TOKENS)
async def test_a_token_opens_the_console_in_the_name_of_its_owner(
    tmp_path: Path, role: str
) -> None:
    async with visiting(tmp_path, role) as (_, visitor):
        assert f'title="{PEOPLE[role]}, {role}"' in await visitor.get(EVENTS)


async def test_the_one_admin_token_opens_it_too(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", admin_token=SecretStr("let-me-in")) as here:
        visitor = browser(here)
        await visitor.sign_in("let-me-in")
        assert 'title="admin, admin"' in await visitor.get(EVENTS)


async def test_without_a_token_configured_the_page_says_what_to_set(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []") as here:
        page = await browser(here).get("/console/login")
        assert "BRIDGE_ADMIN_TOKEN" in page
        assert 'name="token"' not in page


async def test_a_wrong_token_is_refused_and_never_logged(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        visitor = browser(here)
        with capture_logs() as logs:
            refused = await visitor.sign_in("not-a-token-of-ours", status=401)
        assert "Nobody has this token." in refused.text
        assert "not-a-token-of-ours" not in f"{logs}{refused.text}"
        assert (await visitor.http.get(EVENTS)).status_code == 303


async def test_who_guesses_waits_a_minute_and_others_do_not(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        guesser, other = browser(here), browser(here, client=("10.0.0.8", 1))
        for _ in range(10):
            await guesser.sign_in("guess", status=401)
        late = await guesser.sign_in(TOKENS["admin"], status=429)
        assert late.headers["retry-after"] == "60"
        await other.sign_in(TOKENS["admin"])
        await here.pass_time(61)
        await guesser.sign_in(TOKENS["admin"])


# The cookie


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        entered = await browser(here).sign_in(TOKENS["admin"])
        cookie = entered.headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax", "path=/console"} <= set(cookie.split("; "))
        assert TOKENS["admin"] not in cookie
        assert "secure" not in cookie
        proxied = {"x-forwarded-proto": "https"}
        private = browser(here, base_url="https://bridge.test", headers=proxied)
        assert "secure" in (await private.sign_in(TOKENS["admin"])).headers["set-cookie"].lower()


KEY = Key(Person("ada", "admin"), b"the-token-of-ada")
ACCESS = Access(keys=(KEY,))


def test_a_session_ends_after_half_a_day() -> None:
    sessions = Sessions(b"s" * 32)
    cookie = sessions.write(sessions.of_key(KEY, now_s=1000))

    assert sessions.read(cookie, now_s=1000 + LASTS_SECONDS - 1) is not None
    assert sessions.read(cookie, now_s=1000 + LASTS_SECONDS) is None
    assert sessions.read(cookie, now_s=999) is None


def test_a_session_is_over_when_its_token_is_not_its_owners_any_more() -> None:
    sessions = Sessions(b"s" * 32)
    session = sessions.of_key(KEY, now_s=1000)

    assert sessions.person(session, ACCESS) == KEY.person
    assert sessions.person(session, Access()) is None
    assert sessions.person(session, Access(keys=(Key(KEY.person, b"another-token"),))) is None
    assert sessions.person(session, Access(keys=(Key(KEY.person, None),))) is None


def test_a_role_is_what_it_is_now() -> None:
    sessions = Sessions(b"s" * 32)
    less = Access(keys=(Key(Person("ada", "view"), KEY.token),))

    assert sessions.person(sessions.of_key(KEY, now_s=0), less) == Person("ada", "view")


@pytest.mark.parametrize("change", ["x{}", "{}x", "{}.", "", "é{}", "{0}{0}"])
def test_a_cookie_that_was_touched_is_nobodys(change: str) -> None:
    sessions = Sessions(b"s" * 32)
    cookie = sessions.write(sessions.of_key(KEY, now_s=1000))

    assert sessions.read(change.format(cookie), now_s=1000) is None
    assert Sessions(b"t" * 32).read(cookie, now_s=1000) is None


async def test_signing_out_ends_the_session_for_everybody_who_has_its_cookie(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (here, visitor):
        thief = browser(here, cookies=dict(visitor.http.cookies))
        assert await thief.get(EVENTS)
        out = await visitor.post("/console/logout", on=EVENTS)
        assert out.headers["location"] == "/console/login"
        assert (await visitor.http.get(EVENTS)).status_code == 303
        assert (await thief.http.get(EVENTS)).status_code == 303


async def test_no_session_outlives_the_process_that_knows_who_has_signed_out(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (_, visitor):
        stolen = dict(visitor.http.cookies)
        await visitor.post("/console/logout", on=EVENTS)
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as again:
        assert (await browser(again, cookies=stolen).http.get(EVENTS)).status_code == 303


@pytest.mark.parametrize("said", ["https", "HTTPS", "https, http"])
async def test_behind_tls_the_cookie_is_for_tls_alone(tmp_path: Path, said: str) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        page = await browser(here).http.get("/console/login", headers={"x-forwarded-proto": said})
        assert "Secure" in page.headers["set-cookie"]


async def test_nobody_is_led_to_a_host_that_the_request_names(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        for path in ("/console/", "/livez/", "/api/v1/status/", "/console/login/"):
            answer = await here.http.get(path, headers={"host": "evil.example"})
            assert "evil.example" not in answer.headers.get("location", ""), path


# Forms


async def test_a_form_without_its_mark_does_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        form = form_of(await visitor.get(EVENTS), "/console/pause")
        for wrong in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "ü"}):
            refused = await visitor.http.post("/console/pause", data=form | {"csrf": ""} | wrong)
            assert refused.status_code == 403
            assert "Nothing was done" in refused.text
        assert here.bridge.brake.pauses == {}


async def test_a_mark_of_somebody_elses_is_none(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        other = browser(here)
        await other.sign_in(TOKENS["admin"])
        form = form_of(await other.get(EVENTS), "/console/pause")
        assert (await visitor.http.post("/console/pause", data=form)).status_code == 403
        assert here.bridge.brake.pauses == {}


async def test_a_form_that_another_site_sends_does_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        form = form_of(await visitor.get(EVENTS), "/console/pause")
        for site in ("cross-site", "same-site"):
            headers = {"sec-fetch-site": site}
            refused = await visitor.http.post("/console/pause", data=form, headers=headers)
            assert refused.status_code == 403
        assert here.bridge.brake.pauses == {}


async def test_a_sign_in_that_another_site_sends_signs_nobody_in(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        answer = await browser(here).http.post("/console/login", data={"token": TOKENS["admin"]})
        assert answer.status_code == 403
        assert "bridge_session" in answer.cookies  # for the form that it shows: nobody's
        assert (await browser(here, cookies=answer.cookies).http.get(EVENTS)).status_code == 303


# Where it leads


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/console", "//evil.example/console", "/\\evil.example", "javascript:alert(1)",
        "/consoleevil", "/console/../api", "/console\r\nx: y", "/console/\x00", "http:///console", "", "/console/ü",
        "///evil.example/console", "///console", "////console/x", "/console//@evil\\..", "http://[",
    ],
)  # fmt: skip
def test_nobody_is_led_out_of_the_console(address: str) -> None:
    assert inside(address) == "/console"


@pytest.mark.parametrize(
    "address", ["/console", "/console/events?q=a%20b&x=1", "/console/events/7"]
)
def test_a_page_of_the_console_is_where_one_comes_back_to(address: str) -> None:
    assert inside(address) == address


# A proxy


async def proxied(here: Rig, *, peer: str = "127.0.0.1", **headers: Any) -> httpx.Response:
    visitor = browser(here, client=(peer, 1), headers=list(headers.items()))
    return await visitor.http.get(EVENTS)


async def test_a_proxy_brings_people_in_by_name(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", sso_header="X-Who", **SETTINGS) as here:
        known = await proxied(here, **{"x-who": "otto"})
        assert 'title="otto, operate"' in known.text
        assert (
            'title="dee@shop.example, view"'
            in (await proxied(here, **{"x-who": "dee@shop.example"})).text
        )


async def test_only_the_proxy_is_believed(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", sso_header="X-Who", **SETTINGS) as here:
        assert (await proxied(here, peer="10.1.1.1", **{"x-who": "ada"})).status_code == 303
    async with rig(tmp_path, "version: 1\nrules: []", **SETTINGS) as here:
        assert (await proxied(here, **{"x-who": "ada"})).status_code == 303


async def test_who_came_through_the_proxy_is_out_without_it(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", sso_header="X-Who", **SETTINGS) as here:
        visitor = browser(here, headers={"x-who": "ada"})
        page = await visitor.get(EVENTS)
        csrf = form_of(page, "/console/pause")
        assert (await visitor.http.post("/console/pause", data=csrf)).status_code == 303
        alone = browser(here, cookies=dict(visitor.http.cookies))
        assert (await alone.http.get(EVENTS)).status_code == 303


async def test_a_mark_of_the_page_for_signing_in_is_nobodys_who_comes_through_the_proxy(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", sso_header="X-Who", **SETTINGS) as here:
        stranger = browser(here)
        page = await stranger.get("/console/login")
        # Another host of the domain can put its own cookie into somebody's browser.
        visitor = browser(here, headers={"x-who": "otto"}, cookies=dict(stranger.http.cookies))
        mark = form_of(page, "/console/login")["csrf"]
        done = await visitor.http.post("/console/pause", data={"csrf": mark, "what": "pushes"})
        assert done.status_code == 403
        assert not here.bridge.brake.pauses


async def test_two_names_are_nobodys(tmp_path: Path) -> None:
    async with rig(tmp_path, "version: 1\nrules: []", sso_header="X-Who", **SETTINGS) as here:
        twice = browser(here, headers=[("x-who", "vera"), ("x-who", "ada")])
        assert (await twice.http.get(EVENTS)).status_code == 303
