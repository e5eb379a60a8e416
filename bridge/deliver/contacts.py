"""What to do about an e-mail address or a phone number, given what Segment said before. Pure.

A contact is *on* when there is an address and nobody has said no. Only a change of that in Segment
does anything: what a customer did at OneSignal meanwhile, above all to unsubscribe, is not touched::

    was        is now                 done
    nothing    on                     add the address, saying nothing of `enabled`
    on         on, the same           nothing, ever
    on         on, another address    add that one, switch ours off
    on         off, or no address     switch it off; nothing to switch off is fine
    off        on                     switch it on; add it when it is not there
    nothing    off                    switch it off, in case somebody else has added it
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import JsonValue

from bridge.onesignal.operations import SetContact

ADDRESSES_KEPT = 10


class Contact(NamedTuple):
    """What Segment said last, and the addresses that we have added."""

    address: str | None = None
    opted_in: bool | None = None
    added: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        return self.address is not None and self.opted_in is not False

    def with_added(self, address: str) -> Contact:
        others = tuple(one for one in self.added if one != address)
        return self._replace(added=(*others, address)[-ADDRESSES_KEPT:])

    @property
    def value(self) -> JsonValue:
        """As a fact of the user's row."""
        return {"address": self.address, "opted_in": self.opted_in, "added": list(self.added)}


def contact_of(value: JsonValue) -> Contact:
    """The contact that a fact is; of none, one of which nothing was ever said."""
    if not isinstance(value, dict):
        return Contact()
    address, opted_in, added = value.get("address"), value.get("opted_in"), value.get("added")
    return Contact(
        address=address if isinstance(address, str) else None,
        opted_in=opted_in if isinstance(opted_in, bool) else None,
        added=tuple(map(str, added)) if isinstance(added, list) else (),
    )


class Act(NamedTuple):
    """One thing to do about one address, and the contact once it is done."""

    do: Literal["add", "enable", "disable"]
    address: str
    after: Contact


def decide(
    stored: Contact, wanted: SetContact, *, certain: bool = True
) -> tuple[Contact, list[Act]]:
    """The contact as it is now, and what to do for it.

    `certain`: what was done last is known to have been done; otherwise an explicit answer of
    Segment's is passed on again.
    """
    said = stored.opted_in if wanted.opted_in is None else wanted.opted_in
    now = stored._replace(address=wanted.address, opted_in=said)
    acts: list[Act] = []
    address = now.address
    if address is not None and (do := _do(stored, now, wanted, certain=certain)) is not None:
        acts.append(Act(do, address, stored))
        if do != "disable":
            now, stored = now.with_added(address), stored.with_added(address)
    if stored.is_on and stored.address is not None and stored.address != now.address:
        acts.append(Act("disable", stored.address, stored))
    # A step that is done is known before the next is; after the last, all of it is.
    afters = [stored] * (len(acts) - 1) + [now]
    return now, [act._replace(after=after) for act, after in zip(acts, afters, strict=False)]


def _do(
    stored: Contact, now: Contact, wanted: SetContact, *, certain: bool
) -> Literal["add", "enable", "disable"] | None:
    same = stored.address == now.address
    if not now.is_on:
        known = same and not stored.is_on and certain
        return None if known else "disable"
    if same and stored.is_on:
        return "enable" if wanted.opted_in and not certain else None
    return "enable" if same or now.address in stored.added else "add"
