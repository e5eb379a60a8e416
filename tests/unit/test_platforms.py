"""Which flags a policy becomes, and whose phones those flags reach (promise I7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, combinations

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from bridge.clock import ManualClock
from bridge.onesignal.operations import Recipient, SendNotification
from bridge.onesignal.platforms import FLAGS, PLATFORMS, Policy, allowed, flags
from bridge.onesignal.user_model import notification_body
from bridge.sandbox import Limits, Sandbox, create_sandbox
from bridge.sandbox.platforms import EVERYWHERE, FLAGS as SANDBOX_FLAGS, platforms_reached

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
IPHONE = {"ios", "ios-web"}
DEVICE = {
    "ios": {"ios"},
    "android": {"android"},
    "huawei": {"huawei"},
    "amazon": {"amazon"},
    "windows": {"windows"},
    "web": {"web-chrome", "web-firefox"},
}
"""The devices of a platform; Safari on a Mac is reached together with home-screen web apps only."""


def exclude(*names: str) -> Policy:
    return Policy(kind="exclude", names=frozenset(names))


def only(*names: str) -> Policy:
    return Policy(kind="only", names=frozenset(names))


EVERYONE = Policy(kind="all")

name_sets = st.frozensets(st.sampled_from(PLATFORMS))
policies = st.one_of(
    st.just(EVERYONE),
    st.builds(
        lambda kind, names: Policy(kind=kind, names=names),
        st.sampled_from(["only", "exclude"]),
        st.frozensets(st.sampled_from(PLATFORMS), min_size=1),
    ),
)


def subsets(names: Collection[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


def every_reach() -> set[frozenset[str]]:
    """What all policies leave of all sets of served platforms."""
    named = [frozenset(names) for names in subsets(PLATFORMS)]
    every_policy = [EVERYONE, *(exclude(*n) for n in named), *(only(*n) for n in named)]
    return {allowed(policy, serves) for policy in every_policy for serves in named}


def flags_or_nobody(reach: Collection[str]) -> dict[str, bool] | None:
    try:
        return flags(reach)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("serves", "policy", "expected"),
    [
        ("android web", exclude("ios"), "!isIos isAndroid isChromeWeb isFirefox"),
        ("android web ios", exclude("ios"), "!isIos isAndroid isChromeWeb isFirefox"),
        ("android web ios", EVERYONE, "isIos isAndroid isAnyWeb"),
        ("android web", EVERYONE, "!isIos isAndroid isChromeWeb isFirefox"),
        ("android web ios", only("ios"), "isIos"),
        ("android web ios", exclude("ios_web"), "isIos isAndroid isChromeWeb isFirefox"),
        ("android web ios", exclude("android", "web"), "isIos"),
        ("android web ios", only("ios", "web"), "isIos isChromeWeb isFirefox"),
        ("web ios", only("web", "ios_web"), "!isIos isAnyWeb"),
        ("ios", EVERYONE, "isIos"),
        ("huawei amazon windows", exclude("ios"), "!isIos isHuawei isAdm isWP_WNS"),
        ("android web huawei ios", only("huawei"), "!isIos isHuawei"),
    ],
)
def test_the_truth_table(serves: str, policy: Policy, expected: str) -> None:
    signs = {name.removeprefix("!"): not name.startswith("!") for name in expected.split()}

    assert flags(allowed(policy, serves.split())) == signs


@pytest.mark.parametrize(
    ("serves", "policy"),
    [
        ("android", exclude("ios", "android")),
        ("ios", exclude("ios")),
        ("android", only("ios")),
        ("web ios", only("ios_web")),
        ("", EVERYONE),
    ],
)
def test_a_policy_that_leaves_nobody_has_no_flags(serves: str, policy: Policy) -> None:
    with pytest.raises(ValueError, match="no platform is left"):
        flags(allowed(policy, serves.split()))


@settings(deadline=None)
@given(name_sets, policies)
def test_flags_are_an_explicit_allow_list(serves: frozenset[str], policy: Policy) -> None:
    reach = allowed(policy, serves)
    found = flags_or_nobody(reach)
    if found is None:
        assert reach <= {"ios_web"}
        return

    assert True in found.values()
    assert found.keys() <= FLAGS
    assert found["isIos"] is ("ios" in reach)
    assert [name for name, on in found.items() if not on] in ([], ["isIos"])
    assert not found.keys() & {"isAnyWeb", "isSafari"} or "ios_web" in reach


@settings(deadline=None)
@given(name_sets, policies)
def test_a_policy_leaves_only_what_the_app_serves(serves: frozenset[str], policy: Policy) -> None:
    assert allowed(policy, serves) <= serves | ({"ios_web"} if {"ios", "web"} <= serves else set())


@settings(deadline=None)
@given(name_sets, policies)
def test_no_iphone_is_let_in_that_is_excluded_or_not_served(
    serves: frozenset[str], policy: Policy
) -> None:
    named_out = policy.kind == "exclude" and "ios" in policy.names
    not_named = policy.kind == "only" and not policy.names & {"ios", "ios_web"}
    not_served = not serves & {"ios", "ios_web"}

    if named_out or not_named or not_served:
        assert not allowed(policy, serves) & {"ios", "ios_web"}


def test_of_every_policy_over_every_app_no_flags_reach_an_iphone_that_is_left_out() -> None:
    reaches = every_reach()
    assert len(reaches) == 2 ** len(PLATFORMS)
    for reach in reaches:
        found = flags_or_nobody(reach)
        if found is not None:
            reached = {str(platform) for platform in platforms_reached(found)}
            assert ("ios" in reached) == ("ios" in reach)
            assert "ios-web" not in reached or "ios_web" in reach


async def test_every_policy_reaches_exactly_the_allowed_devices_of_a_user_who_has_them_all() -> (
    None
):
    app = create_sandbox(clock=ManualClock(), limits=Limits(enforced=False))
    sandbox: Sandbox = app.state.sandbox
    for platform in EVERYWHERE:
        sandbox.add_device("ada", platform, app_id=APP)
    transport = httpx.ASGITransport(app)
    headers = {"authorization": "Key x", "content-type": "application/json"}
    sent = 0
    async with httpx.AsyncClient(
        transport=transport, base_url="http://sandbox", headers=headers
    ) as client:
        for reach in sorted(every_reach(), key=sorted):
            found = flags_or_nobody(reach)
            if found is None:
                continue
            before = len(sandbox.pushes)
            answer = await client.post("/notifications", content=body_with(found, number=sent))
            sent += 1

            reached = {str(push.platform) for push in list(sandbox.pushes)[before:]}
            assert answer.json()["id"], (reach, answer.text)
            assert reached == devices_of(reach)
            assert "ios" in reach or "ios" not in reached
            assert "ios_web" in reach or "ios-web" not in reached
            assert reach & {"ios", "ios_web"} or not reached & IPHONE

    assert sent == 2 ** len(PLATFORMS) - 2
    assert not sandbox.complaints


def body_with(chosen: dict[str, bool], *, number: int) -> bytes:
    ada = Recipient(label="external_id", id="ada")
    send = SendNotification(
        rule="r", to=ada, body={"contents": {"en": "Hi"}}, flags=chosen, max_age_ms=None
    )
    key = f"0f9a1c5e-0000-4000-8000-{number:012}"
    return notification_body(send, app_id=APP, key=key, recipients=[ada])


def devices_of(reach: Collection[str]) -> set[str]:
    devices = set(chain.from_iterable(DEVICE.get(name, ()) for name in reach))
    if {"web", "ios_web"} <= set(reach):
        devices |= {"web-safari", "ios-web"}
    return devices


def test_the_sandbox_hears_every_flag_that_is_ever_set() -> None:
    every_flag = {flag for reach in every_reach() for flag in (flags_or_nobody(reach) or ())}

    assert every_flag == {
        "isIos", "isAndroid", "isHuawei", "isAdm", "isWP_WNS", "isAnyWeb", "isChromeWeb", "isFirefox",
    }  # fmt: skip
    assert every_flag <= SANDBOX_FLAGS
    assert SANDBOX_FLAGS <= FLAGS


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (EVERYONE, "all platforms"),
        (only("web", "android"), "only android, web"),
        (exclude("ios"), "all but ios"),
    ],
)
def test_a_policy_says_what_it_is(policy: Policy, text: str) -> None:
    assert str(policy) == text
