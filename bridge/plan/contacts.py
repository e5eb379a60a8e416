"""A user's e-mail address and phone number, as one event says them.

OneSignal keeps each as a subscription, which a customer can end there; so what an event says is
passed on as it is, and what is to be done is decided beside the record of what was written before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.mapping.expression import Missing, Refused
from bridge.mapping.update import Contact
from bridge.onesignal.operations import ContactType, Recipient, SetContact
from bridge.plan.values import Draft, why
from bridge.segment.consent import subscribed

ADDRESS_LENGTH = 320
_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_ANSWERS = {True: True, False: False, "true": True, "false": False}


def token(kind: str, text: str) -> str | Refused:
    """An address or a number as OneSignal takes it; any other kind's token is its own business."""
    text = text.strip()
    if kind == "Email" and (len(text) > ADDRESS_LENGTH or _EMAIL.fullmatch(text) is None):
        return Refused("not_an_email", None)
    if kind == "SMS" and _E164.fullmatch(text) is None:
        return Refused("not_e164", None)
    return text


def plan_contacts(
    contacts: tuple[Contact, ...], draft: Draft, to: Recipient
) -> Iterator[SetContact]:
    """What an event says of each; one whose address or answer cannot be used is left out."""
    for contact in contacts:
        address = _address(contact, draft)
        opted_in = _opted_in(contact, draft)
        if isinstance(address, Missing | Refused):
            draft.leave_out(contact.written, *why(address))
        elif isinstance(opted_in, Refused):
            draft.leave_out(contact.written, *why(opted_in))
        else:
            said = _as_segment_says(contact, address, draft, opted_in=opted_in)
            yield SetContact(
                rule=draft.rule, to=to, type=contact.type, address=address, opted_in=said
            )


_CHANNELS = {"Email": "EMAIL", "SMS": "SMS"}


def _as_segment_says(
    contact: Contact, address: str | None, draft: Draft, *, opted_in: bool | None
) -> bool | None:
    """Who has unsubscribed, by `messaging_subscriptions`, is not written to, whatever the rule reads."""
    if address is None:
        return opted_in
    status = subscribed(draft.fields.get("context", {}), _CHANNELS[contact.type], address)
    if status == "UNSUBSCRIBED" or (status == "DID_NOT_SUBSCRIBE" and opted_in is None):
        draft.leave_out(
            f"{contact.written}.opted_in", status.lower(), "context.messaging_subscriptions"
        )
        return False
    return True if status == "SUBSCRIBED" and opted_in is None else opted_in


def _address(contact: Contact, draft: Draft) -> str | Missing | Refused | None:
    found = contact.address.resolve(draft.fields)
    if isinstance(found, Missing | Refused):
        return found
    if found is None or found == "":
        return None
    kind: ContactType = contact.type
    return token(kind, found) if isinstance(found, str) else Refused("not_text", None)


def _opted_in(contact: Contact, draft: Draft) -> bool | Refused | None:
    """The answer, None when the event does not say; a strange one may be a no, and is no yes."""
    if contact.opted_in is None:
        return None
    found = contact.opted_in.resolve(draft.fields)
    if found is None or isinstance(found, Missing):
        return None
    if isinstance(found, bool | str) and found in _ANSWERS:
        return _ANSWERS[found]
    path = next(iter(contact.opted_in.paths), "opted_in")
    return found if isinstance(found, Refused) else Refused("not_a_boolean", path)
