"""The door of the console: who comes in, with which role, and that a form is really theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.clock import Clock
from bridge.config.access import Access, Person, Role
from bridge.console.web.sessions import BY_PROXY, LASTS_SECONDS, Session, Sessions
from bridge.console.web.shell import HEADERS, ROOT, Shell
from bridge.console.web.visit import (
    LONGEST_QUERY,
    THEME_COOKIE,
    THEMES,
    TooLong,
    Visit,
    form_of,
    theme_of,
    zone_of,
)
from bridge.telemetry import log

COOKIE: Final = "bridge_session"
LOGIN: Final = f"{ROOT}/login"
TRIES: Final = 10
"""Wrong tokens from one address in a minute; then it has to wait."""
_MINUTE: Final = 60.0
LONGEST_SIGN_IN: Final = 16_384
"""A form that anybody may send, and so as many of them as there are connections."""
_PEERS: Final = 1000
_YEAR_SECONDS: Final = 365 * 86_400
Page = Callable[[Visit], Awaitable[Response]]


@dataclass(slots=True)
class Tries:
    """Wrong tokens of the last minute, by the address that they came from."""

    clock: Clock
    _at: dict[str, list[float]] = field(default_factory=dict)

    def are_many(self, peer: str) -> bool:
        since = self.clock.monotonic() - _MINUTE
        self._at[peer] = late = [at for at in self._at.get(peer, ()) if at > since]
        if not late:
            del self._at[peer]
        return len(late) >= TRIES

    def add(self, peer: str) -> None:
        if len(self._at) >= _PEERS:
            self._at.clear()
        self._at.setdefault(peer, []).append(self.clock.monotonic())


@dataclass(slots=True, kw_only=True)
class Door:
    access: Callable[[], Access]
    sessions: Sessions
    clock: Clock
    shell: Shell
    tries: Tries = field(init=False)
    #: Nonces of sessions that were ended before their time, and when they end by themselves.
    ended: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tries = Tries(self.clock)

    def routes(self) -> list[Route]:
        return [
            Route(LOGIN, self._login, methods=["GET"]),
            Route(LOGIN, self._sign_in, methods=["POST"]),
            self.act(f"{ROOT}/logout", "view", self._sign_out),
            self.act(f"{ROOT}/theme", "view", self._theme),
        ]

    # Guarding -------------------------------------------------------------------------------------

    def page(self, path: str, role: Role, page: Page) -> Route:
        """A page for people of that role; others are asked who they are, or told why not."""

        async def checked(request: Request) -> Response:
            visit = self._enter(request)
            if not isinstance(visit, Visit):
                return visit
            if not visit.may(role):
                return self._not_yours(visit, role)
            return self._remembering(visit, await page(visit))

        return Route(path, checked, methods=["GET"])

    def act(self, path: str, role: Role, page: Page) -> Route:
        """Something that is done by a form of ours, filled in by somebody of that role."""

        async def checked(request: Request) -> Response:
            visit = self._enter(request)
            if not isinstance(visit, Visit):
                return visit
            form = await form_of(request)
            if isinstance(form, TooLong):
                return self._problem(visit, form.status, "Too long", form.words)
            session = self._session(request)
            # Whom the proxy introduces may hold a mark of somebody else's, or of the page for signing in.
            is_theirs = session is not None and session.name == visit.person.name
            if session is None or not (
                is_theirs and self._is_own(request, session, form.get("csrf", ""))
            ):
                return self._problem(visit, 403, "Not from this page", _FOREIGN)
            if not visit.may(role):
                return self._not_yours(visit, role)
            return await page(_with_form(visit, form))

        return Route(path, checked, methods=["POST"])

    def _enter(self, request: Request) -> Visit | Response:
        if len(_query(request)) > LONGEST_QUERY or len(request.scope["path"]) > LONGEST_QUERY:
            return self.shell.outside(
                "closed",
                status=414,
                title="Too long",
                words="That address is longer than any of ours.",
            )
        access = self.access()
        session = self._session(request)
        person = self._introduced(request, access)
        if person is not None and (session is None or session.name != person.name):
            session = self.sessions.of_proxy(person.name, now_s=self._now_s)
        if person is None and session is not None:
            person = self.sessions.person(session, access)
        if person is None or session is None:
            return self._ask(request, access)
        request.state.session = session
        return Visit(
            request=request,
            person=person,
            csrf=self.sessions.csrf(session),
            now_ms=self.clock.now_ms(),
            theme=theme_of(request),
            zone=zone_of(request),
        )

    @property
    def _now_s(self) -> int:
        return self.clock.now_ms() // 1000

    def _session(self, request: Request) -> Session | None:
        session = self.sessions.read(request.cookies.get(COOKIE, ""), now_s=self._now_s)
        return None if session is None or session.nonce in self.ended else session

    def _introduced(self, request: Request, access: Access) -> Person | None:
        """Who the proxy says it is; two headers are one too many."""
        if access.sso_header is None:
            return None
        said = request.headers.getlist(access.sso_header)
        return access.introduced(said[0], _peer(request)) if len(said) == 1 else None

    def _is_own(self, request: Request, session: Session, offered: str) -> bool:
        # What no browser sends is not asked for; what it says is.
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        return self.sessions.is_csrf(session, offered)

    def _remembering(self, visit: Visit, response: Response) -> Response:
        """A session of the proxy's begins with the first page."""
        session: Session = visit.request.state.session
        if session.proof == BY_PROXY and self._session(visit.request) != session:
            self._remember(visit.request, response, session)
        return response

    def _ask(self, request: Request, access: Access) -> Response:
        if access.sso_header is not None and not access.has_tokens:
            return self.shell.outside("closed", status=403, title="Not known here", words=_UNKNOWN)
        if request.method != "GET":
            return self._login_page(
                request, 401, "You were signed out meanwhile. Nothing was done."
            )
        path, query = request.scope["path"], _query(request)
        asked = f"{path}?{query}" if query else path
        way = LOGIN if asked == ROOT else f"{LOGIN}?next={quote(asked, safe='')}"
        return RedirectResponse(way, status_code=303, headers=HEADERS)

    def _not_yours(self, visit: Visit, role: Role) -> Response:
        words = f"That takes the role “{role}”; yours is “{visit.person.role}”."
        return self._problem(visit, 403, "Not with your role", words)

    def _problem(self, visit: Visit, status: int, title: str, words: str) -> Response:
        return self.shell.page(visit, "problem", status=status, title=title, text=words, active="")

    # Signing in and out ---------------------------------------------------------------------------

    async def _login(self, request: Request) -> Response:
        if len(_query(request)) > LONGEST_QUERY:
            return self._login_page(request, 414, "That address is longer than any of ours.")
        visit = self._enter(request)
        if isinstance(visit, Visit):
            return RedirectResponse(inside(request.query_params.get("next", "")), 303, HEADERS)
        return self._login_page(request, 200, None)

    def _login_page(self, request: Request, status: int, problem: str | None) -> Response:
        """The form; it repeats a mark that goes with a cookie of this browser's own."""
        session = self.sessions.of_proxy("", now_s=self._now_s)
        response = self.shell.outside(
            "login",
            status=status,
            problem=problem,
            has_tokens=self.access().has_tokens,
            csrf=self.sessions.csrf(session),
            next=inside(request.query_params.get("next", "")),
            theme=theme_of(request),
        )
        self._remember(request, response, session)
        return response

    async def _sign_in(self, request: Request) -> Response:
        form = await form_of(request, longest=LONGEST_SIGN_IN)
        if isinstance(form, TooLong):
            return self._login_page(request, form.status, form.words)
        peer, session = _peer(request), self._session(request)
        if session is None or not self._is_own(request, session, form.get("csrf", "")):
            return self._login_page(request, 403, "The page had grown old. Please try again.")
        if self.tries.are_many(peer):
            response = self._login_page(request, 429, "Too many wrong tokens. Wait a minute.")
            response.headers["retry-after"] = "60"
            return response
        key = self.access().shown(form.get("token", "").strip().encode("utf-8", "replace"))
        if key is None:
            self.tries.add(peer)
            log().warning("console.refused", reason="token-wrong")
            return self._login_page(request, 401, "Nobody has this token.")
        log().info("console.entered", who=key.person.name, role=key.person.role)
        response = RedirectResponse(inside(form.get("next", "")), 303, HEADERS)
        self._remember(request, response, self.sessions.of_key(key, now_s=self._now_s))
        return response

    async def _sign_out(self, visit: Visit) -> Response:
        now_s, session = self._now_s, self._session(visit.request)
        self.ended = {nonce: until for nonce, until in self.ended.items() if until > now_s}
        if session is not None:
            self.ended[session.nonce] = session.since_s + LASTS_SECONDS
        response = RedirectResponse(LOGIN, 303, HEADERS)
        response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="lax")
        return response

    def _remember(self, request: Request, response: Response, session: Session) -> None:
        response.set_cookie(
            COOKIE,
            self.sessions.write(session),
            max_age=LASTS_SECONDS,
            path=ROOT,
            httponly=True,
            samesite="lax",
            secure=_is_private(request),
        )

    async def _theme(self, visit: Visit) -> Response:
        wanted = next((one for one in THEMES if one == visit.form.get("theme")), "auto")
        back = inside(visit.form.get("back", ""))
        response = RedirectResponse(back, 303, HEADERS)
        response.set_cookie(
            THEME_COOKIE, wanted, max_age=_YEAR_SECONDS, path=ROOT, samesite="lax",
            secure=_is_private(visit.request),
        )  # fmt: skip
        return response


_FOREIGN = "The form had grown old, or was another site's. Nothing was done; go back and try again."
_UNKNOWN = "The proxy in front has not said who you are, or names nobody who may come in."


def _with_form(visit: Visit, form: dict[str, str]) -> Visit:
    return replace(visit, form=form)


def _query(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return query.decode("latin-1")


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_private(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy before us."""
    said = request.headers.get("x-forwarded-proto", "").lower()
    # The first of several proxies is the one that the browser speaks to.
    return "https" in {request.url.scheme, said.partition(",")[0].strip()}


def inside(address: str) -> str:
    """The address if it is a page of the console, else its front page: nobody is led elsewhere."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ROOT
    inside = parts.path == ROOT or parts.path.startswith(f"{ROOT}/")
    plain = (
        address.isascii() and address.isprintable() and "\\" not in address and ".." not in address
    )
    # A browser takes `///host` for `//host`.
    plain = plain and not address.startswith("//")
    return address if inside and plain and not parts.scheme and not parts.netloc else ROOT
