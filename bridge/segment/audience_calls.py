"""The two calls of Webhook Audiences that carry no event: create an audience, and get one.

```text
{...extras, "audienceName": "VIP"}     create   answer {"externalId": made from the name}
{...extras, "externalId": "aud-..."}   get      answer {"externalId": the same}
```

Segment expects an id of ours and keeps it. We keep nothing about audiences, so the id is made from
the name alone and is the same whenever Segment asks. These calls are unsigned, as they have no
payload to sign: only a token can tell who sent them.
[action-destinations webhook-audiences/index.ts]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from bridge.segment.ids import id_text


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceCall:
    kind: Literal["create", "get"]
    external_id: str

    @property
    def answer(self) -> dict[str, str]:
        """The JSON object to answer with, status 200."""
        return {"externalId": self.external_id}


#: What only an event has; extras may be called anything else.
_EVENT_ONLY = ("type", "messageId", "event", "userId", "anonymousId")


def read_audience_call(element: object) -> AudienceCall | None:
    """The call that a single JSON object is; None when it is an event or something else."""
    if not isinstance(element, dict) or any(name in element for name in _EVENT_ONLY):
        return None
    if (known := id_text(element.get("externalId"))) is not None:
        return AudienceCall(kind="get", external_id=known)
    name = element.get("audienceName")
    if not isinstance(name, str) or not name:
        return None
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return AudienceCall(kind="create", external_id=f"aud-{digest[:24]}")
