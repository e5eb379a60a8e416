"""`init`: five questions, and a bridge that is ready to start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from bridge.cli.setup.files import Draft
    from bridge.errors import Finding

T = TypeVar("T")


def init(
    url: Annotated[
        str | None, typer.Option(help="Where Segment will reach it: https://bridge.shop.example")
    ] = None,
    app_id: Annotated[
        str | None, typer.Option(help="OneSignal > Settings > Keys & IDs > OneSignal App ID")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file with the app API key.", exists=True, dir_okay=False)
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="The key itself; other users of this machine may see a command line.",
            envvar="BRIDGE_ONESIGNAL_API_KEY",
            show_envvar=True,
        ),
    ] = None,
    plan: Annotated[
        str | None, typer.Option(help="free, growth, professional, enterprise or unknown")
    ] = None,
    iphones: Annotated[
        str | None,
        typer.Option(help="Who pushes your iPhones: segment, onesignal or nobody"),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME, NAME:client (browser, app), NAME:engage, or with the name of a shipped mapping "
            "(NAME:ecommerce); may be repeated"
        ),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the files go.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing; what has no default must be given.")
    ] = False,
) -> None:
    """Ask five questions, write settings and a first mapping, and say what to paste where.

    Secrets are made here, and written to files that only you can read. Nothing is sent.

    \b
    Example:
      segment-bridge init
      segment-bridge init --no-input --url https://bridge.shop.example --app-id 8a1b3c4d-... \\
        --api-key-file key.txt --plan growth --iphones segment --source backend --source web:client
    """
    from bridge.cli.setup import answers, files
    from bridge.cli.setup.guide import guide

    if api_key_file is not None:
        api_key = api_key_file.read_text(encoding="utf-8")
    ask = _Asking(no_input=no_input)
    said = answers.Answers(
        url=ask(_URL, "--url", url, answers.public_url),
        app_id=ask("2. OneSignal App ID", "--app-id", app_id, answers.app_id),
        api_key=ask(_KEY, "--api-key-file or --api-key", api_key, answers.api_key, hide=True),
        plan=ask(
            f"3. OneSignal plan ({', '.join(answers.PLANS)})",
            "--plan",
            plan,
            answers.plan,
            default="unknown",
        ),
        iphones=ask(_IPHONES, "--iphones", iphones, answers.iphones),
        sources=ask(
            _SOURCES, "--source", ",".join(source or ()) or None, answers.sources, default="default"
        ),
    )
    made = files.draft(said)
    files.write(made, folder, force=force)
    _check(made, folder)
    typer.echo(f"\n{guide(said, made, folder)}\n\nNothing was sent.")


_URL = "1. Where will Segment reach the bridge? (https://…)"
_KEY = "   OneSignal app API key (not shown)"
_IPHONES = """\
4. Who pushes your iPhones?
     segment    Segment, Engage or another tool does already: the bridge leaves them out
     onesignal  OneSignal is to be the only one: the bridge pushes them, too
     nobody     there is no iPhone app, or it is not pushed
  """
_SOURCES = """\
5. Which Segment sources will post here? Names with commas between them; add :client to one in a browser
   or an app, :engage to an Engage space, or the name of a shipped mapping to begin with
   (backend, web:client, space:engage, shop:ecommerce)
  """


class _Asking:
    """Takes what was given, else asks until the answer is one."""

    def __init__(self, *, no_input: bool) -> None:
        self._no_input = no_input

    def __call__(
        self,
        question: str,
        flag: str,
        given: str | None,
        read: Callable[[str], T],
        *,
        default: str | None = None,
        hide: bool = False,
    ) -> T:
        if given is None and self._no_input:
            given = default
            if given is None:
                raise typer.BadParameter(f"{flag} has to be given with --no-input")
        if given is not None:
            try:
                return read(given)
            except ValueError as error:
                raise typer.BadParameter(f"{flag}: {error}") from None
        return self._until_right(question, read, default, hide=hide)

    def _until_right(
        self, question: str, read: Callable[[str], T], default: str | None, *, hide: bool
    ) -> T:
        while True:
            typed: Any = typer.prompt(question, default=default, hide_input=hide)
            try:
                return read(typed)
            except ValueError as error:
                typer.echo(f"   {error}")


def _check(made: Draft, folder: Path) -> None:
    """What was written, as `check` and `test` see it."""
    for path in made.files:
        typer.echo(f"wrote {folder / path}")
    findings, played, failed = _findings(made, folder)
    for finding in findings:
        typer.echo(f"\n{finding}")
    errors = sum(1 for finding in findings if finding.is_error)
    warnings = len(findings) - errors
    typer.echo(f"checked: {errors} errors, {warnings} warnings, {played} examples, {failed} failed")
    if errors or failed:
        raise typer.Exit(1)


def _findings(made: Draft, folder: Path) -> tuple[list[Finding], int, int]:
    """What is wrong with it; how many examples there are, and how many fail."""
    from bridge.config.load import load_config, warnings
    from bridge.config.mappings import load_mappings
    from bridge.errors import ConfigurationError
    from bridge.rehearsal.examples import play
    from bridge.rehearsal.expectations import differences

    try:
        config = load_config(_environment(made, folder))
        mappings, findings = load_mappings(config)
    except ConfigurationError as error:
        return list(error.findings), 0, 0
    failed = [
        differences(one.declared, play(one.declared, mapping)) != []
        for mapping in mappings.values()
        for one in mapping.examples
    ]
    return [*warnings(config), *findings], len(failed), sum(failed)


def _environment(made: Draft, folder: Path) -> dict[str, str]:
    """The settings as `serve` gets them in that folder."""
    from bridge.cli.setup.files import SETTINGS

    lines = [line for line in made.files[SETTINGS].splitlines() if not line.startswith("#")]
    settings = dict(line.split("=", 1) for line in lines)
    for name in ("BRIDGE_MAPPINGS", "BRIDGE_CONFIG"):
        if name in settings:
            settings[name] = str(folder / settings[name])
    return settings
