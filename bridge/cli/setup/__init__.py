"""What stands behind `init`: five answers, the files that they make, and what to paste where.

::

    answers ──> files     settings (secrets made here), bridge.yaml when there are several, mappings
       └──────> guide     the exact values for Segment and OneSignal
"""
