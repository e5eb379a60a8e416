"""The device registry: who may say whose a device is, how it is said, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.journal.devices import Device
from bridge.receive.devices import MAX_BODY, SEEN_AGAIN_MS
from bridge.receive.session import AT_ONCE, CACHED_SECONDS, DEADLINE_SECONDS, REFUSED_SECONDS
from bridge.receive.throttle import MOST
from tests.harness import Rig, rig

TAGS = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {plan: "{{ traits.plan }}"}}}
"""
MERGING = "version: 1\nidentity: {anonymous: external_id}"
SECRET = "a secret of sixteen"
SHARED = "a shared secret of at least 32 bytes"
SERVER = "a server key of ours"
ORIGIN = "https://www.shop.example"
PHONE = "0b7a3c1e-0000-4000-8000-000000000001"
#: What Median's app hands to a page.
INFO = {
    "oneSignalUserId": PHONE,
    "oneSignalPushToken": "f00dfeed",
    "oneSignalSubscribed": True,
    "oneSignalRequiresUserPrivacyConsent": False,
    "platform": "android",
    "appId": "io.median.example",
    "appVersion": "1.0.0",
    "distribution": "release",
    "hardware": "arm64-v8a",
    "installationId": "5b3c-11",
    "language": "en",
    "model": "Pixel 8",
    "os": "Android",
    "osVersion": "14",
    "timeZone": "Europe/Vienna",
}
EVERY_WAY: dict[str, Any] = {
    "devices_secret": SecretStr(SECRET),
    "devices_jwt_keys": (SecretStr(SHARED),),
    "devices_cookie": "session",
    "devices_session_url": "https://www.shop.example/session",
    "devices_server_keys": (SecretStr(SERVER),),
    "devices_origins": (ORIGIN,),
}


class Website(httpx.AsyncBaseTransport):
    """The customer's session endpoint, behind the wire: who is logged in, by cookie."""

    def __init__(self) -> None:
        self.users: dict[str, Any] = {}
        self.asked: list[httpx.Request] = []
        #: Instead of what it would say: a status, headers and a body, or what the wire does.
        self.answer: tuple[int, dict[str, str], bytes] | Exception | None = None
        self.clock: ManualClock | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.clock is not None:
            await self.clock.sleep(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        status, headers, body = self.answer or self._answer(request.headers.get("cookie", ""))
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    def _answer(self, cookie: str) -> tuple[int, dict[str, str], bytes]:
        user = self.users.get(cookie)
        return (200, {}, orjson.dumps({"userId": user})) if user else (401, {}, b"")


@asynccontextmanager
async def registry(
    folder: Path, website: Website | None = None, **settings: Any
) -> AsyncIterator[Rig]:
    mapping = settings.pop("mapping", TAGS)
    async with rig(folder, mapping, website=website or Website(), **(EVERY_WAY | settings)) as here:
        yield here


def proof(user: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), user.encode(), "sha256").hexdigest()


