"""Whether an event says that a person entered or left an audience, and which.

```text
   Segment sends                                        class         key               entered
1  class `trait` or `computed_trait`                    trait         the trait's key   null; see `value`
2  class `journey_step`, or a key `j_o_...`             journey_step  computation_key   true
3  a boolean at properties[key] or traits[key]          audience      the audience key  that boolean
4  no boolean, "Audience Entered" / "Audience Exited"   audience      the audience key  by name
5  reverse ETL new / updated / deleted, sync mode set   audience      configured        by mode
6  anything else                                        null          null              null
```

The first row that fits counts. *The audience key* is `properties.audience_key`, else
`context.personas.computation_key`; *the trait's key* is `properties.trait_key`, else the same.
The strings "true" and "false" are booleans (Journeys send them). The boolean is read before the
event's name, because names are editable and real events contradict their own name. Without a key
there is no row 3 or 4: a membership of nobody knows what is no membership. The `aud_...` that the
documentation prints as computation_key is a placeholder; Segment sends the audience's key there.

Row 2 has one exception: a `false` at the key is entered = false. Older journeys say so on exit,
and "true" would greet people who are leaving.

Row 5, by sync mode: `new` enters in add, upsert and mirror; `updated` in update, upsert and mirror;
`deleted` leaves in delete and mirror; any other pair says nothing.
[segment-docs engage/using-engage-data, journeys/v1/send-data, connections/reverse-etl;
action-destinations core/src/audience-membership.ts]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

AudienceClass = Literal["audience", "journey_step", "trait"]
SyncMode = Literal["add", "update", "upsert", "mirror", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """What conditions read as `audience.*`; every part is None when the event is about none."""

    class_: AudienceClass | None = None
    key: str | None = None
    entered: bool | None = None
    #: A computed trait's value, any JSON; None for the other classes.
    value: Any = None

    def as_field(self) -> dict[str, Any]:
        """The JSON object that conditions and templates read."""
        return {
            "class": self.class_,
            "key": self.key,
            "entered": self.entered,
            "value": self.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseEtl:
    """How a reverse ETL source's rows are read: its sync mode, and the audience they stand for."""

    mode: SyncMode
    key: str


NO_AUDIENCE = Audience()

#: The names under which reverse ETL sends rows. [segment-docs connections/reverse-etl]
REVERSE_ETL_NAMES = frozenset({"new", "updated", "deleted"})

_EMPTY: Mapping[str, Any] = {}
_BY_NAME = {"Audience Entered": True, "Audience Exited": False}
_BOOLEANS = {"true": True, "false": False}
_BY_MODE: Mapping[tuple[str, str], bool] = {
    **{("new", mode): True for mode in ("add", "upsert", "mirror")},
    **{("updated", mode): True for mode in ("update", "upsert", "mirror")},
    **{("deleted", mode): False for mode in ("delete", "mirror")},
}


def audience_of(sent: Mapping[str, Any], reverse_etl: ReverseEtl | None = None) -> Audience:
    """The audience that an event (its JSON object) is about. Never raises.

    Args:
        sent: The event as Segment sent it.
        reverse_etl: Set when the source is a reverse ETL one.
    """
    personas = _object(_object(sent, "context"), "personas")
    properties = _object(sent, "properties")
    if not personas and "audience_key" not in properties:
        return _by_reverse_etl(sent, reverse_etl)
    traits = _object(sent, "traits")
    computation_key = _text(personas.get("computation_key"))
    computation_class = _text(personas.get("computation_class"))
    if computation_class in {"trait", "computed_trait"}:
        return _trait(_text(properties.get("trait_key")) or computation_key, properties, traits)
    if computation_class == "journey_step":
        return _journey_step(computation_key, properties, traits)
    key = _text(properties.get("audience_key")) or computation_key
    if (step := _journey_key(computation_key, key)) is not None:
        return _journey_step(step, properties, traits)
    entered = _membership(key, properties, traits)
    if entered is None:
        entered = _BY_NAME.get(_text(sent.get("event")) or "")
    if key is None or entered is None:
        return _by_reverse_etl(sent, reverse_etl)
    return Audience(class_="audience", key=key, entered=entered)


def _trait(key: str | None, properties: Mapping[str, Any], traits: Mapping[str, Any]) -> Audience:
    if key is None:
        return Audience(class_="trait")
    value = properties[key] if key in properties else traits.get(key)
    return Audience(class_="trait", key=key, value=value)


def _journey_key(*keys: str | None) -> str | None:
    return next((key for key in keys if key and key.startswith("j_o_")), None)


def _journey_step(
    key: str | None, properties: Mapping[str, Any], traits: Mapping[str, Any]
) -> Audience:
    left = _membership(key, properties, traits) is False
    return Audience(class_="journey_step", key=key, entered=not left)


def _membership(
    key: str | None, properties: Mapping[str, Any], traits: Mapping[str, Any]
) -> bool | None:
    if key is None:
        return None
    entered = _boolean(properties.get(key))
    return _boolean(traits.get(key)) if entered is None else entered


def _by_reverse_etl(sent: Mapping[str, Any], reverse_etl: ReverseEtl | None) -> Audience:
    if reverse_etl is None or sent.get("type") != "track":
        return NO_AUDIENCE
    entered = _BY_MODE.get((_text(sent.get("event")) or "", reverse_etl.mode))
    if entered is None:
        return NO_AUDIENCE
    return Audience(class_="audience", key=reverse_etl.key, entered=entered)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if type(found) is dict else _EMPTY


def _text(value: object) -> str | None:
    return value if type(value) is str and value else None


def _boolean(value: object) -> bool | None:
    if type(value) is bool:
        return value
    return _BOOLEANS.get(value) if type(value) is str else None
