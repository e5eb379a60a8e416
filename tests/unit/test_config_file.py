"""`bridge.yaml`: what it makes of sources and apps, and everything wrong with it at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from bridge.config import Config
from bridge.config.changes import live, restart_needed
from bridge.config.load import load_config, warnings
from bridge.errors import ConfigurationError, Finding
from bridge.onesignal.api import Spoken
from bridge.segment.audience import ReverseEtl

SHOP_ID = "8a1b3c4d-0000-4000-8000-000000000001"
CLUB_ID = "8a1b3c4d-0000-4000-8000-000000000002"
TWO = f"""
apps:
  shop: {{app_id: {SHOP_ID}, api_key_file: keys/shop, plan: growth, platforms: [android, ios]}}
  club:
    app_id: {CLUB_ID}
    api_key: [club-new, club-old]
    url: https://proxy.example
    upsert: post-first
    alias_chunk: 500
    event_key: payload
    vars: {{vip_template: club-vip}}
sources:
  backend:
    secrets_file: keys/backend
    token_file: keys/token
    app: shop
    mappings: mappings/shop
    reverse_etl: {{mode: upsert, key: vip}}
  web: {{secrets: web-secret, app: club, trust: client, bulk: true, batches: refuse}}
vars: {{vip_template: any-vip, limit: 3}}
"""

ONE_APP = {"ONESIGNAL_APP_ID": SHOP_ID, "ONESIGNAL_API_KEY": "key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    for name, text in (("shop", "shop-key\n"), ("backend", "new\nold\n"), ("token", " tok \n")):
        (tmp_path / "keys" / name).write_text(text)
    return tmp_path


def load(folder: Path, text: str, **environment: str) -> Config:
    file = folder / "bridge.yaml"
    file.write_text(text)
    more = {f"BRIDGE_{name}": value for name, value in environment.items()}
    return load_config({"BRIDGE_CONFIG": str(file)} | more)


def wrong(folder: Path, text: str, **environment: str) -> list[Finding]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **environment)
    return list(caught.value.findings)


def places(findings: list[Finding]) -> list[tuple[str, int | None, int | None]]:
    return [(one.code, one.line, one.column) for one in findings]


def revealed(secrets: Any) -> list[str]:
    return [one.get_secret_value() for one in secrets]


def test_each_source_goes_to_its_app_with_what_the_file_says_of_it(folder: Path) -> None:
    config = load(folder, TWO)
    backend, web = config.sources["backend"], config.sources["web"]

    assert (backend.app, web.app) == ("shop", "club")
    assert backend.mappings == folder / "mappings/shop"
    assert web.mappings is None
    assert revealed(backend.secrets) == ["new", "old"]
    assert backend.token is not None
    assert backend.token.get_secret_value() == "tok"
    assert revealed(web.secrets) == ["web-secret"]
    assert backend.reverse_etl == ReverseEtl(mode="upsert", key="vip")
    assert (backend.trusted, backend.bulk, backend.batches) == (True, False, True)
    assert (web.trusted, web.bulk, web.batches) == (False, True, False)


def test_an_app_falls_back_on_the_environment_for_what_its_entry_leaves_out(folder: Path) -> None:
    config = load(folder, TWO, ONESIGNAL_URL="http://127.0.0.1:9", ONESIGNAL_PLAN="professional")
    shop, club = config.apps["shop"], config.apps["club"]

    assert (shop.app_id, club.app_id) == (SHOP_ID, CLUB_ID)
    assert revealed(shop.api_keys) == ["shop-key"]
    assert revealed(club.api_keys) == ["club-new", "club-old"]
    assert (shop.url, club.url) == ("http://127.0.0.1:9", "https://proxy.example")
    assert (shop.plan, club.plan) == ("growth", "professional")
    assert (shop.platforms, club.platforms) == (("android", "ios"), ("android", "web"))
    assert (shop.tag_cap, club.tag_cap) == (10, 100)
    assert (club.upsert, club.alias_chunk, club.event_key) == ("post-first", 500, "payload")
    assert shop.vars == {"vip_template": "any-vip", "limit": "3"}
    assert club.vars == {"vip_template": "club-vip", "limit": "3"}


def test_without_apps_the_environment_makes_the_app_of_every_source(folder: Path) -> None:
    config = load(
        folder,
        "sources: {a: {secrets: s}, b: {secrets: t}}",
        ONESIGNAL_APP_ID=SHOP_ID,
        ONESIGNAL_API_KEY="key",
    )

    assert {one.app for one in config.sources.values()} == {"default"}
    assert list(config.apps) == ["default"]


def test_without_sources_the_environment_makes_the_source_of_the_only_app(folder: Path) -> None:
    text = f"apps: {{shop: {{app_id: {SHOP_ID}, api_key: k}}}}"
    config = load(folder, text, SEGMENT_SECRETS="s", MAPPINGS="m.yaml")

    assert config.sources["default"].app == "shop"
    assert config.sources["default"].mappings == Path("m.yaml")


def test_every_file_that_decided_something_is_known(folder: Path) -> None:
    config = load(folder, TWO, ADMIN_TOKEN_FILE=str(folder / "keys/token"))

    assert {path.relative_to(folder).as_posix() for path in config.files} == {
        "bridge.yaml",
        "keys/shop",
        "keys/backend",
        "keys/token",
    }


def test_a_variable_of_the_environment_counts_over_every_file(folder: Path) -> None:
    config = load(folder, TWO, VAR_VIP_TEMPLATE="x")
    assert [app.vars["vip_template"] for app in config.apps.values()] == ["x", "x"]
    config = load(folder, "sources: {a: {secrets: s}}\nvars: {a: 1, b: 2}", VAR_B="3", **ONE_APP)
    assert config.apps["default"].vars == {"a": "1", "b": "3"}


def test_an_app_to_which_no_source_goes_is_a_warning(folder: Path) -> None:
    config = load(folder, TWO.replace("app: club", "app: shop"))
    assert "app-unused" in {one.code for one in warnings(config)}


# What is wrong


def test_everything_wrong_is_said_at_once_with_its_place(folder: Path) -> None:
    found = wrong(
        folder,
        f"""apps:
  shop: {{app_id: {SHOP_ID}}}
  club: {{app_id: {SHOP_ID}, api_key: k, api_key_file: keys/none}}