def token(here: Rig, user: object = "u1", key: Any = SHARED, **more: Any) -> str:
    algorithm = more.pop("algorithm", "HS256")
    claims = {"sub": user, "exp": here.clock.now_ms() // 1000 + 60} | more
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def post(here: Rig, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await here.http.post("/v1/devices", content=content, headers=named)


async def delete(here: Rig, named: str = PHONE, body: Any = None, **headers: str) -> httpx.Response:
    content = b"" if body is None else orjson.dumps(body)
    named_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await here.http.request(
        "DELETE", f"/v1/devices/{named}", content=content, headers=named_headers
    )


async def devices(here: Rig, user: str = "u1") -> list[Device]:
    journal = here.bridge.journal
    return await journal.devices.of(APP, journal.user_hash(APP, user), since_ms=0)


def hashed(user: str = "u1", **more: Any) -> dict[str, Any]:
    return INFO | {"userId": user, "userHash": proof(user)} | more


async def nothing_is_stored(here: Rig) -> bool:
    return await here.bridge.journal.devices.count() == 0


# Ways to say who one is -----------------------------------------------------------------------------


async def test_there_is_no_registry_until_it_is_configured(tmp_path: Path) -> None:
    async with rig(tmp_path, TAGS) as here:
        for answer in (
            await post(here, hashed()),
            await delete(here),
            await here.http.options("/v1/devices", headers={"origin": ORIGIN}),
            await here.http.get("/v1/devices"),
        ):
            assert answer.status_code == 404
            assert answer.json()["code"] == "devices-unconfigured"


async def test_a_user_hash_attaches_a_device(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        answer = await post(here, hashed())
        assert (answer.status_code, answer.json()) == (200, {"registered": True, "changed": True})
        (one,) = await devices(here)
        assert (one.platform, one.subscription_id, one.subscribed) == ("android", PHONE, True)
        assert orjson.loads(one.details) == {
            "appId": "io.median.example",
            "appVersion": "1.0.0",
            "distribution": "release",
            "hardware": "arm64-v8a",
            "language": "en",
            "model": "Pixel 8",
            "os": "Android",
            "osVersion": "14",
            "requiresConsent": False,
            "timeZone": "Europe/Vienna",
        }
        assert (
            'bridge_devices_total{result="written"} 1.0' in (await here.http.get("/metrics")).text
        )


async def test_neither_the_push_token_nor_the_installation_is_kept_in_clear(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed("ann-8812"))
        await here.bridge.journal.retention.scrub()
        kept = (tmp_path / "bridge.db").read_bytes()
        assert PHONE.encode() in kept
        for secret in (b"f00dfeed", b"5b3c-11", b"ann-8812", proof("ann-8812").encode()):
            assert secret not in kept


@pytest.mark.parametrize("name", ["userId", "user_id", "external_id", "yourAppUserId"])
async def test_the_user_may_be_called_by_any_of_four_names(tmp_path: Path, name: str) -> None:
    async with registry(tmp_path) as here:
        answer = await post(here, INFO | {name: "u1", "userHash": proof("u1")})
        assert answer.status_code == 200
        assert len(await devices(here)) == 1


async def test_a_signed_token_attaches_a_device_by_header_and_by_cookie(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        assert (await post(here, INFO, **bearer(token(here)))).status_code == 200
        cookie = f"other=1; session={token(here, 'u2')}; last=2"
        tablet = INFO | {
            "oneSignalUserId": PHONE[:-1] + "2",
            "installationId": "x",
            "oneSignalPushToken": None,
        }
        assert (await post(here, tablet, cookie=cookie)).status_code == 200
        assert (len(await devices(here, "u1")), len(await devices(here, "u2"))) == (1, 1)


async def test_a_numeric_user_is_the_same_user_in_every_way(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        assert (
            await post(here, INFO | {"userId": 42}, **bearer(token(here, 42)))
        ).status_code == 200
        assert (await post(here, INFO | {"userId": 42, "userHash": proof("42")})).status_code == 200
        assert len(await devices(here, "42")) == 1


def private_key(kind: str) -> tuple[Any, str]:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1()), "ES256"
    return ed25519.Ed25519PrivateKey.generate(), "EdDSA"


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
async def test_tokens_signed_with_a_private_key_are_checked_with_its_public_one(
    tmp_path: Path, kind: str
) -> None:
    private, algorithm = private_key(kind)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    async with registry(tmp_path, devices_jwt_keys=(SecretStr(public.decode()),)) as here:
        right = token(here, key=private, algorithm=algorithm)
        assert (await post(here, INFO, **bearer(right))).status_code == 200
        # Everybody knows the public key: as a shared secret it proves nothing.
        forged = forge({"alg": "HS256"}, {"sub": "u2", "exp": 2**40}, public)
        answer = await post(here, INFO, **bearer(forged))
        assert (answer.status_code, answer.json()["code"]) == (401, "token-wrong")


async def test_a_session_cookie_is_asked_about_at_the_customers_own_endpoint(
    tmp_path: Path,
) -> None:
    website = Website()
    website.users["PHPSESSID=77"] = "u1"
    async with registry(tmp_path, website) as here:
        assert (await post(here, INFO, cookie="PHPSESSID=77")).status_code == 200
        assert len(await devices(here)) == 1
        (asked,) = website.asked
        assert (str(asked.url), asked.method) == ("https://www.shop.example/session", "GET")
        assert asked.headers["cookie"] == "PHPSESSID=77"
        assert "authorization" not in asked.headers


async def test_an_answer_about_a_session_counts_for_a_minute_and_a_no_for_moments(
    tmp_path: Path,
) -> None:
    website = Website()
    async with registry(tmp_path, website) as here:
        assert (await post(here, INFO, cookie="s=1")).status_code == 401
        website.users["s=1"] = "u1"
        assert (await post(here, INFO, cookie="s=1")).status_code == 401
        here.clock.advance(REFUSED_SECONDS)
        assert (await post(here, INFO, cookie="s=1")).status_code == 200
        website.users.clear()
        here.clock.advance(CACHED_SECONDS - 1)
        assert (await post(here, INFO, cookie="s=1")).status_code == 200
        here.clock.advance(2)
        assert (await post(here, INFO, cookie="s=1")).status_code == 401
        assert len(website.asked) == 3


async def test_who_logs_out_is_asked_about_again_at_once(tmp_path: Path) -> None:
    website = Website()
    website.users["s=1"] = "u1"
    async with registry(tmp_path, website) as here:
        await post(here, INFO, cookie="s=1")
        assert (await delete(here, cookie="s=1")).json() == {"removed": 1}
        # The next visitor has the same session, as some websites have it.
        website.users["s=1"] = "u2"
        await post(here, INFO, cookie="s=1")
        assert (len(await devices(here, "u1")), len(await devices(here, "u2"))) == (0, 1)


async def test_who_logs_out_while_the_endpoint_answers_is_asked_about_again(
    tmp_path: Path,
) -> None:
    website = Website()
    website.users["s=1"] = "u1"
    async with registry(tmp_path, website) as here:
        website.clock = here.clock
        posting = asyncio.ensure_future(post(here, INFO, cookie="s=1"))
        while not website.asked:
            await here.still()
        # By another way: what is asked at this moment is nobody's business yet.
        await delete(here, PHONE, {"userId": "u1", "userHash": proof("u1")}, cookie="s=1")
        website.clock, website.users["s=1"] = None, "u2"
        assert (await post(here, INFO, cookie="s=1")).status_code == 200
        assert len(await devices(here, "u2")) == 1
        here.clock.advance(DEADLINE_SECONDS)
        await posting
        other = INFO | {
            "installationId": "other",
            "oneSignalUserId": None,
            "oneSignalPushToken": None,
        }
        assert (await post(here, other, cookie="s=1")).status_code == 200
        assert len(website.asked) == 2
        assert len(await devices(here, "u2")) == 2


async def test_what_the_endpoint_sets_for_one_visitor_is_never_shown_to_it_as_anothers(
    tmp_path: Path,
) -> None:
    website = Website()
    website.answer = (200, {"set-cookie": "PHPSESSID=78; Path=/"}, b'{"userId": "u1"}')
    async with registry(tmp_path, website) as here:
        assert (await post(here, INFO, cookie="PHPSESSID=77")).status_code == 200
        website.answer, website.users["PHPSESSID=78"] = None, "u1"
        stranger = await post(here, INFO, authorization="whatever")
        assert (stranger.status_code, stranger.json()["code"]) == (401, "session-refused")
        assert "cookie" not in website.asked[-1].headers


async def test_a_session_is_shown_byte_by_byte_and_a_divided_one_whole(tmp_path: Path) -> None:
    website = Website()
    async with registry(tmp_path, website) as here:
        name = "name=José".encode()
        sent: list[tuple[bytes, bytes]] = [(b"cookie", name), (b"cookie", b"s=1")]
        await here.http.post("/v1/devices", content=orjson.dumps(INFO), headers=sent)
        (asked,) = website.asked
        shown = [value for key, value in asked.headers.raw if key.lower() == b"cookie"]
        assert shown == [name + b"; s=1"]
        odd = await here.http.post(
            "/v1/devices",
            content=orjson.dumps(INFO),
            headers=[(b"authorization", "Bearer é".encode())],
        )
        assert (odd.status_code, odd.json()["code"]) == (401, "token-wrong")


@pytest.mark.parametrize("name", ["origin", "authorization", "x-bridge-token"])
async def test_what_shows_who_asks_is_there_once(tmp_path: Path, name: str) -> None:
    async with registry(tmp_path) as here:
        right = {
            "origin": ORIGIN,
            "authorization": f"Bearer {token(here)}",
            "x-bridge-token": SERVER,
        }
        for other in ("https://evil.example", right[name]):
            sent = [(name, other), (name, right[name])]
            answer = await here.http.post(
                "/v1/devices", content=orjson.dumps(hashed()), headers=sent
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "header-twice")
        assert await nothing_is_stored(here)


async def test_a_token_is_not_looked_for_in_the_last_line_of_cookies_alone(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        sent = [("cookie", f"session={token(here, user)}") for user in ("u1", "u2")]
        answer = await here.http.post("/v1/devices", content=orjson.dumps(INFO), headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, "cookie-twice")


async def test_who_had_another_id_before_is_the_same_person(tmp_path: Path) -> None:
    async with registry(tmp_path, mapping=TAGS.replace("version: 1", MERGING)) as here:
        await here.post({"type": "alias", "userId": "u1", "previousId": "old", "messageId": "a1"})
        await here.settle()
        assert (await post(here, hashed("old"))).json()["changed"] is True
        assert (await post(here, hashed("old"))).json()["changed"] is False
        assert len(await devices(here, "u1")) == 1
        gone = await delete(here, PHONE, {"userId": "old", "userHash": proof("old")})
        assert gone.json() == {"removed": 1}


async def test_a_server_key_says_whose_a_device_is(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        answer = await post(here, INFO | {"userId": "u9"}, x_bridge_token=SERVER)
        assert answer.status_code == 200
        assert len(await devices(here, "u9")) == 1
        nobody = await post(here, INFO, x_bridge_token=SERVER)
        assert (nobody.status_code, nobody.json()["code"]) == (400, "user-missing")


# How it is said -------------------------------------------------------------------------------------

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def form(fields: dict[str, Any]) -> bytes:
    """As jQuery writes it."""
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in fields.items()
    }
    return urlencode(texts).encode()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (orjson.dumps(hashed()), JSON),
        (orjson.dumps(hashed()), "text/plain;charset=UTF-8"),
        (b"\xef\xbb\xbf" + orjson.dumps(hashed()), JSON),
        (orjson.dumps({"userId": "u1", "userHash": proof("u1"), "oneSignalInfo": INFO}), JSON),
        (form(hashed()), FORM),
        (form(hashed()), JSON),
        (
            form({"userId": "u1", "userHash": proof("u1")})
            + b"&"
            + urlencode({f"oneSignalInfo[{name}]": INFO[name] for name in INFO}).encode(),
            FORM,
        ),
    ],
)
async def test_json_and_forms_say_the_same_whatever_they_say_that_they_are(
    tmp_path: Path, body: bytes, content_type: str
) -> None:
    async with registry(tmp_path) as here:
        answer = await post(here, body, content_type=content_type)
        assert answer.status_code == 200, answer.text
        (one,) = await devices(here)
        assert (one.platform, one.subscription_id, one.subscribed) == ("android", PHONE, True)
        assert orjson.loads(one.details)["model"] == "Pixel 8"


@pytest.mark.parametrize("nothing", [None, "", "null", "undefined"])
async def test_a_device_without_player_id_is_taken(tmp_path: Path, nothing: str | None) -> None:
    async with registry(tmp_path) as here:
        said = hashed(oneSignalUserId=nothing, oneSignalPushToken=nothing, platform="ios")
        assert (await post(here, said)).status_code == 200
        (one,) = await devices(here)
        assert (one.platform, one.subscription_id, one.is_reachable) == ("ios", None, False)
        # The id comes later, and it is the same device.
        assert (await post(here, hashed(platform="ios"))).json()["changed"] is True
        (one,) = await devices(here)
        assert one.is_reachable


@pytest.mark.parametrize(
    ("said", "platform"),
    [
        ({"platform": "android"}, "android"),
        ({"platform": "iOS", "model": "iPhone", "os": "iOS"}, "ios"),
        ({"platform": "android", "model": "iPhone", "os": "iOS"}, "ios"),
        ({"platform": "android", "hardware": "iPad13,4", "os": "", "model": ""}, "ios"),
        ({"platform": "android", "model": "Apple iPhone 14", "os": ""}, "ios"),
        ({"platform": "android", "model": "Helios 300", "os": "Android"}, "android"),
        ({"platform": "web", "os": "iOS", "model": ""}, "ios_web"),
        ({"platform": "web", "os": "Windows", "model": ""}, "web"),
        ({"platform": None, "os": "Android"}, "android"),
    ],
)
async def test_what_any_field_calls_an_iphone_is_one(
    tmp_path: Path, said: dict[str, Any], platform: str
) -> None:
    async with registry(tmp_path) as here:
        assert (await post(here, hashed(**said))).status_code == 200
        assert [one.platform for one in await devices(here)] == [platform]


async def test_an_unchanged_device_is_written_once_an_hour_at_most(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        assert (await post(here, hashed())).json()["changed"] is True
        began = here.clock.now_ms()
        for _ in range(5):
            here.clock.advance(600)
            assert (await post(here, hashed())).json()["changed"] is False
        assert (await post(here, hashed(oneSignalSubscribed=False))).json()["changed"] is True
        assert (await post(here, hashed(oneSignalSubscribed=False))).json()["changed"] is False
        here.clock.advance(SEEN_AGAIN_MS / 1000 + 1)
        assert (await post(here, hashed(oneSignalSubscribed=False))).json()["changed"] is True
        (one,) = await devices(here)
        assert one.seen_ms > began + SEEN_AGAIN_MS


async def test_a_user_has_several_devices(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed())
        tablet = {
            "oneSignalUserId": PHONE[:-1] + "2",
            "installationId": "x",
            "oneSignalPushToken": "y",
        }
        await post(here, hashed(**tablet))
        assert len(await devices(here)) == 2


@pytest.mark.parametrize(
    ("setting", "status", "owners"),
    [("move", 200, (0, 1)), ("share", 200, (1, 1)), ("refuse", 409, (1, 0))],
)
async def test_a_device_of_another_is_dealt_with_as_configured(
    tmp_path: Path, setting: str, status: int, owners: tuple[int, int]
) -> None:
    async with registry(tmp_path, devices_of_another=setting) as here:
        await post(here, hashed("u1"))
        answer = await post(here, hashed("u2"))
        assert answer.status_code == status
        if status == 409:
            assert answer.json()["code"] == "device-of-another"
        assert (len(await devices(here, "u1")), len(await devices(here, "u2"))) == owners


async def test_logging_out_forgets_the_device_at_once(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed())
        gone = await delete(here, PHONE.upper(), {"userId": "u1", "userHash": proof("u1")})
        assert (gone.status_code, gone.json()) == (200, {"removed": 1})
        assert await devices(here) == []
        again = await delete(here, PHONE, {"userId": "u1", "userHash": proof("u1")})
        assert (again.status_code, again.json()["code"]) == (404, "device-unknown")


async def test_a_device_without_player_id_is_forgotten_by_its_installation(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed(oneSignalUserId=None))
        assert (await delete(here, "5b3c-11", **bearer(token(here)))).json() == {"removed": 1}


async def test_a_server_may_take_a_device_from_everybody(tmp_path: Path) -> None:
    async with registry(tmp_path, devices_of_another="share") as here:
        await post(here, hashed("u1"))
        await post(here, hashed("u2"))
        assert (await delete(here, x_bridge_token=SERVER)).json() == {"removed": 2}


async def test_devices_not_seen_for_long_are_forgotten(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed())
        here.clock.advance(179 * 86_400)
        await here.bridge.upkeep.round()
        assert len(await devices(here)) == 1
        here.clock.advance(2 * 86_400)
        await here.bridge.upkeep.round()
        assert await devices(here) == []


async def test_who_is_erased_has_no_devices_and_gets_none_back_at_once(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed())
        await here.post({"type": "delete", "userId": "u1", "messageId": "m1"})
        await here.settle()
        assert await nothing_is_stored(here)
        late = await post(here, hashed())
        assert (late.status_code, late.json()["code"]) == (409, "user-erased")
        here.clock.advance(6 * 60)
        assert (await post(here, hashed())).status_code == 200


# What is refused ------------------------------------------------------------------------------------


def forge(head: dict[str, Any], claims: dict[str, Any], key: bytes, more: bytes = b"") -> str:
    """A token of any head, whatever a library thinks of it."""
    said = (orjson.dumps(head), orjson.dumps(claims)[:-1] + more + b"}")
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in said]
    signed = b".".join(parts)
    mac = hmac.new(key, signed, "sha256").digest() if head.get("alg") != "none" else b""
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


REFUSED: dict[str, tuple[Any, Any, int, str]] = {
    "no credentials": (INFO | {"userId": "u1"}, {}, 401, "no-credentials"),
    "another user's hash": (
        INFO | {"userId": "u2", "userHash": proof("u1")},
        {},
        401,
        "hash-wrong",
    ),
    "a hash by another secret": (
        INFO | {"userId": "u1", "userHash": proof("u1", "another secret!!!!")},
        {},
        401,
        "hash-wrong",
    ),
    "a hash of nobody": (INFO | {"userHash": proof("")}, {}, 401, "hash-wrong"),
    "a hash that is no text": (INFO | {"userId": "u1", "userHash": {}}, {}, 400, "field-invalid"),
    "expired": (
        INFO,
        lambda here: bearer(token(here, exp=here.clock.now_ms() // 1000)),
        401,
        "token-expired",
    ),
    "never expires": (INFO, lambda here: bearer(token(here, exp=None)), 401, "token-without-end"),
    "expires at no time": (
        INFO,
        lambda here: bearer(forge({"alg": "HS256"}, {"sub": "u1", "exp": "soon"}, SHARED.encode())),
        401,
        "token-without-end",
    ),
    "ends beyond any number": (
        INFO,
        lambda here: bearer(
            forge({"alg": "HS256"}, {"sub": "u1"}, SHARED.encode(), b',"exp":1' + b"0" * 400)
        ),
        401,
        "token-without-end",
    ),
    "begins beyond any number": (
        INFO,
        lambda here: bearer(
            forge(
                {"alg": "HS256"},
                {"sub": "u1", "exp": 2**40},
                SHARED.encode(),
                b',"nbf":1' + b"0" * 400,
            )
        ),
        401,
        "token-not-yet",
    ),
    "not valid yet": (
        INFO,
        lambda here: bearer(token(here, nbf=here.clock.now_ms() // 1000 + 3600)),
        401,
        "token-not-yet",
    ),
    "alg none": (
        INFO,
        lambda here: bearer(forge({"alg": "none"}, {"sub": "u1", "exp": 2**40}, b"")),
        401,
        "token-wrong",
    ),
    "alg None": (
        INFO,
        lambda here: bearer(forge({"alg": "None"}, {"sub": "u1", "exp": 2**40}, b"")),
        401,
        "token-wrong",
    ),
    "signed by another": (INFO, lambda here: bearer(token(here, key="x" * 40)), 401, "token-wrong"),
    "for another audience": (
        INFO,
        lambda here: bearer(token(here, aud="other")),
        401,
        "token-wrong",
    ),
    "no user in the token": (
        INFO,
        lambda here: bearer(token(here, None)),
        401,
        "token-without-user",
    ),
    "a token that is none": (INFO, bearer("e30.e30.e30"), 401, "token-wrong"),
    "a token of brackets": (INFO, bearer("W1tb" * 1500 + ".e30."), 401, "token-wrong"),
    "two cookies": (
        INFO,
        lambda here: {"cookie": f"session={token(here)}; session={token(here, 'u2')}"},
        401,
        "cookie-twice",
    ),
    "another user by token": (
        INFO | {"userId": "u2"},
        lambda here: bearer(token(here)),
        403,
        "another-user",
    ),
    "another user by token, with a right hash": (
        hashed("u2"),
        lambda here: bearer(token(here)),
        403,
        "another-user",
    ),
    "a wrong server key": (
        INFO | {"userId": "u1"},
        {"x_bridge_token": "guess"},
        401,
        "server-key-wrong",
    ),
    "a session of nobody": (INFO, {"cookie": "s=unknown"}, 401, "session-refused"),
    "a page of another origin": (
        hashed(),
        {"origin": "https://evil.example"},
        403,
        "origin-not-allowed",
    ),
    "a page of no origin": (hashed(), {"origin": "null"}, 403, "origin-not-allowed"),
    "an origin that begins like ours": (
        hashed(),
        {"origin": f"{ORIGIN}.evil.example"},
        403,
        "origin-not-allowed",
    ),
    "a form of another site": (
        hashed(),
        {"sec_fetch_site": "cross-site"},
        403,
        "origin-not-allowed",
    ),
    "a form of another site, said aloud": (
        hashed(),
        {"sec_fetch_site": "Cross-Site"},
        403,
        "origin-not-allowed",
    ),
    "oversize": (hashed(model="x" * MAX_BODY), {}, 413, "body-too-large"),
    "a field that is too long": (hashed(model="x" * 300), {}, 400, "field-too-long"),
    "a field that is a list": (hashed(model=["x"]), {}, 400, "field-invalid"),
    "two users": (hashed(external_id="u2"), {}, 400, "user-contradicts"),
    "an id that no user has": (hashed("0"), {}, 400, "user-invalid"),
    "no device": ({"userId": "u1", "userHash": proof("u1")}, {}, 400, "device-missing"),
    "a device of no name": (
        {"userId": "u1", "userHash": proof("u1"), "platform": "android"},
        {},
        400,
        "device-missing",
    ),
    "an unknown platform": (hashed(platform="toaster"), {}, 400, "platform-unknown"),
    "no subscription's id": (
        hashed(oneSignalUserId="1 OR 1=1"),
        {},
        400,
        "subscription-id-invalid",
    ),
    "not JSON": (b"{userId: u1}", {}, 400, "not-json"),
    "a list": (b"[]", {}, 400, "not-an-object"),
    "not a form": (b"\xff\xfe=1", {}, 400, "not-a-form"),
    "a field twice": (b"userId=u1&userId=u2&platform=android", {}, 400, "field-twice"),
    "a thousand fields": (b"&".join(b"a%d=1" % n for n in range(1000)), {}, 400, "not-a-form"),
    "gzip that unpacks": (b"\x1f\x8b broken", {"content_encoding": "gzip"}, 400, "not-gzip"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_with_a_code_and_nothing_is_stored(tmp_path: Path, name: str) -> None:
    body, headers, status, code = REFUSED[name]
    async with registry(tmp_path) as here:
        sent = headers(here) if callable(headers) else headers
        answer = await post(here, body, **sent)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert len(answer.json()["message"]) > 20
        assert await nothing_is_stored(here)
        assert (
            f'bridge_devices_total{{result="{code}"}} 1.0' in (await here.http.get("/metrics")).text
        )


@pytest.mark.parametrize("name", [name for name, one in REFUSED.items() if one[2] in {401, 403}])
async def test_nobody_removes_a_device_who_could_not_attach_it(tmp_path: Path, name: str) -> None:
    body, headers, status, _ = REFUSED[name]
    async with registry(tmp_path) as here:
        await post(here, INFO | {"userId": "u1"}, x_bridge_token=SERVER)
        sent = headers(here) if callable(headers) else headers
        assert (await delete(here, PHONE, body, **sent)).status_code == status
        assert len(await devices(here)) == 1


async def test_nobody_removes_the_device_of_another(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed("u1"))
        answer = await delete(here, PHONE, {"userId": "u2", "userHash": proof("u2")})
        assert (answer.status_code, answer.json()["code"]) == (404, "device-unknown")
        assert len(await devices(here, "u1")) == 1


async def test_nothing_reads_a_device(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        await post(here, hashed())
        for path in ("/v1/devices", f"/v1/devices/{PHONE}"):
            answer = await here.http.get(path, headers=bearer(token(here)))
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST, DELETE")
        assert (await here.http.delete("/v1/devices")).status_code == 405
        assert (await here.http.post(f"/v1/devices/{PHONE}")).status_code == 405


@pytest.mark.parametrize(
    "down",
    [
        (500, {}, b""),
        (503, {}, b""),
        (200, {}, b"<html>"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
async def test_a_session_endpoint_that_is_down_refuses_for_now(
    tmp_path: Path, down: tuple[int, dict[str, str], bytes] | Exception
) -> None:
    website = Website()
    website.answer = down
    async with registry(tmp_path, website) as here:
        answer = await post(here, INFO, cookie="s=1")
        assert (answer.status_code, answer.json()["code"]) == (503, "session-unavailable")
        assert answer.headers["retry-after"] == "10"
        assert await nothing_is_stored(here)
        website.answer, website.users["s=1"] = None, "u1"
        assert (await post(here, INFO, cookie="s=1")).status_code == 200


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"location": "https://www.shop.example/login"}, b""),
        (403, {}, b""),
        (404, {}, b""),
        (200, {}, b'{"userId": null}'),
        (200, {}, b'{"userId": ["u1"]}'),
        (200, {}, b'["u1"]'),
        (204, {}, b""),
    ],
)
async def test_a_session_endpoint_that_names_nobody_is_a_no(
    tmp_path: Path, answer: tuple[int, dict[str, str], bytes]
) -> None:
    website = Website()
    website.answer = answer
    async with registry(tmp_path, website) as here:
        refused = await post(here, INFO, cookie="s=1")
        assert (refused.status_code, refused.json()["code"]) == (401, "session-refused")
        assert len(website.asked) == 1
        assert await nothing_is_stored(here)


async def test_a_session_endpoint_that_is_slow_refuses_after_two_seconds(tmp_path: Path) -> None:
    website = Website()
    website.users["s=1"] = "u1"
    async with registry(tmp_path, website) as here:
        website.clock = here.clock
        asking = asyncio.ensure_future(post(here, INFO, cookie="s=1"))
        while not website.asked:
            await here.still()
        here.clock.advance(DEADLINE_SECONDS - 0.1)
        await here.still()
        assert not asking.done()
        here.clock.advance(0.2)
        answer = await asking
        assert (answer.status_code, answer.json()["code"]) == (503, "session-unavailable")
        assert await nothing_is_stored(here)


async def test_strangers_with_made_up_cookies_ask_the_endpoint_only_so_much_at_once(
    tmp_path: Path,
) -> None:
    website = Website()
    async with registry(tmp_path, website) as here:
        website.clock = here.clock
        asking = [
            asyncio.ensure_future(post(here, INFO, cookie=f"s={n}")) for n in range(AT_ONCE + 20)
        ]
        while sum(one.done() for one in asking) < 20:
            await here.still()
        assert len(website.asked) == AT_ONCE
        here.clock.advance(DEADLINE_SECONDS)
        answers = await asyncio.gather(*asking)
        assert {answer.status_code for answer in answers} == {503}


async def test_another_user_by_session_is_refused(tmp_path: Path) -> None:
    website = Website()
    website.users["s=1"] = "u1"
    async with registry(tmp_path, website) as here:
        answer = await post(here, INFO | {"userId": "u2"}, cookie="s=1")
        assert (answer.status_code, answer.json()["code"]) == (403, "another-user")
        assert await nothing_is_stored(here)


async def test_who_says_something_else_again_and_again_is_asked_to_stop(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        for number in range(MOST):
            assert (await post(here, hashed(appVersion=str(number)))).status_code == 200
        answer = await post(here, hashed(appVersion="once more"))
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many-devices")
        assert (await post(here, hashed("u2", oneSignalUserId=PHONE[:-1] + "3"))).status_code == 200
        here.clock.advance(601)
        assert (await post(here, hashed(appVersion="once more"))).status_code == 200


async def test_no_log_line_holds_who_or_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    website = Website()
    website.answer = (500, {}, b"")
    async with registry(tmp_path, website) as here:
        await post(here, hashed("ann-8812"))
        await post(here, hashed("ann-8812", userHash="0" * 64))
        await post(here, INFO, cookie="sid=very-secret")
        await post(here, INFO, **bearer("very-secret"))
        await delete(here, PHONE, {"userId": "ann-8812", "userHash": "0" * 64})
        await post(here, INFO, x_bridge_token="very-secret")
    told = "".join(capsys.readouterr())
    assert "hash-wrong" in told
    assert "session.unavailable" in told
    for secret in ("ann-8812", "very-secret", PHONE, "5b3c-11", "f00dfeed", proof("ann-8812")):
        assert secret not in told


# What browsers ask ----------------------------------------------------------------------------------


async def test_a_listed_page_may_ask_with_its_visitors_cookies_and_read_the_answer(
    tmp_path: Path,
) -> None:
    async with registry(tmp_path) as here:
        asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
        preflight = await here.http.options("/v1/devices", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert preflight.headers["access-control-allow-credentials"] == "true"
        assert preflight.headers["access-control-allow-methods"] == "POST, DELETE"
        assert preflight.headers["access-control-allow-headers"] == "content-type, authorization"
        assert preflight.headers["vary"] == "Origin"
        for answer in (
            await post(here, hashed(), origin=ORIGIN),
            await post(here, INFO, origin=ORIGIN),
            await delete(here, PHONE, hashed(), origin=ORIGIN),
        ):
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert answer.headers["access-control-allow-credentials"] == "true"


async def test_another_page_is_told_nothing(tmp_path: Path) -> None:
    async with registry(tmp_path) as here:
        asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        preflight = await here.http.options("/v1/devices", headers=asked)
        assert preflight.status_code == 403
        assert "access-control-allow-origin" not in preflight.headers


# With other settings --------------------------------------------------------------------------------


async def test_a_token_must_be_meant_for_us_where_that_is_asked(tmp_path: Path) -> None:
    async with registry(tmp_path, devices_jwt_audience="bridge", devices_jwt_claim="uid") as here:
        right = token(here, None, aud="bridge", uid="u1")
        assert (await post(here, INFO, **bearer(right))).status_code == 200
        for wrong in (token(here, None, uid="u1"), token(here, None, aud="shop", uid="u1")):
            answer = await post(here, INFO, **bearer(wrong))
            assert (answer.status_code, answer.json()["code"]) == (401, "token-wrong")


async def test_several_keys_are_valid_during_a_rotation(tmp_path: Path) -> None:
    keys = (SecretStr("n" * 40), SecretStr(SHARED))
    async with registry(tmp_path, devices_jwt_keys=keys) as here:
        for key in ("n" * 40, SHARED):
            assert (await post(here, INFO, **bearer(token(here, key=key)))).status_code == 200


async def test_what_is_not_configured_proves_nothing(tmp_path: Path) -> None:
    only_server: dict[str, Any] = {
        "devices_secret": None,
        "devices_jwt_keys": (),
        "devices_cookie": None,
        "devices_session_url": None,
    }
    async with registry(tmp_path, **only_server) as here:
        for body, headers in (
            (hashed(), {}),
            (INFO, bearer(token(here))),
            (INFO, {"cookie": f"session={token(here)}"}),
        ):
            answer = await post(here, body, **headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "no-credentials")
        assert await nothing_is_stored(here)
