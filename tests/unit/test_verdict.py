"""What an answer of OneSignal means, row by row."""

from __future__ import annotations

import email.utils
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bridge.onesignal.verdict import (
    RETRY_AFTER_CAP_SECONDS,
    Accepted,
    Answer,
    Closed,
    Failed,
    NoAnswer,
    NoRecipients,
    Postponed,
    Refused,
    Unknown,
    Verdict,
    error_text,
    judge,
    retry_after,
)

NOW_MS = 1_800_000_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ERRORS = st.builds(
    lambda value: {"errors": value},
    JSON
    | st.builds(lambda value: {"invalid_aliases": value}, JSON)
    | st.lists(st.builds(lambda value: {"event_id": value, "title": value}, JSON)),
)


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=named, body=raw)


def judged(status: int, body: Any = None, *, is_send: bool = False, **headers: str) -> Verdict:
    return judge(answer(status, body, **headers), now_ms=NOW_MS, is_send=is_send)


# The table, row by row -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_of_an_update_is_accepted(status: int) -> None:
    assert judged(status, {"properties": {}}) == Accepted(status=status)


def test_an_edit_of_tags_that_says_no_with_a_yes_is_refused() -> None:
    assert judged(200, {"success": True}) == Accepted(status=200)
    assert judged(200, {"success": False}) == Refused(
        reason="not_done", status=200, detail="success"
    )


def test_a_push_that_says_no_with_a_yes_may_have_been_sent() -> None:
    said = judged(200, {"success": False}, is_send=True)

    assert isinstance(said, Failed)
    assert not said.certain


@pytest.mark.parametrize(
    "text",
    [
        "Please include a case-sensitive header of Authorization: Basic <KEY> or Bearer with a valid REST API key.",
        "Please include a case-sensitive header of Authorization: Basic with a valid REST API key.",
        "Please include a case-sensitive header of Authorization",
    ],
)
def test_a_key_that_the_player_api_refuses_closes_and_kills_nothing(
    text: str,
) -> None:
    body = {"errors": [text], "reference": ["https://example"]}

    assert judged(400, body) == judged(400, body, is_send=True) == Closed(status=401, detail=text)


@pytest.mark.parametrize("name", ["invalid_player_ids", "invalid_external_user_ids"])
def test_the_player_api_names_who_was_not_reached(name: str) -> None:
    said = judged(200, {"id": "n", "errors": {name: ["b", "a", "a"]}}, is_send=True)

    assert said == Accepted(status=200, id="n", unreached=frozenset({"a", "b"}))
    nobody = judged(200, {"id": "", "recipients": 0, "errors": {name: ["a"]}}, is_send=True)
    assert isinstance(nobody, NoRecipients)


def test_an_empty_success_of_an_update_is_accepted() -> None:
    assert judged(202) == Accepted(status=202)


def test_a_notification_is_accepted_by_its_id() -> None:
    found = judged(200, {"id": "n1", "external_id": None}, is_send=True)
    assert found == Accepted(status=200, id="n1")


def test_a_replayed_answer_says_so() -> None:
    found = judged(200, {"id": "n1"}, is_send=True, idempotent_replayed="true")
    assert found == Accepted(status=200, id="n1", replayed=True)


def test_invalid_aliases_are_a_success_in_part_and_repeats_count_once() -> None:
    body = {"id": "n1", "errors": {"invalid_aliases": {"external_id": ["u1", "u1", "u2"]}}}
    found = judged(200, body, is_send=True)
    assert found == Accepted(status=200, id="n1", unreached=frozenset({"u1", "u2"}))


@pytest.mark.parametrize(
    "errors",
    [
        ["All included players are not subscribed"],
        {"invalid_aliases": {"external_id": ["u1"]}},
        {},
    ],
)
def test_an_empty_id_means_that_nobody_was_reached(errors: Any) -> None:
    assert isinstance(judged(200, {"id": "", "errors": errors}, is_send=True), NoRecipients)


def test_of_custom_events_only_the_named_ones_failed() -> None:
    found = judged(202, {"errors": [{"event_id": "e1", "title": "no user"}]})
    assert found == Accepted(status=202, failed_events=frozenset({"e1"}))


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("is_send", [True, False])
def test_a_refused_key_closes_everything(status: int, is_send: bool) -> None:  # noqa: FBT001 — pytest passes parameters by name
    found = judged(status, {"errors": ["Access denied."]}, is_send=is_send)
    assert found == Closed(status=status, detail="Access denied.")


@pytest.mark.parametrize("status", [404, 410])
def test_a_user_that_is_not_there_is_unknown(status: int) -> None:
    body = {"errors": [{"code": "user-2", "title": "User not found"}]}
    assert judged(status, body) == Unknown(detail="User not found")


@pytest.mark.parametrize("status", [404, 410])
def test_a_send_has_nobody_to_be_unknown(status: int) -> None:
    found = judged(status, is_send=True)
    assert found == Refused(reason=f"http_{status}", status=status, detail="")


def test_a_limit_that_names_one_user_is_that_users() -> None:
    body = {
        "errors": ["API rate limit exceeded"],
        "limit": "Subscription/User Update Per Device",
    }
    assert judged(429, body, retry_after="2") == Postponed(scope="user", after_seconds=2)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"slow down",
        {"errors": ["x"]},
        {"limit": 7},
        {"limit": "User Update"},
        {"limit": "User Update Per App"},
        [],
    ],
)
def test_any_other_limit_is_everybodys(body: Any) -> None:
    assert judged(429, body) == Postponed(scope="class", after_seconds=None)


