"""`demo`: the main job, end to end and alone, told as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from httpx import AsyncClient

    from bridge.app import Bridge
    from bridge.sandbox import Sandbox

PATIENCE_SECONDS = 25.0


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, to look at and to post to.")
    ] = False,
) -> None:
    """Show the whole way: Segment events become OneSignal users, tags and pushes, no iPhone twice.

    Starts a stand-in for OneSignal and a bridge on free loopback ports, posts signed webhooks, waits
    until everything is delivered, and prints who received what. Nothing leaves this machine.

    \b
    Example:
      segment-bridge demo
    """
    import asyncio
    import logging
    import tempfile
    from pathlib import Path

    from bridge.telemetry import configure_logs

    # A refused forgery is part of the story, and told in its place.
    configure_logs("pretty", level=logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="segment-bridge-demo-") as folder:
        well = asyncio.run(_demo(Path(folder) / "bridge.db", keep=keep))
    if not well:
        raise typer.Exit(1)


async def _demo(database: Any, *, keep: bool) -> bool:
    import asyncio
    from contextlib import AsyncExitStack

    import httpx

    from bridge.app import running
    from bridge.cli.server import QuietServer, configuration, listen
    from bridge.clock import SystemClock
    from bridge.config import of_settings
    from bridge.config.mappings import load_mappings
    from bridge.sandbox import create_sandbox

    clock = SystemClock()
    onesignal = create_sandbox(clock=clock)
    async with AsyncExitStack() as stack:
        there = await _serving(stack, QuietServer(configuration(onesignal)), listen("127.0.0.1", 0))
        config = of_settings(_settings(database, there))
        mappings, _ = load_mappings(config)
        bridge = await stack.enter_async_context(running(config, mappings, clock=clock))
        here = await _serving(stack, QuietServer(configuration(bridge.app)), listen("127.0.0.1", 0))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=here, trust_env=False))
        well = await _tell(http, bridge, onesignal.state.sandbox)
        if well and not keep:
            typer.echo(
                "To look around: segment-bridge demo --keep. For your own app: segment-bridge init."
            )
        if keep:
            _say_where(here, there)
            await asyncio.Event().wait()
    return well


async def _serving(stack: Any, server: Any, listening: Any) -> str:
    """Serve until the stack unwinds; the address."""
    import asyncio

    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listening]))

    async def stop() -> None:
        server.should_exit = True
        await task

    stack.push_async_callback(stop)
    return "http://{}:{}".format(*listening.getsockname()[:2])


def _settings(database: Any, onesignal_url: str) -> Any:
    from pydantic import SecretStr

    from bridge.cli.demonstration import APP_ID, SECRET, mapping_path
    from bridge.settings import Settings

    return Settings(
        database_url=f"sqlite:///{database}",
        mappings=mapping_path(),
        segment_secrets=(SecretStr(SECRET),),
        onesignal_app_id=APP_ID,
        onesignal_api_key=(SecretStr("os_v2_app_demo"),),
        onesignal_url=onesignal_url,
    )


async def _tell(http: AsyncClient, bridge: Bridge, onesignal: Sandbox) -> bool:
    from datetime import UTC, datetime

    from bridge.cli import demonstration as story
    from bridge.cli.demonstration.table import Counts, print_story

    for person, platforms in story.PEOPLE.items():
        for platform in platforms:
            onesignal.add_device(person, platform, app_id=story.APP_ID)
    at = datetime.fromtimestamp(bridge.clock.now_ms() / 1000, UTC).isoformat()
    before = _tags(onesignal)
    first = await _post(http, story.profiles(at))
    answers = [await _post(http, event) for event in story.happenings(at)]
    again = [await _post(http, event) for event in story.happenings(at)]
    forged = await http.post(
        "/v1/segment/default", content=b"{}", headers={"x-signature": "0" * 40}
    )
    delivered = await _quiet(bridge)
    counts = Counts(
        accepted=sum(answer["accepted"] for answer in (first, *answers)),
        duplicates=sum(answer["duplicates"] for answer in again),
        forged=forged.status_code,
        delivered=delivered,
    )
    return print_story(onesignal, before, _tags(onesignal), counts)


async def _post(http: AsyncClient, body: Any) -> dict[str, Any]:
    """A webhook as Segment makes it: compact JSON, signed; of a batch only the first event is."""
    import hmac

    import orjson

    from bridge.cli.demonstration import SECRET

    raw = orjson.dumps(body)
    signed = orjson.dumps(body[0]) if isinstance(body, list) else raw
    headers = {"x-signature": hmac.new(SECRET.encode(), signed, "sha1").hexdigest()}
    answer = await http.post("/v1/segment/default", content=raw, headers=headers)
    answer.raise_for_status()
    result: dict[str, Any] = answer.json()
    return result


async def _quiet(bridge: Bridge) -> bool:
    """Wait until nothing is pending; False when that takes too long."""
    deadline = bridge.clock.monotonic() + PATIENCE_SECONDS
    while bridge.clock.monotonic() < deadline:
        if (await bridge.journal.counts()).pending == 0:
            return True
        await bridge.clock.sleep(0.05)
    return False


def _tags(onesignal: Sandbox) -> dict[str, dict[str, str]]:
    from bridge.cli.demonstration import APP_ID, PEOPLE

    users = {person: onesignal.user(person, app_id=APP_ID) for person in PEOPLE}
    return {person: dict(user.tags) if user else {} for person, user in users.items()}


def _say_where(here: str, there: str) -> None:
    typer.echo(f"\nStill running. Phones: {there}/sandbox")
    typer.echo(f"Webhook: {here}/v1/segment/default (secret: demo-secret). Ctrl-C ends it.")
