"""The language we hear: what Segment posts, read without opinions about what to do with it."""

from __future__ import annotations