def test_a_limit_of_sends_is_everybodys_whatever_it_names() -> None:
    found = judged(429, {"limit": "Messages Per App"}, is_send=True)
    assert found == Postponed(scope="class", after_seconds=None)


@pytest.mark.parametrize("status", [400, 402, 405, 409, 413, 422])
def test_any_other_refusal_is_certain(status: int) -> None:
    found = judged(status, {"errors": ["no"]})
    assert found == Refused(reason=f"http_{status}", status=status, detail="no")


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520, 599])
def test_a_failure_may_have_been_performed(status: int) -> None:
    found = judged(status, b"<html>", retry_after="7")
    assert found == Failed(
        reason=f"http_{status}", status=status, detail="", certain=False, after_seconds=7
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_of_which_nothing_came(status: int) -> None:
    found = judged(status, is_send=True)
    assert isinstance(found, Failed)
    assert found.certain


@pytest.mark.parametrize("is_send", [True, False])
def test_a_success_that_is_not_json_came_from_a_proxy(is_send: bool) -> None:  # noqa: FBT001 — pytest passes parameters by name
    found = judged(200, b"<html>welcome</html>", is_send=is_send)
    assert isinstance(found, Failed)
    assert (found.reason, found.certain) == ("not_json", False)


@pytest.mark.parametrize("body", [None, b"  ", [], "sent", 7])
def test_a_notifications_success_without_an_object_is_none(body: Any) -> None:
    assert isinstance(judged(200, body, is_send=True), Failed)


def test_no_answer_leaves_it_open_whether_it_was_done() -> None:
    found = judge(NoAnswer(reason="timeout"), now_ms=NOW_MS)
    assert found == Failed(reason="timeout", status=None, detail="no answer", certain=False)


def test_what_never_left_was_certainly_not_done() -> None:
    found = judge(NoAnswer(reason="connect_failed", sent=False), now_ms=NOW_MS)
    assert isinstance(found, Failed)
    assert found.certain


# Error shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"errors": ["first", "second"]}, "first"),
        ({"errors": [{"code": "user-409", "title": "Conflict", "meta": {}}]}, "Conflict"),
        ({"errors": [{"code": "user-409"}]}, "user-409"),
        ({"errors": "all of it"}, "all of it"),
        ({"success": False}, "success"),
        ({"errors": [{}]}, ""),
        ({"errors": []}, ""),
        (None, ""),
    ],
)
def test_every_shape_of_an_error_has_a_text(body: Any, text: str) -> None:
    assert error_text(body) == text


def test_a_long_error_is_shortened() -> None:
    assert len(error_text({"errors": ["x" * 10_000]})) == 300


# Retry-After -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("3600", 3600.0),
        ("86400", RETRY_AFTER_CAP_SECONDS),
        ("1e9", RETRY_AFTER_CAP_SECONDS),
        ("9" * 500, RETRY_AFTER_CAP_SECONDS),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("7s", None),
    ],
)
def test_retry_after_is_a_number_or_nothing(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, now_ms=NOW_MS) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (-90, 0.0), (86_400, 3600.0)])
def test_retry_after_may_be_a_date(ahead: int, seconds: float) -> None:
    date = email.utils.formatdate(NOW_MS / 1000 + ahead, usegmt=True)
    assert retry_after({"retry-after": date}, now_ms=NOW_MS) == seconds


@pytest.mark.parametrize("text", ["Wed, 21 Oct 9999", "Sun, 99 Nov 2026 25:61:61 GMT", "1 2 3"])
def test_a_date_that_is_none_is_no_wait(text: str) -> None:
    assert retry_after({"retry-after": text}, now_ms=NOW_MS) in {None, RETRY_AFTER_CAP_SECONDS}


def test_the_older_name_of_the_header_is_read_too() -> None:
    assert retry_after({"retryafter": "12"}, now_ms=NOW_MS) == 12.0


def test_without_a_header_there_is_no_wait() -> None:
    assert retry_after({}, now_ms=NOW_MS) is None


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d(:\d\d)? \S*")
)
def test_no_header_whatever_is_an_error_or_more_than_an_hour(text: str) -> None:
    wait = retry_after({"retry-after": text}, now_ms=NOW_MS)
    assert wait is None or 0 <= wait <= RETRY_AFTER_CAP_SECONDS


@given(
    st.integers(200, 599),
    st.binary() | (JSON | ERRORS).map(orjson.dumps),
    st.dictionaries(
        st.sampled_from(["retry-after", "retryafter", "idempotent-replayed"]), st.text()
    ),
    st.booleans(),
)
def test_every_answer_has_a_verdict(
    status: int,
    body: bytes,
    headers: dict[str, str],
    is_send: bool,  # noqa: FBT001 — hypothesis passes it by position
) -> None:
    found = judge(Answer(status=status, headers=headers, body=body), now_ms=NOW_MS, is_send=is_send)
    assert isinstance(found, Verdict)
    if isinstance(found, Accepted | NoRecipients):
        assert status < 300


@pytest.mark.parametrize("body", [b"{}", b'{"success":false}', b'{"errors":["x"]}'])
def test_a_send_that_is_answered_without_an_id_is_tried_again_and_not_given_up(body: bytes) -> None:
    found = judge(Answer(status=200, headers={}, body=body), now_ms=NOW_MS, is_send=True)

    assert isinstance(found, Failed)
    assert (found.reason, found.certain) == ("no_id", False)
