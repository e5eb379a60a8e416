"""`doctor`: is everything as it has to be, here and at OneSignal?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.cli.doctoring import Check
    from bridge.config import Config, Source

_SIGN = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


def doctor(
    url: Annotated[
        str | None,
        typer.Option(
            help="The address that Segment posts to: small and large events go through it."
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help="An external id: its devices, and which of them a push would reach."),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Settle OneSignal's open questions with a throwaway user."),
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(
            help="With --probe: the file of settings to write the answers to.", dir_okay=False
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="With --url: whose secrets, when the address does not name the source."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object for each check.")] = False,
) -> None:
    """Look at settings, storage, the clock, OneSignal's key, limits and templates.

    Exits 1 when anything is an error. Sends nothing to anyone; --probe creates a user without
    devices at OneSignal and deletes it again.

    \b
    Example:
      segment-bridge doctor --url https://bridge.shop.example/v1/segment
      segment-bridge doctor --user user-4711
    """
    import orjson

    if write is not None and not probe:
        raise typer.BadParameter("--write goes with --probe")
    worst, settled = 0, list[str]()
    for check in _checks(url, user, source, probe=probe):
        worst += check.level == "error"
        settled += [check.setting] if check.setting else []
        if as_json:
            typer.echo(orjson.dumps(check._asdict()).decode())
        else:
            typer.echo(_line(check))
    if write is not None and settled:
        from bridge.cli.doctoring.probe import written

        write.write_text(written(write.read_text() if write.exists() else "", settled))
    if not as_json:
        typer.echo(f"{worst} errors. Nothing was sent to anyone.")
    if worst:
        raise typer.Exit(1)


def _line(check: Check) -> str:
    line = f"{_SIGN[check.level]}  {check.name}: {check.said}"
    return line if check.hint is None else f"{line}\n         hint: {check.hint}"


def _checks(
    url: str | None, user: str | None, source: str | None, *, probe: bool
) -> Iterator[Check]:
    from bridge.cli.doctoring import here
    from bridge.cli.doctoring.public import through
    from bridge.config.load import load_config
    from bridge.errors import ConfigurationError

    config: Config | None = None
    sender: Source | None = None
    with suppress(ConfigurationError):  # which is the first finding
        config = load_config()
        # Before all else: who has to name a source hears so at once.
        sender = None if url is None else _sender(url, source)
    yield here.settings()
    yield here.ports()
    yield from here.storage()
    if config is not None:
        yield from _of_onesignal(config, user, probe=probe)
    if url is not None and sender is not None:
        yield from through(url, sender)


def _sender(url: str, source: str | None) -> Source:
    """Whose secrets are shown at an address: of the source that is named, else of the one that it leads to."""
    from bridge.cli.mapping import chosen_source, source_at

    return chosen_source(source or source_at(url))[0]


def _of_onesignal(config: Config, user: str | None, *, probe: bool) -> Iterator[Check]:
    """What OneSignal says, of each app."""
    import asyncio

    for name in config.apps:
        yield from asyncio.run(_of_app(config, name, user, probe=probe))


async def _of_app(config: Config, name: str, user: str | None, *, probe: bool) -> list[Check]:
    from bridge.cli.doctoring import onesignal
    from bridge.cli.doctoring.probe import probed
    from bridge.cli.mapping import what_serves
    from bridge.clock import SystemClock
    from bridge.onesignal.client import OneSignal

    app, clock = config.apps[name], SystemClock()
    keys = [key.get_secret_value() for key in app.api_keys]
    sources, _, known = what_serves()
    # Sources that have one mapping are one.
    mappings = {one.revision: one for source, one in known.items() if sources[source].app == name}
    async with OneSignal(url=app.url, api_keys=keys) as client:
        looks = onesignal.Looks(app, client, clock)
        found = [check async for check in onesignal.access(looks, clock)]
        if any(check.level == "error" for check in found):
            return found
        more = [check async for check in onesignal.templates(looks, mappings.values())]
        if user is not None:
            more += [check async for check in onesignal.user(looks, user, mappings.values())]
        if probe:
            more += [check async for check in probed(app, client, clock)]
    if len(config.apps) > 1:
        more = [check._replace(name=f"{check.name} of {name}") for check in more]
    return found + more
