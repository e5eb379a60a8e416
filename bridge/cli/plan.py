"""`plan`: what events would do, without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.mapping.rules import Mapping
    from bridge.onesignal.operations import Operation
    from bridge.plan import Plan
    from bridge.segment.body import Element
    from bridge.segment.events import Event

APP_ID = "YOUR-APP-ID"


def plan(
    files: Annotated[
        list[str],
        typer.Argument(help="An event, an array, NDJSON or a webhook's body; - is standard input."),
    ],
    mapping: Annotated[
        Path | None,
        typer.Option("-m", "--mapping", help="A file, a folder, or the name of a shipped mapping."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object for each request or skip.")
    ] = False,
) -> None:
    """Show the requests that events would make, and why others would not. Sends nothing.

    \b
    Example:
      segment-bridge plan -m shop.yaml order-shipped.json
    """
    from bridge.cli.mapping import chosen_mapping

    chosen = chosen_mapping(mapping)
    lines = [
        line for file in files for element in _elements(file) for line in _plan(element, chosen)
    ]
    if as_json:
        _print_json(lines)
    else:
        _print_table(lines)


def _elements(file: str) -> Iterator[Element]:
    from bridge.errors import ConfigurationError, Finding
    from bridge.segment.body import NotJson, read_body

    try:
        body = typer.get_binary_stream("stdin").read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from None
    whole = read_body(body)
    numbered = _lines(body) if isinstance(whole, NotJson) else [(1, body)]
    for number, line in numbered:
        part = read_body(line)
        if isinstance(part, NotJson):
            raise ConfigurationError(
                [Finding(code=part.code, message=part.message, file=file, line=number)]
            )
        yield from part


def _lines(body: bytes) -> list[tuple[int, bytes]]:
    """NDJSON: every line that is not empty, with its number."""
    return [(number, line) for number, line in enumerate(body.splitlines(), 1) if line.strip()]


def _plan(element: Element, mapping: Mapping) -> list[dict[str, Any]]:
    from bridge.plan import plan as decide
    from bridge.segment.events import Unusable, parse_timestamp, read_event

    at = element.value.get("timestamp") if isinstance(element.value, dict) else None
    now_ms = parse_timestamp(at) or 0
    event = read_event(element.value, raw=element.raw, source="default", received_ms=now_ms)
    if isinstance(event, Unusable):
        reason = event.code.replace("-", "_")
        return [_line("", "", "", skip={"reason": reason, "detail": event.message})]
    return _lines_of(event, decide(event, mapping))


def _lines_of(event: Event, planned: Plan) -> list[dict[str, Any]]:
    lines = [_request_line(event, one, planned) for one in planned.operations]
    lines += [
        _line(
            event.message_id,
            skip.rule,
            skip.operation,
            skip={"reason": skip.reason, "detail": skip.detail},
        )
        for skip in planned.skips
    ]
    return lines


def _request_line(event: Event, operation: Operation, planned: Plan) -> dict[str, Any]:
    from bridge.onesignal.operations import UpdateUser

    rules = operation.rules if isinstance(operation, UpdateUser) else (operation.rule,)
    notes = [
        str(note)
        for note in planned.notes
        if note.operation == operation.name and note.rule in rules
    ]
    request, guards = _request(event, operation)
    return _line(
        event.message_id,
        ", ".join(rules),
        operation.name,
        request=request,
        guards=guards,
        notes=notes,
    )


def _request(event: Event, operation: Operation) -> tuple[dict[str, Any] | None, list[str]]:
    """The request that an operation makes, None when that is for our record to say; what may stop it."""
    import orjson

    from bridge.onesignal.operations import Send, send_key
    from bridge.onesignal.user_model import send_body, send_path, update_requests

    if not isinstance(operation, Send):
        requests = update_requests(operation, app_id=APP_ID)
        shown = [{"method": one.method, "path": one.path, "body": one.body} for one in requests]
        return next(iter(shown), None), []
    key = send_key(
        app="default",
        rule=operation.rule,
        message_id=event.message_id,
        recipient=operation.to,
        generation=0,
    )
    body = orjson.loads(send_body(operation, app_id=APP_ID, key=key))
    path = send_path(operation, app_id=APP_ID)
    return {"method": "POST", "path": path, "body": body}, ["max_age"]


def _line(message_id: str, rule: str, operation: str, **more: Any) -> dict[str, Any]:
    return {"message_id": message_id, "rule": rule, "operation": operation} | more


def _print_json(lines: list[dict[str, Any]]) -> None:
    import orjson

    for line in lines:
        typer.echo(orjson.dumps(line).decode())


def _print_request(rule: str, request: dict[str, Any] | None) -> None:
    import orjson

    if request is None:
        typer.echo(f"{rule:<20} disables the address that was written before, if there is one")
        return
    typer.echo(f"{rule:<20} {request['method']} {request['path']}")
    body = orjson.dumps(request["body"], option=orjson.OPT_INDENT_2).decode()
    typer.echo("".join(f"    {text}\n" for text in body.splitlines()), nl=False)


def _print_table(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        rule = line["rule"] or "(event)"
        if skip := line.get("skip"):
            detail = f": {skip['detail']}" if skip["detail"] else ""
            typer.echo(f"{rule:<20} skipped  {skip['reason']}{detail}")
            continue
        _print_request(rule, line["request"])
        for note in line["notes"]:
            typer.echo(f"    left out  {note}")
    requests = sum(1 for line in lines if "request" in line)
    typer.echo(f"\n{requests} requests, {len(lines) - requests} skips. Nothing was sent.")
