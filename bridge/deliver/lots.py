"""Users who found a gate shut: out of memory, in their order, until it opens.

While a gate is closed one of them at a time is sent to ask; when it opens they all may come. There
is room for so many; who finds it full is found again by looking at the lane from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bridge.deliver.gate import EndpointClass, Gate
from bridge.journal.records import BULK

LOT_SIZE = 20_000


class Lots:
    """A lot for each gate of an app; users are named by their hash, with the rank they came with."""

    def __init__(self, gates: Iterable[Gate], *, size: int = LOT_SIZE) -> None:
        self._gates = {gate.name: gate for gate in gates}
        self.size = size
        self._lots: dict[EndpointClass, dict[int, int]] = {name: {} for name in self._gates}
        self._where: dict[int, EndpointClass] = {}
        self._asking: dict[EndpointClass, int] = {}

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, user: int) -> bool:
        return user in self._where

    def park(self, name: EndpointClass, user: int, rank: int) -> bool:
        """Keep a user until the gate opens; False when there is no room."""
        if self.is_full(name):
            return False
        self._lots[name][user] = rank
        self._where[user] = name
        return True

    def is_full(self, name: EndpointClass) -> bool:
        return len(self._lots[name]) >= self.size

    def raise_rank(self, user: int, rank: int) -> None:
        """The user has something more urgent now."""
        lot = self._lots[self._where[user]]
        lot[user] = min(rank, lot[user])

    def leave(self, user: int) -> int:
        """The rank that the user was there with; `BULK` when it was not there."""
        name = self._where.pop(user, None)
        return BULK if name is None else self._lots[name].pop(user)

    def ready(self, is_busy: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
        """Users, with their rank, who may try again now; they leave as they are named."""
        for name, lot in self._lots.items():
            gate = self._gates[name]
            if not lot or not (gate.is_open or self._may_ask(gate, is_busy)):
                continue
            for user in list(lot) if gate.is_open else [next(iter(lot))]:
                rank = lot[user]
                self._asking[name] = user
                self.leave(user)
                yield user, rank

    def _may_ask(self, gate: Gate, is_busy: Callable[[int], bool]) -> bool:
        asking = self._asking.get(gate.name)
        return gate.wants_probe and (asking is None or not is_busy(asking))

    def seconds(self) -> float | None:
        """Until one of the gates may be ready by itself; None when none will be."""
        held = [self._gates[name].held_seconds for name, lot in self._lots.items() if lot]
        return min((one for one in held if one > 0), default=None)
