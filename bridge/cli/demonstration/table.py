"""The end of the demo's story, as tables that a marketer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bridge.cli.demonstration import PEOPLE

if TYPE_CHECKING:
    from bridge.sandbox import Sandbox

DEVICES = {"ios": "iPhone", "android": "Android phone", "web-chrome": "Chrome"}
Tags = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    accepted: int
    duplicates: int
    forged: int
    delivered: bool


def print_story(onesignal: Sandbox, before: Tags, after: Tags, counts: Counts) -> bool:
    """Print who received what; True when everything is as promised."""
    console = Console(highlight=False, width=None if Console().is_terminal else 100)
    received = _received(onesignal)
    console.print(_pushes(onesignal))
    console.print(_profiles(before, after))
    calls = [call for call in onesignal.calls if call.status < 400]
    pushes = sum(1 for call in calls if call.path.endswith("/notifications"))
    console.print(
        f"{counts.accepted} events accepted; {counts.duplicates} sent again and known by their"
        f" messageId; 1 with a wrong signature refused ({counts.forged})."
    )
    console.print(
        f"{len(onesignal.calls)} calls to OneSignal: {pushes} notifications,"
        f" {len(onesignal.calls) - pushes} updates of users."
    )
    well = counts.delivered and counts.forged == 401 and _as_promised(received)
    well = well and counts.duplicates == 5 and not onesignal.complaints
    console.print(
        "No iPhone was pushed twice: Segment's push is the only one it gets."
        if well
        else "[bold]Something is not as promised; please report what you see above.[/bold]"
    )
    return well


def _received(onesignal: Sandbox) -> dict[tuple[str, str], list[str]]:
    received: dict[tuple[str, str], list[str]] = {
        (person, platform): [] for person, platforms in PEOPLE.items() for platform in platforms
    }
    for push in onesignal.pushes:
        received.setdefault((push.external_id or "", str(push.platform)), []).append(push.text)
    return received


def _as_promised(received: dict[tuple[str, str], list[str]]) -> bool:
    return all(
        len(texts) == (0 if platform == "ios" else 1) for (_, platform), texts in received.items()
    )


def _pushes(onesignal: Sandbox) -> Table:
    table = Table(title="\nWho received what, when an order shipped", title_justify="left")
    for column in ("customer", "device", "from us", "what it says"):
        table.add_column(column, justify="right" if column == "from us" else "left")
    for (person, platform), texts in _received(onesignal).items():
        said = texts[0] if texts else "(Segment pushes this one)" if platform == "ios" else ""
        table.add_row(person, DEVICES[platform], str(len(texts)), said)
    return table


def _profiles(before: Tags, after: Tags) -> Table:
    table = Table(title="\nTags at OneSignal", title_justify="left")
    for column in ("customer", "before", "after"):
        table.add_column(column)
    for person in PEOPLE:
        table.add_row(person, _listed(before[person]), _listed(after[person]))
    return table


def _listed(tags: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in tags.items()) or "-"
