"""A stateful OneSignal simulator: for tests, for the demo, and for trying the bridge.

It answers as OneSignal's REST API does (users, subscriptions, notifications, custom events, limits,
idempotency), keeps a record of everything, fails on demand, and shows on `/sandbox` what every
phone received. Where OneSignal's documentation is unclear it takes the reading that hurts.
"""

from __future__ import annotations

from bridge.sandbox.app import create_sandbox
from bridge.sandbox.limits import Limits
from bridge.sandbox.simulator import Sandbox
from bridge.sandbox.world import DEFAULT_APP_ID, Behaviour

__all__ = ["DEFAULT_APP_ID", "Behaviour", "Limits", "Sandbox", "create_sandbox"]
