"""The `segment-bridge` command: one module per command, each importing what it needs when it runs.

Exit codes: 0 it went well, 1 findings or failures, 2 the command line was wrong.
"""

from __future__ import annotations

import sys

import typer

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
for _command in (
    demo.demo,
    init.init,
    serve.serve,
    check.check,
    doctor.doctor,
    schema.schema,
    plan.plan,
    sandbox.sandbox,
    pause.pause,
    pause.resume,
    replay.replay,
    forget.forget,
    salvage.salvage,
    status.status,
    explain.explain,
):
    app.command()(_command)
app.command("import")(import_.import_file)
app.command("test")(test.play_examples)
app.add_typer(dead.app, name="dead")
app.add_typer(held.app, name="held")


def main() -> None:
    """Run the command line; a known trouble is a message, not a traceback."""
    from bridge.errors import BridgeError, ConfigurationError

    try:
        app()
    except ConfigurationError as error:
        _say(*error.findings)
        sys.exit(1)
    except BridgeError as error:
        _say(error.finding())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(*findings: object) -> None:
    for finding in findings:
        typer.echo(finding, err=True)
