"""The public address: what Segment meets when it posts there, small and large.

The events are test events without a user, so they can become no call, whatever the mapping says.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

import httpx
import orjson

from bridge.cli.doctoring import Check
from bridge.config import Source

_LARGE_BYTES = 4_000_000
_TIMEOUT_SECONDS = 30.0
_ADDRESS = "the address is the one in Segment's destination, with /v1/segment at its end"


def through(url: str, source: Source) -> Iterator[Check]:
    """One signed event, and 4 MB of them, the most that Segment sends at once."""
    with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as http:
        small = _answer(http, url, source, _event(1))
        yield small
        if small.level != "ok":
            return
        yield _answer(http, url, source, _batch(), name="4 MB through the address")
        try:
            yield _unsigned(http, url, source)
            yield _inside(http, url)
        except httpx.TransportError as error:
            said = f"{url} answered no longer ({type(error).__name__})"
            yield Check(
                "the rest", "error", said, "ask again; does a proxy turn away who asks often?"
            )


def _event(number: int, filling: int = 0) -> bytes:
    return orjson.dumps(
        {
            "type": "track",
            "event": "Bridge Doctor",
            "messageId": f"segment-test-message-doctor-{number}",
            "properties": {"filling": "x" * filling},
        }
    )


def _batch() -> bytes:
    events = [_event(number, 30_000) for number in range(_LARGE_BYTES // 30_200)]
    return b"[%b]" % b",".join(events)


def _headers(source: Source, body: bytes) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if source.secrets:
        secret = source.secrets[0].get_secret_value().encode()
        headers["x-signature"] = hmac.new(secret, body, "sha1").hexdigest()
    if source.token:
        headers["x-bridge-token"] = source.token.get_secret_value()
    return headers


def _answer(
    http: httpx.Client, url: str, source: Source, body: bytes, *, name: str = "public address"
) -> Check:
    try:
        answer = http.post(url, content=body, headers=_headers(source, body))
    except httpx.TransportError as error:
        return Check(name, "error", f"{url} does not answer ({type(error).__name__})", _ADDRESS)
    if answer.is_redirect:
        hint = "Segment's classic webhook follows no redirect: give it the address it leads to"
        return Check(name, "error", f"{url} redirects to another address", hint)
    if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        hint = "raise the body limit of the proxy before the bridge (client_max_body_size of nginx), and BRIDGE_MAX_BODY"
        return Check(name, "error", f"{len(body):,} bytes are too large for {url}", hint)
    if not _is_ours(answer):
        hint = f"{_ADDRESS}; does a proxy hide the bridge behind a page of its own?"
        return Check(name, "error", f"{url} answered {answer.status_code}, and is no bridge", hint)
    if not answer.is_success:
        problem = answer.json()
        hint = problem["message"]
        if problem["code"] == "source-unknown":
            hint = f"{hint} The address ends in /v1/segment/{source.name}"
        return Check(name, "error", f"{answer.status_code} {problem['code']}", hint)
    return Check(
        name, "ok", f"{len(body):,} bytes were accepted in {answer.elapsed.total_seconds():.2f} s"
    )


def _is_ours(answer: httpx.Response) -> bool:
    try:
        told = answer.json()
    except ValueError:
        return False
    return isinstance(told, dict) and ("accepted" in told or "code" in told)


def _inside(http: httpx.Client, url: str) -> Check:
    """Whether what is for you alone is answered there, too."""
    answered = [
        path
        for path in ("/metrics", "/console", "/api/v1/status")
        if http.get(str(httpx.URL(url).copy_with(path=path, query=None))).status_code
        != httpx.codes.NOT_FOUND
    ]
    if not answered:
        return Check("what is inside", "ok", "console, API and metrics are not reached from there")
    hint = (
        "pass on only /v1/… in the proxy, or set BRIDGE_ADMIN_PORT; behind a token nothing is lost"
    )
    said = f"{', '.join(answered)} can be reached through the address, too"
    return Check("what is inside", "warning", said, hint)


def _unsigned(http: httpx.Client, url: str, source: Source) -> Check:
    """Whether somebody else could post there, too."""
    answer = http.post(url, content=_event(0), headers={"content-type": "application/json"})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return Check("strangers", "ok", "without signature and token the address takes nothing")
    open_ = not source.secrets and not source.token
    hint = (
        "set BRIDGE_SEGMENT_SECRETS or BRIDGE_SEGMENT_TOKEN" if open_ else "does a proxy add them?"
    )
    said = f"an event without signature and token was answered {answer.status_code}"
    return Check("strangers", "warning", said, hint)
