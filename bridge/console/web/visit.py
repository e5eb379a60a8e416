"""One request of somebody who was let in, and what it says beside its path."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from starlette.requests import Request

from bridge.config.access import Person, Role
from bridge.console.api import body_of

LONGEST_QUERY = 4_000
LONGEST_FORM = 1_000_000
_FIELDS = 300
Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark")
THEME_COOKIE, ZONE_COOKIE = "bridge_theme", "bridge_zone"


class TooLong(NamedTuple):
    """A form or a query that nobody fills in by hand."""

    status: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    request: Request
    person: Person
    #: What forms have to repeat.
    csrf: str
    now_ms: int
    theme: Theme
    zone: tzinfo
    form: dict[str, str] = field(default_factory=dict)

    def at(self, now_ms: int) -> Visit:
        """The same, later."""
        return replace(self, now_ms=now_ms)

    @property
    def hides(self) -> bool:
        """Whether the person may not see what customers are called or say."""
        return not self.person.may("operate")

    def may(self, role: Role) -> bool:
        return self.person.may(role)

    @property
    def query(self) -> dict[str, str]:
        """What the address asks for; what is empty is not asked."""
        return {
            name: text.strip() for name, text in self.request.query_params.items() if text.strip()
        }

    @property
    def here(self) -> str:
        """The address of this page: where a form leads back to."""
        path, query = (
            self.request.scope["path"],
            self.request.scope["query_string"].decode("latin-1"),
        )
        return f"{path}?{query}" if query else str(path)

    @property
    def today_ms(self) -> int:
        """When the day began where the person is."""
        now = datetime.fromtimestamp(self.now_ms / 1000, self.zone)
        return at_ms(now.replace(hour=0, minute=0, second=0, microsecond=0))

    def moment(self, text: str) -> int | None:
        """A time as a form of the browser's writes it, where the person is."""
        try:
            return at_ms(datetime.fromisoformat(text[:40]).replace(tzinfo=self.zone))
        except (ValueError, OverflowError):
            return None


def at_ms(moment: datetime) -> int:
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def theme_of(request: Request) -> Theme:
    found = request.cookies.get(THEME_COOKIE)
    return next((theme for theme in THEMES if theme == found), "auto")


def zone_of(request: Request) -> tzinfo:
    """Where the person is, as the browser said; UTC when it has not, or nobody knows the place."""
    name = request.cookies.get(ZONE_COOKIE, "").replace("%2F", "/")
    if not name or len(name) > 64 or ".." in name or name.startswith("/"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


async def form_of(request: Request, *, longest: int = LONGEST_FORM) -> dict[str, str] | TooLong:
    """The fields of a form; of a name that comes twice the last counts."""
    body = await body_of(request, longest=longest)
    if body is None:
        return TooLong(413, "That is longer than anything that is to be pasted here.")
    try:
        fields = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS
        )
    except ValueError:
        return TooLong(413, "That has more fields than any form here.")
    return dict(fields)
