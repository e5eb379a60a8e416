"""What a person should know of before a customer tells them: causes, and one message for each.

::

    what is seen ──> causes ──┬──> status
                              └──> messages ──> sender ──> a chat's webhook
                                      ^  │
                                      └──┴── what was told, in the journal

`causes` and `messages` are pure; `watch` looks again and again, `sender` is the one that connects.
"""
