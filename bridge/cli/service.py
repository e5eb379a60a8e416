"""How commands reach the bridge: the running service's API, or the database when nothing runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx
from starlette.applications import Starlette

from bridge.app.piles import Piles
from bridge.cli.mapping import apps_that_serve, rules_that_serve, what_serves
from bridge.clock import SystemClock
from bridge.config.access import Access, Key, Person
from bridge.config.load import app_names
from bridge.console.naming import NOT_NAMED, Names, Slip, none_such
from bridge.deliver.brake import load_brake
from bridge.deliver.erasing import forget, sweep
from bridge.deliver.held import keep_back, release_resumed
from bridge.deliver.releases import Releases
from bridge.environment import SERVICE_URL, admin_token
from bridge.errors import BridgeError, JournalBusyError
from bridge.explain.answer import answer_of, asked_of
from bridge.journal.erasures import noted
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from bridge.journal.sqlite_file import read_counts, reading
from bridge.journal.trace import read_traces
from bridge.settings import Settings

T = TypeVar("T")

_TIMEOUT_SECONDS = 30.0
HERE = "command line"
"""Who asks, in the audit trail, when a command has opened the database itself."""
_HERE = b"here"
"""What the API is shown by a command that has opened the database itself."""
_ALONE = Access(keys=(Key(Person(HERE, "admin"), _HERE),))


class ServiceError(BridgeError):
    """The service, or the database, cannot do what a command asks of it; `code` is the API's when it says so."""

    code = "service"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code or self.code


