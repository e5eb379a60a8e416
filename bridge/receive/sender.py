"""Is this request really from Segment? What a token and a signature prove, as a table.

::

    token configured   token     secrets configured   signature   answer
    yes                wrong     any                  any         401 token-wrong
    yes                right     no                   any         taken
    yes                right     yes                  right       taken
    yes                right     yes                  wrong       503 signature-mismatch, and an alarm
    no                 -         yes                  right       taken
    no                 -         yes                  wrong       401 signature-wrong
    no                 -         no                   any         taken (BRIDGE_SEGMENT_UNSIGNED=allow)

The 503 keeps events: Segment tries again for four hours while the secret is put right; after a 401
it throws them away. A signature covers only the first event of a batch; the token covers the rest.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.receive.body import Rejected
from bridge.segment.signature import verify

TOKEN_WRONG = Rejected(
    status=401,
    code="token-wrong",
    message="The token is missing or wrong: send it as X-Bridge-Token, Authorization: Bearer, or in the path.",
)
SIGNATURE_WRONG = Rejected(
    status=401,
    code="signature-wrong",
    message="X-Signature is missing, or no shared secret of this source makes it.",
)
SIGNATURE_MISMATCH = Rejected(
    status=503,
    code="signature-mismatch",
    message="The token is right and the signature is not: is the shared secret the same on both sides?",
    retry_after=60,
)
BATCH_REFUSED = Rejected(
    status=401,
    code="batch-refused",
    message="This source takes one event a request, because a signature covers only the first of a batch.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a source's requests have to show."""

    secrets: tuple[bytes, ...]
    token: bytes | None
    batches: bool

    def check_token(self, offered: Sequence[str]) -> Rejected | None:
        """Before the body is read; any of the places where a token may stand will do."""
        if self.token is None:
            return None
        right = [
            hmac.compare_digest(text.encode("latin-1", "replace"), self.token) for text in offered
        ]
        return None if any(right) else TOKEN_WRONG

    def check_signature(self, body: bytes, signature: str) -> Rejected | None:
        """Over the body as Segment made it, after its encoding is undone."""
        if not self.secrets or verify(body, signature, self.secrets) is not None:
            return None
        return SIGNATURE_WRONG if self.token is None else SIGNATURE_MISMATCH
