"""`serve`: the service, from the first check of its settings to the last call on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bridge import __version__

if TYPE_CHECKING:
    from socket import socket

    from bridge.app import Bridge
    from bridge.cli.live import StatusLine
    from bridge.cli.server import Server
    from bridge.config import Config
    from bridge.config.mappings import Mappings
    from bridge.journal.records import Counts
    from bridge.settings import Settings

UNKNOWN_PLAN = "unknown (150 sends/s, 1,000 writes/s)"


def serve(
    host: Annotated[str | None, typer.Option(help="Instead of BRIDGE_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Instead of BRIDGE_PORT; 0 takes a free one.")
    ] = None,
) -> None:
    """Accept webhooks of Segment's and deliver them to OneSignal.

    Settings come from the environment (README lists them); everything wrong is reported at once.

    \b
    Example:
      BRIDGE_SEGMENT_SECRETS=... BRIDGE_ONESIGNAL_APP_ID=... BRIDGE_ONESIGNAL_API_KEY=... \\
        segment-bridge serve
    """
    import asyncio
    import sys
    from dataclasses import replace

    import uvloop

    from bridge.cli.live import status_line
    from bridge.config.load import load_config
    from bridge.telemetry import configure_logs

    config = load_config()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    config = replace(config, settings=config.settings.model_copy(update=given))
    line = status_line(config.settings)
    if line is not None and sys.stderr.isatty():
        configure_logs(config.settings.log_format, through=line.above)
    else:
        configure_logs(config.settings.log_format)
    _refuse_to_forget(config.settings)
    _refuse_to_share(config.settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        failure = runner.run(_serve(config, line))
    if failure is not None:
        raise typer.Exit(1)


def _refuse_to_forget(settings: Settings) -> None:
    """A container without a volume loses every event with it."""
    from bridge.errors import ConfigurationError, Finding

    folder = settings.database_path.absolute().parent
    if settings.ephemeral != "no" or folder.is_mount():
        return
    raise ConfigurationError(
        [
            Finding(
                code="no-volume",
                message=f"{folder} is not a volume: every event would be lost with this container",
                hint=f"docker run -v bridge-data:{folder} ...; to try it out, -e BRIDGE_EPHEMERAL=yes",
            )
        ]
    )


def _refuse_to_share(settings: Settings) -> None:
    """A second process on one database need not load all of a bridge to hear that it is one."""
    from bridge.journal.sqlite_file import lock

    lock(settings.database_path).close()


async def _serve(config: Config, line: StatusLine | None) -> str | None:
    """Run until a signal; why it ended, when that was not asked for."""
    from bridge.app import running
    from bridge.app.seeing import left_behind
    from bridge.cli.server import Server, listen
    from bridge.clock import SystemClock
    from bridge.config.load import load_config, warnings
    from bridge.config.mappings import load_mappings
    from bridge.deliver.watchdog import Watchdog
    from bridge.telemetry import log

    settings = config.settings
    mappings, findings = load_mappings(config)
    listening = [listen(settings.host, settings.port)]
    if settings.admin_port is not None:
        listening.append(listen(settings.host, settings.admin_port, variable="BRIDGE_ADMIN_PORT"))
    async with running(config, mappings, clock=SystemClock(), read=load_config) as bridge:
        watchdog = Watchdog(hand=bridge.hand, is_cautious=lambda: bridge.is_cautious)
        # Before anything is waited for: the first event may be one that makes the loop stand.
        watchdog.start()
        try:
            for finding in (*warnings(config), *findings):
                log().warning(finding.code, message=finding.message, hint=finding.hint)
            counts = await bridge.journal.counts()
            for app, waiting in left_behind(await bridge.journal.pending_apps(), config).items():
                log().warning("app.gone", app=app, pending=waiting)
            server = Server(bridge)
            _settle_memory()
            _share_the_interpreter()
            _say_serving(config, mappings, counts, listening)
            return await _until_stopped(bridge, server, listening, line)
        finally:
            watchdog.stop()


async def _until_stopped(
    bridge: Bridge, server: Server, listening: list[socket], line: StatusLine | None
) -> str | None:
    import asyncio

    from bridge.cli.live import Live

    live = None
    if line is not None:
        live = asyncio.create_task(Live(bridge=bridge, line=line).run())
    try:
        return await server.until_stopped(*listening)
    finally:
        if live is not None:
            live.cancel()


def _say_serving(
    config: Config, mappings: Mappings, counts: Counts, listening: list[socket]
) -> None:
    from bridge.telemetry import log

    settings = config.settings
    addresses = ["{}:{}".format(*one.getsockname()[:2]) for one in listening]
    log().info(
        "bridge.serving",
        version=__version__,
        address=addresses[0],
        admin=addresses[-1],
        journal=str(settings.database_path),
        mapping=sorted({file for one in mappings.values() for file in one.files}),
        revision={source: one.revision for source, one in mappings.items()},
        rules=sum(len(one.rules) for one in mappings.values()),
        pending=counts.pending,
        dead=counts.dead,
        sources={one.name: one.app for one in config.sources.values()},
        api={app.name: app.spoken.api for app in config.apps.values()},
        onesignal={app.name: app.url for app in config.apps.values()},
        plan={app.name: app.plan or UNKNOWN_PLAN for app in config.apps.values()},
        platforms={app.name: list(app.platforms) for app in config.apps.values()},
        dry_run=config.restraint.dry_run,
        only_users=None if config.restraint.only is None else len(config.restraint.only),
    )


def _settle_memory() -> None:
    """Keep the collector's walks short: what is loaded by now stays, and most of the rest is young.

    With the defaults a request now and then waits 50 ms for a full collection.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def _share_the_interpreter() -> None:
    """Let the journal's thread have it soon: a statement takes a millisecond, and then it needs an instant.

    With the default of 5 ms a group of a batch's events waited 9 of its 24 ms for that.
    """
    import sys

    sys.setswitchinterval(0.0005)
