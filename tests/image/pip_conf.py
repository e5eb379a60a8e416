"""Turns `pip config list` (standard input) into a pip.conf, and prints the local paths in it.

A build that runs in a container sees neither this machine's pip.conf nor its PIP_ variables, nor the
folders of wheels and the certificates that those may name.
"""

from __future__ import annotations

import re
import sys
from ast import literal_eval
from pathlib import Path
from urllib.parse import urlsplit


def options(listing: str) -> dict[str, str]:
    """The options of a listing by name; a PIP_ variable (`:env:`) wins over a file."""
    found = re.findall(r"^([\w:-]+)\.([\w-]+)=(.*)$", listing, re.MULTILINE)
    by_rank = sorted(found, key=lambda option: option[0] == ":env:")
    return {name: str(literal_eval(value)) for _, name, value in by_rank}


def local_paths(values: dict[str, str]) -> list[str]:
    """Every file and folder of this machine that an option names, once."""
    words = [word for value in values.values() for word in value.split()]
    paths = [_folder(word) for word in words if word.startswith(("/", "file:///"))]
    return sorted({str(path) for path in paths if path.exists()})


def _folder(word: str) -> Path:
    """An index's pages point at files beside them, so an index stands for the folder above it."""
    path = Path(urlsplit(word).path)
    return path.parent if path.name == "simple" else path


def main(target: str) -> None:
    values = options(sys.stdin.read())
    lines = [f"{name} = {value}" for name, value in values.items()]
    Path(target).write_text("\n".join(["[global]", *lines, ""]))
    sys.stdout.writelines(f"{path}\n" for path in local_paths(values))


if __name__ == "__main__":
    main(sys.argv[1])
