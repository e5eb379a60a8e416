"""Personal data goes to OneSignal where a mapping writes it out in full, and never by a glob."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from bridge.onesignal.user_model import update_requests
from bridge.plan import plan
from bridge.plan.personal import looks_personal
from tests.unit.plan.planning import event_of, mapping_of, rule

EVERYTHING: dict[str, Any] = {
    root: {"include": ["*", "a*", "?ddress*", "*_*", "*mail*", "*hone*", "*ame*"]}
    for root in ("traits", "properties", "context")
}
FIRST = ["Ada", "Grace", "Márta", "Zoë", "李娜", "Jean-Luc", "O'Neil"]
EMAILS = (
    "email",
    "Email",
    "e_mail",
    "emailAddress",
    "userEmail",
    "contact",
    "login",
    "work_email",
    "mails",
)
PHONES = (
    "phone",
    "phoneNumber",
    "mobile",
    "cell_phone",
    "tel",
    "contactNumber",
    "whatsapp",
    "billingPhone",
)
NAMES = (
    "name",
    "firstName",
    "last_name",
    "fullName",
    "surname",
    "givenName",
    "nickname",
    "userName",
)
BIRTHDAYS = ("birthday", "dateOfBirth", "birth_date", "dob", "bday")
STREETS = ("street", "address", "street1", "homeAddress", "shippingAddressLine1", "postalStreet")
IPS = ("ip", "ip_address", "lastIp", "clientIP", "origin", "host")


def people(count: int) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Identify events as shops send them, each with what must not be found in any request."""
    rolls = random.Random(20261127)
    for number in range(count):
        secrets = {
            rolls.choice(EMAILS): f"{rolls.choice('abcxyz')}{number}@shop{number % 9}.example",
            rolls.choice(PHONES): f"+43 664 {1000000 + number}",
            rolls.choice(NAMES): f"{rolls.choice(FIRST)} N{number}ame",
            rolls.choice(BIRTHDAYS): f"19{number % 90 + 10}-03-{number % 28 + 1:02}",
            rolls.choice(STREETS): f"Ringstraße {number}/7",
            rolls.choice(IPS): f"203.0.{number % 250}.{number % 241}",
        }
        nested = rolls.choice(["profile", "customer", "shipping", "meta"])
        as_list = {name: [value, value] for name, value in secrets.items() if rolls.random() < 0.15}
        personal: dict[str, Any] = secrets | as_list
        harmless = {"tier": f"tier{number}", "orders": number, "shoe": {"size": 40 + number % 9}}
        root = rolls.choice(["traits", "properties", "context"])
        sent: dict[str, Any] = {
            "type": "identify",
            "userId": f"u{number}",
            "traits": harmless,
            "context": {"ip": secrets_ip(secrets), "locale": "de-AT"},
        }
        sent[root] = {
            **sent.get(root, {}),
            **(personal if rolls.random() < 0.5 else {nested: personal}),
        }
        yield sent, list(secrets.values())


def secrets_ip(secrets: dict[str, str]) -> str:
    return next(value for value in secrets.values() if value.startswith("203.0."))


def test_nothing_personal_of_a_thousand_people_is_in_any_request() -> None:
    mapping = mapping_of(rule(update_user={"tags_from": EVERYTHING}))
    written = 0
    for sent, secrets in people(1000):
        for operation in plan(event_of(sent), mapping).operations:
            (request,) = update_requests(operation, app_id="a")  # type: ignore[arg-type]  # nothing is sent
            text = orjson.dumps(request.body).decode()
            written += text.count('"tier')
            assert [secret for secret in secrets if secret in text] == []
    assert written >= 2000, "the rest is written"


@pytest.mark.parametrize("root", ["traits", "properties", "context"])
def test_written_out_in_full_it_passes(root: str) -> None:
    include = ["email", "address.street", "firstName"]
    mapping = mapping_of(rule(update_user={"tags_from": {root: {"include": include}}}))
    person = {"email": "ada@shop.example", "address": {"street": "Ring 1"}, "firstName": "Ada"}

    (update,) = plan(event_of({root: person}), mapping).operations

    assert update.tags == {  # type: ignore[union-attr]  # it is an UpdateUser
        "email": "ada@shop.example", "address_street": "Ring 1", "firstName": "Ada",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["ada@shop.example", "a@b.co,c@d.co", "write to ada@shop.example!", "+43 664 1234567", "x, +436641234567",
     "203.0.113.24", "from 10.0.0.1 on", "2001:db8::1", "fe80:0:0:1::"],
)  # fmt: skip
def test_what_looks_personal_whatever_it_is_called(text: str) -> None:
    assert looks_personal(text)


@pytest.mark.parametrize(
    "text",
    ["", "gold", "7", "3.5", "1.2.3", "2026-11-27T09:00:00+01:00", "09:45:30", "a@b", "+5", "C++",
     "1.2.3.4.5", "300.1.1.1", "https://www.shop.example/a", "size 42+", "A-50314-B"],
)  # fmt: skip
def test_what_does_not(text: str) -> None:
    assert not looks_personal(text)
