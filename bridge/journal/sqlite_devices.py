"""Devices in a SQLite journal; see `bridge.journal.devices`."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from bridge.journal.devices import MOST, NOBODY, Device, Kept, OfAnother
from bridge.journal.queries import queries
from bridge.journal.sqlite_sends import Read

if TYPE_CHECKING:
    from bridge.journal.devices import Devices


class _Row(NamedTuple):
    """What is there already of a device."""

    id: int
    user_hash: int
    subscription_id: str | None
    installation: int | None
    token: int | None
    details: str
    first_ms: int


class SqliteDevices:
    """Transactions about devices, on the journal's writer."""

    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        read: Read,
        hashed: Callable[[str, str], int],
    ) -> None:
        self._write = write
        self._read = read
        self._hashed = hashed

    def name(self, app: str, kind: Literal["installation", "token"], text: str) -> int:
        return self._hashed(f"{app}|{kind}", f"\x1f{text}")

    async def of(self, app: str, user_hash: int, *, since_ms: int) -> list[Device]:
        values = {"app": app, "user_hash": user_hash, "since_ms": since_ms}
        return await self._read(
            lambda connection: [
                _device(row) for row in connection.execute(queries()["devices_of"], values)
            ]
        )

    async def holders(
        self, app: str, *, token: int | None, installation: int | None
    ) -> list[Device]:
        values = {"app": app, "token": token, "installation": installation}
        return await self._read(
            lambda connection: [
                _device(row) for row in connection.execute(queries()["device_holders"], values)
            ]
        )

    async def called(self, app: str, subscription_id: str) -> list[Device]:
        values = {"app": app, "subscription_id": subscription_id}
        return await self._read(
            lambda connection: [
                _device(row) for row in connection.execute(queries()["devices_called"], values)
            ]
        )

    async def keep(self, device: Device, *, of_another: OfAnother, now_ms: int) -> Kept:
        kept: Kept = await self._write(
            lambda connection: keep(connection, device, of_another=of_another, now_ms=now_ms)
        )
        return kept

    async def forget(
        self, app: str, *, subscription_id: str, installation: int, user_hash: int | None
    ) -> int:
        values = {
            "app": app,
            "subscription_id": subscription_id,
            "installation": installation,
            "user_hash": user_hash,
        }
        gone = await self._write(
            lambda connection: connection.execute(queries()["forget_device"], values).rowcount
        )
        return int(gone)

    async def platforms(self, app: str, subscription_ids: list[str]) -> dict[str, str]:
        values = {"app": app, "ids": _json(subscription_ids)}
        return await self._read(
            lambda connection: dict(
                connection.execute(queries()["device_platforms"], values).fetchall()
            )
        )

    async def count(self) -> int:
        row = await self._read(
            lambda connection: connection.execute(queries()["devices_counted"]).fetchone()
        )
        return int(row[0])


def keep(
    connection: sqlite3.Connection, device: Device, *, of_another: OfAnother, now_ms: int
) -> Kept:
    """A device is this user's; a transaction may do it with whatever taught it."""
    person = connection.execute(queries()["person_of"], {"id_hash": device.user_hash}).fetchone()
    if person is not None:
        device = device._replace(user_hash=person[0])
    erased = connection.execute(queries()["device_erased"], device._asdict()).fetchone()
    if erased is not None and device.at_ms <= erased[0]:
        return "erased"
    found = connection.execute(queries()["same_devices"], device._asdict()).fetchall()
    rows = [_Row(*row) for row in found]
    others = [row.id for row in rows if row.user_hash != device.user_hash]
    if others and of_another == "refuse":
        return "of-another"
    own = [row for row in rows if row.user_hash == device.user_hash]
    gone = [row.id for row in own] + (others if of_another == "move" else [])
    connection.execute(queries()["drop_devices"], {"ids": _json(gone)})
    first_ms = min([now_ms, *(row.first_ms for row in own)])
    values = _completed(device, rows)._asdict() | {"first_ms": first_ms, "seen_ms": now_ms}
    connection.execute(queries()["append_device"], values)
    whose = {"app": device.app, "user_hash": device.user_hash, "most": MOST}
    if device.user_hash != NOBODY:
        connection.execute(queries()["drop_most_devices"], whose)
    return "written"


def _completed(device: Device, rows: list[_Row]) -> Device:
    """With the names that it had before; an event does not know how OneSignal calls it."""
    for row in rows:
        if row.user_hash == device.user_hash:
            device = device._replace(
                installation=device.installation or row.installation,
                token=device.token or row.token,
            )
        # A device keeps its id at OneSignal when it comes to another user.
        if device.seq and (row.user_hash == device.user_hash or row.token == device.token):
            details = row.details if device.details == "{}" else device.details
            known = device.subscription_id or row.subscription_id
            device = device._replace(subscription_id=known, details=details)
    return device


def _device(row: tuple[Any, ...]) -> Device:
    device = Device(*row)
    return device._replace(subscribed=bool(device.subscribed))


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


if TYPE_CHECKING:
    _: type[Devices] = SqliteDevices
