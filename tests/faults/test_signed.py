"""Who signed a request: nobody, somebody else, whoever knew the secret before; and who repeats one."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from tests.faults.canary import SECRET, WORD
from tests.faults.story import SHOP, ping, profile
from tests.faults.worlds import Inside
from tests.harness import rig, signature, signed

EVENT = orjson.dumps(profile(0, "m1"))
OLD = f"{WORD}-old"
TOKEN = f"{WORD}-token"


def refused(inside: Inside, reason: str) -> None:
    inside.told.expect_line("request.refused", reason=reason)
    inside.told.expect_metric("bridge_refused_total", reason=reason)


@pytest.mark.parametrize(
    "offered",
    ["", "zz", "0" * 40, signature(EVENT, "another"), signature(EVENT, SECRET)[:-2]],
    ids=["empty", "no hex", "zeros", "another secret", "too short"],
)
async def test_what_nobody_signed_is_a_401_that_repeats_nothing(
    inside: Inside, offered: str
) -> None:
    refused(inside, "signature-wrong")
    async with inside.bridge():
        for headers in ({"x-signature": offered}, {}):
            answer = await inside.sender.post_raw(EVENT, headers=headers)
            assert answer is not None
            assert answer.status_code == 401
            assert answer.json().keys() == {"code", "message"}
        await inside.post(profile(1, "m2"))


async def test_while_a_secret_is_replaced_both_are_good_and_then_one(inside: Inside) -> None:
    refused(inside, "signature-wrong")
    both = (SecretStr(SECRET), SecretStr(OLD))
    async with inside.bridge(segment_secrets=both):
        for number, secret in enumerate((SECRET, OLD)):
            raw, headers = signed(profile(0, f"m{number}"), secret)
            answer = await inside.sender.post_raw(raw, headers=headers)
            assert answer is not None
            assert answer.status_code == 200
        raw, headers = signed(profile(0, "m9"), SECRET + OLD)
        answer = await inside.sender.post_raw(raw, headers=headers)
        assert answer is not None
        assert answer.status_code == 401
    async with inside.bridge():
        raw, headers = signed(profile(0, "m10"), OLD)
        answer = await inside.sender.post_raw(raw, headers=headers)
        assert answer is not None
        assert answer.status_code == 401
        await inside.post(profile(0, "m11"))


@pytest.mark.parametrize("covered", ["the first", "the second", "the first of another"])
async def test_a_batch_is_as_good_as_its_first_event(inside: Inside, covered: str) -> None:
    first, second = orjson.dumps(profile(0, "m1")), orjson.dumps(profile(1, "m2"))
    signs = {"the first": first, "the second": second, "the first of another": EVENT[:-1] + b" }"}
    is_good = covered == "the first"
    if is_good:
        inside.told.expect_nothing("it is as Segment signs it")
    else:
        refused(inside, "signature-wrong")
    async with inside.bridge():
        raw = b"[" + first + b"," + second + b"]"
        answer = await inside.sender.post_raw(
            raw, headers={"x-signature": signature(signs[covered], SECRET)}
        )
        assert answer is not None
        assert answer.status_code == (200 if is_good else 401)
        await inside.post(profile(2, "m3"))


async def test_a_batch_can_be_refused_where_its_first_signature_is_not_enough(
    inside: Inside,
) -> None:
    refused(inside, "batch-refused")
    async with inside.bridge(segment_batches="refuse"):
        answer = await inside.sender.post([profile(0, "m1"), profile(1, "m2")])
        assert answer is not None
        assert answer.status_code == 401
        await inside.post(profile(2, "m3"))


async def test_with_a_token_that_is_right_a_wrong_signature_is_a_503_and_no_event_is_lost(
    inside: Inside,
) -> None:
    refused(inside, "signature-mismatch")
    refused(inside, "token-wrong")
    async with inside.bridge(segment_token=SecretStr(TOKEN)):
        raw, headers = signed(profile(0, "m1"), "another")
        answer = await inside.sender.post_raw(raw, headers=headers | {"x-bridge-token": TOKEN})
        assert answer is not None
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        answer = await inside.sender.post_raw(raw, headers=headers | {"x-bridge-token": "wrong"})
        assert answer is not None
        assert answer.status_code == 401
        raw, headers = signed(profile(0, "m1"), SECRET)
        answer = await inside.sender.post_raw(raw, headers=headers | {"x-bridge-token": TOKEN})
        assert answer is not None
        assert answer.status_code == 200


async def test_a_request_that_is_repeated_later_is_heard_before_and_sends_nothing(
    inside: Inside,
) -> None:
    """The protocol has no time in it: whoever listened can send it again, and gains nothing."""
    inside.people(1)
    inside.told.expect_nothing("a repeat like any other; it is counted")
    inside.told.expect_metric("bridge_dedupe_hits_total")
    async with inside.bridge() as here:
        raw, headers = signed(ping(0, "m1"), SECRET)
        for accepted in (1, 0):
            answer = await inside.sender.post_raw(raw, headers=headers)
            assert answer is not None
            assert (answer.status_code, answer.json()["accepted"]) == (200, accepted)
            await here.pass_time(300)
    assert len(inside.sandbox.pushes) == 1


@pytest.mark.unchecked("it watches how secrets are compared")
@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)])
async def test_secrets_are_compared_in_a_time_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: SecretStr | None
) -> None:
    """All of a digest, of every secret; all of a token, in every place where it may stand."""
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    secrets = (SecretStr(OLD), SecretStr(SECRET))
    async with rig(tmp_path, SHOP.mapping, segment_secrets=secrets, segment_token=token) as here:
        headers = {"x-signature": "0" * 40, "x-bridge-token": TOKEN, "authorization": "Bearer x"}
        await here.http.post("/v1/segment", content=EVENT, headers=headers)
    # Each secret, over all that a signature may cover.
    digests = [one for one in compared if one == (20, 20)]
    assert len(digests) == 2
    assert len(compared) == 2 + (3 if token else 0)
