"""From what is pending to OneSignal: lanes, chains, gates and retries.

::

    lanes ──> chain of a user ──> update | send ──> gate ──> OneSignal
      ^            (one at a time,                              │
      └─ parked     a second apart)  │    verdict ──> end, or again later
                                     └──> group of sends that share a call

`lanes` finds users with work and gives each a chain; a chain takes its user's events in order and
one operation at a time; a send is written before it is sent, and may share a call with others
(`groups`); a gate holds calls to OneSignal's limits; `retry` says when to try again.
"""
