from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bridge.clock import ManualClock
from bridge.sandbox import Behaviour, Sandbox

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
NOT_SENT = {"id": "", "errors": ["All included players are not subscribed"]}
UNKNOWN_ID = "00000000-0000-4000-8000-00000000dead"


def notification(*external_ids: str, **fields: Any) -> dict[str, Any]:
    return {
        "app_id": APP,
        "include_aliases": {"external_id": list(external_ids)},
        "target_channel": "push",
        "contents": {"en": "Hello"},
        **fields,
    }


async def send(client: httpx.AsyncClient, *external_ids: str, **fields: Any) -> httpx.Response:
    return await client.post("/notifications", json=notification(*external_ids, **fields))


async def test_a_reached_user_answers_200_with_an_id(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    device = sandbox.add_device("ada", "android", app_id=APP)

    answer = await send(
        client, "ada", headings={"en": "Hi"}, url="https://a.example", data={"order": 7}
    )

    assert answer.status_code == 200
    assert answer.json() == {"id": answer.json()["id"], "external_id": None}
    (push,) = sandbox.pushes
    assert push.notification_id == answer.json()["id"]
    assert (push.subscription_id, push.external_id) == (device.id, "ada")
    assert (push.title, push.text, push.url) == ("Hi", "Hello", "https://a.example")
    assert (push.data, push.at_ms, push.idempotency_key) == ({"order": 7}, clock.now_ms(), None)


async def test_each_platform_has_a_link_and_a_picture_of_its_own(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for platform in ("ios", "android", "web-chrome", "web-firefox"):
        sandbox.add_device("ada", platform, app_id=APP)

    fields = {"app_url": "shop://a", "web_url": "https://a.example", "big_picture": "android.png"}
    await send(
        client, "ada", **fields, chrome_web_image="chrome.png", ios_attachments={"1": "ios.png"}
    )

    assert {push.platform.value: (push.url, push.image) for push in sandbox.pushes} == {
        "ios": ("shop://a", "ios.png"),
        "android": ("shop://a", "android.png"),
        "web-chrome": ("https://a.example", "chrome.png"),
        "web-firefox": ("https://a.example", None),
    }


async def test_every_device_of_every_named_user_gets_it_once(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    devices = [sandbox.add_device(who, "android", app_id=APP) for who in ("ada", "ada", "grace")]
    user = sandbox.user("ada")
    assert user is not None
    aliases = {"external_id": ["ada", "grace", "ada"], "onesignal_id": [user.onesignal_id]}

    await send(client, include_aliases=aliases)

    assert sorted(push.subscription_id for push in sandbox.pushes) == sorted(d.id for d in devices)


async def test_an_unknown_external_id_is_passed_over_in_silence(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    answer = await send(client, "ada", "nobody")

    assert answer.json()["id"]
    assert "errors" not in answer.json()


async def test_nobody_reached_is_200_with_an_empty_id(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "ios", app_id=APP)
    sandbox.add_device("grace", "android", enabled=False, app_id=APP)

    excluded = await send(client, "ada", isAndroid=True)
    unsubscribed = await send(client, "grace")
    unknown = await send(client, "nobody")

    for answer in (excluded, unsubscribed, unknown):
        assert (answer.status_code, answer.json()) == (200, NOT_SENT)
    assert not sandbox.pushes


async def test_unsubscribed_devices_are_listed_one_by_one_by_the_alias_that_named_them(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    for _ in range(2):
        sandbox.add_device("grace", "android", enabled=False, app_id=APP)

    answer = await send(client, "ada", "grace")

    assert answer.json()["id"]
    assert answer.json()["errors"] == {"invalid_aliases": {"external_id": ["grace", "grace"]}}


@pytest.mark.parametrize(
    ("method", "reported"),
    [
        ("include_subscription_ids", "invalid_player_ids"),
        ("include_player_ids", "invalid_player_ids"),
    ],
)
async def test_subscriptions_can_be_named_and_unknown_ones_are_not_reported(
    method: str, reported: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    on = sandbox.add_device("ada", "android", app_id=APP)
    off = sandbox.add_device("ada", "android", enabled=False, app_id=APP)
    body = {"app_id": APP, method: [on.id, off.id, UNKNOWN_ID], "contents": {"en": "Hi"}}

    answer = await client.post("/notifications", json=body)

    assert answer.json()["errors"] == {reported: [off.id]}
    assert [push.subscription_id for push in sandbox.pushes] == [on.id]


async def test_legacy_external_user_ids_report_their_unsubscribed(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    sandbox.add_device("grace", "android", enabled=False, app_id=APP)
    body = {
        "app_id": APP,
        "include_external_user_ids": ["ada", "grace"],
        "channel_for_external_user_ids": "push",
        "contents": {"en": "Hi"},
    }

    answer = await client.post("/api/v1/notifications", json=body)

    assert answer.json()["errors"] == {"invalid_external_user_ids": ["grace"]}
    assert not sandbox.complaints


async def test_the_segment_of_everybody_reaches_everybody_and_others_nobody(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    sandbox.add_device(None, "ios", app_id=APP)
    body = {"app_id": APP, "contents": {"en": "Hi"}}

    everybody = await client.post("/notifications", json={**body, "included_segments": ["All"]})
    others = await client.post("/notifications", json={**body, "included_segments": ["VIPs"]})

    assert everybody.json()["id"]
    assert others.json() == NOT_SENT
    assert len(sandbox.pushes) == 2


async def test_an_email_does_not_reach_phones(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    answer = await send(client, "ada", target_channel="email")

    assert answer.json() == NOT_SENT


async def test_other_apps_are_other_worlds(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.add_device("ada", "android", app_id="11111111-1111-4111-8111-111111111111")

    assert (await send(client, "ada")).json() == NOT_SENT


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"include_aliases": None}, "You must include which players"),
    ({"include_aliases": {}}, "You must include which players"),
    ({"include_subscription_ids": [UNKNOWN_ID]}, "one targeting method"),
    ({"included_segments": ["All"]}, "one targeting method"),
    ({"filters": [{"field": "tag"}]}, "one targeting method"),
    ({"include_aliases": None, "filters": [{"field": "tag"}]}, "does not play filters"),
    ({"include_aliases": ["ada"]}, "include_aliases must map"),
    ({"include_aliases": {"external_id": "ada"}}, "include_aliases must map"),
    ({"include_aliases": {"external_id": [7]}}, "include_aliases must map"),
    ({"include_aliases": None, "include_player_ids": "x"}, "list of strings"),
    ({"include_aliases": None, "include_subscription_ids": ["x"]}, "not a valid UUID"),
    ({"target_channel": None}, "needs target_channel"),
    ({"target_channel": "fax"}, "needs target_channel"),
    ({"contents": None}, "must have English language content"),
    ({"contents": {}}, "must have English language content"),
    ({"contents": {"fr": "Bonjour"}}, "must have English language content"),
    ({"contents": "Hello"}, "must have English language content"),
    ({"contents": {"en": "Hello", "fr": 1}}, "contents must be"),
    ({"headings": "Hi"}, "headings must be"),
    ({"idempotency_key": "order-7"}, "idempotency_key must be a UUID"),
    ({"template_id": "welcome"}, "template_id must be a UUID"),
    ({"data": "x"}, "data must be"),
    ({"data": {"x": "y" * 2048}}, "data must be"),
    ({"ttl": -1}, "ttl must be"),
    ({"ttl": 2_419_201}, "ttl must be"),
    ({"ttl": "60"}, "ttl must be"),
    ({"ttl": True}, "ttl must be"),
    ({"priority": 7}, "priority must be"),
    ({"priority": "10"}, "priority must be"),
    ({"collapse_id": "x" * 65}, "collapse_id must be"),
    ({"collapse_id": 5}, "collapse_id must be"),
    ({"name": "x" * 129}, "name must be"),
    ({"url": 5}, "url must be"),
    ({"send_after": "tomorrow"}, "send_after must be"),
    ({"send_after": 5}, "send_after must be"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
async def test_a_notification_that_cannot_be_sent_answers_400(
    fields: dict[str, Any], reason: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    answer = await send(client, "ada", **fields)

    assert answer.status_code == 400
    assert reason in answer.json()["errors"][0]
    assert not sandbox.pushes


@pytest.mark.parametrize(
    "fields",
    [
        {"ttl": 0},
        {"ttl": 2_419_200},
        {"priority": 5},
        {"priority": 10},
        {"collapse_id": "x" * 64},
        {"contents": None, "template_id": "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"},
        {"send_after": None, "ttl": None},
    ],
)
async def test_values_at_the_edge_are_accepted(
    fields: dict[str, Any], client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    assert (await send(client, "ada", **fields)).json()["id"]


@pytest.mark.parametrize("limit", [20_000, 2_000])
async def test_more_aliases_than_the_limit_are_refused(
    limit: int, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.behaviour = Behaviour(max_recipients=limit)
    names = [f"u{i}" for i in range(limit)]

    at_limit = await send(client, *names)
    aliases = {"external_id": names, "crm": ["1"]}
    above = await send(client, include_aliases=aliases)

    assert at_limit.status_code == 200
    assert above.status_code == 400
    assert str(limit) in above.json()["errors"][0]


async def test_a_user_reads_it_in_their_language_and_others_in_english(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for who, language in (("ada", "fr"), ("grace", "de"), ("linus", None)):
        sandbox.add_device(who, "android", app_id=APP)
        user = sandbox.user(who)
        assert user is not None
        user.fields["language"] = language

    await send(client, "ada", "grace", "linus", contents={"en": "Hello", "fr": "Bonjour"})

    assert [push.text for push in sandbox.pushes] == ["Bonjour", "Hello", "Hello"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"external_id": "x"}, "deprecated-key"),
        ({"heading": {"en": "Hi"}}, "unknown-field"),
        ({"contents": {"en": "x" * 3500}}, "large-payload"),
        ({"include_aliases": {"ExternalIds": ["ada"]}}, "misspelt-label"),
        ({"isIos": False}, "false-flag-alone"),
    ],
)
async def test_what_onesignal_swallows_is_complained_about(
    fields: dict[str, Any], code: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await send(client, "ada", **fields)

    assert answer.status_code == 200
    assert dict(sandbox.ledger.complained) == {code: 1}
    assert sandbox.complaints[0].path == "/notifications"


async def test_a_correct_notification_is_not_complained_about(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    await send(
        client,
        "ada",
        headings={"en": "Hi"},
        isAndroid=True,
        isAnyWeb=True,
        isIos=False,
        ttl=60,
        android_channel_id="x",
        idempotency_key="5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11",
    )

    assert not sandbox.complaints
    assert len(sandbox.pushes) == 1


async def test_a_notification_can_be_looked_up_with_its_delivery_by_platform(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for platform in ("android", "android", "web-chrome", "ios"):
        sandbox.add_device("ada", platform, app_id=APP)
    sent = await send(client, "ada", isAndroid=True, isAnyWeb=True)

    answer = await client.get(f"/notifications/{sent.json()['id']}?app_id={APP}")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["successful"], body["remaining"], body["canceled"]) == (3, 0, False)
    assert body["contents"] == {"en": "Hello"}
    delivered = {key: each["successful"] for key, each in body["platform_delivery_stats"].items()}
    assert delivered == {"android": 2, "chrome_web_push": 1}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_notification_answers_404(
    method: str, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    sent = (await send(client, "ada")).json()["id"]
    other_app = "11111111-1111-4111-8111-111111111111"

    for address in (f"{UNKNOWN_ID}?app_id={APP}", f"{sent}?app_id={other_app}"):
        answer = await client.request(method, f"/notifications/{address}")

        assert answer.status_code == 404
        assert answer.json() == {"errors": ["Notification not found"]}


@pytest.mark.parametrize("spelling", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S GMT+0000"])
async def test_a_scheduled_notification_waits_for_its_time(
    spelling: str, client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    moment = datetime.fromtimestamp(clock.now_ms() / 1000 + 60, tz=UTC)

    sent = await send(client, "ada", send_after=moment.strftime(spelling))

    address = f"/notifications/{sent.json()['id']}?app_id={APP}"
    assert (await client.get(address)).json()["remaining"] == 1
    clock.advance(59)
    assert not sandbox.pushes
    clock.advance(1)
    assert [push.at_ms for push in sandbox.pushes] == [clock.now_ms()]
    assert (await client.get(address)).json()["successful"] == 1


async def test_a_scheduled_notification_can_be_canceled_and_a_sent_one_cannot(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    moment = datetime.fromtimestamp(clock.now_ms() / 1000 + 60, tz=UTC).isoformat()
    waiting = (await send(client, "ada", send_after=moment)).json()["id"]
    gone = (await send(client, "ada")).json()["id"]

    canceled = await client.delete(f"/notifications/{waiting}?app_id={APP}")
    too_late = await client.delete(f"/notifications/{gone}?app_id={APP}")
    clock.advance(120)

    assert (canceled.status_code, canceled.json()) == (200, {"success": True})
    assert too_late.status_code == 400
    assert [push.notification_id for push in sandbox.pushes] == [gone]
    shown = (await client.get(f"/notifications/{waiting}?app_id={APP}")).json()
    assert (shown["canceled"], shown["successful"]) == (True, 0)


async def test_more_than_ten_pushes_per_subscription_in_15_minutes_disable_the_app(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.behaviour = Behaviour(disable_over_volume=True)
    sandbox.add_device("ada", "android", app_id=APP)

    answers = [(await send(client, "ada")).status_code for _ in range(12)]

    assert answers == [200] * 11 + [403]
    assert sandbox.app(APP).disabled
    change = {"disabled": False}
    await client.patch(f"/sandbox/apps/{APP}", json=change)
    assert (await send(client, "ada")).status_code == 200


async def test_old_pushes_do_not_count_against_the_volume(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.behaviour = Behaviour(disable_over_volume=True)
    sandbox.add_device("ada", "android", app_id=APP)

    for _ in range(30):
        clock.advance(91)
        await send(client, "ada")

    assert not sandbox.app(APP).disabled
    assert len(sandbox.pushes) == 30


async def test_the_volume_does_not_matter_unless_asked_for(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)

    for _ in range(30):
        assert (await send(client, "ada")).status_code == 200


async def test_legacy_external_user_ids_without_their_channel_are_complained_about(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    body = {"app_id": APP, "include_external_user_ids": ["ada"], "contents": {"en": "Hi"}}

    await client.post("/notifications", json=body)

    assert dict(sandbox.ledger.complained) == {"no-channel": 1}


async def test_a_template_or_a_silent_notification_needs_no_contents(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    template = "5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11"
    silent = notification("ada", content_available=True)
    del silent["contents"]

    await send(client, "ada", contents=None, template_id=template)
    await client.post("/notifications", json=silent)

    assert [push.text for push in sandbox.pushes] == [f"(template {template})", ""]


async def test_a_notification_can_be_looked_up_for_30_days(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.add_device("ada", "android", app_id=APP)
    old = (await send(client, "ada")).json()["id"]
    clock.advance(30 * 24 * 3600 + 1)

    await send(client, "ada")

    assert (await client.get(f"/notifications/{old}?app_id={APP}")).status_code == 404
