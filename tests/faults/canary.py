"""What people send here can be told from everything else: one word is in all of it.

Every user id, trait, e-mail address, secret and key of these tests holds the word, so that looking for
it in logs, answers, metrics and alerts finds whatever should not be there.
"""

from __future__ import annotations

WORD = "xylocopa"
SECRET = f"{WORD}-secret"
API_KEY = f"os_v2_app_{WORD}"
ADMIN_TOKEN = f"{WORD}-admin"


def person(number: int) -> str:
    """Somebody's external id."""
    return f"{WORD}-{number}"


def trait(value: object) -> str:
    """A value that nobody but OneSignal should see."""
    return f"{WORD} {value}"


def email(number: int) -> str:
    return f"{number}@{WORD}.example"
