"""What is personal data, by the name of a field or the look of its value; pure.

`tags_from` passes personal data on only where a mapping writes it out in full, never by a glob
(mappings/README.md, "Values"). Names come in every spelling (`home_address`, `billingEmail`,
`useremail`), so the test errs on the side of keeping back; the plan says what it kept back.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_WORDS = frozenset(
    {
        "name", "names", "fname", "lname", "initials", "dob", "bday", "tel", "mobile", "cell", "fax",
        "msisdn", "whatsapp", "zip", "postal", "apt", "ip", "ipv4", "ipv6", "lat", "lng", "lon",
        "geo", "ssn", "nin", "iban", "vat", "taxid", "gender", "sex", "avatar", "photo", "idfa",
        "idfv", "gaid", "aaid", "advertisingid", "deviceid", "token", "secret", "creditcard",
    }
)  # fmt: skip
"""Personal as a word of a name, or as several in a row."""

_PARTS = re.compile(
    "email|phone|address|street|birth|firstname|lastname|fullname|middlename|givenname|familyname"
    "|maidenname|surname|nickname|username|postcode|zipcode|latitude|longitude|password|passport"
)
"""Personal wherever it stands in a name, however that is spelled."""

_VALUE = re.compile(
    r"[^@\s]@[^@\s]+\.[^@\s]"
    r"|(?<![0-9A-Za-z])\+[0-9][0-9 ()./-]{6,}"
    r"|(?<![0-9.])(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?![0-9.])"
    r"|(?<![0-9A-Za-z:])(?:[0-9A-Fa-f]{1,4}:){0,7}(?:[0-9A-Fa-f]{1,4}::|(?:[0-9A-Fa-f]{1,4}:){4})"
)
"""Somewhere in a text: an e-mail address, a phone number with its country, an address of the internet."""


_REMEMBERED = 64
"""The longest name that is remembered, in characters: what is kept of names stays small."""


def is_personal(key: str) -> bool:
    """Whether a field of this name (`a_b` for a nested one) holds personal data."""
    return _known(key) if len(key) <= _REMEMBERED else _read(key)


def _read(key: str) -> bool:
    words = [word.lower() for word in _WORD.findall(key)]
    if _PARTS.search("".join(words)):
        return True
    spans = ("".join(words[at : at + size]) for at in range(len(words)) for size in (1, 2, 3))
    return any(span in _WORDS for span in spans)


_known = lru_cache(maxsize=4096)(_read)
"""The same names come with every event."""


def looks_personal(text: str) -> bool:
    """Whether a text holds an e-mail address, a phone number or an IP address, whatever it is called."""
    return _VALUE.search(text) is not None