sources:
  backend:
    app: shopp
    secrets_file: keys/none
  web:
    token: t
""",
        ONESIGNAL_APP_ID=SHOP_ID,
        MAPPINGS="m.yaml",
        PORT="abc",
    )

    assert sorted(places(found), key=str) == sorted(
        [
            ("setting-invalid", None, None),
            ("setting-twice", 1, 1),
            ("setting-missing", 2, 3),
            ("setting-twice", 3, 68),
            ("secret-file-unreadable", 3, 68),
            ("app-twice", 2, 10),
            ("app-twice", 3, 10),
            ("setting-twice", 4, 1),
            ("unknown-app", 6, 5),
            ("secret-file-unreadable", 7, 5),
            ("app-undecided", 8, 3),
        ],
        key=str,
    )
    assert "did you mean shop?" in {one.hint for one in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apps: {shop: {app_id: x, api_key: k}}", ("field-invalid", 1, 15)),
        ("apps: {shop: {api_key: k}}", ("field-missing", 1, 8)),
        ("sources:\n  a b: {secrets: s}", ("field-invalid", 2, 3)),
        ("sources:\n  a: {secrets: s, trust: browser}", ("field-invalid", 2, 19)),
        ("sources:\n  a: {secrets: 12345678}", ("field-invalid", 2, 7)),
        ("sources:\n  a: {secrets: []}", ("field-invalid", 2, 7)),
        ("sources:\n  a: {secrets: s, reverse_etl: {mode: all, key: k}}", ("field-invalid", 2, 33)),
        ("sources:\n  a: {secrets: s, reverse_etl: {key: k}}", ("field-missing", 2, 19)),
        ("sources:\n  a: {secrets: s}\n  a: {secrets: t}", ("key-twice", 3, 3)),
        ("sources:\n\ta: {}", ("yaml-invalid", 2, 1)),
        ("sources: {a: {secret: s}}", ("unknown-field", 1, 15)),
        ("surces: {}", ("unknown-field", 1, 1)),
        ("- a", ("not-a-config", 1, 1)),
        ("", ("not-a-config", 1, 1)),
        ("vars: {a: [1]}", ("field-invalid", 1, 8)),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_place(
    folder: Path, text: str, expected: tuple[str, int, int]
) -> None:
    assert expected in places(wrong(folder, text))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("sources: {a: {secret: s}}", "did you mean `secrets`?"),
        ("surces: {}", "did you mean `sources`?"),
        ("sources: {a: {secrets: s, reverse_etl: {mod: add, key: k}}}", "did you mean `mode`?"),
        ("zzz: 1", "there are apps, sources, vars"),
    ],
)
def test_a_field_that_is_not_there_is_answered_with_one_that_is(
    folder: Path, text: str, hint: str
) -> None:
    assert hint in {one.hint for one in wrong(folder, text)}


def test_a_source_that_nothing_proves_is_refused_unless_somebody_says_so(folder: Path) -> None:
    app = f"apps: {{shop: {{app_id: {SHOP_ID}, api_key: k}}}}\n"
    (finding,) = wrong(folder, app + "sources: {a: {}}")
    assert (finding.code, finding.line) == ("sender-unproven", 2)

    config = load(folder, app + "sources: {a: {unsigned: allow}}")
    assert [one.code for one in warnings(config)] == ["sender-unproven"]
    load(folder, app + "sources: {a: {}}", SEGMENT_UNSIGNED="allow")


def test_a_file_that_is_not_there_is_said_beside_what_else_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config({"BRIDGE_CONFIG": str(tmp_path / "none.yaml"), "BRIDGE_PORT": "abc"})

    assert [one.code for one in caught.value.findings] == ["setting-invalid", "config-unreadable"]


@pytest.mark.parametrize(
    "text",
    [
        "sources: {a: {secrets: [S3CRET-VALUE], secrets: 5}}",
        "sources: {a: {token: S3CRET-VALUE, token: S3CRET-VALUE}}",
        "sources: {a: {secret: S3CRET-VALUE}}",
        "apps: {a: {app_id: S3CRET-VALUE, api_key: {a: S3CRET-VALUE}}}",
        'sources: {a: {secrets: "S3CRET-VALUE}}',
        "sources: {a: {secrets: !odd S3CRET-VALUE: x}}",
        "apps: {a: {platforms: S3CRET-VALUE}}",
        "sources: {a: {token: *S3CRET-VALUE}}",
        "sources: {a: {token: !S3CRET-VALUE!x y}}",
        "sources: {a: {token: &S3CRET-VALUE x, secrets: &S3CRET-VALUE y, app: 1}}",
        "a: !!timestamp S3CRET-VALUE",
    ],
)
def test_no_finding_shows_a_value_of_the_file(folder: Path, text: str) -> None:
    # Nor does a warning, which would be an error here.
    assert "S3CRET-VALUE" not in "".join(map(str, wrong(folder, text)))


def test_a_text_without_its_quotes_is_told_to_need_them(folder: Path) -> None:
    (found,) = wrong(folder, "sources:\n  a:\n    token: *secret\n")
    assert (found.message, found.line, found.column) == ("found undefined alias …", 3, 12)
    assert found.hint == 'put a text that begins with `*` or `!` in "quotes"'


def test_an_app_is_there_once_however_its_id_is_written(folder: Path) -> None:
    twice = f"apps:\n  a: {{app_id: {SHOP_ID}, api_key: k}}\n  b: {{app_id: {SHOP_ID.upper()}, api_key: k}}\n"
    found = wrong(folder, twice + "sources: {s: {app: a, secrets: s}, t: {app: b, secrets: s}}")
    assert [one.code for one in found] == ["app-twice", "app-twice"]


def test_a_source_drops_what_it_says_and_what_the_environment_does(folder: Path) -> None:
    text = "sources: {a: {secrets: s, drop: [traits.email]}, b: {secrets: s}}"
    sources = load(folder, text, DROP="context.ip", **ONE_APP).sources
    assert sources["a"].drop == ("context.ip", "traits.email")
    assert sources["b"].drop == ("context.ip",)


words = st.sampled_from(
    ["apps", "sources", "vars", "a", "secrets", "token", "app", "app_id", "api_key", "trust"]
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=4) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(tree=trees)
@hypothesis_settings(max_examples=150, deadline=None)
def test_whatever_the_file_says_comes_out_as_findings(
    tmp_path_factory: pytest.TempPathFactory, tree: Any
) -> None:
    file = tmp_path_factory.mktemp("config") / "bridge.yaml"
    file.write_bytes(orjson.dumps(tree))
    with pytest.raises(ConfigurationError) as caught:
        load_config({"BRIDGE_CONFIG": str(file)})
    # Nothing in it is an app id, and the environment names no app.
    assert any(one.is_error for one in caught.value.findings)


# The legacy API ------------------------------------------------------------------------------------


def of_shop(more: str) -> str:
    return f"apps: {{shop: {{app_id: {SHOP_ID}, api_key: k, {more}}}}}"


def test_each_app_speaks_what_its_entry_says_or_the_environment(folder: Path) -> None:
    two = TWO.replace("event_key: payload", "event_key: payload\n    api: user-model")
    legacy = load(folder, two, ONESIGNAL_API="legacy", ONESIGNAL_LEGACY_FLAGS="trust")

    assert legacy.apps["shop"].spoken == Spoken(api="legacy", trusts_flags=True)
    assert legacy.apps["club"].spoken.api == "user-model"
    assert load(folder, TWO).apps["shop"].spoken == Spoken()
    own = load(folder, of_shop("api: legacy, legacy_flags: refuse"), SEGMENT_SECRETS="s", ONESIGNAL_LEGACY_FLAGS="trust")  # fmt: skip
    assert own.apps["shop"].spoken == Spoken(api="legacy")


def test_more_people_in_a_call_than_the_legacy_api_takes_are_wrong(folder: Path) -> None:
    more = "api: legacy, alias_chunk: 2001"
    found = wrong(folder, of_shop(more), SEGMENT_SECRETS="s")

    assert [(one.code, one.line) for one in found] == [("setting-invalid", 1)]
    assert "2000" in found[0].message
    for fine in ("api: legacy, alias_chunk: 2000", "alias_chunk: 20000"):
        load(folder, of_shop(fine), SEGMENT_SECRETS="s")
    alone = ONE_APP | {"ONESIGNAL_API": "legacy", "ONESIGNAL_ALIAS_CHUNK": "5000"}
    assert codes(wrong(folder, "sources: {a: {secrets: s}}", **alone)) == ["setting-invalid"]


def test_the_address_of_old_snippets_is_not_the_address(folder: Path) -> None:
    old = "api: legacy, url: https://onesignal.com/api/v1/"

    assert codes(wrong(folder, of_shop(old), SEGMENT_SECRETS="s")) == ["setting-invalid"]


def codes(found: list[Finding]) -> list[str]:
    return [one.code for one in found]


def test_what_the_legacy_api_means_is_said_at_every_start(folder: Path) -> None:
    proven = {"SEGMENT_SECRETS": "s", "SEGMENT_BATCHES": "refuse"}

    assert codes(warnings(load(folder, of_shop("api: legacy"), **proven))) == ["legacy-api"]
    assert codes(warnings(load(folder, of_shop("legacy_flags: trust"), **proven))) == []
    trusting = load(folder, of_shop("api: legacy, legacy_flags: trust"), **proven)
    assert codes(warnings(trusting)) == ["legacy-api", "legacy-flags-trusted"]


def test_another_api_takes_a_restart_and_until_then_the_old_one_is_planned_for(
    folder: Path,
) -> None:
    old = load(folder, of_shop("api: legacy"), SEGMENT_SECRETS="s")
    new = load(folder, of_shop("api: user-model, legacy_flags: trust"), SEGMENT_SECRETS="s")

    assert restart_needed(old, new) == ("app shop",)
    assert live(old, new).apps["shop"].spoken == Spoken(api="legacy", trusts_flags=True)
