"""`schema`: the mapping language as JSON Schema, so that editors complete and check while one writes."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON Schema of a mapping file, for editors.

    An editor with YAML support completes fields and shows what they mean when the first line of a
    mapping says `# yaml-language-server: $schema=mapping.schema.json`. Nothing is sent.

    \b
    Example:
      segment-bridge schema > mapping.schema.json
    """
    import orjson

    from bridge.mapping.schema import json_schema

    typer.echo(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode())
