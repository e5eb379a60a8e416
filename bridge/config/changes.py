"""What an edit changes while the service runs, and what it cannot. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge.config import App, Config, Source
from bridge.config.mappings import Mappings
from bridge.errors import Finding
from bridge.mapping.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChanges:
    """Names of rules, over all sources."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def rule_changes(old: Mappings, new: Mappings) -> RuleChanges:
    added: set[str] = set()
    removed: set[str] = set()
    changed: set[str] = set()
    for before, after in _pairs(old, new):
        added |= after.keys() - before.keys()
        removed |= before.keys() - after.keys()
        changed |= {name for name in before.keys() & after.keys() if before[name] != after[name]}
    return RuleChanges(
        added=tuple(sorted(added)), removed=tuple(sorted(removed)), changed=tuple(sorted(changed))
    )


def renamed(old: Mappings, new: Mappings) -> list[Finding]:
    """A warning for each rule that sends and seems to go on under another name."""
    pairs: dict[tuple[str, str], None] = {}
    for before, after in _pairs(old, new):
        for gone in (one for name, one in before.items() if name not in after and one.sends):
            for name, one in after.items():
                if name not in before and _is_alike(gone, one):
                    pairs[gone.name, name] = None
    return [
        Finding(
            level="warning",
            code="rule-renamed",
            message=f"rule {was} seems to be {becomes} now: a rule's name is part of the key of its pushes",
            hint=f"what {was} has sent, {becomes} would send again when an event is replayed",
        )
        for was, becomes in pairs
    ]


def _pairs(old: Mappings, new: Mappings) -> Iterator[tuple[dict[str, Rule], dict[str, Rule]]]:
    """Rules by name, before and after, of every source that has both."""
    for source in old.keys() & new.keys():
        before, after = old[source].rules, new[source].rules
        yield {one.name: one for one in before}, {one.name: one for one in after}


def _is_alike(one: Rule, other: Rule) -> bool:
    """The same condition, or the same in all but the condition."""
    same = replace(other, name=one.name, condition=one.condition)
    return one.condition.text == other.condition.text or one == same


def restart_needed(old: Config, new: Config) -> tuple[str, ...]:
    """What of an edit takes a restart: sources and apps that come, go or are made differently."""
    found = [
        *_different("app", old.apps, new.apps),
        *_different("source", old.sources, new.sources),
    ]
    found += [
        f"setting {one}"
        for one in ("metrics_token", "alert_url", "silence")
        if getattr(old.settings, one) != getattr(new.settings, one)
    ]
    return tuple(found)


def _different(
    kind: str, old: dict[str, App] | dict[str, Source], new: dict[str, App] | dict[str, Source]
) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old or _fixed(old[name]) != _fixed(new[name]):
            yield f"{kind} {name}"


def _fixed(one: App | Source) -> tuple[object, ...]:
    """What cannot change while the service runs."""
    if isinstance(one, Source):
        return one.app, one.bulk
    return one.app_id, one.url, one.spoken.api, one.plan, one.upsert, one.alias_chunk, one.event_key


_LIVE_SETTINGS = (
    "only_users",
    "admin_token",
    "admin_tokens",
    "sso_header",
    "sso_from",
    "sso_role",
)


def live(old: Config, new: Config) -> Config:
    """The old config with what of the new one can come into force now."""
    sources = {
        name: replace(new.sources[name], app=one.app, bulk=one.bulk) if name in new.sources else one
        for name, one in old.sources.items()
    }
    apps = {name: _live(one, new.apps.get(name, one)) for name, one in old.apps.items()}
    settings = old.settings.model_copy(
        update={name: getattr(new.settings, name) for name in _LIVE_SETTINGS}
    )
    # An app that takes a restart to be there has no registry before.
    registry = new.registry if new.registry is None or new.registry.app in apps else old.registry
    return replace(
        old,
        settings=settings,
        sources=sources,
        apps=apps,
        registry=registry,
        files=new.files,
    )


def _live(old: App, new: App) -> App:
    return replace(
        old,
        vars=new.vars,
        platforms=new.platforms,
        api_keys=new.api_keys,
        spoken=replace(old.spoken, trusts_flags=new.spoken.trusts_flags),
    )
