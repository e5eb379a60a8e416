"""The settings of the device registry: what makes one, and everything that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bridge.config import Config
from bridge.config.changes import live
from bridge.config.load import load_config, warnings
from bridge.config.registry import JwtKey, Registry
from bridge.errors import ConfigurationError

ENOUGH = {
    "BRIDGE_ONESIGNAL_APP_ID": "8a1b3c4d-0000-4000-8000-000000000001",
    "BRIDGE_ONESIGNAL_API_KEY": "key",
    "BRIDGE_SEGMENT_SECRETS": "abc123",
}
TWO_APPS = """
apps:
  shop: {app_id: 8a1b3c4d-0000-4000-8000-000000000001, api_key: a}
  club: {app_id: 8a1b3c4d-0000-4000-8000-000000000002, api_key: b}
sources: {web: {app: shop, secrets: s}}
"""


def load(**more: str) -> Config:
    return load_config(ENOUGH | {f"BRIDGE_DEVICES_{name}": text for name, text in more.items()})


def wrong(**more: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        load(**more)
    return [(one.code, one.message) for one in caught.value.findings]


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode().strip()


def test_without_any_way_to_say_who_asks_there_is_no_registry() -> None:
    assert load().registry is None
    config = load(ORIGINS="https://www.shop.example")
    assert config.registry is None
    assert "devices-unproven" in [one.code for one in warnings(config)]


def test_every_setting_is_in_the_registry() -> None:
    assert load(
        SECRET="s" * 16,
        JWT_KEYS="k" * 32,
        JWT_CLAIM="uid",
        JWT_AUDIENCE="bridge",
        COOKIE="session",
        SESSION_URL="https://www.shop.example/session",
        SERVER_KEYS=f"{'a' * 16}, {'b' * 16}",
        ORIGINS="https://www.shop.example https://m.shop.example:8443",
        OF_ANOTHER="refuse",
        EXPIRE="30d",
    ).registry == Registry(
        app="default",
        secret=b"s" * 16,
        jwt_keys=(JwtKey(key="k" * 32, algorithms=("HS256", "HS384", "HS512")),),
        jwt_claim="uid",
        jwt_audience="bridge",
        cookie="session",
        session_url="https://www.shop.example/session",
        server_keys=(b"a" * 16, b"b" * 16),
        origins=frozenset({"https://www.shop.example", "https://m.shop.example:8443"}),
        of_another="refuse",
        expire_ms=30 * 86_400_000,
    )


def test_several_public_keys_stand_in_one_file(tmp_path: Path) -> None:
    keys = [
        public(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        public(ec.generate_private_key(ec.SECP384R1())),
    ]
    (tmp_path / "keys.pem").write_text("\n\n".join(keys) + "\n")
    registry = load(JWT_KEYS_FILE=str(tmp_path / "keys.pem")).registry
    assert registry is not None
    assert [one.key for one in registry.jwt_keys] == keys
    assert registry.jwt_keys[0].algorithms[0] == "RS256"
    assert registry.jwt_keys[1].algorithms == ("ES384",)
    assert not any("HS256" in one.algorithms for one in registry.jwt_keys)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"SECRET": "short"}, "DEVICES_SECRET"),
        ({"SERVER_KEYS": "short"}, "DEVICES_SERVER_KEYS"),
        ({"JWT_KEYS": "k" * 31}, "DEVICES_JWT_KEYS"),
        (
            {"JWT_KEYS": "-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----"},
            "DEVICES_JWT_KEYS",
        ),
        (
            {"JWT_KEYS": "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----"},
            "DEVICES_JWT_KEYS",
        ),
        ({"SECRET": "s" * 16, "SESSION_URL": "www.shop.example"}, "DEVICES_SESSION_URL"),
        ({"JWT_KEYS": "k" * 32, "COOKIE": "a;b"}, "DEVICES_COOKIE"),
        ({"SECRET": "s" * 16, "COOKIE": "session"}, "DEVICES_JWT_KEYS"),
        ({"SECRET": "s" * 16, "APP": "club"}, "DEVICES_APP"),
        ({"ORIGINS": "https://www.shop.example/path"}, "DEVICES_ORIGINS"),
        ({"ORIGINS": "*"}, "DEVICES_ORIGINS"),
        ({"ORIGINS": "null"}, "DEVICES_ORIGINS"),
        ({"OF_ANOTHER": "steal"}, "DEVICES_OF_ANOTHER"),
        ({"EXPIRE": "1h"}, "DEVICES_EXPIRE"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, str], named: str) -> None:
    (found,) = wrong(**settings)
    assert named in found[1]


def test_a_private_key_is_no_public_one() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    ((code, message),) = wrong(JWT_KEYS=pem)
    assert code == "setting-invalid"
    assert pem.splitlines()[1] not in message


def test_of_several_apps_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_text(TWO_APPS)
    environment = {
        "BRIDGE_CONFIG": str(tmp_path / "bridge.yaml"),
        "BRIDGE_DEVICES_SECRET": "s" * 16,
    }
    with pytest.raises(ConfigurationError) as caught:
        load_config(environment)
    assert [one.code for one in caught.value.findings] == ["app-undecided"]
    registry = load_config(environment | {"BRIDGE_DEVICES_APP": "club"}).registry
    assert registry is not None
    assert registry.app == "club"


def test_what_goes_in_clear_is_warned_of() -> None:
    config = load(
        SECRET="s" * 16, SESSION_URL="http://backend/session", ORIGINS="http://localhost:3000"
    )
    assert {"session-in-clear", "origin-in-clear"} <= {one.code for one in warnings(config)}


def test_an_edit_of_the_registry_comes_into_force_without_a_restart() -> None:
    before, after = load(SECRET="s" * 16), load(SECRET="t" * 16, OF_ANOTHER="share")
    assert live(before, after).registry == after.registry
    assert live(before, load()).registry is None


def test_no_secret_is_in_its_words() -> None:
    registry = load(SECRET="s" * 16, JWT_KEYS="k" * 32).registry
    assert "sss" not in repr(registry)
    assert "kkk" not in repr(registry and registry.jwt_keys)


def test_a_public_key_without_its_lines_is_no_shared_secret() -> None:
    shown = public(ec.generate_private_key(ec.SECP256R1())).split("-----")[2].replace("\n", "")
    ((_, message),) = wrong(JWT_KEYS=shown)
    assert "anybody could sign with it" in message
    assert shown not in message
