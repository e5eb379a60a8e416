"""Who may do what: lines of names, roles and tokens, and what a proxy says."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config.access import Access, Person, access_of, findings_of
from bridge.settings import Settings

ADA, BO = "ada-has-this-long-token", "bo-has-another-long-one"


def settings(lines: tuple[str, ...], more: dict[str, Any]) -> Settings:
    return Settings(**{"admin_tokens": "\n".join(lines)} | more)


def access(*lines: str, **more: Any) -> Access:
    return access_of(settings(lines, more))


def wrong(*lines: str, **more: Any) -> list[tuple[str, str]]:
    found = findings_of(settings(lines, more))
    return [(one.code, one.message) for one in found]


def test_the_one_admin_token_is_of_somebody_who_may_do_everything() -> None:
    key = access(admin_token="only-one").shown(b"only-one")

    assert key is not None
    assert key.person == Person("admin", "admin")


def test_a_token_is_of_the_person_on_its_line() -> None:
    known = access("# who looks after it", f"ada operate {ADA}", "", f"bo  view\t{BO}")

    found = [known.shown(one.encode()) for one in (ADA, BO)]

    assert [key and key.person for key in found] == [Person("ada", "operate"), Person("bo", "view")]


@pytest.mark.parametrize("token", ["", "-", ADA[:-1], ADA + "x", "ada", "\xff"])
def test_another_token_is_nobodys(token: str) -> None:
    known = access(f"ada operate {ADA}", "carla admin -")

    assert known.shown(token.encode()) is None


def test_without_a_token_nobody_has_one() -> None:
    assert not access().has_tokens
    assert not access("carla admin -").has_tokens
    assert access(f"ada view {ADA}").has_tokens


@pytest.mark.parametrize(
    ("role", "may"),
    [("view", "view"), ("operate", "view operate"), ("admin", "view operate admin")],
)
def test_a_role_may_do_what_those_before_it_may(role: Any, may: str) -> None:
    roles: tuple[Any, ...] = ("view", "operate", "admin")

    assert [one for one in roles if Person("ada", role).may(one)] == may.split()


# A proxy


def test_nobody_believes_a_header_that_no_setting_names() -> None:
    assert access(f"ada admin {ADA}").introduced("ada", "127.0.0.1") is None


def test_a_proxy_is_believed_from_its_own_address_alone() -> None:
    known = access(f"ada admin {ADA}", sso_header="X-Forwarded-User", sso_from="10.0.0.7")

    assert known.introduced("ada", "10.0.0.7") == Person("ada", "admin")
    assert known.introduced("ada", "10.0.0.8") is None
    assert known.introduced("ada", "127.0.0.1") is None


def test_who_is_on_no_line_has_the_role_of_the_setting() -> None:
    name = "dee@shop.example"

    assert access(sso_header="X-User").introduced(name, "::1") == Person(name, "view")
    assert access(sso_header="X-User", sso_role="none").introduced(name, "::1") is None


@pytest.mark.parametrize("name", ["", " ", "ada\r\nx: y", "<script>", "a" * 101, "-", "ä"])
def test_a_name_that_is_none_comes_in_under_none(name: str) -> None:
    assert access(sso_header="X-User", sso_role="admin").introduced(name, "127.0.0.1") is None


# What is wrong


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ada operate", "it is not a name, a role and a token"),
        ("ada boss 0123456789abcdef", "ada is neither view, operate nor admin"),
        ("ada view short", "the token of ada has fewer than 16 characters"),
        ("a/b view 0123456789abcdef", "the name holds more than letters"),
    ],
)
def test_a_line_that_cannot_be_meant_is_an_error(line: str, why: str) -> None:
    ((code, message),) = wrong(f"bo view {BO}", line)

    assert code == "admin-tokens-invalid"
    assert message.startswith(f"entry 2 of BRIDGE_ADMIN_TOKENS: {why}")
    assert "short" not in message


@pytest.mark.parametrize(
    "lines",
    [
        (f"ada view {ADA}", f"ada admin {BO}"),
        (f"ada view {ADA}", f"bo admin {ADA}"),
        (f"admin view {ADA}",),
    ],
)
def test_two_who_could_be_taken_for_each_other_are_an_error(lines: tuple[str, ...]) -> None:
    ((code, message),) = wrong(*lines, admin_token="the-only-one")

    assert code == "admin-tokens-twice"
    assert ADA not in message
