"""What keeps a plan from being carried out: a dry run, or a list of the only people it may touch. Pure.

An operation that is restrained ends as skipped, and nothing is written of it: no state, no place,
no membership.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.onesignal.operations import Operation, UpdateUser
from bridge.plan.values import Plan, Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Restraint:
    """What `BRIDGE_DRY_RUN` and `BRIDGE_ONLY_USERS` say."""

    dry_run: bool = False
    #: External ids; None: everybody.
    only: frozenset[str] | None = None

    def reason(self, operation: Operation) -> str | None:
        """Why this operation is not done; None when it is."""
        if not self.lists(*operation.to):
            return "not_listed"
        return "dry_run" if self.dry_run else None

    def lists(self, label: str, id_: str) -> bool:
        """Whether it is known that this is one of those who may be touched; an alias or a device may be anybody's."""
        return self.only is None or (label == "external_id" and id_ in self.only)


FREE = Restraint()


def restrain(planned: Plan, restraint: Restraint) -> Plan:
    """The plan with a skip instead of each operation that is not to be done."""
    if restraint == FREE:
        return planned
    stay = None if restraint.dry_run else planned.stay
    return leave_out(planned, restraint.reason)._replace(stay=stay)


def leave_out(planned: Plan, why: Callable[[Operation], str | None]) -> Plan:
    """The plan with a skip instead of each operation for which there is a reason."""
    reasons = [(one, why(one)) for one in planned.operations]
    skips = [
        Skip(rule=rule, operation=one.name, reason=reason)
        for one, reason in reasons
        if reason is not None
        for rule in _rules(one)
    ]
    return planned._replace(
        operations=tuple(one for one, reason in reasons if reason is None),
        skips=(*planned.skips, *dict.fromkeys(skips)),
    )


def _rules(operation: Operation) -> tuple[str, ...]:
    return operation.rules if isinstance(operation, UpdateUser) else (operation.rule,)
