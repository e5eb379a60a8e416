"""What stands behind `plan`: events read and planned, and what comes of it told or, once, sent.

::

    files ──> events ──> lines ──> table | JSON
                 │
                 └─────> send      one push to your own phone, after asking
    journal ───────────> recent    what the newest events would do, rule by rule
"""
