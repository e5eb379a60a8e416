"""What `import` is made of: `rows` of a file, the `forecast` of what they mean, and how they are `carried`.

::

    file ──> rows ──> identify events ──┬──> forecast     dry: calls, minutes, tags that do not fit
                                        └──> carried      to the running service, a few hundred at a time
"""
