"""What deliveries would come to, played without delivering: examples of a mapping, stored events. Pure.

::

    events ──> stage ──────────────> acts: what each rule did, and why others did not
                 │ plan, standing      ├─ expectations   against what an example says
                 └─ memory             └─ comparison     by rule, and under another mapping

Nothing here decides anything that delivery would decide otherwise: events are planned by `plan`,
memberships learnt and sends judged by what `deliver` and the journal learn and judge with. Only the
record of what came before is a small one in memory, which begins empty. Two things it cannot know
and leaves out: what OneSignal answers, and how many people there are (the volume guard).
"""
