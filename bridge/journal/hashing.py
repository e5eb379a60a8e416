"""How the journal names users and messages: keyed hashes, from which no id can be read."""

from __future__ import annotations

import hashlib
from functools import lru_cache


def user_hash(salt: bytes, app: str, external_id: str) -> int:
    """A user of an app: 63 bits, never 0."""
    hashed = _of_app(salt, app).copy()
    hashed.update(external_id.encode("utf-8", "surrogatepass"))
    return int.from_bytes(hashed.digest()) >> 1 or 1


@lru_cache(maxsize=256)
def _of_app(salt: bytes, app: str) -> hashlib.blake2b:
    # A copy of one that has begun costs half of making one.
    return hashlib.blake2b(f"{app}|".encode("utf-8", "surrogatepass"), digest_size=8, key=salt)


def hash_of(salt: bytes, app: str, label: str, id_: str) -> int:
    """Whoever goes by this id under this label; somebody who goes by several is known by each apart."""
    if label == "external_id":
        return user_hash(salt, app, id_)
    return user_hash(salt, f"{app}|{label}", f"\x1f{id_}")


def dedupe_key(source: str, message_id: str) -> bytes:
    """16 bytes by which a repeated messageId of a source is known."""
    hashed = _of_source(source).copy()
    hashed.update(message_id.encode("utf-8", "surrogatepass"))
    return hashed.digest()


@lru_cache(maxsize=64)
def _of_source(source: str) -> hashlib.blake2b:
    return hashlib.blake2b(f"{source}|".encode("utf-8", "surrogatepass"), digest_size=16)
