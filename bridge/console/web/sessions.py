"""Who is signed in: what the cookie holds, and what forms repeat of it. Pure.

The cookie names a person and is signed with a key of this process's own; the role is looked up at every
request, and the token it was made with has to be that person's still. So what is taken out of the file
of tokens is out at once; and no session outlives the process, which alone knows who has signed out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

import orjson

from bridge.config.access import Access, Key, Person

LASTS_SECONDS: Final = 12 * 3600
BY_PROXY: Final = "proxy"
"""What stands for a token of somebody whom the proxy introduced."""
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Session:
    name: str
    #: A keyed hash of the token that it was made with, or `BY_PROXY`.
    proof: str
    since_s: int
    #: Nobody else's: forms repeat a hash of it.
    nonce: str


@dataclass(frozen=True, slots=True)
class Sessions:
    #: Known to this process alone.
    secret: bytes

    def of_key(self, key: Key, *, now_s: int) -> Session:
        return Session(key.person.name, self._proof(key), now_s, secrets.token_urlsafe(16))

    def of_proxy(self, name: str, *, now_s: int) -> Session:
        return Session(name, BY_PROXY, now_s, secrets.token_urlsafe(16))

    def write(self, session: Session) -> str:
        """What the cookie holds."""
        said = orjson.dumps([session.name, session.proof, session.since_s, session.nonce])
        text = base64.urlsafe_b64encode(said).decode()
        return f"{text}.{self._mark('session', text)}"

    def read(self, cookie: str, *, now_s: int) -> Session | None:
        """What we wrote, and not too long ago; None of anything else."""
        text, _, mark = cookie.partition(".")
        if len(cookie) > _LONGEST or not self._is_mark(mark, "session", text):
            return None
        try:
            found = Session(*orjson.loads(base64.urlsafe_b64decode(text)))
        except (binascii.Error, orjson.JSONDecodeError, TypeError):
            return None
        return found if 0 <= now_s - found.since_s < LASTS_SECONDS else None

    def person(self, session: Session, access: Access) -> Person | None:
        """Who that is by now: the token must be the person's still."""
        key = access.named(session.name)
        if key is None or not hmac.compare_digest(session.proof, self._proof(key)):
            return None
        return key.person

    def csrf(self, session: Session) -> str:
        """What every form of this session repeats."""
        return self._mark("csrf", session.nonce)

    def is_csrf(self, session: Session, offered: str) -> bool:
        return self._is_mark(offered, "csrf", session.nonce)

    def _proof(self, key: Key) -> str:
        if key.token is None:
            # Nobody signs in with no token.
            return secrets.token_hex(16)
        return hmac.new(self.secret, b"token|" + key.token, hashlib.sha256).hexdigest()[:32]

    def _mark(self, purpose: str, text: str) -> str:
        return hmac.new(self.secret, f"{purpose}|{text}".encode(), hashlib.sha256).hexdigest()

    def _is_mark(self, offered: str, purpose: str, text: str) -> bool:
        return offered.isascii() and hmac.compare_digest(offered, self._mark(purpose, text))
