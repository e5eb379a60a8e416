"""`/console`: the web console, for people who look after the bridge and for those who ask them.

::

    request ──> door ──> a page's handler ──> shell ──> HTML
                who, role,   reads what it      one frame, one policy of
                CSRF         shows, in words    content, for every page

A page is a module and a template of its name. Everything is rendered here and escaped; the script
that comes along only makes it handier: without it every page works, but is not live.
"""

from __future__ import annotations
