"""`sandbox`: a OneSignal of your own, to try the bridge against."""

from __future__ import annotations

from typing import Annotated

import typer


def sandbox(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8090,
    unlimited: Annotated[
        bool, typer.Option("--unlimited", help="Without OneSignal's limits.")
    ] = False,
) -> None:
    """Simulate OneSignal: users, devices, notifications, limits, failures on demand.

    Open /sandbox in a browser to see every phone and what it received. Any key will do, and any app
    id that is a UUID.

    POST /sandbox/faults makes requests go wrong, until DELETE; /sandbox/calls and /sandbox/pushes show
    what was asked and what arrived, POST /sandbox/devices adds a phone.

    \b
    Example:
      segment-bridge sandbox --port 8090 &
      BRIDGE_ONESIGNAL_URL=http://127.0.0.1:8090 segment-bridge serve
      curl localhost:8090/sandbox/faults -d '{"match": {"class": "send"},
        "answers": [{"status": 503}], "times": "until_cleared"}'
    """
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_sandbox(host, port, unlimited=unlimited))


async def _sandbox(host: str, port: int, *, unlimited: bool) -> None:
    import uvicorn

    from bridge.cli.server import configuration, listen
    from bridge.clock import SystemClock
    from bridge.sandbox import Limits, create_sandbox

    listening = listen(host, port, variable="--port")
    app = create_sandbox(clock=SystemClock(), limits=Limits(enforced=not unlimited))
    address = "http://{}:{}".format(*listening.getsockname()[:2])
    typer.echo(f"OneSignal's stand-in is at {address} (BRIDGE_ONESIGNAL_URL={address})")
    typer.echo(f"Phones and what they received: {address}/sandbox")
    await uvicorn.Server(configuration(app)).serve(sockets=[listening])
