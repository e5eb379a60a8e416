"""What a rule writes about a user, as it runs: tags in their order, copies, properties, contacts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bridge.mapping.compiling import Compiling, Path, Tree
from bridge.mapping.expression import Expression
from bridge.mapping.targets import Target, compile_target
from bridge.mapping.written_user import Contact as WrittenContact, Selection, TagsFrom, UpdateUser
from bridge.onesignal.operations import ContactType
from bridge.onesignal.tags import NORMAL, tag_name

AT: Path = ("do", "update_user")
_OWN = frozenset(
    {
        *UpdateUser.model_fields,
        "timezone_id",
        "tags",
        "language",
        "country",
        "subscriptions",
        "identity",
    }
)
"""What `raw` may not write: it has a field of its own, or is no property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """One entry of `include`: a name, or a pattern; of a nested path, with `_` for its dots."""

    text: str
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Fields of the event that become tags."""

    root: str
    include: tuple[Glob, ...]
    rename: dict[str, str]
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """An e-mail address or a phone number."""

    type: ContactType
    written: Literal["email", "phone"]
    address: Expression
    opted_in: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    tags: tuple[tuple[Expression, Expression], ...]
    #: Of each tag the name as OneSignal takes it; None where the event has a part in it.
    names: tuple[str | None, ...]
    copies: tuple[Copy, ...]
    audience_prefix: str | None
    #: What is said of each property, under OneSignal's name.
    properties: tuple[tuple[str, Expression], ...] = ()
    contacts: tuple[Contact, ...] = ()
    raw: tuple[tuple[str, Tree], ...] = ()
    to: Target | None = None

    @property
    def most_tags(self) -> int | None:
        """How many tags it may write at most; None when that depends on the event."""
        copies = self.copies or self.audience_prefix is not None
        return None if copies else len(self.tags)


def compile_update(update: UpdateUser, compiling: Compiling) -> Update:
    """The update; what is wrong with it is reported."""
    compiled = [
        (compiling.value(name, (*AT, "tags", name)), compiling.value(value, (*AT, "tags", name)))
        for name, value in update.tags.items()
    ]
    tags = tuple((name, value) for name, value in compiled if name and value)
    audience = update.tags_from.audience
    return Update(
        tags=tags,
        names=tuple(_fixed_name(name) for name, _ in tags),
        copies=tuple(_copies(update, compiling)),
        audience_prefix=audience.prefix if audience else None,
        properties=tuple(_properties(update, compiling)),
        contacts=tuple(_contacts(update, compiling)),
        raw=tuple(_raw(update.raw or {}, compiling)),
        to=compile_target(update.to, AT, compiling),
    )


def _properties(update: UpdateUser, compiling: Compiling) -> Iterator[tuple[str, Expression]]:
    for name, written, value in (
        ("language", "language", update.language),
        ("timezone_id", "timezone", update.timezone),
        ("country", "country", update.country),
    ):
        compiled = compiling.optional(value, (*AT, written))
        if compiled is not None:
            _check_property(name, compiled, (*AT, written), compiling)
            yield name, compiled


def _check_property(name: str, value: Expression, at: Path, compiling: Compiling) -> None:
    """What is the same for every event is known to be usable, or not, at once."""
    found = value.resolve({}) if value.is_literal else None
    if isinstance(found, str) and NORMAL[name](found) is None:
        message = f"`{at[-1]}` can never be written: OneSignal does not take {found!r}"
        hint = "language: de, country: AT, timezone: Europe/Vienna"
        compiling.report(at, "field-unusable", message, hint)


def _fixed_name(name: Expression) -> str | None:
    found = name.resolve({}) if name.is_literal else None
    return tag_name(found) if isinstance(found, str) and found else None


def _copies(update: UpdateUser, compiling: Compiling) -> Iterator[Copy]:
    at: Path = (*AT, "tags_from")
    if "tags_from" in update.model_fields_set and update.tags_from == TagsFrom():
        _warn_of_nothing(at, "traits", compiling)
    for root in ("traits", "properties", "context"):
        selection: Selection | None = getattr(update.tags_from, root)
        if selection is None:
            continue
        if not selection.include:
            _warn_of_nothing((*at, root), root, compiling)
        yield Copy(
            root=root,
            include=tuple(map(_glob, selection.include)),
            rename={_flat(path): name for path, name in selection.rename.items()},
            prefix=selection.prefix,
        )


def _warn_of_nothing(path: Path, root: str, compiling: Compiling) -> None:
    message = f"{'.'.join(map(str, path[2:]))} takes nothing"
    hint = f"list the {root} to copy: include: [homeStore, shoe*]"
    compiling.report(path, "nothing-included", message, hint, "warning")


def _glob(text: str) -> Glob:
    text = _flat(text)
    if "*" not in text and "?" not in text:
        return Glob(text=text, pattern=None)
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return Glob(text=text, pattern=re.compile("".join(parts), re.DOTALL))


def _flat(path: str) -> str:
    """`address.city` as the tag that it becomes: `address_city`."""
    return path.replace(".", "_")


def _contacts(update: UpdateUser, compiling: Compiling) -> Iterator[Contact]:
    kinds: tuple[tuple[ContactType, Literal["email", "phone"], WrittenContact | None], ...] = (
        ("Email", "email", update.email),
        ("SMS", "phone", update.phone),
    )
    for kind, written, contact in kinds:
        if contact is None:
            continue
        address = compiling.value(contact.address, (*AT, written))
        opted_in = compiling.optional(contact.opted_in, (*AT, written, "opted_in"))
        if address is not None:
            yield Contact(type=kind, written=written, address=address, opted_in=opted_in)


def _raw(raw: dict[str, Any], compiling: Compiling) -> Iterator[tuple[str, Tree]]:
    for name, value in raw.items():
        path = (*AT, "raw", name)
        if name in _OWN:
            message = f"`{name}` is not for `raw` to write"
            compiling.report(path, "raw-declared", message, "use the field of its own")
            continue
        tree = compiling.tree(value, path)
        if tree is not None:
            yield name, tree
