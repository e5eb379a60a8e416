from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from bridge.sandbox import Behaviour, Sandbox
from bridge.sandbox.properties import MAX_PROPERTIES, RESERVED_TAGS
from bridge.sandbox.world import merged_tags

APP = "0f9a1c5e-8a35-4f0e-9c1c-3a6f5a3e7d11"
ADA = f"/apps/{APP}/users/by/external_id/ada"

tags = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", "1", "2"]))


@pytest.fixture
async def ada(client: httpx.AsyncClient) -> None:
    await client.post(f"/apps/{APP}/users", json={"identity": {"external_id": "ada"}})


def stored(sandbox: Sandbox) -> dict[str, str]:
    user = sandbox.user("ada")
    assert user is not None
    return user.tags


async def put(client: httpx.AsyncClient, tags: Any, **properties: Any) -> httpx.Response:
    return await client.patch(ADA, json={"properties": {"tags": tags, **properties}})


@given(st.lists(tags))
def test_the_last_word_on_a_tag_counts_and_an_empty_one_deletes_it(
    updates: list[dict[str, str]],
) -> None:
    result: dict[str, str] = {}
    for update in updates:
        result = merged_tags(result, update)

    words = {key: value for update in updates for key, value in update.items()}
    assert result == {key: value for key, value in words.items() if value}


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (2.5, "2.5"), (True, "true"), ({"a": [1]}, '{"a":[1]}'), ([1, 2], "[1,2]")],
)
async def test_a_value_that_is_not_a_string_is_stored_as_text_and_complained_about(
    value: Any, text: str, ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await put(client, {"odd": value})

    assert answer.status_code == 202
    assert stored(sandbox) == {"odd": text}
    assert sandbox.complaints[-1].code == "non-string-tag"


async def test_null_deletes_nothing_because_nobody_documents_that_it_does(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await put(client, {"plan": "pro"})

    await put(client, {"plan": None})

    assert stored(sandbox) == {"plan": "pro"}
    assert sandbox.ledger.complained["non-string-tag"] == 1


async def test_names_that_messages_cannot_use_are_complained_about(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await put(client, {"": "x", "first name": "Ada", "fine_1": "y"})

    assert stored(sandbox) == {"first name": "Ada", "fine_1": "y"}
    assert sandbox.ledger.complained["empty-tag-name"] == 1
    assert sandbox.ledger.complained["unusual-tag-name"] == 1


@pytest.mark.parametrize("name", sorted(RESERVED_TAGS))
async def test_a_reserved_name_is_refused(
    name: str, ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await put(client, {"plan": "pro", name: "x"})

    assert answer.status_code == 400
    assert name in answer.json()["errors"][0]["title"]
    assert stored(sandbox) == {}


async def test_100_properties_fit_into_one_request(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await put(client, {f"t{i}": "x" for i in range(MAX_PROPERTIES - 1)}, language="en")

    assert answer.status_code == 202
    assert len(stored(sandbox)) == 99


async def test_101_properties_are_refused(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await put(client, {f"t{i}": "x" for i in range(MAX_PROPERTIES)}, language="en")

    assert answer.status_code == 400
    assert stored(sandbox) == {}


async def test_a_capped_app_refuses_the_update_that_goes_over_the_cap(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.app(APP).tag_cap = 2
    await put(client, {"a": "1", "b": "1"})

    over = await put(client, {"c": "1"})
    swapped = await put(client, {"a": "", "c": "1"})

    assert over.status_code == 400
    assert "maximum of 2 tags" in over.json()["errors"][0]["title"]
    assert swapped.status_code == 202
    assert stored(sandbox) == {"b": "1", "c": "1"}


async def test_tags_that_do_not_show_yet_count_against_the_cap(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.app(APP).tag_cap = 1
    sandbox.behaviour = Behaviour(update_delay_seconds=60)

    first = await put(client, {"a": "1"})
    second = await put(client, {"b": "1"})

    assert (first.status_code, second.status_code) == (202, 400)
    assert stored(sandbox) == {}


async def test_a_user_over_a_lowered_cap_can_only_shrink_below_it(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await put(client, {"a": "1", "b": "1", "c": "1"})
    sandbox.app(APP).tag_cap = 1

    assert (await put(client, {"a": "2"})).status_code == 400
    assert (await put(client, {"a": ""})).status_code == 400
    assert (await put(client, {"a": "", "b": ""})).status_code == 202
    assert stored(sandbox) == {"c": "1"}


async def test_properties_that_onesignal_does_not_have_are_complained_about_and_lost(
    ada: None, client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.patch(ADA, json={"properties": {"shoe_size": 42, "lat": "north"}})

    user = sandbox.user("ada")
    assert user is not None
    assert "shoe_size" not in user.fields
    assert sandbox.ledger.complained["unknown-property"] == 1
    assert sandbox.ledger.complained["wrong-property-type"] == 1