class Service(Protocol):
    """What commands can ask of a bridge, running or not."""

    def piles(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Ask `/api/v1/…` about what waits for a person: dead, held, skipped.

        Raises:
            ServiceError: it answers that it will not.
        """

    def status(self) -> dict[str, Any]:
        """`well`, `problems`, and what `bridge.console.status` tells."""

    def explain(self, *, user: str | None, message_id: str | None, limit: int) -> dict[str, Any]:
        """What `bridge.explain.answer` says of a user, or of a message."""

    def pause(self, what: str) -> None:
        """Pull the brake for `pushes` or `rule/NAME`."""

    def resume(self, what: str) -> int:
        """Let go of it; how many pushes were released."""

    def import_rows(self, events: bytes, /) -> dict[str, Any]:
        """Hand over a JSON array of identify events, and wait until there was room for them."""

    #: What becomes of those who are to be forgotten.
    forgetting: str

    def forget(self, external_id: str, *, app: str | None) -> None:
        """Erase a user of an app, or of all."""


@contextmanager
def service(*, looks: bool = False) -> Iterator[Service]:
    """The running service when there is one, else the database itself.

    `looks`: for a command that changes nothing, which may read the database beside a service that
    it has no token for.

    Raises:
        ServiceError: neither can be reached.
        JournalError: the database cannot be used.
    """
    url, token, database = _where()
    with httpx.Client(
        base_url=url,
        # Without a token there is no header at all: `Bearer` and nothing is none that HTTP knows.
        headers={"authorization": f"Bearer {token}"} if token else {},
        timeout=_TIMEOUT_SECONDS,
        trust_env=False,
    ) as http:
        if _answers(http):
            if not token and looks and database.database_path.exists():
                yield _Stopped(database, url)
                return
            if not token:
                raise ServiceError(
                    f"a bridge answers at {url}, and BRIDGE_ADMIN_TOKEN is not set",
                    hint="set it to the service's (`init` wrote it into bridge.env); a service without"
                    " one has to be started with one",
                )
            yield _Running(http)
            return
    if SERVICE_URL in os.environ:
        raise ServiceError(f"no bridge answers at {url}", hint=f"is {SERVICE_URL} right?")
    if not database.database_path.exists():
        raise ServiceError(
            f"no bridge answers at {url}, and there is no database {database.database_path}",
            hint=f"start one with segment-bridge serve; or set {SERVICE_URL} to where one runs,"
            " or BRIDGE_DATABASE_URL to its database",
        )
    yield _Stopped(database, url)


def database_path() -> Path:
    """Of the environment's settings."""
    return _where()[2].database_path


def _where() -> tuple[str, str | None, Settings]:
    """Address, admin token and database, of the environment; other settings do not matter here."""
    names = ("host", "port", "admin_port", "database_url")
    values: dict[str, Any] = {
        name: os.environ[variable]
        for name in names
        if (variable := f"BRIDGE_{name.upper()}") in os.environ
    }
    settings = Settings(**values)
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104 — compared, not bound
    port = settings.port if settings.admin_port is None else settings.admin_port
    url = os.environ.get(SERVICE_URL, f"http://{host}:{port}")
    return url, admin_token(), settings


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


class _Running:
    """A bridge that serves: everything goes through its API."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def piles(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        # A million pushes may go back to work, which takes as long as it takes.
        return self._object(method, path, timeout=None, **more)

    def status(self) -> dict[str, Any]:
        return self._object("GET", "/api/v1/status")

    def explain(self, *, user: str | None, message_id: str | None, limit: int) -> dict[str, Any]:
        named = {"user": user, "message_id": message_id, "limit": str(limit)}
        query = {name: value for name, value in named.items() if value}
        return self._object("GET", "/api/v1/explain", params=query)

    def pause(self, what: str) -> None:
        self._object("POST", "/api/v1/pause", json=_target(what))

    def resume(self, what: str) -> int:
        # A million pushes may go back to work, which takes as long as it takes.
        answer = self._object("POST", "/api/v1/resume", json=_target(what), timeout=None)
        return int(answer["released"])

    def import_rows(self, events: bytes, /) -> dict[str, Any]:
        while True:
            answer = self._http.post("/api/v1/import", content=events)
            # It has waited for room itself.
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return _body_of(answer)

    forgetting = "on its way. `user.erased` in the log says when it is done."

    def forget(self, external_id: str, *, app: str | None) -> None:
        query = {} if app is None else {"app": app}
        self._object("DELETE", f"/api/v1/users/{quote(external_id, safe='')}", params=query)

    def _object(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return _body_of(self._http.request(method, path, **more))


def _body_of(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    if not answer.is_success:
        refused = answer.status_code in {401, 403}
        changes = answer.request.method != "GET"
        hint = "BRIDGE_ADMIN_TOKEN is the service's" if refused else "nothing was changed"
        raise ServiceError(
            str(body["message"]),
            hint=hint if refused or changes else None,
            code=str(body["code"]),
        )
    return body


def _nobody(_app: str, _users: frozenset[int]) -> None:
    """Nothing runs that has to hear of it."""


def _target(what: str) -> dict[str, str]:
    """How the API names what is paused."""
    kind, _, rule = what.partition("/")
    return {"what": kind, "rule": rule} if rule else {"what": kind}


async def _rules_of(journal: SqliteJournal) -> Callable[[], set[str] | None]:
    """The rules of a bridge that does not run: of the mappings here, and those that ever met an event.

    Where no mapping is named here, those of the last that served count.
    """
    met, last = await journal.tallies.last(), await journal.looks.rules()

    def known() -> set[str] | None:
        named = rules_that_serve() or last
        return {*named, *met} if named else None

    return known


async def _names_of(journal: SqliteJournal) -> Callable[[], Names]:
    """What can be named of a bridge that does not run."""
    rules = await _rules_of(journal)
    apps = apps_that_serve() or await journal.looks.apps()
    # Nothing of its database is asked for by source.
    return lambda: Names(rules(), apps or None, None)


def _need_a_rule(what: str, known: set[str] | None, why: str) -> None:
    kind, _, rule = what.partition("/")
    if kind == "rule" and known is not None:
        _need(none_such("rule", rule, known, why))


def _need(slip: Slip | None) -> None:
    if slip is not None:
        raise ServiceError(slip.words, hint="nothing was changed", code=slip.code)


class _Stopped:
    """No bridge runs: the database is opened for the moment, and its lock held meanwhile."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._path = settings.database_path
        self._url = url

    def piles(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The same API, over the database alone."""

        async def ask(journal: SqliteJournal) -> httpx.Response:
            clock = SystemClock()
            brake = await load_brake(journal, clock)
            releases = Releases(journal=journal, clock=clock, brake=brake, nudge=_nobody)
            piles = Piles(
                journal=journal,
                clock=clock,
                nudge=_nobody,
                releases=releases,
                in_force=await _names_of(journal),
            )
            app = Starlette(routes=piles.routes(lambda: _ALONE))
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://localhost",
                headers={"authorization": f"Bearer {_HERE.decode()}"},
            ) as http:
                return await http.request(method, path, **more)

        return _body_of(self._with(ask))

    def status(self) -> dict[str, Any]:
        counts = read_counts(self._path)
        oldest = None if counts.oldest_ms is None else SystemClock().now_ms() - counts.oldest_ms
        return {
            "well": False,
            "problems": [f"no bridge answers at {self._url}"],
            "pending": counts.pending,
            "oldest_waiting_seconds": max(0, oldest or 0) / 1000,
            "held": counts.held,
            "dead": counts.dead,
        }

    def explain(self, *, user: str | None, message_id: str | None, limit: int) -> dict[str, Any]:
        sources, apps, mappings = what_serves()
        asked = asked_of(user, message_id, limit, apps=apps, sources=sources, mappings=mappings)
        with reading(self._path) as connection:
            traces = read_traces(connection, asked)
        now_ms = SystemClock().now_ms()
        return answer_of(
            asked, traces, apps=apps, sources=sources, mappings=mappings, now_ms=now_ms
        )

    def pause(self, what: str) -> None:
        async def pause(journal: SqliteJournal) -> None:
            clock = SystemClock()
            known = (await _rules_of(journal))()
            _need_a_rule(what, known, "no mapping has it")
            await (await load_brake(journal, clock)).pull(what)
            await journal.note(noted(clock.now_ms(), HERE, "brake.pulled", target=what))

        self._with(pause)

    def resume(self, what: str) -> int:
        async def resume(journal: SqliteJournal) -> int | None:
            brake = await load_brake(journal, SystemClock())
            if what not in brake.pauses and (known := (await _rules_of(journal))()) is not None:
                paused = {one.removeprefix("rule/") for one in brake.pauses}
                _need_a_rule(what, known | paused, "no mapping has it, and no such rule is paused")
            await keep_back(journal, brake.pauses.get(what))
            if not await brake.let_go(what):
                return None
            now_ms = SystemClock().now_ms()
            await journal.note(noted(now_ms, HERE, "brake.released", target=what))
            return await release_resumed(journal, brake, nudge=_nobody)

        released = self._with(resume)
        if released is None:
            raise ServiceError(f"{what} is not paused", hint="nothing was changed")
        return released

    def import_rows(self, _events: bytes, /) -> dict[str, Any]:
        raise ServiceError(
            "no bridge runs that could deliver the rows",
            hint="start it with segment-bridge serve, and give the command BRIDGE_ADMIN_TOKEN",
        )

    forgetting = "nothing is left here; OneSignal is asked when the bridge runs."

    def forget(self, external_id: str, *, app: str | None) -> None:
        apps = app_names()
        if app is not None:
            _need(none_such("app", app, apps, NOT_NAMED))
        now_ms = SystemClock().now_ms()

        async def erase(journal: SqliteJournal) -> None:
            for name in apps if app is None else [app]:
                whose = f"{journal.user_hash(name, external_id):016x}"
                asked = noted(now_ms, HERE, "user.erasure_asked", app=name, user_hash=whose)
                await journal.note(asked)
                user_hash = await forget(journal, name, external_id, now_ms=now_ms)
                await sweep(journal, user_hash, others=(), now_ms=now_ms, keep_names=True)

        self._with(erase)

    def _with(self, work: Callable[[SqliteJournal], Awaitable[T]]) -> T:
        async def opened() -> T:
            journal = self._open()
            try:
                return await work(journal)
            finally:
                await journal.close()

        return asyncio.run(opened())

    def _open(self) -> SqliteJournal:
        try:
            return open_sqlite(self._path)
        except JournalBusyError as error:
            raise ServiceError(
                f"no bridge answers at {self._url}, and one is using the database {self._path}",
                hint=f"set BRIDGE_PORT or {SERVICE_URL} to where it was started, and"
                " BRIDGE_ADMIN_TOKEN to its token",
            ) from error
