"""The `segment-bridge` command: one module per command, each importing what it needs when it runs.

Exit codes: 0 it went well, 1 findings or failures, 2 the command line was wrong.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bridge import __version__
from bridge.cli import (
    check,
    dead,
    demo,
    doctor,
    explain,
    forget,
    held,
    import_,
    init,
    pause,
    plan,
    replay,
    salvage,
    sandbox,
    schema,
    serve,
    status,
    test,
    version,
)

app = typer.Typer(
    name="segment-bridge",
    help="Carries Segment events to OneSignal, and remembers every one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _command, _short in (
    (demo.demo, "The whole way on this machine, with a stand-in for OneSignal."),
    (init.init, "Ask five questions; write settings and a first mapping."),
    (serve.serve, "The service: take Segment's webhooks, deliver to OneSignal."),
    (check.check, "All that is wrong with settings and mappings, at once."),
    (doctor.doctor, "Look at disk, clock, OneSignal's key, a user's devices."),
    (schema.schema, "The mapping language as JSON Schema, for editors."),
    (plan.plan, "What events would do, and why others would do nothing."),
    (sandbox.sandbox, "A OneSignal of your own, with phones at /sandbox."),
    (pause.pause, "Stop pushes, or those of one rule, within a second."),
    (pause.resume, "Let pushes leave again, and what was held meanwhile."),
    (replay.replay, "Do what was skipped because it was too old."),
    (forget.forget, "Erase users: at OneSignal, and every trace of them here."),
    (salvage.salvage, "Save what can be read of a damaged database in a new one."),
    (status.status, "Say in one line whether all is well; exits 1 if not."),
    (explain.explain, "What became of a user's newest events, or of one, and why."),
):
    app.command(short_help=_short)(_command)
app.command("import", short_help="Users and their traits from CSV or NDJSON.")(import_.import_file)
app.command("test", short_help="Play the examples of mappings.")(test.play_examples)
app.callback()(version.whole)
app.add_typer(dead.app, name="dead")
app.add_typer(held.app, name="held")


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"segment-bridge {__version__}")
        raise typer.Exit


@app.callback()
def _begin(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_say_version,
            is_eager=True,
            help="Say which version this is, and exit.",
        ),
    ] = False,
) -> None:
    """What stands before any command."""


def main() -> None:
    """Run the command line; a known trouble is a message, not a traceback."""
    from bridge.cli.unread import unread_settings
    from bridge.errors import BridgeError, ConfigurationError

    try:
        app()
    except ConfigurationError as error:
        _say(*error.findings, unread_settings())
        sys.exit(1)
    except BridgeError as error:
        _say(error.finding(), unread_settings())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(*said: object) -> None:
    for one in said:
        if one is not None:
            typer.echo(one, err=True)
