"""The frame around every page: its templates, its headers, its files, and what is on every page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.console.views import words
from bridge.console.web import filters
from bridge.console.web.said import SAID
from bridge.console.web.visit import Visit

ROOT: Final = "/console"
PAGES: Final = (
    ("rules", "Rules", ROOT),
    ("overview", "Overview", f"{ROOT}/overview"),
    ("events", "Events", f"{ROOT}/events"),
    ("people", "People", f"{ROOT}/people"),
    ("waiting", "Dead and held", f"{ROOT}/waiting"),
    ("try", "Try it", f"{ROOT}/try"),
    ("mappings", "Mappings", f"{ROOT}/mappings"),
    ("audit", "Who did what", f"{ROOT}/audit"),
)
"""What the navigation names: of each its template, its title and its address."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
_FOR_A_YEAR: Final = "public, max-age=31536000, immutable"


def _read_assets() -> dict[str, bytes]:
    folder = files("bridge.console.web").joinpath("assets")
    return {one.name: one.read_bytes() for one in folder.iterdir() if "." in one.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Something that is stopped, as every page says it: `pushes`, or `rule/NAME`."""

    what: str
    reason: str
    since_ms: int


@dataclass(slots=True, kw_only=True)
class Shell:
    paused: Callable[[], list[dict[str, Any]]]
    dry_run: Callable[[], bool]
    _assets: dict[str, bytes] = field(default_factory=_read_assets)
    _stamps: dict[str, str] = field(default_factory=dict)
    _templates: Environment = field(init=False)

    def __post_init__(self) -> None:
        self._stamps = {
            name: hashlib.sha256(body).hexdigest()[:12] for name, body in self._assets.items()
        }
        self._templates = Environment(
            loader=PackageLoader("bridge.console.web", "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= filters.ALL
        self._templates.globals |= {"asset": self._address, "words": words, "root": ROOT}

    def _address(self, name: str) -> str:
        return f"{ROOT}/assets/{name}?v={self._stamps[name]}"

    def routes(self) -> list[Route]:
        return [Route(f"{ROOT}/assets/{{name}}", self._asset, methods=["GET"])]

    async def _asset(self, request: Request) -> Response:
        """A file by its name: there are no others, whatever the path says."""
        body = self._assets.get(request.path_params["name"])
        if body is None:
            return Response(status_code=404, headers=HEADERS)
        kind = _KINDS[request.path_params["name"].rpartition(".")[2]]
        headers = HEADERS | {"cache-control": _FOR_A_YEAR}
        return Response(body, media_type=kind, headers=headers)

    def page(self, visit: Visit, name: str, *, status: int = 200, **values: Any) -> Response:
        """The page of that name, for who has come in."""
        return self._response(self.text(visit, name, **values), status)

    def text(self, visit: Visit, name: str, **values: Any) -> str:
        said = SAID.get(visit.query.get("said", ""))
        return self._templates.get_template(f"{name}.html.j2").render(
            visit=visit,
            pages=PAGES,
            paused=[Pause(**one) for one in self.paused()],
            dry_run=self.dry_run(),
            said=said and said(visit.query),
            **values,
        )

    def outside(self, name: str, *, status: int, **values: Any) -> Response:
        """A page for who has not come in."""
        text = self._templates.get_template(f"{name}.html.j2").render(**values)
        return self._response(text, status)

    def _response(self, text: str, status: int) -> Response:
        return Response(text, status_code=status, media_type="text/html", headers=HEADERS)
