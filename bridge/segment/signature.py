"""Whether Segment signed this body: `X-Signature`, the hex HMAC-SHA1 of what was sent.

```text
variant              covers                                         sent by
whole_body           the raw body                                   single events, all kinds
first_element        the raw text of element 0 of an array          Webhooks (Actions) batches
first_element_json   the raw text of `json` in element 0            Extensible Webhook batches
whole_minus_extras   the raw body without the extras' members       Webhook Audiences
first_minus_extras   element 0 without the extras' members          Webhook Audiences batches
```

**A batch signature covers only its first event.** Whoever has seen one signed `[E1]` can post
`[E1, anything]`: where that matters, ask for a token too, or refuse batches. There is no time and
no nonce in the protocol, so a body can be posted again; dedupe by messageId takes care of that.

Webhook Audiences merge `context.personas.audience_settings.extras` into the data after signing.
Those members are cut out of the raw text, each with one comma, provided that their values are the
ones which the (signed) extras name; so a body that verifies is authentic as a whole. A member of
the event that has the same name as an extra was overwritten by it, and cannot be verified.

Bytes are compared with bytes: nothing is ever serialised again, because no serialiser but Segment's
writes what Segment signed. SHA-1 is Segment's choice; HMAC-SHA1 is still unforgeable.
[segment-docs catalog/webhooks; action-destinations webhook*/index.ts]
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

from bridge.segment import raw_json

#: A larger element is no Segment event (the largest, a reverse ETL record, has 512 KiB). The bound
#: keeps strangers, whose bodies are not verified yet, from making us search megabytes of brackets.
_LARGEST_ELEMENT = 1 << 20


class Variant(StrEnum):
    """What a signature was found to cover; see the module's table."""

    WHOLE_BODY = "whole_body"
    FIRST_ELEMENT = "first_element"
    FIRST_ELEMENT_JSON = "first_element_json"
    WHOLE_MINUS_EXTRAS = "whole_minus_extras"
    FIRST_MINUS_EXTRAS = "first_minus_extras"


def verify(raw_body: bytes, header: str | bytes | None, secrets: Sequence[bytes]) -> Variant | None:
    """What the signature covers, or None when no secret made it. Never raises.

    Args:
        raw_body: The body as received, after Content-Encoding is undone.
        header: The value of `X-Signature`; either case, blanks around it are ignored.
        secrets: Shared secrets in UTF-8, several while one is being replaced; empty ones never match.
    """
    wanted = _wanted(header)
    if wanted is None:
        return None
    if raw_body[:1] == b"{" and _is_signed(raw_body, wanted, secrets):
        return Variant.WHOLE_BODY
    return next(
        (
            variant
            for variant, covered in _coverings(raw_body)
            if _is_signed(covered, wanted, secrets)
        ),
        None,
    )


def _is_signed(covered: bytes, wanted: bytes, secrets: Sequence[bytes]) -> bool:
    for secret in secrets:
        if not secret:
            continue
        signing = _keyed(secret).copy()
        signing.update(covered)
        if hmac.compare_digest(signing.digest(), wanted):
            return True
    return False


@lru_cache(maxsize=64)
def _keyed(secret: bytes) -> hmac.HMAC:
    # Preparing the key takes a third of the time of signing an event.
    return hmac.new(secret, digestmod="sha1")


def _wanted(header: str | bytes | None) -> bytes | None:
    if header is None:
        return None
    try:
        text = header if isinstance(header, str) else header.decode("ascii")
        digest = bytes.fromhex(text.strip())
    except ValueError:
        return None
    return digest if len(digest) == 20 else None


def _coverings(body: bytes) -> Iterator[tuple[Variant, bytes]]:
    """What else the signature may cover than all of an object, the likely and cheap first."""
    text = body.strip()
    if not text.startswith(b"["):
        if not body.startswith(b"{"):
            yield Variant.WHOLE_BODY, body
        if (data := _without_extras(text)) is not None:
            yield Variant.WHOLE_MINUS_EXTRAS, data
        return
    element = raw_json.first(text[:_LARGEST_ELEMENT])
    if element is not None:
        yield Variant.FIRST_ELEMENT, element
        if (inner := _inner(element)) is not None:
            yield Variant.FIRST_ELEMENT_JSON, inner
    # Today's batches are signed by their first element; a change to sign all of it is proposed.
    yield Variant.WHOLE_BODY, body
    if element is not None and (data := _without_extras(element)) is not None:
        yield Variant.FIRST_MINUS_EXTRAS, data


def _inner(element: bytes) -> bytes | None:
    if not element.startswith(b'{"json":'):
        return None
    parts = raw_json.split(element)
    found = raw_json.member(parts[0]) if parts and len(parts) == 1 else None
    return found[1] if found else None


def _without_extras(element: bytes) -> bytes | None:
    """The element's text without the members that extras added; None when there are none."""
    if b'"extras"' not in element or len(element) > _LARGEST_ELEMENT:
        return None
    try:
        extras = _extras(_loads(element))
        parts = raw_json.split(element)
        if not extras or not parts:
            return None
        kept = [part for part in parts if not _is_extra(part, extras)]
    except (ValueError, RecursionError):
        return None
    return b"{" + b",".join(kept) + b"}" if len(kept) < len(parts) else None


def _extras(event: Any) -> dict[str, Any]:
    value = event
    for name in ("context", "personas", "audience_settings", "extras"):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, str):
        value = _loads(value)
    return value if isinstance(value, dict) else {}


def _is_extra(part: bytes, extras: dict[str, Any]) -> bool:
    """Whether a member is one of the extras; ValueError when only its name is."""
    found = raw_json.member(part)
    name = _loads(found[0]) if found else None
    if found is None or name not in extras:
        return False
    if _canonical(_loads(found[1])) != _canonical(extras[name]):
        raise ValueError(name)
    return True


def _loads(text: str | bytes) -> Any:
    # JavaScript knows doubles only: the extras' `1.0` arrives as `1`.
    return json.loads(text, parse_int=float)


def _canonical(value: Any) -> str:
    # As text, because Python holds `true` and `1` for equal.
    return json.dumps(value, sort_keys=True)
