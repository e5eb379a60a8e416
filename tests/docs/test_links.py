"""Every link from one page to another leads somewhere, to the heading too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", TOP / "mappings" / "README.md", *sorted((TOP / "docs").glob("*.md"))]


def links() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        pictures = re.findall(r'src(?:set)?="([^"]+)"', text)
        for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *pictures]:
            if "://" not in target:
                yield str(page.relative_to(TOP)), target


def anchors(page: Path) -> set[str]:
    """The names of its headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def test_there_are_links_to_follow() -> None:
    assert len(list(links())) > 10


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_a_link_leads_to_a_page_and_a_heading(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    there = (TOP / page).parent / path if path else TOP / page
    assert there.exists()
    assert not anchor or there.suffix != ".md" or anchor in anchors(there)
