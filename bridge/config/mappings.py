"""What the sources do: the mapping of each, compiled for its app and for how far it is trusted."""

from __future__ import annotations

from dataclasses import replace

from bridge.config import App, Config, Source
from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import Source as Text, compile_mapping, read_sources, starter
from bridge.mapping.rules import Mapping

Mappings = dict[str, Mapping]
"""By the name of the source."""


def load_mappings(config: Config) -> tuple[Mappings, list[Finding]]:
    """The mapping of every source, and warnings about them.

    Raises:
        ConfigurationError: with everything that is wrong with them.
    """
    mappings: Mappings = {}
    findings: list[Finding] = []
    wrong = False
    for source in config.sources.values():
        try:
            mappings[source.name], found = load_of(source, config.apps[source.app])
        except ConfigurationError as error:
            wrong, found = True, list(error.findings)
        else:
            found = [*found, *_without_registry(mappings[source.name], config, source)]
        # Sources may share a mapping, and what is wrong with it is said once.
        findings += [one for one in found if one not in findings]
    if wrong:
        raise ConfigurationError(findings)
    return mappings, findings


def has_registry(config: Config, app: str) -> bool:
    """Whether devices of this app's users are registered, by themselves or by events."""
    return config.registry is not None and config.registry.app == app


def _without_registry(mapping: Mapping, config: Config, source: Source) -> list[Finding]:
    rules = [rule.name for rule in mapping.rules if rule.push and rule.push.devices]
    if not rules or has_registry(config, source.app):
        return []
    message = f"{', '.join(rules)}: sent to registered devices, and app {source.app} has no device registry"
    hint = "set BRIDGE_DEVICES_SECRET, or another way to say whose a device is (README, The device registry)"
    return [Finding(level="warning", code="devices-unregistered", message=message, hint=hint)]


def load_of(source: Source, app: App) -> tuple[Mapping, list[Finding]]:
    """The mapping of one source, for its app.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    return compile_of(source, app, read_sources(source.mappings or starter()))


def compile_of(source: Source, app: App, texts: list[Text]) -> tuple[Mapping, list[Finding]]:
    """What the mapping of a source would be with these texts for its files.

    Raises:
        ConfigurationError: with everything that is wrong with them.
    """
    mapping, findings = compile_mapping(
        texts,
        serves=app.platforms,
        tag_cap=app.tag_cap,
        names=app.vars,
        spoken=app.spoken,
        trust="server" if source.trusted else "client",
    )
    return replace(mapping, reverse_etl=source.reverse_etl), findings
