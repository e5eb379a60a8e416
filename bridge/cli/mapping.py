"""What commands that send nothing need to know of the settings: sources, their mappings, their apps.

Nothing of it needs a secret or a key, unless there is a `bridge.yaml`, which is read as a whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bridge.config import App, Source
    from bridge.mapping.rules import Mapping
    from bridge.onesignal.api import Spoken

DEFAULT_PLATFORMS = ("android", "web")


def served_platforms() -> tuple[str, ...]:
    """The platforms of BRIDGE_ONESIGNAL_PLATFORMS, or its default."""
    text = os.environ.get("BRIDGE_ONESIGNAL_PLATFORMS", "")
    return tuple(part for part in re.split(r"[,\s]+", text) if part) or DEFAULT_PLATFORMS


def spoken() -> Spoken:
    """What BRIDGE_ONESIGNAL_API and BRIDGE_ONESIGNAL_LEGACY_FLAGS say, or their defaults."""
    from bridge.onesignal.api import Spoken

    return Spoken(
        api="legacy" if os.environ.get("BRIDGE_ONESIGNAL_API") == "legacy" else "user-model",
        trusts_flags=os.environ.get("BRIDGE_ONESIGNAL_LEGACY_FLAGS") == "trust",
    )


def chosen_source(name: str | None) -> tuple[Source, App]:
    """The source of that name, or the only one, and its app.

    Raises:
        ConfigurationError: `bridge.yaml` is not as it should be.
    """
    known = dict(_sources())
    if name is None and len(known) > 1:
        raise typer.BadParameter(f"name one of the sources: --source {' | '.join(known)}")
    found = known.get(name or next(iter(known)))
    if found is not None:
        return found
    if "BRIDGE_CONFIG" in os.environ:
        raise typer.BadParameter(f"there is no source {name}: there are {', '.join(known)}")
    (source, app), *_ = known.values()  # without a file, events may come from whatever is named
    return replace(source, name=name or source.name), app


def source_at(url: str) -> str | None:
    """The source that an address to post to names; None when it names none that there is."""
    found = re.search(r"/v1/segment/([^/?#]+)", url)
    return found[1] if found is not None and found[1] in dict(_sources()) else None


def _sources() -> Iterator[tuple[str, tuple[Source, App]]]:
    from bridge.config import DEFAULT, environment_app, environment_source
    from bridge.config.load import load_config
    from bridge.environment import read_environment

    said = read_environment()
    if said.settings.config is None:
        app = environment_app(said.settings, said.variables)
        yield DEFAULT, (environment_source(said.settings, DEFAULT), app)
        return
    config = load_config()
    for source in config.sources.values():
        yield source.name, (source, config.apps[source.app])


def chosen_mapping(path: Path | None, *, source: str | None = None) -> Mapping:
    """The mapping at `path` (or of that name, if it is shipped); without one that of the source.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    from bridge.config.mappings import load_of

    found, app = chosen_source(source)
    if path is not None:
        found = replace(found, mappings=named(path))
    mapping, _ = load_of(found, app)
    return mapping


def importing_mapping() -> Mapping:
    """The mapping that rows of an import are planned with.

    Raises:
        ConfigurationError: it is not as it should be, or it is not said which one it is.
    """
    from bridge.config import IMPORT
    from bridge.errors import ConfigurationError, Finding

    known = dict(_sources())
    if IMPORT not in known and len(known) > 1:
        hint = "add `import: {app: …, mappings: …}` to `sources` of bridge.yaml"
        said = "there are several sources, and none is called import"
        raise ConfigurationError([Finding(code="import-undecided", message=said, hint=hint)])
    return chosen_mapping(None, source=IMPORT if IMPORT in known else None)


def what_serves() -> tuple[dict[str, Source], dict[str, App], dict[str, Mapping]]:
    """Sources, apps, and the mappings that are as they should be; the others have none."""
    from bridge.config.mappings import load_of
    from bridge.errors import ConfigurationError

    mappings: dict[str, Mapping] = {}
    known = dict(_sources())
    for name, (source, app) in known.items():
        with suppress(ConfigurationError):
            mappings[name], _ = load_of(source, app)
    sources = {name: source for name, (source, _) in known.items()}
    return sources, {app.name: app for _, app in known.values()}, mappings


def rules_that_serve() -> set[str] | None:
    """Names of all rules; None: nobody can say, because no mapping is named here, or one is not as it should be."""
    from bridge.errors import ConfigurationError

    if not os.environ.keys() & {"BRIDGE_MAPPINGS", "BRIDGE_CONFIG"}:
        return None
    try:
        sources, _, mappings = what_serves()
    except ConfigurationError:
        return None
    if len(mappings) < len(sources):
        return None
    return {rule.name for one in mappings.values() for rule in one.rules}


def apps_that_serve() -> list[str] | None:
    """Names of all apps; None: nobody can say, because none is named here, or the file that names them cannot be read."""
    from bridge.config.load import app_names
    from bridge.errors import ConfigurationError

    if not os.environ.keys() & {"BRIDGE_ONESIGNAL_APP_ID", "BRIDGE_CONFIG"}:
        return None
    try:
        return app_names()
    except ConfigurationError:
        return None


def named(path: Path) -> Path:
    """The shipped mapping of that name, unless it is a file or a folder."""
    from bridge.mapping.load import preset

    shipped = preset(str(path))
    return shipped if path.suffix == "" and not path.exists() and shipped.exists() else path


def one_source_a_mapping() -> list[str]:
    """Sources of which no two have the same mapping and app; together they have all that serve."""
    found = {(source.mappings, app.name): name for name, (source, app) in _sources()}
    return list(found.values())


def source_of(path: Path) -> str:
    """The source that has the mapping at `path`; of a mapping that does not serve, the first."""
    names = {source.mappings.resolve(): name for name, (source, _) in _sources() if source.mappings}
    return names.get(path.resolve()) or next(name for name, _ in _sources())
