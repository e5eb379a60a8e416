"""Dates in templates: ISO 8601 in, seconds or text out.

The same text always gives the same answer: a date's own offset counts, UTC stands in where there is
none, names are English, and neither the clock, the time zone nor the locale of the container is
ever asked. (`strftime` of the C library asks two of them.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ISO: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,30}))?)?"
    r" ?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_SECONDS: Final = re.compile(r"-?\d{1,15}", re.ASCII)


def unix_seconds(text: str) -> int | None:
    """Whole seconds since 1970 of an ISO 8601 time with zone; None for anything else."""
    moment = _usual(text)
    if moment is None:
        match = _ISO.fullmatch(text.strip())
        moment = _moment(match) if match is not None and match["zone"] is not None else None
    return None if moment is None else (moment - EPOCH) // timedelta(seconds=1)


def _usual(text: str) -> datetime | None:
    """A time as programs write it: `2026-11-27T08:00:00.000Z`, `2026-11-27T09:00:00+01:00`."""
    # Python also reads weeks (a W at 5), zones with seconds and zones with 99 minutes.
    if not 19 < len(text) < 36 or text[10] != "T" or text[13] != ":" or text[5] == "W":
        return None
    if text[-1] != "Z" and (text[-6] not in "+-" or text[-3] != ":" or text[-2] > "5"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def parse(value: object) -> datetime | None:
    """An ISO 8601 date or time, or seconds since 1970 (a number, or its digits); else None."""
    if isinstance(value, str):
        text = value.strip()
        if _SECONDS.fullmatch(text):
            return _after_epoch(int(text))
        match = _ISO.fullmatch(text)
        return None if match is None else _moment(match)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _after_epoch(value)
    return None


def _after_epoch(seconds: float) -> datetime | None:
    try:
        return EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def _moment(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micros = int((fraction or "0").ljust(6, "0")[:6])
    try:
        day_ = datetime(int(year), int(month), int(day), tzinfo=_zone(zone))
        return day_.replace(
            hour=int(hour or 0),
            minute=int(minute or 0),
            second=int(second or 0),
            microsecond=micros,
        )
    except ValueError:
        return None


def _zone(zone: str | None) -> timezone:
    if zone is None or zone in "Zz":
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if minutes > 59:
        raise ValueError(zone)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if zone[0] == "-" else offset)


_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _offset(moment: datetime) -> str:
    minutes = (moment.utcoffset() or timedelta()) // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def _zone_name(moment: datetime) -> str:
    return "UTC" if not moment.utcoffset() else _offset(moment)


def _week(moment: datetime, first_day: int) -> int:
    """The week of the year; days before the first `first_day` (Monday is 0) are in week 0."""
    return (moment.timetuple().tm_yday + 6 - (moment.weekday() - first_day) % 7) // 7


#: Numbers: how wide, filled with what, and the number.
_NUMBERS: Final[dict[str, tuple[int, str, Callable[[datetime], int]]]] = {
    "Y": (4, "0", lambda m: m.year),
    "C": (2, "0", lambda m: m.year // 100),
    "y": (2, "0", lambda m: m.year % 100),
    "m": (2, "0", lambda m: m.month),
    "d": (2, "0", lambda m: m.day),
    "e": (2, " ", lambda m: m.day),
    "j": (3, "0", lambda m: m.timetuple().tm_yday),
    "H": (2, "0", lambda m: m.hour),
    "k": (2, " ", lambda m: m.hour),
    "I": (2, "0", lambda m: m.hour % 12 or 12),
    "l": (2, " ", lambda m: m.hour % 12 or 12),
    "M": (2, "0", lambda m: m.minute),
    "S": (2, "0", lambda m: m.second),
    "L": (3, "0", lambda m: m.microsecond // 1000),
    "N": (9, "0", lambda m: m.microsecond * 1000),
    "s": (1, "0", lambda m: (m - EPOCH) // timedelta(seconds=1)),
    "u": (1, "0", lambda m: m.isoweekday()),
    "w": (1, "0", lambda m: m.isoweekday() % 7),
    "G": (4, "0", lambda m: m.isocalendar().year),
    "g": (2, "0", lambda m: m.isocalendar().year % 100),
    "V": (2, "0", lambda m: m.isocalendar().week),
    "U": (2, "0", lambda m: _week(m, 6)),
    "W": (2, "0", lambda m: _week(m, 0)),
}
_NAMES: Final[dict[str, Callable[[datetime], str]]] = {
    "B": lambda m: _MONTHS[m.month - 1],
    "b": lambda m: _MONTHS[m.month - 1][:3],
    "h": lambda m: _MONTHS[m.month - 1][:3],
    "A": lambda m: _DAYS[m.weekday()],
    "a": lambda m: _DAYS[m.weekday()][:3],
    "p": lambda m: "AM" if m.hour < 12 else "PM",
    "P": lambda m: "am" if m.hour < 12 else "pm",
    "z": _offset,
    "Z": _zone_name,
    "n": lambda _: "\n",
    "t": lambda _: "\t",
    "%": lambda _: "%",
}
_COMBINED: Final = {
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "c": "%a %b %e %H:%M:%S %Y",
}
_DIRECTIVE: Final = re.compile(r"%([-_0^#]?)([a-zA-Z%])")


def formatted(moment: datetime, pattern: str) -> str:
    """`moment` as text, by the directives of Liquid's `date` filter; unknown ones stay as they are."""
    return _DIRECTIVE.sub(lambda match: _directive(moment, match[1], match[2], match[0]), pattern)


def _directive(moment: datetime, flag: str, letter: str, whole: str) -> str:
    if letter in _NUMBERS:
        width, fill, number = _NUMBERS[letter]
        return _filled(number(moment), width, {"_": " ", "0": "0"}.get(flag, fill), flag=flag)
    if letter in _COMBINED:
        return formatted(moment, _COMBINED[letter])
    if letter in _NAMES:
        name = _NAMES[letter](moment)
        return name.upper() if flag in {"^", "#"} else name
    return whole


def _filled(number: int, width: int, fill: str, *, flag: str) -> str:
    return str(number) if flag == "-" else str(number).rjust(width, fill)
